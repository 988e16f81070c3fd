"""What only the owner may ask for, done on the machine itself.

The rule kept here: nothing of this is reachable by an agent's tools.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import trio
from attrs import frozen

from hive import __version__
from hive.actors import Snapshot
from hive.app.running import Running
from hive.directory import Directory
from hive.protocol.errors import Refused
from hive.store.backup import backup

LOW_BYTES = 512 * 1024 * 1024
LARGE_BYTES = 4 * 1024 * 1024 * 1024

Finding = Mapping[str, object]


@frozen
class OwnerPowers:
    """Implements `hive.web.parts.Powers`."""

    running: Running

    def endpoint(self, agent: str) -> Mapping[str, object]:
        """Where an agent's tools are."""
        directory = self.running.directory
        return {
            "agent": agent,
            "url": self.running.listeners.endpoint(agent),
            "socket": str(directory.agent_socket(agent)),
        }

    async def backup(self, file: Path) -> Mapping[str, object]:
        """Copy the live store to a new file."""

        def copied() -> int:
            _check_not_ours(self.running.directory, file)
            backup(self.running.directory.store, file)
            return file.stat().st_size

        # One wait, which a cancellation does not end: what was made is never left without its answer.
        return {"file": str(file), "bytes": await trio.to_thread.run_sync(copied)}

    def stop(self, why: str) -> None:
        """Begin an ordered shutdown."""
        self.running.stop(why)

    def tree(self) -> Snapshot:
        """The supervision tree."""
        return self.running.hive.snapshot()

    def diagnosis(self) -> list[Finding]:
        """Disk, sizes, ports, isolation and versions.  Blocks."""
        return [finding for check in CHECKS for finding in check(self.running)]


def _check_not_ours(directory: Directory, file: Path) -> None:
    """Refuse a file that hive would take for its own, or take away when it stops.  Raises `Refused`."""
    folder, root, run = (os.path.realpath(path) for path in (file.parent, directory.root, directory.run))
    names = {path.name for path in (directory.settings, directory.lock, directory.log)}
    if Path(folder).is_relative_to(run) or (folder == root and file.name in names | {Path(run).name}):
        raise Refused(f"{file} is among hive's own files: choose another place for the copy.")


def _finding(what: str, cause: str, remedy: str = "") -> Finding:
    return {"ok": not remedy, "what": what, "cause": cause, "remedy": remedy}


def _disk(running: Running) -> Iterator[Finding]:
    root = running.directory.root
    free = shutil.disk_usage(root).free
    remedy = f"free space on the file system of {root}" if free < LOW_BYTES else ""
    yield _finding("disk", f"{free // 1024**2} MiB free", remedy)


def _sizes(running: Running) -> Iterator[Finding]:
    store = running.directory.store
    size = sum(path.stat().st_size for path in store.parent.glob(f"{store.name}*") if path.suffix != ".lock")
    remedy = "shorten limits.done_mail_days or limits.stream_days in hive.toml" if size > LARGE_BYTES else ""
    yield _finding("store", f"{size // 1024} KiB in {store}", remedy)


def _ports(running: Running) -> Iterator[Finding]:
    yield _finding("page", running.listeners.origin)
    yield _finding("tools", running.listeners.endpoint("<agent>"))


def _isolation(running: Running) -> Iterator[Finding]:
    if running.driver.isolates:
        yield _finding("isolation", f"driver {running.driver.name} isolates agents")
    else:
        # Not a fault to be repaired: the owner is told once more what the driver means.
        yield _finding(
            "isolation", f"driver {running.driver.name}: an agent can do what uid {os.geteuid()} can"
        )


def _versions(_running: Running) -> Iterator[Finding]:
    python = ".".join(str(number) for number in sys.version_info[:3])
    yield _finding("versions", f"hive {__version__}, Python {python}, trio {trio.__version__}")


CHECKS: tuple[Callable[[Running], Iterator[Finding]], ...] = (
    _disk,
    _sizes,
    _ports,
    _isolation,
    _versions,
)
