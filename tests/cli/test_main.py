"""From what was typed to an exit status and one sentence."""

import json
import os
import pathlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define

from hive import config
from hive.actors import Actor, Budget, ChildSpec, Context, Message, RestartsExhausted
from hive.actors.protocol import Look
from hive.cli import main
from hive.cli.main import INTERRUPTED, _described
from hive.cli.status import Failed, Status, pointed, refused
from hive.directory import Directory, locked
from hive.protocol.errors import Conflict, Malformed
from hive.sockets import PortInUse
from hive.testing import Simulation, simulate

ROOT = Path(__file__).resolve().parents[2]


def test_without_a_verb_it_says_what_to_type_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Three lines, none of them an error."""
    assert main([]) == Status.OK
    said = capsys.readouterr().out
    assert [word in said for word in ("hive demo", "hive up", "hive help")] == [True] * 3


INTERRUPTED_EARLY = """
import runpy, sys

class Impatient:
    def find_spec(self, name, *_):
        if name == "hive.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Impatient())
runpy.run_module("hive", run_name="__main__")
"""


def test_an_interrupt_while_it_is_still_loaded_is_a_status() -> None:
    """Ctrl-C in the first second shows no traceback."""
    # In a process of its own: where hive is installed, pytest loads its modules in a way of pytest's own.
    ran = subprocess.run([sys.executable, "-P", "-c", INTERRUPTED_EARLY], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (INTERRUPTED, b"")


@pytest.mark.parametrize("typed", [["help"], ["--help"], ["--version"]])
def test_help_and_version_are_answers(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, with status 0."""
    assert main(typed) == Status.OK
    assert "hive" in capsys.readouterr().out


def test_an_option_before_the_verb_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """The order is the commonest mistake."""
    assert main(["--dir", "/x", "status"]) == Status.USAGE
    assert "the verb comes first" in capsys.readouterr().err


def test_no_daemon_lists_the_places_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with what was found there."""
    monkeypatch.delenv("HIVE_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(["status"]) == Status.NO_DAEMON
    said = capsys.readouterr().err
    assert f"{tmp_path}/hive ($XDG_DATA_HOME/hive): no hive has run here" in said
    assert "/var/lib/hive (system-wide)" in said
    assert "hive up" in said


def test_an_error_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program that asked for JSON gets it whatever happens."""
    assert main(["status", "--json", "--dir", str(tmp_path)]) == Status.NO_DAEMON
    error = json.loads(capsys.readouterr().out)
    assert error["status"] == Status.NO_DAEMON
    assert str(tmp_path) in error["error"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Failed(Status.TIMEOUT, "late"), Status.TIMEOUT),
        (Conflict("moved on"), Status.CONFLICT),
        (Malformed("wrong"), Status.REFUSED),
        (PortInUse("taken"), Status.REFUSED),
        (OSError(13, "Permission denied", "/x"), Status.REFUSED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_failure_has_its_status(error: Exception, status: Status) -> None:
    """And a sentence without numbers of the machine's."""
    text, found = _described(error)
    assert found is status
    assert "Errno" not in text


@define(eq=False)
class Falls(Actor):
    """Fails at every message."""

    error: Exception

    async def handle(self, message: Message, ctx: Context) -> object:
        """Raise, out of a nursery."""
        async with trio.open_nursery():
            raise self.error


def given_up(error: Exception) -> None:
    """Run a tree that fails for good because of an error."""

    async def story(sim: Simulation) -> None:
        faller = ChildSpec("faller", lambda: Falls(error), attempts=1)
        async with sim.hive(faller, budget=Budget(2, 60.0)) as hive:
            for _ in range(3):
                hive.ref("faller").tell(Look())
            await trio.sleep_forever()

    simulate(story, 1)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OverflowError("an int is\ntoo large"), "OverflowError: an int is too large"),
        (sqlite3.OperationalError("disk I/O error"), "OperationalError: disk I/O error"),
        (ValueError("token-of-somebody"), "ValueError"),
    ],
    ids=repr,
)
def test_a_tree_that_fails_for_good_says_of_what(error: Exception, shown: str) -> None:
    """To the line of code, past the groups in between; but not with a text that may quote anything."""
    with pytest.raises(RestartsExhausted) as caught:
        given_up(error)
    text, status = _described(caught.value)
    lines = text.splitlines()
    assert status is Status.REFUSED
    assert "'faller' failed again" in lines[0]
    line = Falls.handle.__code__.co_firstlineno + 3
    assert lines[-1].removeprefix("  because of ") == f"{shown} ({__file__}:{line})"
    assert "token" not in text


def test_a_cause_is_placed_where_it_was_raised() -> None:
    """In the innermost call, and within a group of causes the first is followed."""
    error = RestartsExhausted("spent")
    with pytest.raises(FileNotFoundError) as missing:
        Path("/nowhere/at/all").read_bytes()
    error.__cause__ = ExceptionGroup("crowd", [missing.value, ValueError()])
    last = _described(error)[0].splitlines()[-1]
    assert "because of FileNotFoundError: " in last
    assert f"({pathlib.__file__}:" in last


