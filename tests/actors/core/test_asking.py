"""Telling, sending, asking, watching: what senders may rely on, each under many seeds."""

from __future__ import annotations

import pytest
import trio
from outcome import Value

from hive.actors import (
    ActorCrashed,
    ActorSnapshot,
    ActorStopped,
    Burial,
    ChildSpec,
    Context,
    DeadLetter,
    Done,
    Down,
    DropChild,
    Full,
    Grace,
    Held,
    Hive,
    Kinship,
    Leave,
    Mailbox,
    NoSuchActor,
    NotHeld,
    Overflow,
    Ref,
    Restart,
    RestartChild,
    StartChild,
    StartFailed,
    StopChild,
    Supervisor,
    WouldDeadlock,
)
from hive.actors._core.messages import Reply
from hive.testing import Do, Note, Simulation, probe, simulate


class Oops(Exception):
    """A failure on purpose."""


async def settle() -> None:
    """Let everything happen that can happen now."""
    await trio.testing.wait_all_tasks_blocked()


async def fail(_: Context) -> None:
    """Crash."""
    raise Oops


async def hang(_: Context) -> None:
    """Never end."""
    await trio.sleep_forever()


async def nothing(_: Context) -> None:
    """Do nothing."""


def counts(hive: Hive, name: str) -> tuple[int, int, int, int, int]:
    """What an actor's mailbox has accepted, seen done, buried, refused and dropped."""
    found = hive.snapshot().find(name)
    assert isinstance(found, ActorSnapshot)
    seen = found.mailbox.counts
    return seen.accepted, seen.done, seen.buried, seen.refused, seen.dropped


def depth(hive: Hive, name: str) -> int:
    """How much waits for an actor."""
    found = hive.snapshot().find(name)
    assert isinstance(found, ActorSnapshot)
    return found.mailbox.depth


def test_a_crash_is_told_to_whoever_asked_at_once_and_with_its_cause(seed: int) -> None:
    """And the question is not asked again behind their back."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            with pytest.raises(ActorCrashed) as caught:
                await hive.ref("a").ask(Do(fail))
            assert isinstance(caught.value.__cause__, Oops)
            assert trio.current_time() == 0
            await settle()
            assert depth(hive, "a") == 0
            assert not sim.facts.of(DeadLetter)

    simulate(story, seed)


@pytest.mark.parametrize("begun", [True, False])
def test_a_stop_is_told_to_whoever_asked(seed: int, begun: bool) -> None:
    """And whether the actor had begun, which decides whether asking again is safe."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", grace=Grace(shutdown=1))) as hive, trio.open_nursery() as nursery:
            if not begun:
                hive.ref("a").tell(Do(hang))

            async def ask() -> None:
                with pytest.raises(ActorStopped) as caught:
                    await hive.ref("a").ask(Do(hang))
                assert caught.value.begun is begun

            nursery.start_soon(ask)
            await settle()
            await hive.root.ask(StopChild("a"))
            with trio.fail_after(1):
                await settle()

    simulate(story, seed)


def test_a_question_asked_while_the_actor_restarts_is_answered_by_the_next_incarnation(seed: int) -> None:
    """It had not been begun, so nothing is lost."""

    async def name(ctx: Context) -> int:
        return ctx.incarnation

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=1)) as hive:
            hive.ref("a").tell(Do(fail))
            assert await hive.ref("a").ask(Do(name)) == 2

    simulate(story, seed)


def test_nobody_of_that_name_is_an_error_at_once(seed: int) -> None:
    """For each way of talking, and the message is a dead letter."""

    async def story(sim: Simulation) -> None:
        async with sim.hive() as hive:
            ref = hive.ref("nobody")
            with pytest.raises(NoSuchActor, match="nobody"):
                ref.tell(Note("1"))
            with pytest.raises(NoSuchActor):
                await ref.send(Note("2"))
            with pytest.raises(NoSuchActor):
                await ref.ask(Do(nothing))
            assert [letter.reason for letter in sim.facts.of(DeadLetter)] == [Burial.NO_SUCH_ACTOR] * 3

    simulate(story, seed)


