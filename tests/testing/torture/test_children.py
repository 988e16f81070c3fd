"""Children of agents are told by their marks, and those that live too long are found."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import trio

from hive.containers.processes import Identity, everything, read_stat
from hive.testing.torture.children import Deaths, at_work, in_boxes

ROOT = Path("/tmp/some hive")
WAITS = "import sys; print(flush=True); sys.stdin.read()"


@contextmanager
def running(environment: Mapping[str, str]) -> Iterator[Identity]:
    """A process with this environment, which is gone when the block is left."""
    command = [sys.executable, "-I", "-S", "-c", WAITS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=dict(environment), **pipes) as child:  # type: ignore[call-overload]
        child.stdout.readline()
        stat = read_stat(child.pid)
        assert stat is not None
        try:
            yield stat.identity
        finally:
            child.kill()


def test_processes_are_found_by_their_marks() -> None:
    """Those of other hives are not, and a box is no work."""
    box = {"HIVE_BOX": f"{ROOT}:iris:1:1"}
    with (
        running(box) as leader,
        running({**box, "HIVE_COMMAND": "x"}) as command,
        running({"HIVE_BOX": f"{ROOT}-other:iris:1:1", "HIVE_COMMAND": "x"}) as stranger,
    ):
        stats = everything()
        assert in_boxes(ROOT)(stats) == {leader, command}
        assert at_work(ROOT)(stats) == {command}
        assert stranger.pid in stats
    assert in_boxes(ROOT)(everything()) == set()


async def test_a_child_that_lives_on_is_found() -> None:
    """Whether it was seen at the kill or not."""
    deaths = Deaths()
    with running({}) as seen, running({}) as unseen:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deaths.watch, seen)
            await trio.testing.wait_all_tasks_blocked()
            later = max(seen.started, unseen.started) + 1
            assert deaths.outlived([], later, None) == [seen]
            assert set(deaths.outlived([unseen], later, None)) == {seen, unseen}
            assert deaths.outlived([unseen], unseen.started, None) == [seen]
            nursery.cancel_scope.cancel(reason="seen")


async def test_a_child_that_dies_after_the_first_claim_is_found() -> None:
    """One that died before it is none of the next boot's."""
    deaths = Deaths()
    with running({}) as child:
        pass
    await deaths.watch(child)
    assert deaths.outlived([], 0, None) == []
    assert deaths.outlived([], 0, time.time() + 60) == []
    assert deaths.outlived([], 0, time.time() - 60) == [child]
    deaths.forget()
    assert deaths.outlived([], 0, time.time() - 60) == []
