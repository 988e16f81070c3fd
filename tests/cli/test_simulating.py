"""`hive sim`, as it is typed."""

import io
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from hive.cli import main
from hive.cli.simulating import Bar, cores
from hive.cli.status import Status

STORY = """
async def well(sim):
    await sim.advance(hours=1)

async def odd(sim):
    assert sim.seed % 2 == 0, f"{sim.seed} is odd"

def plain(sim): ...
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file of stories."""
    path = tmp_path / "stories.py"
    path.write_text(STORY)
    return str(path)


def test_a_story_that_goes_well_ends_with_status_0(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And a table of what it came to; in a pipe there is no bar."""
    assert main(["sim", "--story", f"{file}:well", "--seeds", "0..2", "--jobs", "1"]) == Status.OK
    said = capsys.readouterr()
    assert "seeds         3, of which 0 failed\nvirtual time  3 h 0 min\n" in said.out
    assert said.err == ""


def test_seeds_that_fail_are_shown_and_end_with_status_1(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with the command that repeats it, which really does."""
    assert main(["sim", "--story", f"{file}:odd", "--seeds", "2..3", "--jobs", "1"]) == Status.REFUSED
    said = capsys.readouterr().out
    assert "seed 3: AssertionError: 3 is odd\n" in said
    _, _, command = said.partition("  replay: hive ")
    assert main(command.split()) == Status.REFUSED
    assert "AssertionError: 3 is odd\nreplay: hive sim --story" in capsys.readouterr().out


def test_a_program_gets_json(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One object."""
    assert main(["sim", "--story", f"{file}:odd", "--seeds", "1..1", "--shrink", "--json"]) == Status.REFUSED
    data = json.loads(capsys.readouterr().out)
    assert (data["told"], data["failed"]) == (1, 1)
    assert data["failures"][0]["shrunk"]["faults"] == []


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        (["--story", "FILE:well", "--seeds", "7"], "'7' is no range of seeds: write FIRST..LAST"),
        (["--story", "FILE:well", "--seeds", "7..a"], "'a' is no seed"),
        (["--story", "FILE:well", "--seeds", "7..1"], "holds no seed"),
        (["--story", "FILE:well", "--faults", "bad luck"], "write none, some, some*FACTOR"),
        (["--story", "FILE:well", "--jobs", "0"], "--jobs takes a number from 1 on"),
        (["--story", "FILE:well", "--stop-at", "0"], "--stop-at takes a number from 1 on"),
        (["--story", "FILE:well", "--seconds-per-seed", "0"], "--seconds-per-seed takes a number from 1 on"),
        (["--story", "FILE:plain", "--jobs", "1"], "plain is no story"),
        (["--story", "nothing.py:story", "--jobs", "1"], "there is no file nothing.py"),
    ],
    ids=str,
)
def test_wrong_usage_says_what_to_do(
    file: str, typed: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a sentence, with status 2."""
    assert main(["sim", *(word.replace("FILE", file) for word in typed)]) == Status.USAGE
    said = capsys.readouterr()
    assert why in said.err
    assert said.out == ""


def test_hives_own_stories_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With what happens in each."""
    assert main(["sim", "--list"]) == Status.OK
    assert capsys.readouterr().out.startswith("STORY  ")


def test_without_a_story_all_of_hives_own_are_told_in_turn(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which they are listed; what is told of each is a row."""
    assert main(["sim", "--list", "--json"]) == Status.OK
    names = list(json.loads(capsys.readouterr().out))
    third = names.index("chatter") + 2 * len(names)
    assert main(["sim", "--seeds", f"{third}..{third}", "--jobs", "1", "--json"]) == Status.OK
    rows = json.loads(capsys.readouterr().out)["stories"]
    assert [row["story"] for row in rows] == names
    assert [row["story"] for row in rows if row["told"]] == ["chatter"]


def test_where_hives_own_stories_are_missing_one_must_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where somebody has packed hive without them."""
    monkeypatch.setattr("hive.testing.lookup.PACKAGE", "hive.testing.nowhere")
    assert main(["sim"]) == Status.USAGE
    assert "name one, --story FILE.py:NAME" in capsys.readouterr().err


def test_all_cores_are_taken_where_nobody_says_which_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux alone can give a process some of them."""
    assert cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1


def test_on_a_terminal_one_line_is_written_again_and_again() -> None:
    """It fits the terminal, and is cleared at the end."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, Bar(terminal) as bar:
        bar.show("1 of 9 seeds")
        bar.show("x" * 500)
        terminal.flush()
    said = b""
    with os.fdopen(ours, "rb", buffering=0) as screen, suppress(OSError):  # the end of a terminal is an error
        while part := screen.read(4096):
            said += part
    assert said.decode() == f"\r\x1b[K1 of 9 seeds\r\x1b[K{'x' * 78}…\r\x1b[K"


def test_without_a_terminal_there_is_no_bar() -> None:
    """A log is not a place for it."""
    stream = io.StringIO()
    with Bar(stream) as bar:
        bar.show("1 of 9 seeds")
    assert stream.getvalue() == ""
