"""What supervision decides, as values. No Trio in here: every rule can be tested as a table."""

from __future__ import annotations

import enum
import math
from bisect import bisect_right
from collections.abc import Sequence
from random import Random
from typing import Final, TypeAlias

from attrs import define, field, frozen
from attrs.validators import ge, gt

LONGEST_SHIFT: Final = 63
"""The exponent at which a backoff stops doubling; beyond it floats, not patience, would run out."""


@frozen
class Left:
    """It returned, or raised `Leave`."""


@frozen
class Stopped:
    """It was asked to stop, and did, or was cancelled when its grace was over."""


@frozen
class Crashed:
    """It raised, or was killed."""

    error: BaseException


Exit: TypeAlias = Left | Stopped | Crashed
"""How an incarnation ended. Only the last of them is abnormal."""


def describe(what: Exit | BaseException) -> str:
    """An exit or an error in one line, as a person wants to read it."""
    if isinstance(what, Crashed):
        return f"crashed: {describe(what.error)}"
    if not isinstance(what, BaseException):
        return type(what).__name__.lower()
    return f"{type(what).__name__}: {what}" if str(what) else type(what).__name__


class Status(enum.Enum):
    """What a cell is doing."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    EXITED = "exited"
    WAITING = "waiting for its restart"
    STOPPED = "stopped"
    PARKED = "parked"


RESTING: Final = (Status.STOPPED, Status.PARKED)
"""No incarnation will live here until somebody asks for it, so questions are answered at once: nobody is in.
"""


class Restart(enum.Enum):
    """When a child comes back."""

    PERMANENT = "always"
    TRANSIENT = "after a crash"
    TEMPORARY = "never"

    def wants_back(self, exit_: Exit) -> bool:
        """Whether a child that ended like this is to be started again."""
        return self is Restart.PERMANENT or (self is Restart.TRANSIENT and isinstance(exit_, Crashed))


class Strategy(enum.Enum):
    """Who is restarted with a child that failed."""

    ONE_FOR_ONE = "only the child that failed"
    REST_FOR_ONE = "the child that failed and those started after it"
    ONE_FOR_ALL = "all children"

    def affected(self, order: Sequence[str], failed: str) -> list[str]:
        """The names to stop (in reverse) and to start again (in order)."""
        start = 0 if self is Strategy.ONE_FOR_ALL else order.index(failed)
        end = start + 1 if self is Strategy.ONE_FOR_ONE else len(order)
        return list(order[start:end])


class Kinship(enum.Enum):
    """What children have to do with each other.

    A family shares one restart budget, leaves in reverse order, and escalates when the budget is spent.
    Strangers have a budget each, leave together, and are parked, not escalated.
    """

    FAMILY = "family"
    STRANGERS = "strangers"


@frozen
class Grace:
    """How long a child may take, in seconds, to get ready and to leave."""

    startup: float = field(default=10.0, validator=gt(0))
    shutdown: float = field(default=5.0, validator=ge(0))

    @classmethod
    def unbounded_shutdown(cls, startup: float = math.inf) -> Grace:
        """For supervisors: their children have limits of their own, and one cut short would orphan them."""
        return cls(startup=startup, shutdown=math.inf)


@frozen
class Budget:
    """At most `intensity` restarts in any `period` seconds."""

    intensity: int = field(default=5, validator=ge(0))
    period: float = field(default=30.0, validator=gt(0))


@define(eq=False)
class RestartWindow:
    """The restarts spent from one budget, as a sliding window on the monotonic clock."""

    budget: Budget
    _spent: list[float] = field(factory=list, init=False)

    def spend(self, now: float) -> bool:
        """Spend one restart. False, and nothing spent, if the budget does not allow it."""
        if self.count(now) >= self.budget.intensity:
            return False
        self._spent.append(now)
        return True

    def count(self, now: float) -> int:
        """The restarts within the window that ends now."""
        del self._spent[: bisect_right(self._spent, now - self.budget.period)]
        return len(self._spent)

    def forgive(self) -> None:
        """Forget every restart, as when a person starts the child again."""
        self._spent.clear()


@frozen
class Backoff:
    """How long to wait before a restart, in seconds.

    The first pause doubles with each failure up to the ceiling; `jitter` is the share of it drawn at random,
    so that children that fell together do not get up together. Failures are forgotten once an incarnation has
    lived for `quiet` seconds.
    """

    first: float = field(default=0.1, validator=ge(0))
    ceiling: float = field(default=30.0, validator=ge(0))
    jitter: float = field(default=0.1, validator=ge(0))
    quiet: float = field(default=60.0, validator=gt(0))

    @classmethod
    def none(cls) -> Backoff:
        """Restart at once."""
        return cls(first=0.0)

    def pause(self, failures: int, random: Random) -> float:
        """The pause before the restart that follows this many failures in a row (1 for the first)."""
        if self.first == 0:
            return 0.0
        pause = min(self.ceiling, self.first * 2.0 ** min(failures - 1, LONGEST_SHIFT))
        return pause * (1.0 + self.jitter * random.uniform(-1.0, 1.0))
