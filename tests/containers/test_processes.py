"""Ending processes: also those that are born while we look."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL
from typing import Final

import pytest
import trio

from hive.containers.processes import Identity, Stat, family, is_alive, kill_all, read_stat, send_signal

LIMIT_SECONDS: Final = 20.0

PARENT: Final = """
while ! test -e look; do sleep 0.01; done
env -i setsid sleep 300 &
echo $! > child
sleep 300
"""


def started(script: str, directory: Path) -> subprocess.Popen[bytes]:
    """A script on its way."""
    return subprocess.Popen(["sh", "-c", script], cwd=directory, start_new_session=True)


def led_by_itself(child: Path) -> Identity:
    """The process whose pid is written there, once it has left its session and its environment."""
    while True:
        text = child.read_text() if child.exists() else ""
        stat = read_stat(int(text)) if text.strip() else None
        if stat is not None and stat.session == stat.identity.pid:
            return stat.identity
        time.sleep(0.01)


async def test_a_child_that_is_born_while_we_look_dies_with_its_parent(tmp_path: Path) -> None:
    """It is not in what we saw; and were its parent killed first, nothing would tell whose it was."""
    parent = started(PARENT, tmp_path)
    stat = read_stat(parent.pid)
    assert stat is not None
    root, born = stat.identity, list[Identity]()

    def find(stats: Mapping[int, Stat]) -> set[Identity]:
        found = family({root}, stats)
        if not born:
            (tmp_path / "look").touch()
            born.append(led_by_itself(tmp_path / "child"))
        return found

    try:
        with trio.fail_after(LIMIT_SECONDS):
            killed = await kill_all(find)
        assert killed > {root, *born}
        assert not is_alive(born[0])
    finally:
        send_signal(born[0], SIGKILL)
        parent.wait()


def test_a_process_that_is_not_ours_to_signal_saves_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops many goes on to the next; that it lives is found out by waiting for it."""

    def refused(pidfd: int, number: int) -> None:
        del pidfd, number
        raise PermissionError

    stat = read_stat(os.getpid())
    assert stat is not None
    monkeypatch.setattr("signal.pidfd_send_signal", refused)
    send_signal(stat.identity, SIGKILL)
