"""What everything in one hive shares: names, numbers, chance, time, the bus, and who waits for whom."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, Final

from attrs import define, field

from .bus import Bus
from .facts import Burial, DeadLetter
from .messages import Down, Internal, Message
from .waits import Waits

if TYPE_CHECKING:
    from .cell import Cell


@define(eq=False)
class Speaker:
    """On whose behalf the current task talks, and because of which message.

    `blocking` means that this task is the actor's own loop, so that the actor can handle nothing else while
    it waits.
    """

    name: str
    cause: int | None = None
    blocking: bool = False


SPEAKER: Final[ContextVar[Speaker | None]] = ContextVar("SPEAKER", default=None)


@define(eq=False)
class Runtime:
    """One hive's shared state. Cells enter and leave the table of names themselves."""

    random: Random
    wall: Callable[[], float]
    now: Callable[[], float]
    bus: Bus = field(factory=Bus)
    waits: Waits = field(factory=Waits)
    cells: dict[str, Cell] = field(factory=dict)
    watchers: dict[str, dict[str, None]] = field(factory=dict)
    next_id: Callable[[], int] = field(factory=lambda: itertools.count(1).__next__)

    def bury(self, to: str, message: Message, sender: str | None, reason: Burial, why: str = "") -> None:
        """Announce a message that will not be handled."""
        if not isinstance(message, Internal):
            self.bus.publish(DeadLetter(to, type(message).__name__, sender, reason, why, message))

    def tell_down(self, watcher: str, name: str, reason: str) -> None:
        """Post a `Down`, unless the watcher is gone itself."""
        if watcher in self.cells:
            self.cells[watcher].post(Down(name, reason), urgent=True)
