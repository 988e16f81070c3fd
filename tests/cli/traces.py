"""What a hive could leave behind, and a look at whether it has.

Processes are told by descent while they run, and by what their command or environment says; files by where
temporary things are put; the rest by what the kernel lists.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from attrs import Factory, define, field

from hive.containers.processes import Identity, Stat, everything, family, is_alive
from hive.directory import short_run_directory

MARK = "TRACES_OF"
"""Variable that every process started from here bears, unless somebody makes its environment from scratch."""


def control_groups(root: Path) -> frozenset[Path]:
    """The control groups there are, as far as they may be seen."""
    return frozenset(Path(folder) for folder, _, _ in os.walk(root))


@define(eq=False)
class Surroundings:
    """Fresh folders for everything that is not the hive's own, and a memory of what was there before."""

    base: Path
    name: str = "hive"
    """Of the hive's directory, which lies in `base` too."""

    mounts_file: Path = Path("/proc/self/mounts")
    groups_root: Path = Path("/sys/fs/cgroup")
    _processes: set[Identity] = field(factory=set, init=False)
    _groups: set[Path] = field(factory=set, init=False)
    _groups_before: frozenset[Path] = field(
        default=Factory(lambda self: control_groups(self.groups_root), takes_self=True), init=False
    )

    def __attrs_post_init__(self) -> None:
        """Make the folders."""
        for folder in ("home", "temporary", "runtime", "work"):
            (self.base / folder).mkdir(mode=0o700)

    @property
    def hive(self) -> Path:
        """The directory of the hive."""
        return self.base / self.name

    @property
    def work(self) -> Path:
        """Where verbs are typed."""
        return self.base / "work"

    @property
    def variables(self) -> dict[str, str]:
        """For whoever runs in here."""
        return {
            "HOME": str(self.base / "home"),
            "TMPDIR": str(self.base / "temporary"),
            "XDG_RUNTIME_DIR": str(self.base / "runtime"),
            "PYTHONDONTWRITEBYTECODE": "1",
            MARK: str(self.base),
        }

    def look(self, *pids: int) -> int:
        """Remember who runs now: these, what they started, and who speaks of the hive.  Returns how many."""
        stats = everything()
        roots = [stats[pid].identity for pid in pids if pid in stats]
        now = family(roots, stats) | {stat.identity for stat in stats.values() if self._speaks_of_us(stat)}
        self._processes |= now
        self._groups |= {group for one in now for group in self._groups_of(one.pid)}
        return len(now)

    def _speaks_of_us(self, stat: Stat) -> bool:
        pid = stat.identity.pid
        said = _bytes_of(pid, "cmdline") + _bytes_of(pid, "environ")
        return not stat.dead and pid != os.getpid() and os.fsencode(self.base) in said

    def _groups_of(self, pid: int) -> Iterator[Path]:
        try:
            lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        except OSError:
            return
        for line in lines:
            _, controllers, path = line.split(":", 2)
            names = controllers.removeprefix("name=").split(",") if controllers else ["", "unified"]
            yield from (self.groups_root / name / path.removeprefix("/") for name in names)

    def left(self, *elsewhere: Path) -> list[str]:
        """Everything that is there and was not before; `elsewhere` are further hives, that should be gone."""
        self.look()
        return [
            *(f"process: {one.pid}" for one in self._processes if is_alive(one)),
            *self._left_files(*elsewhere),
            *(f"socket: {line}" for line in self._mentioned(Path("/proc/net/unix"))),
            *(f"mount: {line}" for line in self._mentioned(self.mounts_file)),
            *self._left_groups(),
        ]

    def _left_files(self, *elsewhere: Path) -> Iterator[str]:
        for folder in ("home", "temporary", "runtime", "work"):
            yield from (f"file: {path}" for path in (self.base / folder).rglob("*"))
        expected = {"home", "temporary", "runtime", "work", self.name}
        yield from (f"file: {path}" for path in self.base.iterdir() if path.name not in expected)
        for root in (self.hive, *elsewhere):
            if short_run_directory(root).exists():
                yield f"file: {short_run_directory(root)}"
        yield from (f"file: {root}" for root in elsewhere if root.exists())

    def _mentioned(self, table: Path) -> list[str]:
        """Lines of a table of the kernel's that speak of a hive."""
        names = (str(self.base), str(short_run_directory(self.hive)))
        return [line for line in table.read_text().splitlines() if any(name in line for name in names)]

    def _left_groups(self) -> Iterator[str]:
        for group in control_groups(self.groups_root) - self._groups_before:
            # Somebody else's may come at any time: ours held one of us, or bears the name.
            if group in self._groups or "hive" in str(group.relative_to(self.groups_root)):
                yield f"control group: {group}"


def _bytes_of(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""
