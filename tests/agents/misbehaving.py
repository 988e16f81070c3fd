"""What a CLI can do wrong in the middle of a turn, whatever protocol it speaks.

It runs in a box, without hive: standard library only.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Protocol

LARGE = 20_000_000


class Speech(Protocol):
    """How a CLI says things."""

    def words(self, text: str) -> object:
        """The model says something."""
        ...

    def filler(self, padding: str) -> object:
        """Nothing that matters."""
        ...

    def result(self, text: str = "done", *, ok: bool = True) -> object:
        """The turn has ended."""
        ...


def tell(line: object) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def heard() -> Iterator[dict[str, object]]:
    """What is said to us."""
    for line in sys.stdin:
        yield json.loads(line)


def leave_children() -> None:
    """Start what does not want to be found, and write down who it is."""
    # The first holds our output open; the second leaves its parent, its session and its environment,
    # though not all within a moment.
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    subprocess.run(["sh", "-c", "env -i setsid sleep 300 & echo $! > child; sleep 0.5"], check=True)


def be_deaf(how: str) -> None:
    """Listen to no signal, where that is what is wrong."""
    if "deaf" in how:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


def misbehave(how: str, speech: Speech) -> None:  # noqa: C901, PLR0912 - a list of sins
    """Do one thing wrong, in the middle of a turn."""
    match how:
        case "well" | "forgets":
            tell(speech.words("done"))
            tell(speech.result())
        case "garbage":
            os.write(1, b"warning: \xff\xfe\n[1, 2]\n" + b"[" * 100_000 + b"\n" + b"noise\n" * 1000)
            tell(speech.words("half \ud83d"))
            tell(speech.result())
        case "large":
            os.write(1, b'{"type": "' + b"x" * 1000)
            while os.write(1, b"x" * LARGE):
                pass
        case "fitting":
            tell(speech.filler("x" * 15_000_000))
            tell(speech.words("done"))
            tell(speech.result())
        case "silent" | "deaf":
            time.sleep(300)
        case "dies":
            tell(speech.words("done"))
            sys.stderr.write("x" * 1_000_000 + " it hurts")
            sys.exit(7)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "twice":
            tell(speech.words("done"))
            tell(speech.result())
            tell(speech.result("again", ok=False))
        case "never":
            tell(speech.words("done"))
            sys.exit(0)
        case "lies":
            tell(speech.result("all done, everything went well", ok=False))
        case "children":
            leave_children()
            tell(speech.words("done"))
            tell(speech.result())
        case "children and dies":
            leave_children()
            sys.exit(7)
        case "children and deaf":
            leave_children()
            time.sleep(300)
        case "stays":
            tell(speech.words("done"))
            tell(speech.result())
            time.sleep(300)
