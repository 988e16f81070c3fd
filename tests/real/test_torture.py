"""A torture finds what is wrong with a hive: against a real daemon whose file is damaged on purpose.

It stops there, says what is missing, and leaves no process.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import trio

from hive.containers.processes import everything
from hive.testing.torture.blows import Torture
from hive.testing.torture.children import in_boxes
from hive.testing.torture.findings import Kill
from hive.testing.torture.log import Mark
from hive.testing.torture.plan import Plan
from hive.testing.torture.run import run
from hive.testing.torture.verdict import Verdict

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore:Async generator '(httpx2|httpcore2|mcp)[.]:ResourceWarning"),
]
KILLS = 8
"""At most: what is wrong must be found by then."""


def tortured(folder: Path, plan: Plan, tamper: list[str] | None = None) -> Verdict:
    """The verdict on a hive whose file is changed behind its back after the first kill that left mail."""

    def tell(torture: Torture) -> None:
        if tamper is not None and not tamper and torture.book.answers:
            tamper.append(delete_one(torture))

    verdict = trio.run(run, plan, folder, trio.Event(), tell)
    assert in_boxes(folder / "hive")(everything()) == set()
    return verdict


def delete_one(torture: Torture) -> str:
    """Take one acknowledged message out of the file of a daemon that is dead; returns its key."""
    key, id_ = next(iter(torture.book.acknowledged.items()))
    with closing(sqlite3.connect(torture.daemon.store, isolation_level=None)) as db:
        assert db.execute("DELETE FROM message WHERE id = ?", (id_,)).rowcount == 1
    return key


def enough(kills: Sequence[Kill]) -> bool:
    """Whether it should have been found."""
    return len(kills) >= KILLS


def test_a_message_that_goes_missing_is_found_at_the_next_kill(tmp_path: Path) -> None:
    """And named; the torture ends there."""
    tampered: list[str] = []
    verdict = tortured(tmp_path, Plan(5, enough=enough, cut_share=0.0), tampered)
    assert not verdict.ok
    assert verdict.messages.lost == 1
    assert verdict.kills.number < KILLS
    assert any(tampered[0] in problem for problem in verdict.problems)


def test_a_disk_that_says_synced_and_is_not_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut that takes what was promised is a loss, so that the cuts are known to reach something."""
    monkeypatch.setattr(Mark, "floor", lambda self, synced: 0)
    verdict = tortured(tmp_path, Plan(6, enough=enough, cut_share=1.0, starting_share=0.0))
    assert not verdict.ok
    assert verdict.messages.lost > 0
    assert verdict.kills.number < KILLS