def test_a_question_nobody_waits_for_any_more_is_withdrawn(seed: int) -> None:
    """If it has not been begun: timeouts do not become a queue of work for nobody."""

    async def sleep(_: Context) -> None:
        await trio.sleep(10)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            hive.ref("a").tell(Do(sleep))
            await settle()
            with trio.move_on_after(1):
                await hive.ref("a").ask(Do(fail))
            assert depth(hive, "a") == 0
            await trio.sleep(20)
            assert counts(hive, "a") == (2, 1, 0, 0, 0)

    simulate(story, seed)


def test_a_late_answer_is_dropped(seed: int) -> None:
    """The handling is finished all the same, and surprises nobody."""

    async def sleep(_: Context) -> str:
        await trio.sleep(10)
        return "late"

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            with trio.move_on_after(1) as scope:
                await hive.ref("a").ask(Do(sleep))
            assert scope.cancelled_caught
            await trio.sleep(20)
            assert counts(hive, "a") == (1, 1, 0, 0, 0)

    simulate(story, seed)


def asks(name: str) -> Do:
    """Ask that actor, from within a handling, to do nothing."""

    async def ask(ctx: Context) -> object:
        return await ctx.ref(name).ask(Do(nothing))

    return Do(ask)


def test_a_ring_of_questions_is_refused_where_it_would_close(seed: int) -> None:
    """Whoever would close it gets the ring's names; the others get what follows from that."""

    async def ask_b_to_ask_c_to_ask_a(ctx: Context) -> object:
        async def in_b(ctx_b: Context) -> object:
            return await ctx_b.ref("c").ask(asks("a"))

        return await ctx.ref("b").ask(Do(in_b))

    async def story(sim: Simulation) -> None:
        async with sim.hive(*(probe(name) for name in "abc")) as hive:
            with pytest.raises(ActorCrashed) as caught, trio.fail_after(1):
                await hive.ref("a").ask(Do(ask_b_to_ask_c_to_ask_a))
            error: BaseException | None = caught.value
            while isinstance(error, ActorCrashed):
                error = error.__cause__
            assert isinstance(error, WouldDeadlock)
            assert error.ring == ("c", "a", "b", "c")

    simulate(story, seed)


def test_asking_oneself_is_refused_in_a_handling_and_allowed_in_a_helper(seed: int) -> None:
    """A helper blocks nobody by waiting."""
    answers: list[object] = []

    async def ask_by_helper(ctx: Context) -> None:
        async def help_out() -> None:
            answers.append(await ctx.me.ask(Do(nothing)))

        ctx.spawn(help_out)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            with pytest.raises(ActorCrashed) as caught:
                await hive.ref("a").ask(asks("a"))
            assert isinstance(caught.value.__cause__, WouldDeadlock)
            hive.ref("a").tell(Do(ask_by_helper))
            await settle()

    simulate(story, seed)
    assert answers == [None]


def test_tasks_of_a_handlers_own_nursery_block_as_the_handler_does(seed: int) -> None:
    """The handler waits for them, so a ring through them is a ring."""

    async def nested(ctx: Context) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            nursery.start_soon(ctx.me.ask, Do(nothing))

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            with pytest.raises(ActorCrashed) as caught, trio.fail_after(1):
                await hive.ref("a").ask(Do(nested))
            assert isinstance(caught.value.__cause__, WouldDeadlock)

    simulate(story, seed)


def test_asking_ones_supervisor_while_it_starts_us_is_refused(seed: int) -> None:
    """It waits for us to be ready. An instant, named error instead of a startup timeout."""

    async def ask_for_a_sibling(ctx: Context) -> None:
        await ctx.ref("root").ask(StartChild(probe("b")))

    async def story(sim: Simulation) -> None:
        async with sim.hive() as hive:
            with pytest.raises(StartFailed) as caught, trio.fail_after(1):
                await hive.root.ask(StartChild(probe("a", on_start=ask_for_a_sibling)))
            assert isinstance(caught.value.__cause__, WouldDeadlock)
            assert caught.value.__cause__.ring == ("a", "root", "a")

    simulate(story, seed)