def test_a_failure_has_an_end() -> None:
    """Even where its causes go round in a circle, or came without a place or a text."""
    error = RestartsExhausted("spent")
    error.__cause__ = OSError()
    error.__cause__.__cause__ = error
    assert _described(error)[0].splitlines()[:3] == [
        "spent",
        "  because of OSError",
        "  because of RestartsExhausted: spent",
    ]


def test_refusals_of_the_daemon_keep_their_meaning() -> None:
    """A script tells a conflict and an answer that is late from a plain refusal."""
    assert refused("conflict", "").status is Status.CONFLICT
    assert refused("unknown", "").status is Status.TIMEOUT
    assert refused("not_found", "").status is Status.REFUSED


@pytest.mark.parametrize(
    ("code", "typed", "text"),
    [
        ("not_found", ["why"], "there is no 'x'"),
        ("not_found", ["why", "agent"], "there is no 'x'. See: hive ps"),
        ("not_found", ["message"], "there is no 'x'. See: hive inbox"),
        ("not_found", ["message", "to"], "there is no 'x'. See: hive inbox, hive ps"),
        ("conflict", ["agent"], "there is no 'x'"),
    ],
)
def test_what_is_not_found_is_listed_by_a_verb(code: str, typed: list[str], text: str) -> None:
    """The daemon does not know how a person asks; the command line does."""
    assert str(pointed(refused(code, "there is no 'x'"), typed)) == text


def test_a_sentence_that_has_its_end_is_given_no_other() -> None:
    """Some refusals end with a question."""
    said = [str(pointed(refused("not_found", text), ["to"])) for text in ("Nobody.", "Did you mean boss?")]
    assert said == ["Nobody. See: hive ps", "Did you mean boss? See: hive ps"]


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """`hive config | true` says nothing about pipes."""
    program = f"{sys.executable} -P -m hive config --dir {tmp_path} | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(
        ["bash", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    """A hive whose first start has begun."""
    made = Directory(tmp_path)
    made.create()
    yield made
    made.clear()


def settings_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Any, Any]:
    """What `config` answers, and of that the values with their sources."""
    assert main(["config", "--json", "--dir", str(root)]) == Status.OK
    shown = json.loads(capsys.readouterr().out)
    return shown, {one["path"]: (one["value"], one["source"]) for one in shown["settings"]}


def test_settings_are_shown_with_their_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no daemon runs, those that a start from here would take; a line says so."""
    monkeypatch.setenv("HIVE_WEB_PORT", "7799")
    (tmp_path / "hive.toml").write_text("[mcp]\nport = 7788\n")
    shown, values = settings_shown(tmp_path, capsys)
    assert (shown["directory"], shown["pid"]) == (str(tmp_path), None)
    assert values["web.port"] == (7799, "HIVE_WEB_PORT")
    assert values["mcp.port"] == (7788, "hive.toml")
    assert values["web.host"] == ("127.0.0.1", "default")
    main(["config", "--dir", str(tmp_path)])
    assert f"no hive runs on {tmp_path}" in capsys.readouterr().out.splitlines()[0]


def test_the_settings_of_a_running_daemon_are_its_own(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the caller's environment says, and whatever stands in the file by now."""
    monkeypatch.setenv("HIVE_WEB_PORT", "7799")
    root, taken = directory.root, config.effective(directory.root, {"HIVE_WEB_PORT": "7755"})
    with locked(directory):
        config.write_taken(directory.taken, os.getpid(), taken)
        os.utime(directory.settings, (1.0, 1.0))
        shown, values = settings_shown(root, capsys)
        assert (shown["pid"], shown["edited"]) == (os.getpid(), False)
        assert values["web.port"] == (7755, "HIVE_WEB_PORT")

        directory.settings.write_text("[web\n")
        os.utime(directory.taken, (1.0, 1.0))
        assert settings_shown(root, capsys)[1] == values
        main(["config", "--dir", str(root)])
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"the hive on {root} (process {os.getpid()}) runs with these:"
        assert "the next start takes it" in lines[-1]


def test_a_note_of_an_earlier_daemon_is_not_believed(
    directory: Directory, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that only starts has not said anything yet; one that is gone says nothing any more."""
    root = directory.root
    config.write_taken(directory.taken, 1, config.effective(root, {"HIVE_WEB_PORT": "7755"}))
    with locked(directory):
        assert main(["config", "--dir", str(root)]) == Status.TIMEOUT
        assert f"process {os.getpid()} is starting" in capsys.readouterr().err
        directory.taken.unlink()
        assert main(["config", "--dir", str(root)]) == Status.TIMEOUT
    capsys.readouterr()
    _, values = settings_shown(root, capsys)
    assert values["web.port"][1] != "HIVE_WEB_PORT"
