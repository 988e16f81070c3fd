"""Whether a process was started, however indirectly, by an agent's process.

A guard rail, not isolation: a process that detaches itself from its ancestors passes.
"""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

LONGEST_LINE = 64
"""Generations looked at; a longer line is taken for an agent's."""


def parent_of(pid: int, proc: Path = Path("/proc")) -> int | None:
    """The parent's pid, or None where the process is gone."""
    try:
        status = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command may hold spaces and brackets; what follows the last bracket is numbers.
    return int(status.rpartition(")")[2].split()[1])


def ancestors(pid: int, parent: Callable[[int], int | None] = parent_of) -> Iterator[int]:
    """The process and those it descends from, youngest first."""
    current: int | None = pid
    while current:
        yield current
        current = parent(current)


def descends_from_agent(
    pid: int, recorded: Collection[int], parent: Callable[[int], int | None] = parent_of
) -> bool:
    """Whether `pid` is one of the recorded processes of agents, or descends from one."""
    for generation, ancestor in enumerate(ancestors(pid, parent)):
        if ancestor in recorded or generation > LONGEST_LINE:
            return True
    return False
