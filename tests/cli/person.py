"""Somebody with a real hive, a real terminal, and words to type."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from hive.directory import Directory, holder

ROOT = Path(__file__).resolve().parents[2]
HIVE = (sys.executable, "-P", "-m", "hive")
"""The words that start this checkout's hive."""

PATIENCE_SECONDS = 30.0
"""How long anything may take on a busy machine; nothing is expected to come close."""

TAKE_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@frozen
class Person:
    """Somebody who types verbs about one hive."""

    root: Path
    """The hive's directory."""

    surroundings: Mapping[str, str] = field(factory=dict)
    """Variables of their own."""

    folder: Path | None = None
    """Where they stand when they type."""

    @property
    def environment(self) -> dict[str, str]:
        """Free ports, this checkout, and no hive but this one."""
        ours = {
            "HIVE_WEB_PORT": "0",
            "HIVE_MCP_PORT": "0",
            "PYTHONPATH": str(ROOT),
            "HIVE_DIR": str(self.root),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HIVE_")}
        return {**kept, **ours, **self.surroundings}

    def types(self, *words: str, expect: int = 0, given: str = "") -> str:
        """What a verb prints that is given this on standard input; fails unless it ends with that status."""
        ran = subprocess.run(
            [*HIVE, *words],
            env=self.environment,
            cwd=self.folder,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert ran.returncode == expect, ran.stdout + ran.stderr
        return ran.stdout if expect == 0 else ran.stdout + ran.stderr

    def asks(self, *words: str) -> Any:
        """What a verb answers as JSON."""
        return json.loads(self.types(*words, "--json"))

    @contextmanager
    def at_a_terminal(self, *words: str) -> Iterator["Screen"]:
        """Type a verb at a terminal of one's own; whatever still runs in the end is killed."""
        ours, theirs = pty.openpty()
        with self._running((sys.executable, "-c", TAKE_THE_TERMINAL, *HIVE, *words), ours, theirs) as screen:
            yield screen

    @contextmanager
    def in_a_pipe(self, *words: str) -> Iterator["Screen"]:
        """Run a verb that goes on, its output in a pipe; whatever still runs in the end is killed."""
        ours, theirs = os.pipe()
        with self._running((*HIVE, *words), ours, theirs) as screen:
            yield screen

    @contextmanager
    def _running(self, command: Sequence[str], ours: int, theirs: int) -> Iterator["Screen"]:
        child = subprocess.Popen(
            command,
            env={**self.environment, "TERM": "xterm"},
            cwd=self.folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            yield Screen(child, ours)
        finally:
            os.close(ours)
            if child.poll() is None:
                child.kill()
                child.wait()


@define(eq=False)
class Screen:
    """A verb that runs, and what it has shown."""

    child: subprocess.Popen[bytes]
    _end: int
    text: str = ""

    @property
    def lines(self) -> list[str]:
        """The whole lines of it."""
        return self.text.replace("\r", "").split("\n")[:-1]

    def shows(self, words: str) -> str:
        """Wait until these words are shown; returns the line they stand in."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(words in line for line in self.lines):
            assert self._read(deadline), f"{words!r} never came: {self.text}"
        return next(line for line in self.lines if words in line)

    def mentions(self, words: str) -> None:
        """Wait until these words are shown, in a line that may be written over before it ends."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in self.text:
            assert self._read(deadline), f"{words!r} never came: {self.text}"

    def types(self, keys: str) -> None:
        """Press keys; a terminal makes a signal of Ctrl-C."""
        os.write(self._end, keys.encode())

    def ends(self) -> int:
        """Wait until the verb has ended.  Returns its status."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._read(deadline):
            pass
        return self.child.wait(PATIENCE_SECONDS)

    def _read(self, deadline: float) -> bool:
        """Take what is there, or wait for it; False once nobody can write any more."""
        ready, _, _ = select.select([self._end], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing more came: {self.text}"
        try:
            read = os.read(self._end, 65_536)
        except OSError:  # how a terminal says that the last one has hung up
            return False
        self.text += read.decode(errors="replace")
        return bool(read)


def until(condition: Callable[[], Any]) -> Any:
    """Ask again and again, until the answer is neither None nor false; returns it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.05)
    return answer


@contextmanager
def somebody() -> Iterator[Person]:
    """A person with a fresh hive; whatever daemon is left running at the end is killed."""
    with tempfile.TemporaryDirectory(prefix="hive-test-") as root:
        one = Person(Path(root) / "hive")
        try:
            yield one
        finally:
            left = holder(Directory(one.root))
            if left:
                os.kill(left, signal.SIGKILL)


def processes_of(root: Path) -> list[str]:
    """Processes that bear this hive's directory in their command or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(root) in text and int(process.name) != os.getpid():
            found.append(process.name)
    return found