def test_asking_to_be_stopped_is_refused_and_telling_is_not(seed: int) -> None:
    """Whoever asked would wait for an answer that comes after its own end."""

    async def ask_to_stop(ctx: Context) -> None:
        await ctx.ref("root").ask(StopChild(ctx.name))

    async def tell_to_stop(ctx: Context) -> None:
        ctx.ref("root").tell(StopChild(ctx.name))

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            with pytest.raises(ActorCrashed) as caught, trio.fail_after(1):
                await hive.ref("a").ask(Do(ask_to_stop))
            assert isinstance(caught.value.__cause__, WouldDeadlock)
            await hive.ref("a").ask(Do(tell_to_stop))
            await settle()
            with pytest.raises(ActorStopped):
                await hive.ref("a").ask(Do(nothing))

    simulate(story, seed)


def test_a_child_that_waits_for_its_supervisor_does_not_hold_up_its_own_stop(seed: int) -> None:
    """What it has asked is answered first: there will be no answer. Its grace need not run out."""

    async def ask_slowly(ctx: Context) -> None:
        with pytest.raises(ActorStopped):
            await ctx.ref("root").ask(RestartChild("slow"))

    async def slow_start(ctx: Context) -> None:
        if ctx.incarnation > 1:
            await trio.sleep(5)

    async def story(sim: Simulation) -> None:
        specs = probe("slow", on_start=slow_start), probe("a", grace=Grace(shutdown=100))
        async with sim.hive(*specs) as hive:
            hive.root.tell(RestartChild("slow"))
            await settle()
            hive.ref("a").tell(Do(ask_slowly))
            await settle()
            hive.stop()
            await hive.stopped()
            assert trio.current_time() == 5
            assert not sim.facts.of(DeadLetter, to="a")

    simulate(story, seed)


def full_box(overflow: Overflow) -> Mailbox:
    """Room for two."""
    return Mailbox(2, overflow)


@pytest.mark.parametrize("overflow", list(Overflow))
def test_a_full_mailbox_does_as_its_spec_says(seed: int, overflow: Overflow) -> None:
    """Block, refuse, or drop the oldest; each is counted and shown."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", log, mailbox=lambda: full_box(overflow))) as hive:
            a = hive.ref("a")
            a.tell(Do(sleep_three))
            await settle()
            a.tell(Note("1"))
            a.tell(Note("2"))
            match overflow:
                case Overflow.BLOCK:
                    with pytest.raises(Full):
                        a.tell(Note("3"))
                    await a.send(Note("4"))
                    assert trio.current_time() == 3
                case Overflow.REFUSE:
                    with pytest.raises(Full):
                        a.tell(Note("3"))
                    with pytest.raises(Full):
                        await a.send(Note("4"))
                    with pytest.raises(Full):
                        await a.ask(Do(nothing))
                case Overflow.DROP_OLDEST:
                    a.tell(Note("3"))
            await trio.sleep(5)
            _, _, _, refused, dropped = counts(hive, "a")
            assert (refused, dropped) == {"B": (1, 0), "R": (3, 0), "D": (0, 1)}[overflow.name[0]]
            reasons = {letter.reason for letter in sim.facts.of(DeadLetter)}
            assert reasons == {Burial.DROPPED if overflow is Overflow.DROP_OLDEST else Burial.REFUSED}

    simulate(story, seed)

    got = {"B": ["1", "2", "4"], "R": ["1", "2"], "D": ["2", "3"]}[overflow.name[0]]
    assert log == ["a up", *(f"a got {text}" for text in got), "a down"]


async def sleep_three(_: Context) -> None:
    """Three seconds."""
    await trio.sleep(3)


def test_a_dropped_question_is_told_to_whoever_asked(seed: int) -> None:
    """It made room for a newer message."""

    async def story(sim: Simulation) -> None:
        spec = probe("a", mailbox=lambda: full_box(Overflow.DROP_OLDEST))
        async with sim.hive(spec) as hive, trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(Full):
                    await hive.ref("a").ask(Do(nothing))

            hive.ref("a").tell(Do(sleep_three))
            await settle()
            nursery.start_soon(ask)
            await settle()
            hive.ref("a").tell(Note("1"))
            hive.ref("a").tell(Note("2"))

    simulate(story, seed)


def test_urgent_mail_overtakes_a_full_mailbox_in_its_own_order(seed: int) -> None:
    """It is never refused, and neither is a question asked urgently."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", log, mailbox=lambda: full_box(Overflow.BLOCK))) as hive:
            a = hive.ref("a")
            a.tell(Do(sleep_three))
            await settle()
            for text in ("1", "2"):
                a.tell(Note(text))
            a.tell(Note("u1"), urgent=True)
            await a.send(Note("u2"), urgent=True)
            await a.ask(Do(nothing), urgent=True)

    simulate(story, seed)

    assert log[1:3] == ["a got u1", "a got u2"]


