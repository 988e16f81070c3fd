"""Where messages wait.

A mailbox belongs to the cell, never to the serve loop, so it outlives every crash. Taking a message is a
claim, not a removal; only a verdict removes it. Nothing in here waits: the cell parks whoever has to, and
hands in the time.

Order: first in, first out within each of two lanes, and the urgent lane is served first. A message that comes
back (retried, released) goes to the front; a snoozed one goes there when its time has come.
"""

import enum
import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Final, TypeAlias, assert_never

from attrs import define, field, frozen
from attrs.validators import ge
from outcome import Value

from .errors import NotHeld
from .messages import Envelope, Kinds, Reply

CAPACITY: Final = 1000
"""How many messages may wait in a mailbox, unless its spec says otherwise."""


@frozen
class Done:
    """It was handled."""


@frozen
class Retry:
    """It failed: try again after so many seconds.

    Charged as an attempt, and buried when the attempts are spent.
    """

    error: Exception
    after: float = 0.0


@frozen
class Bury:
    """It can never be handled. It becomes a dead letter."""

    error: Exception


@frozen
class Release:
    """Give it back, uncharged, to be taken again after so many seconds."""

    after: float = 0.0


Verdict: TypeAlias = Done | Retry | Bury | Release
"""How a claim ends."""

DONE: Final = Done()


class Overflow(enum.Enum):
    """What a full mailbox does with one message more. Urgent mail is never refused."""

    BLOCK = "tell raises Full, send and ask wait for room"
    REFUSE = "all of them raise Full"
    DROP_OLDEST = "the oldest waiting message becomes a dead letter"


@define
class Counts:
    """What a mailbox has seen since it was made. They only grow.

    Accepted = done + buried + dropped + withdrawn + waiting + held, always. A question is withdrawn when its
    asker gives up before anybody has begun on it, or is told that nobody will.
    """

    accepted: int = 0
    done: int = 0
    buried: int = 0
    refused: int = 0
    dropped: int = 0
    withdrawn: int = 0


@define(eq=False)
class Mailbox:
    """Two lanes of waiting messages, those snoozed, and those in hand."""

    capacity: int = field(default=CAPACITY, validator=ge(1))
    overflow: Overflow = Overflow.BLOCK
    counts: Counts = field(factory=Counts, init=False)
    _urgent: deque[Envelope] = field(factory=deque, init=False)
    _normal: deque[Envelope] = field(factory=deque, init=False)
    _snoozed: list[tuple[float, int, Envelope]] = field(factory=list, init=False)
    _held: dict[int, Envelope] = field(factory=dict, init=False)

    # Coming in.

    def put(self, envelope: Envelope) -> Envelope | None:
        """Accept a message.

        Returns who lost its place: nobody, the oldest (dropped), or the new one itself (refused).
        """
        loser = None
        if envelope.urgent:
            self._urgent.append(envelope)
        else:
            if len(self._normal) + len(self._snoozed) >= self.capacity:
                if self.overflow is not Overflow.DROP_OLDEST or not self._normal:
                    self.counts.refused += 1
                    return envelope
                self.counts.dropped += 1
                loser = self._normal.popleft()
            self._normal.append(envelope)
        self.counts.accepted += 1
        return loser

    def put_own(self, envelope: Envelope) -> None:
        """Accept a message of the owner to itself, even when full: it cannot wait for itself."""
        self._normal.append(envelope)
        self.counts.accepted += 1

    @property
    def must_wait(self) -> bool:
        """Whether a sender that can wait should: there is no room, and there will be."""
        return len(self._normal) + len(self._snoozed) >= self.capacity and self.overflow is Overflow.BLOCK

    # Going out.

    def claim(self, kinds: Kinds | None, now: float) -> Envelope | None:
        """Take the next message of a wanted kind in hand, or None. `kinds` None means any."""
        while self._snoozed and self._snoozed[0][0] <= now:
            self._to_front(heapq.heappop(self._snoozed)[2])
        if kinds is None:
            lane = self._urgent or self._normal
            envelope = lane.popleft() if lane else None
        else:
            envelope = _take(self._urgent, kinds) or _take(self._normal, kinds)
        if envelope is not None:
            envelope.claim += 1
            self._held[envelope.id] = envelope
        return envelope

    @property
    def next_due(self) -> float:
        """When the next snoozed message is due; infinity without one."""
        return self._snoozed[0][0] if self._snoozed else math.inf

    def holds(self, envelope: Envelope, claim: int) -> bool:
        """Whether this very claim is still open."""
        return envelope.claim == claim and envelope.id in self._held

    def finish(self, envelope: Envelope, answer: object) -> None:
        """End the open claim of a message as done, with this answer: what nearly every handling comes to."""
        del self._held[envelope.id]
        self.counts.done += 1
        if envelope.reply is not None:
            envelope.reply.resolve(Value(answer))

    def settle(self, envelope: Envelope, claim: int, verdict: Verdict, now: float) -> None:
        """End a claim. Raises `NotHeld` if it has ended already."""
        if envelope.claim != claim or self._held.pop(envelope.id, None) is None:
            raise NotHeld(f"{envelope.kind} {envelope.id} is not in hand any more")
        match verdict:
            case Done():
                self.counts.done += 1
            case Bury():
                envelope.attempts += 1
                self.counts.buried += 1
            case Retry(after=after) | Release(after=after):
                if isinstance(verdict, Retry):
                    envelope.attempts += 1
                if after > 0:
                    heapq.heappush(self._snoozed, (now + after, envelope.id, envelope))
                else:
                    self._to_front(envelope)
            case _:
                assert_never(verdict)

    def _to_front(self, envelope: Envelope) -> None:
        (self._urgent if envelope.urgent else self._normal).appendleft(envelope)

    # Taking back.

    def give_back(self) -> list[Reply]:
        """Return what is in hand to the front, uncharged, in the order in which it came.

        A question is not begun twice: it counts as done, and whoever waits is to be told.
        """
        held = sorted(self._held.values(), key=attrgetter("id"), reverse=True)
        self._held.clear()
        for envelope in held:
            if envelope.reply is None:
                self._to_front(envelope)
        replies = [envelope.reply for envelope in held if envelope.reply is not None]
        self.counts.done += len(replies)
        return replies

    def take_out(self, wanted: Callable[[Envelope], bool]) -> list[Envelope]:
        """Take out what waits and is wanted, oldest of each lane first, counting it as withdrawn."""
        taken = [envelope for envelope in self.waiting() if wanted(envelope)]
        if taken:
            gone = {envelope.id for envelope in taken}
            self._urgent = deque(envelope for envelope in self._urgent if envelope.id not in gone)
            self._normal = deque(envelope for envelope in self._normal if envelope.id not in gone)
            self._snoozed = [entry for entry in self._snoozed if entry[1] not in gone]
            heapq.heapify(self._snoozed)
            self.counts.withdrawn += len(taken)
        return taken

    # Looking.

    def waiting(self) -> Iterator[Envelope]:
        """Everything that is not in hand: urgent, normal, snoozed."""
        yield from self._urgent
        yield from self._normal
        for _, _, envelope in self._snoozed:
            yield envelope

    def held(self) -> Iterator[Envelope]:
        """Everything that is in hand."""
        return iter(self._held.values())


def _take(lane: deque[Envelope], kinds: Kinds) -> Envelope | None:
    for index, envelope in enumerate(lane):
        if type(envelope.message) in kinds:
            del lane[index]
            return envelope
    return None
