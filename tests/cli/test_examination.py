"""What `doctor` finds in the files of a hive that is down."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hive.cli import main
from hive.cli.examination import examine
from hive.cli.status import Status
from hive.directory import Directory, locked
from hive.protocol.commands import AddAgent, Send
from hive.protocol.mail import Provenance
from hive.store.sqlite import open_store


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    """A hive that ran once, long ago, and left mail that waits."""
    made = Directory(tmp_path)
    made.create()
    with open_store(made.store, wall=lambda: 1_000.0) as store:
        store.recover("1")
        store.submit(AddAgent("iris"))
        store.submit(Send("operator", "iris", "hello", Provenance.OPERATOR))
        store.stop("test")
    yield made
    shutil.rmtree(made.run, ignore_errors=True)


def causes(directory: Directory) -> dict[str, tuple[bool, str]]:
    """Findings by what they are about."""
    return {str(one["what"]): (bool(one["ok"]), str(one["cause"])) for one in examine(directory)}


def test_a_whole_store_is_told_from_a_stopped_daemon(directory: Directory) -> None:
    """That it does not run is the only thing wrong: mail that waits for it is not lost."""
    found = causes(directory)
    assert "1 to be handled" in found["mail"][1]
    assert {what for what, (ok, _) in found.items() if not ok} == {"daemon"}
    assert "all four held" in found["invariants"][1]
    assert found["store"] == (True, f"{directory.store} is whole")


def test_a_process_that_holds_the_lock_is_named(directory: Directory) -> None:
    """It runs, and does not answer."""
    with locked(directory):
        assert f"{directory.operator_socket} is gone" in causes(directory)["daemon"][1]
        directory.operator_socket.touch()
        assert "does not answer" in causes(directory)["daemon"][1]


def test_damage_is_found_and_has_a_remedy(directory: Directory) -> None:
    """Whether the file is no database at all or broken inside."""
    directory.store.write_bytes(b"not a database" * 1000)
    store = next(one for one in examine(directory) if one["what"] == "store")
    assert store["ok"] is False
    assert "hive restore" in str(store["remedy"])


def test_settings_that_are_wrong_are_named(directory: Directory) -> None:
    """With the path of the value."""
    directory.settings.write_text("[web]\nport = 'x'\n")
    assert causes(directory)["settings"] == (
        False,
        f"{directory.settings}: web.port: expected a whole number from 0 to 65535, got 'x'",
    )


def test_examining_changes_nothing(directory: Directory) -> None:
    """Not even the file's time."""
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in directory.root.glob("hive.*")}
    assert main(["doctor", "--dir", str(directory.root)]) == Status.REFUSED
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in before}
    assert after == before


def test_without_files_there_is_nothing_to_examine(tmp_path: Path) -> None:
    """No daemon, and none has run."""
    assert main(["doctor", "--dir", str(tmp_path)]) == Status.NO_DAEMON
