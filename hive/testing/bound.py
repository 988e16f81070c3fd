"""When a run is ended that would never end: it goes on and virtual time does not, or it is deaf to its end.

The rule kept here: no real clock decides.  A run that comes to its end is left alone on a slow machine too,
and one that is ended is ended at the same step each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

import trio
from attrs import define, field

from .faults import Injector
from .guilt import is_library, shown
from .stage import TOO_LONG

if TYPE_CHECKING:
    from trio._core._run import CancelStatus

MOST_STEPS: Final = 5_000_000
"""Steps without a second passing.  A swarm's commits take time, some thousand steps to a second; bare actors
pass a hundred thousand messages in a tenth of these."""

MOST_FAULTS: Final = 5_000
"""Faults without a second passing.  A daemon starts in some hundred steps, so never between so many; and
each that begins takes milliseconds of real time, so that to wait for the steps would take hours."""

LOOK_ROUNDS: Final = 256
"""The bound is looked at so often: after so many rounds of Trio's loop."""

SHOWN_TASKS: Final = 10


class Counts(Protocol):
    """A simulation, as far as this needs one."""

    steps: int


@define(eq=False)
class Bound(trio.abc.Instrument):
    """Looks whether a run goes round in circles, and ends it then."""

    injector: Injector
    limit: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    """The run's own scope, once it has one."""

    steps: Counts | None = field(default=None, init=False)
    """Who counts the steps, once somebody does."""

    reason: str | None = field(default=None, init=False)
    """Why it has ended the run, and what to look at; None where it has not."""

    _rounds: int = field(default=0, init=False)
    _since: tuple[float, int, int] = field(default=(0.0, 0, 0), init=False)
    """When a second had passed: the time, and the steps and the faults until then."""

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - Trio says how long; it is virtual
        """Called by Trio once a round, also where no task takes a step and none ever will."""
        self._rounds += 1
        if self._rounds % LOOK_ROUNDS == 0:
            self._look()

    def _look(self) -> None:
        now, steps, faults = trio.current_time(), self._steps(), len(self.injector.injected)
        if self.reason is not None:
            _lift_shields()  # whoever is cancelled may put up new ones
        elif now > self.limit.deadline + TOO_LONG:
            self._end("the story is deaf to its end: a shielded loop has gone on for a virtual day after it")
        elif now >= self._since[0] + 1.0:
            self._since = (now, steps, faults)
        elif faults - self._since[2] > MOST_FAULTS:
            self._end(_too_many(self.injector, MOST_FAULTS))
        elif steps - self._since[1] > MOST_STEPS:
            self._end(
                f"{MOST_STEPS} steps were taken, and no second of virtual time has passed: "
                "somebody waits in a loop that does not sleep, or with a shield and for ever"
            )

    def _steps(self) -> int:
        """With the rounds of the loop, for where nobody takes a step they go on."""
        return self._rounds + (0 if self.steps is None else self.steps.steps)

    def _end(self, reason: str) -> None:
        self.reason = "\n".join((f"{reason}. The tasks were at:", *(f"  {one}" for one in _places())))
        self.injector.active = False
        self.limit.cancel(reason="the run goes round in circles")
        _lift_shields()

    def error(self) -> trio.TooSlowError | None:
        """What the run fails with, if it was ended."""
        return None if self.reason is None else trio.TooSlowError(self.reason)


def _too_many(injector: Injector, most: int) -> str:
    """In words: the faults that leave a hive no time to live."""
    sites = Counter(fault.site for fault in injector.injected[-most:])
    (site, count), *_ = sites.most_common(1)
    return (
        f"{most} faults struck ({count} of them {site}), and no second of virtual time has passed: "
        "at this rate nothing comes up between two of them; take a smaller one"
    )


def _tasks() -> Iterator[trio.lowlevel.Task]:
    """All there are, those that began first before their children."""
    root = trio.lowlevel.current_root_task()
    waiting = [] if root is None else [root]
    while waiting:
        yield (task := waiting.pop(0))
        waiting += [
            child for nursery in task.child_nurseries for child in sorted(nursery.child_tasks, key=_age)
        ]


def _age(task: trio.lowlevel.Task) -> int:
    return task._counter  # noqa: SLF001 - the order of their birth: a set has none


def _places() -> Iterator[str]:
    """The innermost lines of the tasks that are not Trio's own."""
    lines = [f"{task.name}, {line}" for task in _tasks() if (line := _line(task)) is not None]
    yield from lines[:SHOWN_TASKS]
    if more := len(lines) - SHOWN_TASKS:
        yield from [f"and {more} more"] if more > 0 else []


def _line(task: trio.lowlevel.Task) -> str | None:
    found = None
    for frame, line in task.iter_await_frames():
        if not is_library(frame.f_code.co_filename):
            found = f"{shown(frame.f_code.co_filename)}:{line} in {frame.f_code.co_qualname}"
    return found


def _lift_shields() -> None:
    """Let every task hear that it is cancelled.

    Trio offers no public way to another task's shields; only this touches them, and a test guards it.
    """
    for task in _tasks():
        status: CancelStatus | None = task._cancel_status  # noqa: SLF001
        while status is not None:
            status._scope.shield = False  # noqa: SLF001
            status = status._parent  # noqa: SLF001
