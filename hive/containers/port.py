"""The port between hive and whatever can hold an agent's processes.

The rule kept here: a box's state comes from a re-read.  Whatever a driver hears (a signal, an exit, an
event) only means "look again".
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import trio
from attrs import frozen


class BoxState(StrEnum):
    """What a re-read of a box can find."""

    RUNNING = "running"
    DOWN = "down"
    GONE = "gone"


@frozen
class Box:
    """One agent's box, as its driver describes it."""

    agent: str
    state_dir: Path
    shared_dir: Path
    seen_as: Mapping[str, str]
    """Environment that tells processes inside where things are: HIVE_STATE, HIVE_SHARED, HIVE_AGENT."""

    isolated: bool = False

    @property
    def home(self) -> str:
        """The agent's own directory, as processes inside see it."""
        return self.seen_as.get("HIVE_STATE", str(self.state_dir))

    @property
    def shared(self) -> str:
        """The directory of all agents, as processes inside see it."""
        return self.seen_as.get("HIVE_SHARED", str(self.shared_dir))


@frozen
class BoxStatus:
    """A re-read of a box."""

    state: BoxState
    leader: int | None = None
    """What tells this start of the box from every other start: the pid of its first process."""

    started: int | None = None
    """The leader's start time as /proc says, where it is a process of this machine."""

    cause: str = ""


class BoxDown(Exception):
    """The box is not running; nothing can be run in it."""


class Driver(Protocol):
    """One way to hold boxes.  Methods are idempotent: asking twice changes nothing twice."""

    @property
    def name(self) -> str:
        """The word for it in an agent's settings."""
        ...

    @property
    def isolates(self) -> bool:
        """Whether an agent in its box cannot act as the person who runs hive."""
        ...

    async def start(self, agent: str) -> Box:
        """Bring the box up (making its directories) and return it.

        Raises `OSError` where that is impossible.  Cancelled, it leaves the box up or down, never between.
        """
        ...

    async def stop(self, agent: str, grace: float) -> None:
        """Take the box down: ask, wait `grace` seconds, then kill everything in it."""
        ...

    async def kill(self, agent: str) -> None:
        """Take the box down now."""
        ...

    async def status(self, agent: str) -> BoxStatus:
        """Look at the box itself, not at what was heard of it."""
        ...

    async def run(self, agent: str, argv: Sequence[str], *, environment: Mapping[str, str]) -> trio.Process:
        """Start a process inside, in a session of its own, with pipes for all three streams.

        Raises `BoxDown` where the box is not running.
        """
        ...

    async def changed(self, agent: str) -> None:
        """Wait until the box might have changed.  Spurious returns are allowed; so is losing one."""
        ...


__all__ = [
    "Box",
    "BoxDown",
    "BoxState",
    "BoxStatus",
    "Driver",
]
