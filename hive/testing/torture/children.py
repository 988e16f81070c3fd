"""Processes that agents started, told by the marks in their environments, and when they died.

The rule kept here: the daemon is not asked which they are.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from attrs import define, field

from hive.agents.gated import MARK as COMMAND
from hive.containers.processes import PROC, Find, Identity, Stat, gone, is_alive
from hive.containers.subprocess import MARK as BOX


def in_boxes(directory: Path) -> Find:
    """What finds every live process in the boxes of a hive."""
    box = f"{BOX}={directory}:".encode()
    return _finds(lambda variables: any(one.startswith(box) for one in variables))


def at_work(directory: Path) -> Find:
    """What finds those of them that belong to a command, and not to the box itself."""
    box, command = f"{BOX}={directory}:".encode(), f"{COMMAND}=".encode()
    return _finds(
        lambda variables: all(any(one.startswith(mark) for one in variables) for mark in (box, command))
    )


def _finds(bears: Callable[[list[bytes]], bool]) -> Find:
    def find(stats: Mapping[int, Stat]) -> set[Identity]:
        found = set()
        for stat in stats.values():
            with suppress(OSError):
                variables = (PROC / str(stat.identity.pid) / "environ").read_bytes().split(b"\0")
                if not stat.dead and bears(variables):
                    found.add(stat.identity)
        return found

    return find


@define(eq=False)
class Deaths:
    """Processes that outlived their daemon, and when they died."""

    at: dict[Identity, float] = field(factory=dict)
    """Wall-clock seconds."""

    watched: set[Identity] = field(factory=set)

    async def watch(self, identity: Identity) -> None:
        """Note the time of one death."""
        self.watched.add(identity)
        await gone(identity)
        self.at[identity] = time.time()

    def outlived(self, found: Iterable[Identity], begun: int, first_claim: float | None) -> list[Identity]:
        """Those that lived on into the boot that began at this tick, or died only after its first claim."""
        alive = {one for one in self.watched - self.at.keys() if is_alive(one)}
        alive |= {one for one in found if one.started < begun}
        late = {one for one, died in self.at.items() if first_claim is not None and died > first_claim}
        return sorted(alive | late, key=lambda one: one.started)

    def forget(self) -> None:
        """Begin anew: those so far are judged."""
        self.watched -= self.at.keys()
        self.at.clear()
