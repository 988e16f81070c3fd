"""What everything in one hive shares: names, numbers, chance, time, the bus, and who waits for whom."""

from __future__ import annotations

import itertools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from attrs import define, field

from .bus import Bus
from .errors import NameTaken
from .facts import Burial, DeadLetter
from .messages import Internal
from .waits import Waits

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .cell import Cell
    from .messages import Envelope


@define(eq=False)
class Speaker:
    """On whose behalf the current task talks, and because of which message.

    `blocking` means that this task is the actor's handling, so that the actor can handle nothing else while it waits.
    """

    name: str
    cause: int | None = None
    blocking: bool = False


SPEAKER: Final[ContextVar[Speaker | None]] = ContextVar("SPEAKER", default=None)


@define(eq=False)
class Runtime:
    """One hive's shared state. One owner per part: cells register themselves, the rest is asked."""

    random: Random
    wall: Callable[[], float]
    now: Callable[[], float]
    bus: Bus = field(factory=Bus)
    waits: Waits = field(factory=Waits)
    cells: dict[str, Cell] = field(factory=dict)
    watchers: dict[str, dict[str, None]] = field(factory=dict)
    next_id: Callable[[], int] = field(factory=lambda: itertools.count(1).__next__)

    def register(self, cell: Cell) -> None:
        """Give a cell its name. Raises `NameTaken`."""
        if cell.name in self.cells:
            raise NameTaken(cell.name)
        self.cells[cell.name] = cell

    def bury(self, to: str, envelope: Envelope, reason: Burial, error: Exception | str | None = None) -> None:
        """Announce a message that will not be handled."""
        if self.bus.hears(DeadLetter) and not isinstance(envelope.message, Internal):
            why = None if error is None else describe(error)
            self.bus.publish(DeadLetter(to, envelope.kind, envelope.sender, reason, why, envelope.message))


def describe(error: BaseException | str) -> str:
    """An error in one line, as a person wants to read it."""
    if isinstance(error, str):
        return error
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
