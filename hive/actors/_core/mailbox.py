"""Where messages wait.

A mailbox belongs to the cell, never to the serve loop, so it outlives every crash.
Taking a message is a claim, not a removal; only a verdict removes it.
Nothing in here waits: the cell parks whoever has to, and hands in the time.

Order: first in, first out within each of two lanes, and the urgent lane is served first.
A message that comes back (retried, released) goes to the front; a snoozed one to the front when its time has come.
"""

from __future__ import annotations

import enum
import heapq
import math
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from attrs import define, field, frozen

from .errors import InvalidSpec, NotHeld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .messages import Envelope, Kinds

CAPACITY: Final = 1000
"""How many messages may wait in a mailbox, unless its spec says otherwise."""


@frozen
class Done:
    """It was handled."""


@frozen
class Retry:
    """It failed: try again after so many seconds. Charged as an attempt; buried when the attempts are spent."""

    error: Exception | str
    after: float = 0.0


@frozen
class Bury:
    """It can never be handled. It becomes a dead letter."""

    error: Exception | str


@frozen
class Release:
    """Give it back, uncharged, to be taken again after so many seconds."""

    after: float = 0.0


Verdict: TypeAlias = Done | Retry | Bury | Release
"""How a claim ends."""

DONE: Final = Done()


class Overflow(enum.Enum):
    """What a full mailbox does with one message more. Urgent mail is never refused."""

    BLOCK = "tell raises Full, send waits for room"
    REFUSE = "tell and send raise Full"
    DROP_OLDEST = "the oldest waiting message becomes a dead letter"


class NoRoom(Exception):
    """The mailbox is full and its overflow rule does not make room."""


@frozen
class Counts:
    """What a mailbox has seen since it was made. They only grow."""

    accepted: int
    done: int
    buried: int
    refused: int
    dropped: int


