"""The rules of a handling, each under many seeds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise

import outcome
import pytest
import trio
from attrs import frozen

from hive.actors import (
    ActorCrashed,
    ActorExited,
    ActorSnapshot,
    ActorStarted,
    ActorStopped,
    Burial,
    Bury,
    Context,
    Crashed,
    DeadLetter,
    Decline,
    Done,
    Fact,
    Grace,
    HandlingEnded,
    HandlingTooLong,
    Held,
    Hive,
    Leave,
    Message,
    NotHeld,
    Reject,
    Release,
    Request,
    Restart,
    RestartChild,
    Retry,
    Snooze,
    StopChild,
)
from hive.testing import Do, Note, Simulation, probe, simulate


class Oops(Exception):
    """A failure on purpose."""


async def settle() -> None:
    """Let everything happen that can happen now."""
    await trio.testing.wait_all_tasks_blocked()


async def fail(_: Context) -> None:
    """Crash."""
    raise Oops


def raises(error: Exception) -> Callable[[Context], Awaitable[None]]:
    """End a handling like this."""

    async def act(_: Context) -> None:
        raise error

    return act


def actor(hive: Hive, name: str) -> ActorSnapshot:
    """How an actor is."""
    found = hive.snapshot().find(name)
    assert isinstance(found, ActorSnapshot)
    return found


def test_an_answer_is_what_the_handler_returned(seed: int) -> None:
    """And a handling by `tell` has none."""

    async def seven(_: Context) -> int:
        return 7

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            assert await hive.ref("a").ask(Do(seven)) == 7
            hive.ref("a").tell(Do(seven))
            await settle()

    simulate(story, seed)


def test_attempts_are_counted_across_crashes_and_then_the_message_is_buried(seed: int) -> None:
    """Each crash costs one; the last error is on the tombstone."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=3)) as hive:
            hive.ref("a").tell(Do(fail))
            letter = await sim.facts.wait_for(DeadLetter)
            await settle()

            assert (letter.to, letter.reason, letter.error) == ("a", Burial.POISON, "Oops")
            ended = sim.facts.of(HandlingEnded, name="a")
            assert [(fact.incarnation, fact.attempts, fact.verdict) for fact in ended] == [
                (1, 1, "Retry"),
                (2, 2, "Retry"),
                (3, 3, "Bury"),
            ]
            assert actor(hive, "a").mailbox.counts.buried == 1

    simulate(story, seed)


def test_a_snooze_brings_the_message_back_later_and_costs_nothing(seed: int) -> None:
    """Not before its time, without a crash, and meanwhile others are handled."""
    log: list[str] = []
    tries: list[float] = []

    async def not_yet(_: Context) -> None:
        tries.append(trio.current_time())
        if len(tries) < 5:
            raise Snooze(10)
        log.append("done")

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", log, attempts=2)) as hive:
            hive.ref("a").tell(Do(not_yet))
            hive.ref("a").tell(Note("meanwhile"))
            await trio.sleep(60)
            assert actor(hive, "a").incarnation == 1
            assert actor(hive, "a").mailbox.counts.done == 2

    simulate(story, seed)

    assert [b - a for a, b in pairwise(tries)] == [10] * 4
    assert log == ["a up", "a got meanwhile", "done", "a down"]


def test_a_snoozed_question_is_answered_in_the_end(seed: int) -> None:
    """Its asker waits on."""
    tries = 0

    async def not_yet(_: Context) -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Snooze(10)
        return "now"

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            assert await hive.ref("a").ask(Do(not_yet)) == "now"
            assert trio.current_time() == 10

    simulate(story, seed)


