"""A hive's directory: what lies where, and the lock that keeps a second daemon out.

The rule kept here: whoever holds the lock is the only writer of everything below the directory.
"""

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

from hive import config
from hive.protocol.errors import Refused

LONGEST_SOCKET_PATH = 107
"""Bytes of a unix socket's path that the kernel takes."""

LONGEST_NAME_BELOW_RUN = len("/agents/") + 32 + len("/mcp.sock")


@frozen
class Directory:
    """Paths of one hive."""

    root: Path

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.root / config.FILE

    @property
    def store(self) -> Path:
        """The database."""
        return self.root / "hive.sqlite3"

    @property
    def lock(self) -> Path:
        """Held by the daemon."""
        return self.root / "hive.lock"

    @property
    def shared(self) -> Path:
        """What all agents may read and write."""
        return self.root / "shared"

    @property
    def prompts(self) -> Path:
        """What agents are told, where a person has changed it."""
        return self.root / "prompts"

    @property
    def credentials(self) -> Path:
        """The credentials of agents' CLIs, for nobody else to read."""
        return self.root / "credentials"

    @property
    def agents(self) -> Path:
        """A directory for each agent."""
        return self.root / "agents"

    @property
    def programs(self) -> Path:
        """What agents find on their PATH beside the system's programs."""
        return self.root / "bin"

    @property
    def log(self) -> Path:
        """What a detached daemon prints."""
        return self.root / "hive.log"

    @property
    def run(self) -> Path:
        """Where sockets lie; elsewhere, and short, when the kernel would not take their paths here."""
        here = self.root / "run"
        if len(os.fsencode(here)) + LONGEST_NAME_BELOW_RUN <= LONGEST_SOCKET_PATH:
            return here
        return short_run_directory(self.root)

    @property
    def operator_socket(self) -> Path:
        """Where the command line finds the daemon."""
        return self.run / "operator.sock"

    @property
    def taken(self) -> Path:
        """The settings that the running daemon took."""
        return self.run / "settings.json"

    def agent_socket(self, agent: str) -> Path:
        """Where one agent's own endpoint listens."""
        return self.run / "agents" / agent / "mcp.sock"

    def create(self, settings: str | None = None) -> tuple[Path, ...]:
        """Make what is missing, the settings with this text.  Returns what was made."""
        made = [path for path in (self.root, self.agents, self.shared) if not path.exists()]
        self.root.mkdir(parents=True, exist_ok=True)
        for path in (self.agents, self.shared):
            path.mkdir(exist_ok=True)
        for path in (self.run, self.run / "agents"):
            path.mkdir(mode=0o700, exist_ok=True)
            _check_ours(path)
            path.chmod(0o700)
        if not self.settings.exists():
            self.settings.write_text(settings or config.template(), encoding="utf-8")
            made.append(self.settings)
        return tuple(made)

    def clear(self) -> None:
        """Remove what only a running daemon needs, wherever it lies."""
        with suppress(FileNotFoundError):  # whoever tidies /tmp was here first
            shutil.rmtree(self.run)


def _check_ours(path: Path) -> None:
    """Refuse a run directory that somebody else made in our place."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        message = f"{path} is not a directory of yours; remove it and start again"
        raise Refused(message)


def short_run_directory(root: Path) -> Path:
    """A directory of this user's whose name is short, the same for the same hive."""
    name = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:12]
    # Not $XDG_RUNTIME_DIR: a cron job and a login shell must find the same sockets.
    owner = root.stat().st_uid if root.exists() else os.getuid()
    return Path("/tmp") / f"hive-{owner}-{name}"  # noqa: S108 - made 0700, and checked to be ours


@contextmanager
def locked(directory: Directory) -> Iterator[None]:
    """Hold the directory's lock.  Raises `Refused` naming the process that holds it already."""
    with directory.lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            message = (
                f"a hive already runs on {directory.root} (pid {pid}). "
                f"Use it as it is, or stop it with: hive down --dir {directory.root}"
            )
            raise Refused(message) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)


def holder(directory: Directory) -> int | None:
    """The process that holds the directory's lock, or None where nobody does."""
    try:
        with directory.lock.open(encoding="utf-8") as file:
            try:
                # Shared: two that only ask do not see each other.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = file.read().strip()
                return int(pid) if pid.isdigit() else None
    except FileNotFoundError:
        pass
    return None
