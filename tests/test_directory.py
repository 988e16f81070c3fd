"""A hive's directory: who may see what, and who may hold it."""

import os
import shutil
from pathlib import Path

import pytest

from hive.directory import LONGEST_SOCKET_PATH, Directory, holder, locked
from hive.protocol.errors import Refused


def test_a_first_start_makes_the_directory_and_says_what_it_made(tmp_path: Path) -> None:
    """A second one makes nothing."""
    directory = Directory(tmp_path / "hive")
    made = directory.create()
    assert set(made) == {directory.root, directory.agents, directory.shared, directory.settings}
    assert directory.create() == ()
    assert directory.run.stat().st_mode & 0o777 == 0o700
    assert (directory.run / "agents").stat().st_mode & 0o777 == 0o700
    shutil.rmtree(directory.run)


def test_sockets_fit_the_kernels_limit_however_deep_the_hive_lies(tmp_path: Path) -> None:
    """In a short directory that is the same every time."""
    deep = Directory(tmp_path / ("x" * 90))
    path = deep.agent_socket("a" * 32)
    assert len(os.fsencode(path)) <= LONGEST_SOCKET_PATH
    assert deep.run == Directory(deep.root).run
    assert deep.run != Directory(tmp_path / ("y" * 90)).run


def test_a_run_directory_of_somebody_elses_is_refused(tmp_path: Path) -> None:
    """Nor is a link in its place followed."""
    directory = Directory(tmp_path / ("x" * 90))
    directory.root.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    directory.run.symlink_to(elsewhere)
    try:
        with pytest.raises(Refused, match="not a directory of yours"):
            directory.create()
    finally:
        directory.run.unlink()


def test_only_one_holds_the_lock_and_the_other_is_told_who(tmp_path: Path) -> None:
    """Until it is let go."""
    directory = Directory(tmp_path)
    assert holder(directory) is None
    with locked(directory):
        assert holder(directory) == os.getpid()
        with pytest.raises(Refused, match=rf"pid {os.getpid()}.*hive down --dir"), locked(directory):
            pass
    assert holder(directory) is None
    with locked(directory):
        pass


def test_a_lock_left_behind_by_the_dead_is_nobodys(tmp_path: Path) -> None:
    """What a killed daemon wrote into it does not count."""
    directory = Directory(tmp_path)
    directory.lock.write_text("4242\n")
    assert holder(directory) is None
