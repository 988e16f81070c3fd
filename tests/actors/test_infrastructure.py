"""Broker, writer and steward: what their neighbours may rely on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

import pytest
import trio
from attrs import evolve

from hive.actors import Actor, ActorCrashed, ActorStopped, Context, Ref, steward
from hive.actors.protocol import BROKER, Perform
from hive.actors.steward import Change, compare
from hive.protocol.commands import AddAgent, Once, RemoveAgent, Resume, Send, Settings
from hive.protocol.errors import Conflict, NotFound
from hive.protocol.mail import Provenance, State
from hive.protocol.parking import Parked, Reason
from hive.protocol.views import AgentView
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm
from hive.testing.trouble import AtStep

T = TypeVar("T")

seeds = pytest.mark.seeds(10)


# --- the broker ------------------------------------------------------------------------------------


@seeds
def test_a_refusal_is_an_answer_and_costs_nobody_else_anything(seed: int) -> None:
    """The asker gets the store's own error; the broker goes on."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        broker = (await swarm.daemon()).hive.ref(BROKER)
        outcomes: list[str] = []

        async def ask(to: str) -> None:
            try:
                await broker.ask(Perform(Send("operator", to, "hello", Provenance.OPERATOR)))
            except NotFound as refusal:
                outcomes.append(refusal.code)
            else:
                outcomes.append("accepted")

        async with trio.open_nursery() as nursery:
            for to in ("iris", "nobody", "iris", "nemo"):
                nursery.start_soon(ask, to)
        assert sorted(outcomes) == ["accepted", "accepted", "not_found", "not_found"]
        assert swarm.incarnation(BROKER) == 1

    run_swarm(story, seed)


@seeds
def test_a_broker_that_dies_tells_everybody_who_waits_and_repeating_is_safe(seed: int) -> None:
    """Under a key the same answer comes again, and there is one message."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        broker = (await swarm.daemon()).hive.ref(BROKER)
        send = Send("operator", "iris", "!say once", Provenance.OPERATOR)
        perform = Perform(send, Once("test", "the key", "the digest"))
        told: list[str] = []

        async def ask() -> None:
            try:
                await broker.ask(perform)
                told.append("answered")
            except (ActorStopped, ActorCrashed):
                told.append("told")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(swarm.stage.random.random() * 0.01)
            swarm.kill_broker()
        answer = await ask_until_answered(broker, perform)
        await swarm.settle()
        assert len(told) == 1
        assert swarm.store.reader.counts().accepted - len(restart_notes(swarm)) == 1
        assert swarm.mail(answer.accepted[0].id).state is State.DONE
        with pytest.raises(Conflict):
            await broker.ask(Perform(send, Once("test", "the key", "another digest")))

    run_swarm(story, seed)


async def ask_until_answered(broker: Ref, perform: Perform[T]) -> T:
    """Repeat a keyed question until the broker is back."""
    with trio.fail_after(60):
        while True:
            with suppress(ActorStopped, ActorCrashed):
                return await broker.ask(perform)
            await trio.sleep(0.1)


def restart_notes(swarm: Swarm) -> list[str]:
    """What hive itself wrote to iris."""
    return [mail.id for mail in swarm.store.reader.mailbox("iris").mail if mail.sender == "system"]


@seeds
def test_answers_come_in_the_order_of_the_questions(seed: int) -> None:
    """What is sent first has the lower number."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        broker = (await swarm.daemon()).hive.ref(BROKER)
        numbers: dict[int, int] = {}

        async def ask(n: int) -> None:
            answer = await broker.ask(Perform(Send("operator", "iris", f"!say {n}", Provenance.OPERATOR)))
            numbers[n] = answer.accepted[0].number

        async with trio.open_nursery() as nursery:
            for n in range(50):
                nursery.start_soon(partial(ask, n))
                await trio.lowlevel.checkpoint()
        assert sorted(numbers, key=lambda n: numbers[n]) == sorted(numbers)

    run_swarm(story, seed)


# --- the writer ------------------------------------------------------------------------------------


