"""Supervision beside OTP's: each row of `tests.actors.otp` is asked of hive, and of OTP where it is there."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hive.testing import simulate
from tests.actors.otp import CASES, Case, tables
from tests.actors.otp_stories import STORIES

ROOT = Path(__file__).resolve().parent.parent.parent
PROOF = ROOT / "docs" / "proof.md"
HEADING = "## Supervision beside OTP's\n"
SEEDS = int(os.environ.get("HIVE_SEEDS", "10"))


def name_of(case: Case) -> str:
    """What pytest calls it."""
    return case.name


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_hive_does_what_the_table_says(case: Case, seed: int) -> None:
    """Whatever the scheduler does."""
    assert simulate(STORIES[case.name], seed) == case.ours


def test_each_row_has_its_story_and_each_difference_its_reason() -> None:
    """No case twice, none without a source, and a reason exactly where the answers differ."""
    assert [case.name for case in CASES] == list(dict.fromkeys(case.name for case in CASES))
    assert {case.name for case in CASES} == set(STORIES)
    assert all(case.source for case in CASES)
    assert [case.name for case in CASES if bool(case.why) != (case.ours != case.otp)] == []


def test_the_page_shows_the_table() -> None:
    """The section ends with what `python -m tests.actors.otp` prints."""
    _, _, after = PROOF.read_text(encoding="utf-8").partition(HEADING)
    section, _, _ = after.partition("\n## ")

    assert section.strip().endswith("\n".join(tables()))


# Not `needs`: what another system does is worth a look, and no reason for ours to fail.
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("escript") is None, reason="OTP is not there: apt install erlang-base")
def test_otp_does_what_the_table_says() -> None:
    """Asked of the real one."""
    ran = subprocess.run(
        ["escript", str(ROOT / "bench" / "otp.escript")],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )

    answers = dict(line.split("\t") for line in ran.stdout.splitlines())
    assert answers == {case.name: case.otp for case in CASES}
