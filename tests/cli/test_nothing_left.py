"""Whoever has tried hive finds the machine as it was: nothing is left running, lying about or mounted."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from hive.directory import Directory, holder, short_run_directory
from tests.cli.person import Person, until
from tests.cli.traces import Surroundings

LONG = "x" * 90
"""With this name a hive lies too deep for sockets, and keeps them elsewhere."""


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder with a short name."""
    with tempfile.TemporaryDirectory(prefix="hive-test-") as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["work", LONG])
def test_a_demo_leaves_nothing_behind(base: Path, folder: str) -> None:
    """Also where temporary folders lie deep."""
    around = Surroundings(base)
    deep = base / "temporary" / folder
    deep.mkdir()
    person = Person(around.hive, {**around.variables, "TMPDIR": str(deep)}, around.work)
    with person.in_a_pipe("demo", "--on", str(base), "--seconds", "6", "--headless") as demo:
        root = Path(demo.shows("Their files:").partition(": ")[2].partition(";")[0])
        assert Directory(root).operator_socket.is_socket()
        # The demo, boxes of its agents, and their commands.
        until(lambda: around.look(demo.child.pid) > 3)
        until(lambda: around.look(demo.child.pid) == 0)
        assert demo.ends() == 0
    assert list(deep.iterdir()) == []
    deep.rmdir()
    assert around.left(root) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hive", LONG])
def test_a_hive_that_was_stopped_is_its_directory_and_nothing_else(base: Path, name: str) -> None:
    """What it ran, listened on and mounted is gone, wherever it lies."""
    around = Surroundings(base, name)
    person = Person(around.hive, around.variables, around.work)
    try:
        person.types("up", "--detach")
        pid = holder(Directory(around.hive)) or 0
        person.types("spawn", "boss", "--backend", "scripted", "--allow-shell")
        person.types("send", "boss", "!sh setsid -f sleep 301; sleep 300")
        # The daemon, the box, the shell and two that sleep.
        until(lambda: around.look(pid) >= 5)
        person.types("down")
        assert around.left() == []
        assert sorted(path.name for path in around.hive.iterdir() if path.is_socket()) == []
    finally:
        if left := holder(Directory(around.hive)):
            os.kill(left, signal.SIGKILL)


# Each kind of trace, left on purpose: a watch that sees nothing is worse than none.


@contextmanager
def marked_process(around: Surroundings) -> Iterator[None]:
    """One that bears the mark."""
    with running(env=around.variables):
        yield


@contextmanager
def known_process(around: Surroundings) -> Iterator[None]:
    """One that bears no mark, but was seen while it was a child."""
    with running(env={}) as child:
        around.look(child.pid)
        yield


@contextmanager
def named_process(around: Surroundings) -> Iterator[None]:
    """One whose environment speaks of the hive, as that of boxes does."""
    with running(env={"HIVE_BOX": f"{around.hive}:iris:1:1"}):
        yield


@contextmanager
def running(env: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process until the block is left."""
    with subprocess.Popen(["/bin/sleep", "300"], env=env) as child:
        try:
            # The kernel tells of an exec a moment before it shows the new command and environment.
            while b"sleep" not in Path(f"/proc/{child.pid}/cmdline").read_bytes():
                assert child.poll() is None
            yield child
        finally:
            child.kill()


@contextmanager
def temporary_file(around: Surroundings) -> Iterator[None]:
    """In one of the folders for such things."""
    (around.base / "temporary" / "left").mkdir()
    yield


@contextmanager
def file_beside(around: Surroundings) -> Iterator[None]:
    """Next to the hive."""
    (around.base / "hive.log").touch()
    yield


@contextmanager
def run_directory(around: Surroundings) -> Iterator[None]:
    """Where a deep hive has its sockets."""
    made = short_run_directory(around.hive)
    made.mkdir()
    try:
        yield
    finally:
        made.rmdir()


@contextmanager
def bound_socket(around: Surroundings) -> Iterator[None]:
    """Whose file is gone already."""
    path = around.base / "runtime" / "socket"
    with closing(socket.socket(socket.AF_UNIX)) as bound:
        bound.bind(str(path))
        path.unlink()
        yield


@contextmanager
def mount(around: Surroundings) -> Iterator[None]:
    """As the kernel would list it."""
    with around.mounts_file.open("a") as table:
        table.write(f"tmpfs {around.hive}/agents/iris tmpfs rw 0 0\n")
    yield


@contextmanager
def control_group(around: Surroundings) -> Iterator[None]:
    """Empty, as they are when everybody in them is dead."""
    (around.groups_root / "memory" / "hive-iris").mkdir(parents=True)
    yield


KINDS = (
    *((kind, "process") for kind in (marked_process, known_process, named_process)),
    *((kind, "file") for kind in (temporary_file, file_beside, run_directory)),
    (bound_socket, "socket"),
    (mount, "mount"),
    (control_group, "control group"),
)


@pytest.mark.parametrize(("leave", "what"), KINDS)
def test_each_kind_of_trace_is_seen(base: Path, leave: Callable[[Surroundings], object], what: str) -> None:
    """And nothing is seen where nothing is left."""
    with tempfile.TemporaryDirectory() as kernel, ExitStack() as leaving:
        mounts, groups = Path(kernel) / "mounts", Path(kernel) / "groups"
        mounts.write_text("proc /proc proc rw 0 0\n")
        (groups / "memory" / "hive-of-another").mkdir(parents=True)
        around = Surroundings(base, mounts_file=mounts, groups_root=groups)
        assert around.left() == []
        leaving.enter_context(leave(around))  # type: ignore[arg-type]
        assert {trace.partition(": ")[0] for trace in around.left()} == {what}
