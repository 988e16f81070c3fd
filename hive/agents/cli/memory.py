"""Which session of its CLI an agent goes on with, kept across restarts of hive.

The rule kept here: the file lies where the agent can write, so nothing in it is believed but the shape of
an id, and nothing put in its place is followed or waited for.
"""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from attrs import frozen

WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""What agents that speak ACP call a session."""

UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

READ_BYTES = 256
"""More than an id is long."""


class Memory(Protocol):
    """Where the id of an agent's session is kept."""

    def session(self) -> str | None:
        """The session to go on with, or None where there is none."""
        ...

    def keep(self, session: str) -> None:
        """Go on with this one from now on.  Raises `OSError` where it cannot be written down."""
        ...

    def forget(self) -> None:
        """Begin a new one at the next turn.  Raises `OSError`."""
        ...


@frozen
class SessionFile:
    """A `Memory` that is a file."""

    path: Path
    shape: "re.Pattern[str]" = UUID
    """What an id looks like."""

    def session(self) -> str | None:
        """See `Memory`."""
        with suppress(OSError):
            text = _read(self.path).decode("ascii", "replace").strip()
            return text if self.shape.fullmatch(text) else None
        return None

    def keep(self, session: str) -> None:
        """See `Memory`.  What is no id is not kept."""
        if self.shape.fullmatch(session) and session != self.session():
            write_anew(self.path, f"{session}\n")

    def forget(self) -> None:
        """See `Memory`."""
        self.path.unlink(missing_ok=True)


def write_anew(path: Path, text: str) -> None:
    """Put a file in the place of whatever is there, for its owner's eyes.  Raises `OSError`."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
    new.replace(path)


def _read(path: Path) -> bytes:
    # A pipe in its place would be waited for without O_NONBLOCK.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, READ_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)