def test_a_declined_request_raises_its_error_at_the_asker_and_nothing_else(seed: int) -> None:
    """It is an answer. Where nobody asked, it becomes a dead letter, so that it is seen."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            with pytest.raises(Oops):
                await hive.ref("a").ask(Do(raises(Decline(Oops()))))
            assert actor(hive, "a").incarnation == 1
            assert not sim.facts.of(DeadLetter)

            hive.ref("a").tell(Do(raises(Decline(Oops()))))
            assert (await sim.facts.wait_for(DeadLetter)).reason is Burial.REJECTED
            assert actor(hive, "a").incarnation == 1

    simulate(story, seed)


def test_a_rejected_message_is_buried_at_once_and_its_asker_told(seed: int) -> None:
    """The actor goes on."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            with pytest.raises(Oops):
                await hive.ref("a").ask(Do(raises(Reject(Oops()))))
            (letter,) = sim.facts.of(DeadLetter)
            assert (letter.reason, letter.error) == (Burial.REJECTED, "Oops")
            assert actor(hive, "a").incarnation == 1

    simulate(story, seed)


def test_a_message_an_actor_does_not_know_is_rejected(seed: int) -> None:
    """Supervisors included; nobody crashes over it."""

    async def story(sim: Simulation) -> None:
        async with sim.hive() as hive:
            hive.root.tell(Note("?"))
            letter = await sim.facts.wait_for(DeadLetter)
            assert letter.error == "NotImplementedError: Supervisor does not handle Note"

    simulate(story, seed)


def test_instructions_are_understood_from_within_a_nursery(seed: int) -> None:
    """A handler may use nurseries of its own; the group around the one error is peeled off."""

    async def nested(_: Context) -> None:
        async with trio.open_nursery():
            raise Decline(Oops())

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            with pytest.raises(Oops):
                await hive.ref("a").ask(Do(nested))

    simulate(story, seed)


def test_a_handling_has_a_limit(seed: int) -> None:
    """A handler that runs into it crashes with a name for it; one that does not is not disturbed."""

    async def sleep(_: Context) -> str:
        await trio.sleep(5)
        return "slept"

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("slow", handling_limit=3), probe("fast", handling_limit=6)) as hive:
            with pytest.raises(ActorCrashed) as caught:
                await hive.ref("slow").ask(Do(sleep))
            assert isinstance(caught.value.__cause__, HandlingTooLong)
            assert trio.current_time() == 3
            assert await hive.ref("fast").ask(Do(sleep)) == "slept"

    simulate(story, seed)


def test_a_cancelled_handling_gives_its_message_back_uncharged(seed: int) -> None:
    """However often: the message is not to blame, and has all its attempts for failures of its own."""
    tries = 0

    async def hang(_: Context) -> None:
        nonlocal tries
        tries += 1
        if tries < 5:
            await trio.sleep_forever()
        if tries == 5:
            raise Oops

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=2, grace=Grace(shutdown=1))) as hive:
            hive.ref("a").tell(Do(hang))
            for _ in range(4):
                await settle()
                await hive.root.ask(RestartChild("a"))
            await settle()
            assert actor(hive, "a").mailbox.counts.done == 1
            assert not sim.facts.of(DeadLetter)

    simulate(story, seed)


def test_a_held_message_outlives_its_handling_and_is_settled_later(seed: int) -> None:
    """The actor stays answerable meanwhile; a second verdict is refused."""
    kept: list[Held] = []

    async def hold(ctx: Context) -> None:
        assert ctx.hold() is ctx.hold()
        kept.append(ctx.hold())

    async def finish(ctx: Context) -> None:
        ctx.settle(kept[0], Done())
        with pytest.raises(NotHeld):
            ctx.settle(kept[0], Done())

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            hive.ref("a").tell(Do(hold))
            await settle()
            assert actor(hive, "a").mailbox.held == {"Do": 1}
            assert isinstance(kept[0].message, Do)

            await hive.ref("a").ask(Do(finish))
            assert actor(hive, "a").mailbox.held == {}
            assert [f.verdict for f in sim.facts.of(HandlingEnded, name="a")] == ["Held", "Done"]

    simulate(story, seed)


def test_a_held_message_returns_uncharged_after_somebody_elses_crash(seed: int) -> None:
    """It is a bystander, whatever the number of crashes."""
    held_by: list[int] = []

    async def hold(ctx: Context) -> None:
        ctx.hold()
        held_by.append(ctx.incarnation)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=1)) as hive:
            hive.ref("a").tell(Do(hold))
            for _ in range(3):
                hive.ref("a").tell(Do(fail))
                await settle()
            assert held_by == [1, 2, 3, 4]
            assert [letter.reason for letter in sim.facts.of(DeadLetter)] == [Burial.POISON] * 3

    simulate(story, seed)


