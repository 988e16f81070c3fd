"""What only the owner may ask for, done on the machine itself.

The rule kept here: nothing of this is reachable by an agent's tools.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import trio
from attrs import frozen

from hive import __version__
from hive.actors import Snapshot
from hive.actors.chaos import Chaos
from hive.agents.clis import known, not_there
from hive.agents.logins import set_key
from hive.app.running import Running
from hive.app.vault import Vault
from hive.directory import Directory
from hive.protocol.commands import Settings
from hive.protocol.errors import Refused
from hive.store.backup import backup

LOW_BYTES = 512 * 1024 * 1024
LARGE_BYTES = 4 * 1024 * 1024 * 1024

RESCUE = (
    "make a backup now: hive backup FILE; then hive down, move away what is left of hive.sqlite3*, "
    "hive restore FILE DIR, and hive up"
)

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
            store = self.running.directory.store
            # What lies there now would be the wrong thing to copy.
            backup(store, file, self.running.store.open_connection if displaced(store) else None)
            return file.stat().st_size

        # One wait, which a cancellation does not end: what was made is never left without its answer.
        return {"file": str(file), "bytes": await trio.to_thread.run_sync(copied)}

    @property
    def chaos(self) -> Chaos:
        """The switch of chaos."""
        return self.running.chaos

    @property
    def secrets(self) -> Vault:
        """The credentials."""
        return self.running.vault

    def stop(self, why: str) -> None:
        """Begin an ordered shutdown."""
        self.running.stop(why)

    def tree(self) -> Snapshot:
        """The supervision tree."""
        return self.running.hive.snapshot()

    def diagnosis(self, agents: Sequence[Settings]) -> list[Finding]:
        """Disk, sizes, ports, isolation, versions, and what runs these agents.  Blocks."""
        found = [finding for check in CHECKS for finding in check(self.running)]
        return [*found, *_clis(self.running, agents)]


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


def _files(running: Running) -> Iterator[Finding]:
    """Whether the store's files are still those that are open: nobody else keeps what is accepted now."""
    lost = displaced(running.directory.store)
    for path in lost:
        cause = f"{path} was deleted or replaced while hive has it open: what is accepted now is not in it"
        yield _finding("store files", cause, RESCUE)
    if not lost:
        yield _finding("store files", "those that hive has open")


def displaced(store: Path) -> tuple[Path, ...]:
    """The files of a store that this process has open, in whose place lies another one or none."""
    links, known = set(), set()
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.add(str(handle.readlink()))
            known.add(_identity(handle))
    real = Path(os.path.realpath(store))
    used = (real.with_name(f"{real.name}{end}") for end in ("", "-wal", "-shm"))
    # Whoever looks into the store at this moment may have the wrong file open beside the right one.
    return tuple(path for path in used if _identity(path) not in known or f"{path} (deleted)" in links)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _sockets(running: Running) -> Iterator[Finding]:
    bound = _bound(
        Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace"), running.directory.run
    )
    lost = [str(path) for path in bound if not path.exists()]
    if lost:
        remedy = f"a restart makes them again: hive down --dir {running.directory.root}, then hive up"
        yield _finding("sockets", f"missing: {', '.join(lost)}", remedy)
    else:
        yield _finding("sockets", f"all {len(bound)} are there")


def _bound(table: str, run: Path) -> list[Path]:
    """Where the kernel says that sockets below a folder were bound, whatever became of their files."""
    found = {row[7] for line in table.splitlines() if len(row := line.split(maxsplit=7)) > 7}  # noqa: PLR2004
    return sorted(Path(path) for path in found if path.startswith(f"{run}/"))


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


def _clis(running: Running, agents: Sequence[Settings]) -> Iterator[Finding]:
    """What runs these agents, and what it lacks."""
    used = {settings.backend: settings for settings in agents}
    for cli in known(running.presets):
        if cli.backend not in used:
            continue
        path, lacks = shutil.which(cli.program), running.vault.missing(used[cli.backend])
        if path is None:
            cause = not_there(cli.program, cli.install)
            yield _finding(cli.title, cause, f"{cli.install}, then hive down and hive up")
        elif lacks:
            yield _finding(cli.title, lacks, set_key(used[cli.backend]))
        else:
            cause = f"{path}; what logs it in stands in its environment, where commands it runs can see it"
            yield _finding(cli.title, cause)


def _chaos(running: Running) -> Iterator[Finding]:
    said = running.chaos.said()
    if said is not None and said["on"]:
        cause = (
            f"it is on, {said['rate']} strikes a minute, {said['total']} so far: what fails may be its doing"
        )
        yield _finding("chaos", cause, "hive chaos off")
    else:
        yield _finding("chaos", "off")


def _versions(_running: Running) -> Iterator[Finding]:
    python = ".".join(str(number) for number in sys.version_info[:3])
    yield _finding("versions", f"hive {__version__}, Python {python}, trio {trio.__version__}")


CHECKS: tuple[Callable[[Running], Iterator[Finding]], ...] = (
    _disk,
    _sizes,
    _files,
    _sockets,
    _ports,
    _isolation,
    _chaos,
    _versions,
)
