"""What every mailbox of the kernel must do, as a suite: subclass it and give it a mailbox.

    from hive.testing.contracts import MailboxContract

    class TestMine(MailboxContract):
        def make(self, capacity: int, overflow: Overflow) -> Mailbox:
            return MyMailbox(capacity, overflow)

Then `ChildSpec(..., mailbox=MyMailbox)` uses it. Needs pytest, and no plugin of it.

The rule kept here: whatever was accepted is waiting, in hand, or counted under how it ended, and each sender
is served in the order in which it sent.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from random import Random
from typing import Final

import pytest
import trio
from attrs import define, evolve, field, frozen
from outcome import Value

from hive.actors import (
    ActorStopped,
    Bury,
    ChildSpec,
    Context,
    Counts,
    DeadLetter,
    Done,
    DropChild,
    Full,
    Hive,
    Kinds,
    Mailbox,
    Message,
    NotHeld,
    Overflow,
    Release,
    Retry,
    Verdict,
)
from hive.actors._core.actor import BURST
from hive.actors._core.messages import Answer, Envelope, Reply

from .probe import Do, Note, probe
from .simulate import Simulation, simulate

SEEDS: Final = 10
"""How many orders of events each story runs in."""

DEEDS: Final = 300
"""How many things are done to a mailbox beside its model."""

ON_PURPOSE: Final = ValueError("on purpose")


@frozen
class Apple(Message):
    """One kind."""


@frozen
class Pear(Message):
    """Another."""


@frozen
class GreenApple(Apple):
    """A subclass is another kind."""


def envelope(number: int, kind: type[Message] = Apple, *, urgent: bool = False) -> Envelope:
    """A message under way."""
    return Envelope(kind(), number, None, None, 0.0, urgent)


def filled(box: Mailbox, *envelopes: Envelope) -> Mailbox:
    """The mailbox, with these put into it. None of them may lose its place."""
    for one in envelopes:
        assert box.put(one) is None, f"message {one.id} was refused, or took another's place"
    return box


def claimed(box: Mailbox, kinds: Kinds | None = None, now: float = 0.0) -> Envelope:
    """The next message, which has to be there."""
    found = box.claim(kinds, now)
    assert found is not None, "nothing can be claimed, though a wanted message waits"
    return found


def ids(envelopes: Sequence[Envelope | None]) -> list[int | None]:
    """The numbers of messages, with None where there was none."""
    return [None if one is None else one.id for one in envelopes]


class MailboxContract:
    """The suite. Everything about a mailbox by itself comes first, then what an actor makes of it."""

    def make(self, capacity: int, overflow: Overflow) -> Mailbox:
        """An empty mailbox of this capacity. Raises `ValueError` for one below 1."""
        raise NotImplementedError

    # --- order -----------------------------------------------------------------------------------

    def test_urgent_mail_goes_first_and_otherwise_the_first_come(self) -> None:
        """Two lanes, each in order."""
        box = self._roomy()
        filled(
            box, *(envelope(n, urgent=urgent) for n, urgent in ((1, False), (2, True), (3, False), (4, True)))
        )

        assert ids([box.claim(None, 0) for _ in range(5)]) == [2, 4, 1, 3, None]

    def test_a_wanted_kind_is_taken_from_among_others_which_keep_their_places(self) -> None:
        """Selective receive: kinds are matched exactly, and an empty choice takes nothing."""
        box = self._roomy()
        filled(box, envelope(1, GreenApple), envelope(2, Apple), envelope(3, Pear), envelope(4, Apple))
        filled(box, envelope(5, Pear, urgent=True))

        assert box.claim(frozenset(), 0) is None
        assert claimed(box, frozenset({Apple})).id == 2, "a subclass is another kind"
        assert claimed(box, frozenset({Pear})).id == 5, "urgent mail goes first here, too"
        assert ids([box.claim(None, 0) for _ in range(4)]) == [1, 3, 4, None]

    # --- claims ----------------------------------------------------------------------------------

    def test_claiming_is_not_removing(self) -> None:
        """What is in hand waits no longer and is not gone."""
        box = filled(self._roomy(), envelope(1), envelope(2))
        first = claimed(box)

        assert ids(list(box.held())) == [1]
        assert ids(list(box.waiting())) == [2]
        assert box.holds(first, first.claim)
        box.settle(first, first.claim, Done(), 0)
        assert not box.holds(first, first.claim)
        assert (ids(list(box.held())), box.counts.done) == ([], 1)

    def test_only_the_latest_claim_may_settle_and_only_once(self) -> None:
        """Another verdict raises `NotHeld` and changes nothing."""
        box = filled(self._roomy(), envelope(1))
        first = claimed(box)
        old = first.claim
        box.settle(first, old, Release(), 0)
        assert claimed(box) is first
        assert first.claim > old, "each claim has a number of its own"

        with pytest.raises(NotHeld):
            box.settle(first, old, Done(), 0)
        box.settle(first, first.claim, Done(), 0)
        with pytest.raises(NotHeld):
            box.settle(first, first.claim, Done(), 0)
        assert box.counts == Counts(accepted=1, done=1)

    @pytest.mark.parametrize(
        ("verdict", "attempts", "stays"),
        [
            (Done(), 0, False),
            (Bury(ON_PURPOSE), 1, False),
            (Retry(ON_PURPOSE), 1, True),
            (Release(), 0, True),
        ],
        ids=["done", "bury", "retry", "release"],
    )
    def test_a_verdict_charges_and_gives_back_as_it_says(
        self, verdict: Verdict, attempts: int, *, stays: bool
    ) -> None:
        """What is given back goes to the front."""
        box = filled(self._roomy(), envelope(1), envelope(2))
        first = claimed(box)
        box.settle(first, first.claim, verdict, 0)

        assert first.attempts == attempts
        assert ids([box.claim(None, 0) for _ in range(3)]) == ([1, 2, None] if stays else [2, None, None])

    def test_what_is_snoozed_waits_for_its_time_goes_first_then_and_takes_up_room(self) -> None:
        """Retried or released for later."""
        box = filled(self.make(1, Overflow.BLOCK), envelope(1))
        first = claimed(box)
        assert box.next_due == float("inf")
        box.settle(first, first.claim, Retry(ON_PURPOSE, after=5), now=10)

        assert box.next_due == 15
        assert box.must_wait
        assert box.claim(None, 14.9) is None, "it is claimed before its time"
        filled(box, envelope(2, urgent=True))
        box.put_own(envelope(3))
        assert ids([box.claim(None, 15) for _ in range(3)]) == [2, 1, 3]
        assert box.next_due == float("inf")

    def test_a_finished_question_is_answered(self) -> None:
        """`finish` is `settle` as done, with an answer."""
        reply = _Heard()
        box = filled(self._roomy(), evolve(envelope(1), reply=reply))
        box.finish(claimed(box), "yes")

        assert reply.heard == [Value("yes")]
        assert (box.counts.done, ids(list(box.held()))) == (1, [])

    def test_what_was_in_hand_comes_back_uncharged_and_in_order(self) -> None:
        """An incarnation ended. A question is not begun twice: its reply is handed out instead."""
        box = self._roomy()
        filled(box, envelope(1), evolve(envelope(2), reply=Reply()), envelope(3), envelope(4))
        held = [claimed(box) for _ in range(3)]
        replies = box.give_back()

        assert replies == [held[1].reply]
        assert box.counts.done == 1
        assert [one.attempts for one in held] == [0, 0, 0]
        assert ids([box.claim(None, 0) for _ in range(4)]) == [1, 3, 4, None]

    # --- bounds ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("overflow", list(Overflow))
    def test_a_full_mailbox_does_what_its_overflow_says(self, overflow: Overflow) -> None:
        """Refuse the new one, or drop the oldest; only one that blocks asks its senders to wait."""
        box = filled(self.make(2, overflow), envelope(1), envelope(2))
        assert box.must_wait == (overflow is Overflow.BLOCK)
        third = envelope(3)
        loser = box.put(third)

        if overflow is Overflow.DROP_OLDEST:
            assert loser is not None
            assert (loser.id, box.counts) == (1, Counts(accepted=3, dropped=1))
            assert ids(list(box.waiting())) == [2, 3]
        else:
            assert loser is third, f"capacity 2, and {len(list(box.waiting()))} messages wait"
            assert box.counts == Counts(accepted=2, refused=1)
            assert ids(list(box.waiting())) == [1, 2]

    def test_urgent_mail_and_ones_own_is_never_refused(self) -> None:
        """Nor does it push anything out."""
        box = filled(self.make(1, Overflow.DROP_OLDEST), envelope(1))
        filled(box, envelope(2, urgent=True))
        box.put_own(envelope(3))

        assert ids([box.claim(None, 0) for _ in range(3)]) == [2, 1, 3]

    def test_a_full_mailbox_of_snoozed_mail_has_nothing_to_drop(self) -> None:
        """It refuses instead."""
        box = filled(self.make(1, Overflow.DROP_OLDEST), envelope(1))
        first = claimed(box)
        box.settle(first, first.claim, Release(after=5), 0)
        second = envelope(2)

        assert box.put(second) is second
        assert box.counts == Counts(accepted=1, refused=1)

    def test_a_mailbox_without_room_is_refused(self) -> None:
        """It could never accept anything."""
        with pytest.raises(ValueError, match="capacity"):
            self.make(0, Overflow.BLOCK)

    def test_what_waits_can_be_taken_out_and_what_is_in_hand_cannot(self) -> None:
        """In whatever lane it waits, snoozed or not; it counts as withdrawn."""
        box = filled(self._roomy(), *(envelope(n) for n in range(1, 5)), envelope(5, urgent=True))
        urgent, snoozed, held = claimed(box), claimed(box), claimed(box)
        box.settle(snoozed, snoozed.claim, Release(after=5), 0)
        box.settle(urgent, urgent.claim, Release(), 0)

        taken = box.take_out(lambda one: one.id != 4)
        assert sorted(one.id for one in taken) == [1, 3, 5]
        assert held.id == 2
        assert box.counts.withdrawn == 3
        assert ids([*box.waiting(), *box.held()]) == [4, 2]
        assert (box.take_out(lambda _: False), box.next_due) == ([], float("inf"))

    def test_nothing_is_lost_whatever_is_done_to_it(self) -> None:
        """Beside a model that is two lists and a dict: the same answers, and every message accounted for."""
        for seed in range(SEEDS):
            model = _Model(self.make(4, Overflow.DROP_OLDEST), Random(seed))
            for _ in range(DEEDS):
                model.do_something()
                model.check()

    # --- with an actor ---------------------------------------------------------------------------

    def test_who_can_wait_waits_for_room_and_who_cannot_is_told(self) -> None:
        """`tell` raises `Full` where `send` waits; each sender's messages arrive in its order."""

        async def sends(hive: Hive, sender: str) -> None:
            for number in range(5):
                await hive.ref("box").send(Note(f"{sender}{number}"))

        async def story(sim: Simulation, log: list[str]) -> None:
            async with sim.hive(self._probe(log, 2, Overflow.BLOCK)) as hive, trio.open_nursery() as nursery:
                hive.ref("box").tell(Do(_rest))
                await trio.sleep(1)
                nursery.start_soon(sends, hive, "a")
                nursery.start_soon(sends, hive, "b")
                await trio.sleep(1)
                with pytest.raises(Full):
                    hive.ref("box").tell(Note("too much"))

        for log in self._told(story):
            got = [entry.rpartition(" ")[2] for entry in log if " got " in entry]
            assert sorted(got) == [f"{sender}{n}" for sender in "ab" for n in range(5)]
            for sender in "ab":
                assert [one for one in got if one[0] == sender] == [f"{sender}{n}" for n in range(5)]

    def test_a_crash_leaves_the_mail_as_it_was(self) -> None:
        """The mailbox outlives its actor; nothing that waited is charged or lost."""

        async def story(sim: Simulation, log: list[str]) -> None:
            async with sim.hive(self._probe(log, 100, Overflow.BLOCK)) as hive:
                hive.ref("box").tell(Do(_rest))
                for number in range(5):
                    hive.ref("box").tell(Note(f"{number}"))
                await trio.sleep(1)
                hive.kill("box")
                await trio.sleep(10)

        for log in self._told(story):
            assert log == ["box up", "box down", "box up", *(f"box got {n}" for n in range(5)), "box down"]

    def test_a_busy_actor_lets_others_run_after_a_burst(self) -> None:
        """At most 64 messages are handled in one go, though no handler waits."""
        log: list[str] = []
        steps = _Steps(log)

        async def story(sim: Simulation) -> None:
            async with sim.hive(self._probe(log, 3 * BURST, Overflow.BLOCK)) as hive:
                for number in range(3 * BURST):
                    hive.ref("box").tell(Note(f"{number}"))
                await trio.sleep(1)

        simulate(story, 0, instruments=[steps])
        assert steps.longest == BURST, f"{steps.longest} messages were handled while nobody else could run"

    def test_closing_makes_dead_letters_of_what_waits_and_tells_who_asks(self) -> None:
        """Nothing waits for somebody who never comes back."""

        async def ask(hive: Hive, failed: list[str]) -> None:
            with pytest.raises(ActorStopped):
                await hive.ref("box").ask(Do(_nothing))
            failed.append("told")

        async def story(sim: Simulation, log: list[str]) -> None:
            spec = self._probe(log, 9, Overflow.BLOCK, select=frozenset({Pear}))
            failed: list[str] = []
            async with sim.hive(spec) as hive, trio.open_nursery() as nursery:
                nursery.start_soon(ask, hive, failed)
                hive.ref("box").tell(Note("waits"))
                await trio.sleep(1)
                await hive.root.ask(DropChild("box"))
            assert failed == ["told"]
            assert [dead.message for dead in sim.facts.of(DeadLetter)] == [Note("waits")]

        self._told(story)

    def _roomy(self) -> Mailbox:
        return self.make(100, Overflow.BLOCK)

    def _probe(self, log: list[str], capacity: int, overflow: Overflow, **settings: object) -> ChildSpec:
        return probe("box", log, mailbox=partial(self.make, capacity, overflow), **settings)

    def _told(
        self, story: Callable[[Simulation, list[str]], Coroutine[object, object, None]]
    ) -> list[list[str]]:
        """What an actor with such a mailbox wrote down, under each of the seeds."""
        logs: list[list[str]] = [[] for _ in range(SEEDS)]
        for seed, log in enumerate(logs):
            simulate(partial(_with_log, story, log), seed)
        return logs