def test_a_held_message_is_charged_when_its_own_work_is_lost(seed: int) -> None:
    """Settle it as a retry before raising, and the right message is charged."""
    kept: list[Held] = []

    async def hold(ctx: Context) -> None:
        kept.append(ctx.hold())

    async def lose(ctx: Context) -> None:
        ctx.settle(kept[-1], Retry(Oops("the session was lost")))
        raise Leave

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=2)) as hive:
            hive.ref("a").tell(Do(hold))
            for _ in range(2):
                hive.ref("a").tell(Do(lose))
                await settle()
            (letter,) = sim.facts.of(DeadLetter)
            assert (letter.reason, letter.error) == (Burial.POISON, "Oops: the session was lost")
            assert kept[1].envelope.attempts == 2

    simulate(story, seed)


def test_a_message_may_be_settled_within_its_own_handling(seed: int) -> None:
    """Even if the handler then crashes: the message has its verdict and is not charged."""

    async def done_then_fail(ctx: Context) -> None:
        ctx.settle(ctx.hold(), Done())
        raise Oops

    async def hold_then_fail(ctx: Context) -> None:
        ctx.hold()
        raise Oops

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=1)) as hive:
            hive.ref("a").tell(Do(done_then_fail))
            await settle()
            assert actor(hive, "a").mailbox.counts.done == 1
            assert actor(hive, "a").incarnation == 2

            hive.ref("a").tell(Do(hold_then_fail))
            await settle()
            assert actor(hive, "a").mailbox.counts.buried == 1

    simulate(story, seed)


def test_a_held_message_may_be_released_or_buried(seed: int) -> None:
    """Released, it comes back at its time; buried, it becomes a dead letter."""
    times: list[float] = []

    async def release_once(ctx: Context) -> None:
        times.append(trio.current_time())
        held = ctx.hold()
        ctx.settle(held, Release(after=5) if len(times) == 1 else Bury(Oops("no use")))

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            hive.ref("a").tell(Do(release_once))
            letter = await sim.facts.wait_for(DeadLetter)
            assert (times, letter.error) == ([0, 5], "Oops: no use")

    simulate(story, seed)


def test_a_message_held_by_one_incarnation_cannot_be_settled_in_the_next(seed: int) -> None:
    """It was given back; the claim is another one now."""
    kept: list[Held] = []

    async def hold(ctx: Context) -> None:
        kept.append(ctx.hold())

    async def settle_stale(ctx: Context) -> None:
        with pytest.raises(NotHeld):
            ctx.settle(kept[0], Done())

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            hive.ref("a").tell(Do(hold))
            await settle()
            hive.kill("a")
            await settle()
            await hive.ref("a").ask(Do(settle_stale))
            assert len(kept) == 2

    simulate(story, seed)


def test_a_request_can_be_answered_or_refused_later(seed: int) -> None:
    """By a helper task, while the actor handles other things."""

    async def later(ctx: Context) -> None:
        held = ctx.hold()

        async def work() -> None:
            await trio.sleep(5)
            ctx.answer(held, "late but true")

        ctx.spawn(work)

    async def refuse(ctx: Context) -> None:
        ctx.refuse(ctx.hold(), Oops())

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            assert await hive.ref("a").ask(Do(later)) == "late but true"
            with pytest.raises(Oops):
                await hive.ref("a").ask(Do(refuse))

    simulate(story, seed)