def test_mail_of_one_sender_arrives_in_order_though_it_had_to_wait_for_room(seed: int) -> None:
    """First in, first out for each sender, and nothing is lost."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", log, mailbox=lambda: full_box(Overflow.BLOCK))) as hive:

            async def send(sender: str) -> None:
                for n in range(20):
                    await hive.ref("a").send(Note(f"{sender}{n}"))

            async with trio.open_nursery() as nursery:
                for sender in "xyz":
                    nursery.start_soon(send, sender)
            await settle()

    simulate(story, seed)

    for sender in "xyz":
        assert [e for e in log if f"got {sender}" in e] == [f"a got {sender}{n}" for n in range(20)]


def test_a_cancelled_send_has_sent_nothing(seed: int) -> None:
    """Whether it was cancelled before or while it waited for room."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", mailbox=lambda: full_box(Overflow.BLOCK))) as hive:
            a = hive.ref("a")
            with trio.CancelScope() as scope:
                scope.cancel()
                await a.send(Note("never"))
            assert counts(hive, "a")[0] == 0
            a.tell(Do(sleep_three))
            await settle()
            a.tell(Note("1"))
            a.tell(Note("2"))
            with trio.move_on_after(1):
                await a.send(Note("never"))
            await trio.sleep(5)
            assert counts(hive, "a") == (3, 3, 0, 0, 0)

    simulate(story, seed)


def test_room_made_by_a_withdrawn_question_is_given_to_a_waiting_sender(seed: int) -> None:
    """It need not wait for the next handling."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", mailbox=lambda: full_box(Overflow.BLOCK))) as hive:
            a = hive.ref("a")
            a.tell(Do(hang))
            await settle()
            a.tell(Note("1"))
            async with trio.open_nursery() as nursery:

                async def give_up() -> None:
                    with trio.move_on_after(2):
                        await a.ask(Do(nothing))

                nursery.start_soon(give_up)
                await settle()
                await a.send(Note("2"))
                assert trio.current_time() == 2
            hive.kill("a")

    simulate(story, seed)


def test_whoever_waits_for_room_hears_when_the_actor_is_dropped(seed: int) -> None:
    """Instead of waiting for ever."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", mailbox=lambda: full_box(Overflow.BLOCK))) as hive:
            await hive.root.ask(StopChild("a"))
            hive.ref("a").tell(Note("1"))
            hive.ref("a").tell(Note("2"))
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    with pytest.raises(NoSuchActor):
                        await hive.ref("a").send(Note("3"))

                nursery.start_soon(send)
                await settle()
                await hive.root.ask(DropChild("a"))

    simulate(story, seed)