async def _with_log(
    story: Callable[[Simulation, list[str]], Coroutine[object, object, None]], log: list[str], sim: Simulation
) -> None:
    await story(sim, log)


async def _rest(_: Context) -> None:
    """Be busy for a while."""
    await trio.sleep(5)


async def _nothing(_: Context) -> None:
    """Nobody gets to do it."""


@define(eq=False)
class _Heard(Reply):
    """A reply that writes down its answers."""

    heard: list[Answer] = field(factory=list)

    def resolve(self, answer: Answer) -> None:
        """Write it down."""
        self.heard.append(answer)


@define(eq=False)
class _Steps(trio.abc.Instrument):
    """Counts by how much a log grows while one task runs without a pause."""

    log: list[str]
    before: int = 0
    longest: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by Trio."""
        del task
        self.before = self._handled()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by Trio."""
        del task
        self.longest = max(self.longest, self._handled() - self.before)

    def _handled(self) -> int:
        return sum(" got " in entry for entry in self.log)


KINDS: Final = (
    None,
    frozenset({Apple}),
    frozenset({Pear}),
    frozenset({Apple, Pear}),
    frozenset[type[Message]](),
)

VERDICTS: Final = (
    Done(),
    Bury(ON_PURPOSE),
    Retry(ON_PURPOSE),
    Release(),
    Retry(ON_PURPOSE, after=2),
    Release(after=3),
)