@pytest.mark.parametrize(("end", "told"), [("crash", ActorCrashed), ("stop", ActorStopped)])
def test_whoever_waits_for_a_held_request_is_told_when_its_incarnation_ends(
    seed: int, end: str, told: type[Exception]
) -> None:
    """A question that was begun is not begun again behind the asker's back."""
    asked = 0

    async def hold(ctx: Context) -> None:
        nonlocal asked
        asked += 1
        ctx.hold()

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=1)) as hive, trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(told):
                    await hive.ref("a").ask(Do(hold))

            nursery.start_soon(ask)
            await settle()
            if end == "crash":
                hive.ref("a").tell(Do(fail))
            else:
                await hive.root.ask(RestartChild("a"))
            await settle()
            assert actor(hive, "a").incarnation == 2
            assert actor(hive, "a").mailbox.held == {}

    simulate(story, seed)
    assert asked == 1


def test_only_a_handler_has_a_message_to_hold(seed: int) -> None:
    """Neither the lifespan nor a helper task does, even while a handler is at work."""
    refused: list[str] = []

    async def try_to_hold(ctx: Context) -> None:
        with pytest.raises(NotHeld):
            ctx.hold()
        refused.append(ctx.name)

    async def help_out(ctx: Context) -> None:
        ctx.spawn(try_to_hold, ctx)
        await settle()

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", on_start=try_to_hold)) as hive:
            await hive.ref("a").ask(Do(help_out))

    simulate(story, seed)
    assert refused == ["a", "a"]


def test_a_helper_that_crashes_crashes_its_actor(seed: int) -> None:
    """The message in hand then is a bystander, and the error is the helper's own, without a group."""
    calls = 0

    async def spawn_a_bomb(ctx: Context) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            ctx.spawn(fail, ctx)
            await trio.sleep_forever()

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=1)) as hive:
            hive.ref("a").tell(Do(spawn_a_bomb))
            exited = await sim.facts.wait_for(ActorExited)
            assert isinstance(exited.exit, Crashed)
            assert isinstance(exited.exit.error, Oops)
            await settle()
            assert actor(hive, "a").mailbox.counts.done == 1

    simulate(story, seed)


