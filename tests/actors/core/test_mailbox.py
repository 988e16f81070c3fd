"""The mailbox as a value, and against a model."""

from __future__ import annotations

import math
from collections import deque

import pytest
from attrs import frozen
from hypothesis import settings, strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hive.actors import Bury, Counts, Done, Mailbox, Message, NotHeld, Overflow, Release, Retry
from hive.actors._core.messages import Envelope

OOPS = ValueError("on purpose")


@frozen
class Apple(Message):
    """One kind."""


@frozen
class Pear(Message):
    """Another."""


def envelope(number: int, kind: type[Message] = Apple, *, urgent: bool = False) -> Envelope:
    """A message under way."""
    return Envelope(kind(), number, None, None, 0.0, urgent)


def test_urgent_first_then_first_come_first_served() -> None:
    """Two lanes."""
    box = Mailbox()
    for number, urgent in ((1, False), (2, True), (3, False), (4, True)):
        box.put(envelope(number, urgent=urgent))

    assert [getattr(box.claim(None, 0), "id", None) for _ in range(5)] == [2, 4, 1, 3, None]


def test_only_the_latest_claim_may_settle() -> None:
    """A claim number that is not the last one is void, and so is a second verdict."""
    box = Mailbox()
    message = envelope(1)
    box.put(message)
    assert box.claim(None, 0) is message
    box.settle(message, 1, Release(), 0)
    assert box.claim(None, 0) is message

    with pytest.raises(NotHeld):
        box.settle(message, 1, Done(), 0)
    box.settle(message, 2, Done(), 0)
    with pytest.raises(NotHeld):
        box.settle(message, 2, Done(), 0)


def test_a_snoozed_message_waits_for_its_time_and_then_goes_first() -> None:
    """And it takes up room meanwhile."""
    box = Mailbox(capacity=1)
    box.put(envelope(1))
    first = box.claim(None, 0)
    assert first is not None
    box.settle(first, 1, Retry(OOPS, after=5), now=10)

    assert box.next_due == 15
    assert box.must_wait
    assert box.claim(None, 14.9) is None
    box.put(envelope(2, urgent=True))
    box.put_own(envelope(3))
    assert [getattr(box.claim(None, 15), "id", None) for _ in range(3)] == [2, 1, 3]
    assert box.next_due == math.inf
    assert first.attempts == 1


def test_a_full_mailbox_with_only_snoozed_mail_has_nothing_to_drop() -> None:
    """It refuses instead."""
    box = Mailbox(1, Overflow.DROP_OLDEST)
    box.put(envelope(1))
    first = box.claim(None, 0)
    assert first is not None
    box.settle(first, 1, Release(after=5), 0)

    second = envelope(2)
    assert box.put(second) is second
    assert box.counts == Counts(accepted=1, done=0, buried=0, refused=1, dropped=0, withdrawn=0)


def test_a_claimed_message_cannot_be_taken_out() -> None:
    """It is too late."""
    box = Mailbox()
    one, two = envelope(1), envelope(2, urgent=True)
    box.put(one)
    box.put(two)

    assert box.take_out(lambda message: message is two) == [two]
    assert box.claim(None, 0) is one
    assert box.take_out(lambda message: message is one) == []
    assert box.counts.withdrawn == 1


def test_a_mailbox_without_room_is_refused() -> None:
    """It could never accept anything."""
    with pytest.raises(ValueError, match="capacity"):
        Mailbox(0)


@settings(max_examples=60, stateful_step_count=40)
class Against(RuleBasedStateMachine):
    """A mailbox beside two lists and a dict."""

    CAPACITY = 4

    def __init__(self) -> None:
        super().__init__()
        self.box = Mailbox(self.CAPACITY, Overflow.DROP_OLDEST)
        self.lanes: tuple[deque[Envelope], deque[Envelope]] = (deque(), deque())
        self.snoozed: list[tuple[float, Envelope]] = []
        self.held: dict[int, Envelope] = {}
        self.now = 0.0
        self.number = 0

    @rule(urgent=some.booleans(), kind=some.sampled_from([Apple, Pear]))
    def put(self, urgent: bool, kind: type[Message]) -> None:
        """Accept, dropping the oldest when full."""
        self.number += 1
        message = envelope(self.number, kind, urgent=urgent)
        lane = self.lanes[not urgent]
        full = not urgent and len(lane) + len(self.snoozed) >= self.CAPACITY
        if full and not lane:
            assert self.box.put(message) is message
            return
        assert self.box.put(message) is (lane.popleft() if full else None)
        lane.append(message)

    @rule(kinds=some.sampled_from([None, frozenset({Apple}), frozenset({Pear}), frozenset()]))
    def claim(self, kinds: frozenset[type[Message]] | None) -> None:
        """The first that is wanted."""
        for due, message in sorted(self.snoozed, key=lambda entry: (entry[0], entry[1].id)):
            if due <= self.now:
                self.snoozed.remove((due, message))
                self.lanes[not message.urgent].appendleft(message)
        expected = None
        for lane in self.lanes:
            expected = expected or next((m for m in lane if kinds is None or type(m.message) in kinds), None)
        assert self.box.claim(kinds, self.now) is expected
        if expected is not None:
            self.lanes[not expected.urgent].remove(expected)
            self.held[expected.id] = expected

    @precondition(lambda self: bool(self.held))
    @rule(
        data=some.data(),
        verdict=some.sampled_from([Done(), Bury(OOPS), Retry(OOPS), Release(), Retry(OOPS, 2), Release(3)]),
    )
    def settle(self, data: some.DataObject, verdict: Done | Bury | Retry | Release) -> None:
        """Any of those in hand, in any way."""
        message = self.held.pop(data.draw(some.sampled_from(sorted(self.held))))
        attempts = message.attempts
        self.box.settle(message, message.claim, verdict, self.now)
        assert message.attempts == attempts + isinstance(verdict, Retry | Bury)
        if isinstance(verdict, Retry | Release):
            if verdict.after:
                self.snoozed.append((self.now + verdict.after, message))
            else:
                self.lanes[not message.urgent].appendleft(message)

    @rule()
    def give_back(self) -> None:
        """An incarnation ended."""
        held = sorted(self.held.values(), key=lambda message: message.id)
        assert self.box.give_back() == []
        for message in reversed(held):
            self.lanes[not message.urgent].appendleft(message)
        self.held.clear()

    @rule(seconds=some.floats(0, 4))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @invariant()
    def nothing_is_lost(self) -> None:
        """Accepted is done, buried, dropped, waiting or held; and it waits where the model says."""
        counts = self.box.counts
        waiting = list(self.box.waiting())
        assert counts.accepted == counts.done + counts.buried + counts.dropped + len(waiting) + len(self.held)
        assert waiting[: len(waiting) - len(self.snoozed)] == [*self.lanes[0], *self.lanes[1]]
        assert {message.id for message in self.box.held()} == set(self.held)


TestAgainstAModel = Against.TestCase