@define(eq=False)
class _Model:
    """A mailbox that drops its oldest, beside two lists and a dict that do the same slowly."""

    box: Mailbox
    chance: Random
    lanes: tuple[deque[Envelope], deque[Envelope]] = field(factory=lambda: (deque(), deque()), init=False)
    snoozed: list[tuple[float, Envelope]] = field(factory=list, init=False)
    held: dict[int, Envelope] = field(factory=dict, init=False)
    now: float = field(default=0.0, init=False)
    number: int = field(default=0, init=False)

    def do_something(self) -> None:
        """Any of what may be done."""
        deeds = [self.put, self.put, self.claim, self.claim, self.wait, self.give_back, self.take_out]
        self.chance.choice(deeds + [self.settle] * 2 if self.held else deeds)()

    def put(self) -> None:
        """Accept, dropping the oldest when full."""
        self.number += 1
        urgent = self.chance.random() < 0.3
        message = envelope(self.number, self.chance.choice([Apple, Pear]), urgent=urgent)
        lane = self.lanes[not urgent]
        full = not urgent and len(lane) + len(self.snoozed) >= self.box.capacity
        if full and not lane:
            assert self.box.put(message) is message
            return
        assert self.box.put(message) is (lane.popleft() if full else None)
        lane.append(message)

    def claim(self) -> None:
        """The first that is wanted."""
        kinds = self.chance.choice(KINDS)
        for due, message in sorted(self.snoozed, key=lambda entry: (entry[0], entry[1].id)):
            if due <= self.now:
                self.snoozed.remove((due, message))
                self.lanes[not message.urgent].appendleft(message)
        waiting = [*self.lanes[0], *self.lanes[1]]
        expected = next((one for one in waiting if kinds is None or type(one.message) in kinds), None)
        assert self.box.claim(kinds, self.now) is expected
        if expected is not None:
            self.lanes[not expected.urgent].remove(expected)
            self.held[expected.id] = expected

    def settle(self) -> None:
        """Any of those in hand, in any way."""
        message, verdict = self.held.pop(self.chance.choice(sorted(self.held))), self.chance.choice(VERDICTS)
        attempts = message.attempts
        self.box.settle(message, message.claim, verdict, self.now)
        assert message.attempts == attempts + isinstance(verdict, Retry | Bury)
        if isinstance(verdict, Retry | Release):
            if verdict.after:
                self.snoozed.append((self.now + verdict.after, message))
            else:
                self.lanes[not message.urgent].appendleft(message)

    def give_back(self) -> None:
        """An incarnation ended."""
        assert self.box.give_back() == []
        for number in sorted(self.held, reverse=True):
            self.lanes[not self.held[number].urgent].appendleft(self.held[number])
        self.held.clear()

    def take_out(self) -> None:
        """Withdraw one of all that there ever were."""
        number = self.chance.randint(0, self.number)
        taken = self.box.take_out(lambda one: one.id == number)
        waits = [one for one in [*self.lanes[0], *self.lanes[1]] if one.id == number]
        waits += [one for _, one in self.snoozed if one.id == number]
        assert taken == waits
        for one in waits:
            for lane in self.lanes:
                if one in lane:
                    lane.remove(one)
        self.snoozed = [entry for entry in self.snoozed if entry[1].id != number]

    def wait(self) -> None:
        """Time passes."""
        self.now += self.chance.random() * 4

    def check(self) -> None:
        """Everything accepted is somewhere, and where the model has it."""
        counts, waiting = self.box.counts, list(self.box.waiting())
        ended = counts.done + counts.buried + counts.dropped + counts.withdrawn
        assert counts.accepted == ended + len(waiting) + len(self.held), f"{counts} do not add up"
        assert waiting[: len(waiting) - len(self.snoozed)] == [*self.lanes[0], *self.lanes[1]]
        assert sorted(one.id for one in self.box.held()) == sorted(self.held)