@seeds
def test_nobody_who_waits_for_a_commit_notices_that_the_writer_died(seed: int) -> None:
    """The queue is the store's; the next incarnation goes on with it."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent: list[str] = []

        async def send(n: int) -> None:
            ticket = swarm.store.submit(Send("operator", "iris", f"!say {n}", Provenance.OPERATOR))
            answer = await ticket.outcome()
            sent.append(answer.accepted[0].id)

        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(send, n)
                await trio.sleep(0.01)
                if n % 8 == 0:
                    swarm.kill_writer()
        await swarm.settle()
        assert len(sent) == len(set(sent)) == 20
        assert all(swarm.drove_a_turn(one) for one in sent)

    run_swarm(story, seed)


# --- the steward -----------------------------------------------------------------------------------

IRIS = AgentView("iris", Settings(), added_at=0.0)


@pytest.mark.parametrize(
    ("agents", "change"),
    [
        ((), Change(drop=(), start=(), give_up=())),
        ((IRIS,), Change(drop=(), start=("iris",), give_up=())),
        ((evolve(IRIS, removed_at=1.0),), Change(drop=(), start=(), give_up=())),
        ((evolve(IRIS, parked=(Parked(Reason.RESTARTS, 0.0),)),), Change(drop=(), start=(), give_up=())),
        ((evolve(IRIS, parked=(Parked(Reason.PAUSED, 0.0),)),), Change(drop=(), start=("iris",), give_up=())),
    ],
)
def test_a_harness_is_missing_where_an_agent_is_and_nothing_speaks_against_it(
    agents: tuple[AgentView, ...], change: Change
) -> None:
    """A paused agent has a harness; one whose harness was given up has none until somebody resumes it."""
    assert compare(agents, ()) == change


@seeds
def test_agents_come_and_go_while_the_steward_is_dead_and_it_evens_that_out(seed: int) -> None:
    """Commits are all there is to adding and removing."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        swarm.kill_steward()
        await swarm.perform(AddAgent("otto", Settings(driver="fake")))
        await swarm.perform(RemoveAgent("iris"))
        swarm.kill_steward()
        sent = await swarm.send("otto", "!say here")
        await swarm.settle()
        assert swarm.drove_a_turn(sent.id)
        await swarm.until(lambda: swarm.harnesses == ("agent:otto",), 40)

    run_swarm(story, seed)


def test_a_harness_that_is_killed_while_it_starts_is_started_again() -> None:
    """Wherever in its start the blow falls, no person has to look, and its mail drives a turn."""
    for step in range(1, 60):
        instrument = AtStep(step)

        async def story(swarm: Swarm, instrument: AtStep = instrument) -> None:
            instrument.arm(partial(swarm.kill_loop, "iris"))
            await swarm.add("iris")
            sent = await swarm.send("iris", "!say hello")
            await swarm.settle()
            assert swarm.drove_a_turn(sent.id)
            assert [row for row in swarm.journal if row.subject == Reason.RESTARTS] == []

        run_swarm(story, 0, instruments=[instrument])


def test_a_harness_that_can_never_start_is_given_up_and_a_person_can_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five times in a row, and then it is a park reason that says why."""

    class Stillborn(Actor):
        @asynccontextmanager
        async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
            await trio.lowlevel.checkpoint()
            if ctx.name:
                raise ZeroDivisionError(f"{ctx.name} cannot")
            yield

    async def story(swarm: Swarm) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(steward, "Harness", lambda _agent, _parts: Stillborn())
            began = trio.current_time()
            await swarm.add("iris")
            await swarm.until(lambda: bool(swarm.agent("iris").parked))
            assert trio.current_time() - began > 3
            assert "ZeroDivisionError" in swarm.agent("iris").parked[0].detail
        sent = await swarm.send("iris", "!say hello")
        await swarm.perform(Resume("iris", (Reason.RESTARTS,)))
        await swarm.settle()
        assert swarm.drove_a_turn(sent.id)

    run_swarm(story, 0)
