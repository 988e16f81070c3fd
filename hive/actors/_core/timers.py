"""Messages an actor will send to itself.

Timers belong to an incarnation and die with it. They are read by the actor's own loop, which knows when to
wake: no task per timer, and a timer that was cancelled before its message was posted never fires.
"""

import heapq
import math

from attrs import define, field
from attrs.validators import gt, optional

from .messages import Envelope, Message


@define(eq=False)
class Timer:
    """A message that is due at some time."""

    message: Message
    due: float
    period: float | None = field(default=None, validator=optional(gt(0)))
    silence: float | None = field(default=None, validator=optional(gt(0)))
    cancelled: bool = False
    posted: Envelope | None = None

    def cancel(self) -> None:
        """Do not fire (again). A message already in the mailbox stays there."""
        self.cancelled = True

    def next_after(self, now: float) -> float:
        """When to fire again, after firing now; infinity for once only. What was missed is missed."""
        if self.silence is not None:
            return now + self.silence
        if self.period is None:
            return math.inf
        return self.due + self.period * (math.floor((now - self.due) / self.period) + 1)


@define(eq=False)
class Timers:
    """The timers of one incarnation, by due time."""

    last_activity: float
    _heap: list[tuple[float, int, Timer]] = field(factory=list, init=False)
    _count: int = field(default=0, init=False)

    def add(self, timer: Timer) -> None:
        """Have this timer fire when it is due."""
        self._count += 1
        heapq.heappush(self._heap, (timer.due, self._count, timer))

    @property
    def next_due(self) -> float:
        """When to look again; infinity without timers."""
        return self._heap[0][0] if self._heap else math.inf

    def fire(self, now: float) -> list[Timer]:
        """The timers that are due, in order.

        One that repeats, or came too early for its silence, is set again.
        """
        fired = []
        while self.next_due <= now:
            _, _, timer = heapq.heappop(self._heap)
            if timer.cancelled:
                continue
            if timer.silence is not None and self.last_activity + timer.silence > now:
                timer.due = self.last_activity + timer.silence
            else:
                fired.append(timer)
                timer.due = timer.next_after(now)
            if timer.due < math.inf:
                self.add(timer)
        return fired