def test_a_helper_can_be_cancelled_alone_and_ends_with_its_actor(seed: int) -> None:
    """Its scope is handed out; leaving cancels the rest."""
    ended: list[str] = []

    async def helper(name: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(name)

    async def act(ctx: Context) -> None:
        scope = ctx.spawn(helper, "one", name="the first")
        ctx.spawn(helper, "two")
        await settle()
        scope.cancel()

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            await hive.ref("a").ask(Do(act))
            await settle()
            assert ended == ["one"]
            await hive.root.ask(StopChild("a"))
            assert ended == ["one", "two"]

    simulate(story, seed)


def test_leaving_finishes_the_message_and_tells_whoever_asked(seed: int) -> None:
    """A message held in the same handling goes back, though: nobody has settled it."""

    async def leave(_: Context) -> None:
        raise Leave

    async def hold_and_leave(ctx: Context) -> None:
        ctx.hold()
        raise Leave

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", restart=Restart.TRANSIENT)) as hive:
            with pytest.raises(ActorStopped) as caught:
                await hive.ref("a").ask(Do(leave))
            assert caught.value.begun
            await settle()
            assert actor(hive, "a").mailbox.counts.done == 1

            await hive.root.ask(RestartChild("a"))
            hive.ref("a").tell(Do(hold_and_leave))
            await settle()
            assert actor(hive, "a").mailbox.depth == 1

    simulate(story, seed)


@frozen
class Late(Message):
    """A kind to wait with."""


def test_only_wanted_kinds_are_received_and_the_rest_keeps_its_order(seed: int) -> None:
    """Urgent mail of a wanted kind first; the unwanted wait, visibly, until they are wanted."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", log, select=frozenset({Note}))) as hive:
            a = hive.ref("a")
            a.tell(Late())
            a.tell(Note("1"))
            a.tell(Late(), urgent=True)
            a.tell(Note("2"))
            a.tell(Note("0"), urgent=True)
            await trio.sleep(3)
            waiting = actor(hive, "a").mailbox.waiting["Late"]
            assert (waiting.count, waiting.oldest) == (2, 3)

    simulate(story, seed)
    assert log == ["a up", "a got 0", "a got 1", "a got 2", "a down"]


def test_a_busy_actor_lets_others_run(seed: int) -> None:
    """It stops to breathe after a burst, though its handlers never wait."""
    handled_before: list[int] = []
    handled = 0

    async def count(_: Context) -> None:
        nonlocal handled
        handled += 1

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("busy"), probe("other")) as hive:

            async def note(_: Context) -> None:
                handled_before.append(handled)

            for _ in range(900):
                hive.ref("busy").tell(Do(count))
            await hive.ref("other").ask(Do(note))

    simulate(story, seed)
    assert handled_before[0] <= 128


@frozen
class Sighted(Fact):
    """Something an actor announces itself."""

    what: str


class Ask(Request[int]):
    """A kind nobody needs."""


def test_an_actor_knows_itself_its_clocks_and_its_chance(seed: int) -> None:
    """All of them injected."""

    async def look(ctx: Context) -> None:
        assert (ctx.name, ctx.incarnation, ctx.me) == ("a", 1, ctx.ref("a"))
        await trio.sleep(3)
        assert ctx.now() == trio.current_time() == 3
        ctx.publish(Sighted(f"{ctx.wall()} {ctx.random.random()}"))

    async def story(sim: Simulation) -> None:
        expected = None
        async with sim.hive(probe("a")) as hive:
            state = sim.random.getstate()
            await hive.ref("a").ask(Do(look))
            sim.random.setstate(state)
            expected = f"{sim.wall()} {sim.random.random()}"
            assert sim.facts.of(Sighted) == [Sighted(expected)]

    simulate(story, seed)


def test_every_handling_says_who_caused_it(seed: int) -> None:
    """So that a conversation can be drawn; what a helper sends is due to the message that spawned it."""

    async def pass_on(ctx: Context) -> None:
        ctx.ref("b").tell(Note("from the handler"))

        async def help_out() -> None:
            await trio.sleep(1)
            ctx.ref("b").tell(Note("from the helper"))

        ctx.spawn(help_out)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a"), probe("b")) as hive:
            hive.ref("a").tell(Do(pass_on))
            await settle()
            hive.ref("a").tell(Note("something else"))
            await trio.sleep(2)
            first, _ = sim.facts.of(HandlingEnded, name="a")
            assert (first.sender, first.cause) == (None, None)
            caused = sim.facts.of(HandlingEnded, name="b")
            assert [(fact.sender, fact.cause) for fact in caused] == [("a", first.id)] * 2

    simulate(story, seed)


def test_a_crash_with_a_cancellation_beside_it_is_a_crash(seed: int) -> None:
    """Cancelled and failed is failed."""

    async def fail_late(_: Context) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Oops

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=1)) as hive:
            hive.ref("a").tell(Do(fail_late))
            await settle()
            hive.kill("a")
            exited = await sim.facts.wait_for(ActorExited)
            assert isinstance(exited.exit, Crashed)
            assert isinstance(exited.exit.error, Oops)
            await sim.facts.wait_for(ActorStarted, name="a", incarnation=2)

    simulate(story, seed)


def test_an_answer_can_be_given_with_any_verdict(seed: int) -> None:
    """The asker gets the answer, whatever becomes of the message; a retried question is told, not retried."""

    async def bury(ctx: Context) -> None:
        ctx.settle(ctx.hold(), Bury(Oops()), outcome.Value("thanks"))

    async def bury_silently(ctx: Context) -> None:
        ctx.settle(ctx.hold(), Bury(Oops()))

    async def retry(ctx: Context) -> None:
        ctx.settle(ctx.hold(), Retry(Oops()))

    async def done(ctx: Context) -> None:
        ctx.settle(ctx.hold(), Done())

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            ask = hive.ref("a").ask
            assert await ask(Do(bury)) == "thanks"
            assert await ask(Do(done)) is None
            with pytest.raises(Oops):
                await ask(Do(bury_silently))
            with pytest.raises(ActorCrashed):
                await ask(Do(retry))
            assert actor(hive, "a").incarnation == 1
            assert actor(hive, "a").mailbox.depth == 0

    simulate(story, seed)