def test_a_question_waits_for_room_like_everything_else(seed: int) -> None:
    """And is answered in its turn; or hears that the actor has gone meanwhile."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", mailbox=lambda: full_box(Overflow.BLOCK))) as hive:
            hive.ref("a").tell(Do(sleep_three))
            await settle()
            hive.ref("a").tell(Note("1"))
            hive.ref("a").tell(Note("2"))
            await hive.ref("a").ask(Do(nothing))
            assert trio.current_time() == 3

            hive.ref("a").tell(Do(hang))
            await settle()
            hive.ref("a").tell(Note("1"))
            hive.ref("a").tell(Note("2"))
            async with trio.open_nursery() as nursery:

                async def ask() -> None:
                    with pytest.raises(NoSuchActor):
                        await hive.ref("a").ask(Do(nothing))

                nursery.start_soon(ask)
                await settle()
                await hive.root.ask(DropChild("a"))

    simulate(story, seed)


def test_an_asker_that_waits_for_room_hears_when_nobody_is_in_any_more(seed: int) -> None:
    """A sender waits on: its message may still be handled when the actor is started again."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        spec = probe("a", log, mailbox=lambda: full_box(Overflow.BLOCK), grace=Grace(shutdown=1))
        async with sim.hive(spec) as hive, trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(ActorStopped) as caught:
                    await hive.ref("a").ask(Do(nothing))
                assert not caught.value.begun
                assert trio.current_time() == 3

            hive.ref("a").tell(Do(sleep_three))
            await settle()
            hive.ref("a").tell(Note("1"))
            hive.ref("a").tell(Note("2"))
            nursery.start_soon(ask)
            nursery.start_soon(hive.ref("a").send, Note("3"))
            await trio.sleep(2)
            await hive.root.ask(StopChild("a"))
            await settle()
            await hive.root.ask(RestartChild("a"))
            await trio.sleep(10)

    simulate(story, seed)

    assert [entry for entry in log if "got" in entry] == ["a got 1", "a got 2", "a got 3"]


def test_waiting_for_room_counts_as_waiting(seed: int) -> None:
    """Two actors that fill each other's mailboxes would wait for ever; the second is refused."""

    async def flood(ctx: Context, other: str) -> None:
        for n in range(10):
            await ctx.ref(other).send(Note(str(n)))

    async def story(sim: Simulation) -> None:
        specs = (probe(name, mailbox=lambda: full_box(Overflow.BLOCK), attempts=1) for name in "ab")
        async with sim.hive(*specs) as hive:

            async def flood_b(ctx: Context) -> None:
                await flood(ctx, "b")

            async def flood_a(ctx: Context) -> None:
                await flood(ctx, "a")

            hive.ref("a").tell(Do(flood_b))
            hive.ref("b").tell(Do(flood_a))
            with trio.fail_after(1):
                letter = await sim.facts.wait_for(DeadLetter, reason=Burial.POISON)
            assert letter.error.startswith("WouldDeadlock")

    simulate(story, seed)


def test_a_watcher_is_told_of_a_final_stop_and_not_of_a_restart(seed: int) -> None:
    """Once, with the reason; at once if there is nobody; not any more when it has restarted itself."""
    log: list[str] = []

    async def watch(ctx: Context) -> None:
        for name in ("a", "a", "nobody"):
            ctx.watch(name)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a"), probe("w", log)) as hive:
            await hive.ref("w").ask(Do(watch))
            hive.kill("a")
            await settle()
            await hive.root.ask(StopChild("a"))
            await settle()
            assert log == [
                "w up",
                f"w got {Down('nobody', 'no such actor')!r}",
                f"w got {Down('a', 'stopped')!r}",
            ]

            await hive.ref("w").ask(Do(watch))
            await settle()
            assert len(log) == 6

            await hive.root.ask(RestartChild("a"))
            await hive.ref("w").ask(Do(watch))
            hive.kill("w")
            await settle()
            log.clear()
            await hive.root.ask(DropChild("a"))
            await settle()
            assert log == []

    simulate(story, seed)


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
def test_a_watcher_is_told_when_somebody_leaves(seed: int, restart: Restart) -> None:
    """Leaving for good is a final stop, for those that are kept and those that are not."""
    log: list[str] = []

    async def watch(ctx: Context) -> None:
        ctx.watch("a")

    async def leave(_: Context) -> None:
        raise Leave

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("w", log), probe("a", restart=restart)) as hive:
            await hive.ref("w").ask(Do(watch))
            hive.ref("a").tell(Do(leave))
            await settle()

    simulate(story, seed)

    assert log == ["w up", f"w got {Down('a', 'left')!r}", "w down"]