@define(eq=False)
class Mailbox:
    """Two lanes of waiting messages, those snoozed, and those in hand."""

    capacity: int = CAPACITY
    overflow: Overflow = Overflow.BLOCK
    _urgent: deque[Envelope] = field(factory=deque, init=False)
    _normal: deque[Envelope] = field(factory=deque, init=False)
    _snoozed: list[tuple[float, int, Envelope]] = field(factory=list, init=False)
    _held: dict[int, Envelope] = field(factory=dict, init=False)
    _accepted: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _buried: int = field(default=0, init=False)
    _refused: int = field(default=0, init=False)
    _dropped: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Refuse a mailbox that could never accept anything."""
        if self.capacity < 1:
            message = f"a mailbox needs room for at least one message, not {self.capacity}"
            raise InvalidSpec(message)

    # Coming in.

    def put(self, envelope: Envelope) -> Envelope | None:
        """Accept a message, and return the one dropped to make room for it, if any. Raises `NoRoom`."""
        dropped = None
        if envelope.urgent:
            self._urgent.append(envelope)
        else:
            if len(self._normal) + len(self._snoozed) >= self.capacity:
                dropped = self._make_room()
            self._normal.append(envelope)
        self._accepted += 1
        return dropped

    def put_own(self, envelope: Envelope) -> None:
        """Accept a message of the owner to itself, even when full: it could not wait for itself to make room."""
        self._normal.append(envelope)
        self._accepted += 1

    def _make_room(self) -> Envelope:
        if self.overflow is Overflow.DROP_OLDEST and self._normal:
            self._dropped += 1
            return self._normal.popleft()
        self._refused += 1
        raise NoRoom

    @property
    def has_room(self) -> bool:
        """Whether one more message that is not urgent would fit."""
        return len(self._normal) + len(self._snoozed) < self.capacity

    # Going out.

    def claim(self, kinds: Kinds | None, now: float) -> Envelope | None:
        """Take the next message of a wanted kind in hand, or None. `kinds` None means any."""
        if self._snoozed:
            self._wake(now)
        if kinds is None:
            lane = self._urgent or self._normal
            if not lane:
                return None
            envelope = lane.popleft()
        else:
            wanted = _take(self._urgent, kinds) or _take(self._normal, kinds)
            if wanted is None:
                return None
            envelope = wanted
        envelope.claim += 1
        self._held[envelope.id] = envelope
        return envelope

    def _wake(self, now: float) -> None:
        while self._snoozed and self._snoozed[0][0] <= now:
            _, _, envelope = heapq.heappop(self._snoozed)
            self._front(envelope)

    @property
    def next_due(self) -> float:
        """When the next snoozed message is due; infinity without one."""
        return self._snoozed[0][0] if self._snoozed else math.inf

    def settle(self, envelope: Envelope, claim: int, verdict: Verdict, now: float) -> None:
        """End a claim. Raises `NotHeld` if this claim has ended already."""
        if not self.holds(envelope, claim):
            message = f"{envelope.kind} {envelope.id} is not in hand any more"
            raise NotHeld(message)
        del self._held[envelope.id]
        match verdict:
            case Done():
                self._done += 1
            case Retry(after=after):
                envelope.attempts += 1
                self._again(envelope, after, now)
            case Bury():
                self._buried += 1
            case Release(after=after):
                self._again(envelope, after, now)
            case _:
                assert_never(verdict)

    def holds(self, envelope: Envelope, claim: int) -> bool:
        """Whether this very claim is still open."""
        return envelope.claim == claim and envelope.id in self._held

    def _again(self, envelope: Envelope, after: float, now: float) -> None:
        if after > 0:
            heapq.heappush(self._snoozed, (now + after, envelope.id, envelope))
        else:
            self._front(envelope)

    def _front(self, envelope: Envelope) -> None:
        (self._urgent if envelope.urgent else self._normal).appendleft(envelope)

    # Taking back.

    def withdraw(self, envelope: Envelope) -> bool:
        """Remove a message that nobody has claimed yet. False if it is too late."""
        lane = self._urgent if envelope.urgent else self._normal
        try:
            lane.remove(envelope)
        except ValueError:
            return False
        self._done += 1
        return True

    def take_held(self) -> list[Envelope]:
        """Take everything out of the owner's hands, oldest first. The caller decides what becomes of each."""
        held = sorted(self._held.values(), key=attrgetter("id"))
        self._held.clear()
        return held

    def give_back(self, envelopes: list[Envelope]) -> None:
        """Return messages to the front, uncharged, in the order in which they came."""
        for envelope in reversed(envelopes):
            self._front(envelope)

    def count_done(self) -> None:
        """Count a message taken with `take_held` as done with."""
        self._done += 1

    def take_questions(self, sender: str | None = None) -> list[Envelope]:
        """Take out what somebody (or this sender) waits for an answer to."""
        return self.take_waiting(
            lambda envelope: envelope.reply is not None and (sender is None or envelope.sender == sender)
        )

    def take_waiting(self, wanted: Callable[[Envelope], bool]) -> list[Envelope]:
        """Take out what waits and is wanted, counting it as buried."""
        taken = [envelope for envelope in self.waiting() if wanted(envelope)]
        if taken:
            gone = {envelope.id for envelope in taken}
            self._urgent = deque(envelope for envelope in self._urgent if envelope.id not in gone)
            self._normal = deque(envelope for envelope in self._normal if envelope.id not in gone)
            self._snoozed = [entry for entry in self._snoozed if entry[1] not in gone]
            heapq.heapify(self._snoozed)
            self._buried += len(taken)
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

    @property
    def counts(self) -> Counts:
        """What this mailbox has seen. Accepted = done + buried + dropped + waiting + held, always."""
        return Counts(self._accepted, self._done, self._buried, self._refused, self._dropped)


def _take(lane: deque[Envelope], kinds: Kinds) -> Envelope | None:
    for index, envelope in enumerate(lane):
        if type(envelope.message) in kinds:
            del lane[index]
            return envelope
    return None
