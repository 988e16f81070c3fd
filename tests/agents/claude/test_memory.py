"""The file with an agent's session, where the agent can do to it what it likes."""

import os
from pathlib import Path
from typing import Final

import pytest

from hive.agents.cli.memory import SessionFile

ONE: Final = "22222222-2222-4222-8222-000000000001"
OTHER: Final = "22222222-2222-4222-8222-000000000002"


def test_a_session_is_kept_and_replaced(tmp_path: Path) -> None:
    """Nothing else is left in the directory, and nobody else can read it."""
    memory = SessionFile(tmp_path / "session")
    assert memory.session() is None
    for session in (ONE, ONE, OTHER):
        memory.keep(session)
        assert memory.session() == session
    assert os.listdir(tmp_path) == ["session"]  # noqa: PTH208 - names
    assert (tmp_path / "session").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "--dangerous", f"{ONE} --dangerous", "x" * 100_000, "\xff"])
def test_what_is_no_id_is_neither_read_nor_kept(text: str, tmp_path: Path) -> None:
    """It would be an argument of a command."""
    memory = SessionFile(tmp_path / "session")
    memory.path.write_text(text)
    assert memory.session() is None
    memory.path.unlink()
    memory.keep(text)
    assert not memory.path.exists()


def test_nothing_is_followed_or_waited_for(tmp_path: Path) -> None:
    """A link, a pipe and a directory in its place are no session; a link is replaced, not followed."""
    target = tmp_path / "target"
    target.write_text(ONE)
    for name in ("session", "session.new"):
        (tmp_path / name).symlink_to(target)
    memory = SessionFile(tmp_path / "session")
    assert memory.session() is None
    memory.keep(OTHER)
    assert (memory.session(), target.read_text()) == (OTHER, ONE)
    os.mkfifo(tmp_path / "pipe")
    assert SessionFile(tmp_path / "pipe").session() is None
    assert SessionFile(tmp_path).session() is None