def test_whoever_watches_a_pool_member_hears_when_the_pool_is_gone(seed: int) -> None:
    """Its supervisor took it along."""
    log: list[str] = []

    async def watch(ctx: Context) -> None:
        ctx.watch("s")

    async def story(sim: Simulation) -> None:
        pool = ChildSpec("pool", lambda: Supervisor([probe("s")], kinship=Kinship.STRANGERS))
        async with sim.hive(probe("w", log), pool) as hive:
            await hive.ref("w").ask(Do(watch))
            await hive.root.ask(StopChild("pool"))
            await settle()

    simulate(story, seed)

    assert log[1] == f"w got {Down('s', 'its supervisor stopped')!r}"


def test_a_watcher_that_is_dropped_itself_is_forgotten(seed: int) -> None:
    """Nothing is sent to it, and nobody is confused."""

    async def watch(ctx: Context) -> None:
        ctx.watch("a")
        ctx.ref("root").tell(DropChild("w"))
        ctx.ref("root").tell(DropChild("a"))

    async def watch_late(ctx: Context) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(30)
        ctx.watch("nobody")

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a"), probe("w"), probe("late", grace=Grace(shutdown=1))) as hive:
            hive.ref("w").tell(Do(watch))
            hive.ref("late").tell(Do(watch_late))
            await settle()
            assert hive.names == ("root", "late")
            hive.stop()
            await hive.stopped()
            assert not sim.facts.of(DeadLetter)

    simulate(story, seed)


def test_an_answer_that_comes_after_another_is_dropped() -> None:
    """The first one counts, and settling the message itself is refused the second time."""

    async def answer_twice(ctx: Context) -> None:
        held = ctx.hold()
        ctx.answer(held, "first")
        with pytest.raises(NotHeld):
            ctx.answer(held, "second")

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            assert await hive.ref("a").ask(Do(answer_twice)) == "first"

    simulate(story, 0)


def test_of_two_answers_the_first_one_wins(seed: int) -> None:
    """Even if both come before the asker has run again."""

    async def story(_: Simulation) -> None:
        reply = Reply()
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                reply.asker = trio.lowlevel.current_task()
                answer = await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
                assert answer == "first"

            nursery.start_soon(wait)
            await settle()
            reply.resolve(Value("first"))
            reply.resolve(Value("second"))

    simulate(story, seed)


def test_one_answer_may_be_given_to_several_askers(seed: int) -> None:
    """Each gets it, although an outcome unwraps only once."""
    held: list[Held] = []
    answers: list[object] = []

    async def hold(ctx: Context) -> None:
        held.append(ctx.hold())

    async def answer(ctx: Context) -> None:
        answer = Value("same")
        for one in held:
            ctx.settle(one, Done(), answer)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive, trio.open_nursery() as nursery:

            async def ask() -> None:
                answers.append(await hive.ref("a").ask(Do(hold)))

            nursery.start_soon(ask)
            nursery.start_soon(ask)
            await settle()
            hive.ref("a").tell(Do(answer))

    simulate(story, seed)

    assert answers == ["same", "same"]


def test_refs_are_equal_by_name_and_can_travel() -> None:
    """They are names."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            assert hive.ref("a") == hive.ref("a") != hive.ref("b")
            assert len({hive.ref("a"), hive.ref("a")}) == 1
            assert repr(hive.ref("a")) == "Ref(name='a')"
            assert isinstance(hive.root, Ref)

    simulate(story, 0)
