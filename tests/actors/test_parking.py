"""Every reason not to wake: how it comes, that it stays, how it goes, and the mail that arrives meanwhile.

The same story for each: mail before, the reason, mail while it holds, the daemon killed, mail after that,
the way out.  While the reason holds no turn begins; once it is gone, all of that mail drives turns.
"""

from collections.abc import Awaitable, Callable, Mapping

import pytest
import trio
from attrs import frozen

from hive.agents.events import ErrorClass, Result
from hive.protocol.commands import Ack, CancelTurn, Kick, Lease, Park, Pause, Resume, Settings, StartAgent
from hive.protocol.limits import Limits
from hive.protocol.mail import State
from hive.protocol.parking import EXITS, Reason
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm

LIMITS = Limits(max_running_turns=1, interruptions=3, attempts=1)
PLAIN = Settings()


@frozen
class Way:
    """How a reason comes and goes."""

    enter: Callable[[Swarm], Awaitable[None]]
    leave: Callable[[Swarm], Awaitable[None]]
    settings: Settings = PLAIN
    driven: bool = True
    """Whether hive drives the mail afterwards, rather than a client of the agent's own."""


# --- the ways in -----------------------------------------------------------------------------------


async def pause(swarm: Swarm) -> None:
    """By the operator."""
    await swarm.perform(Pause("iris"))


def fail(error: ErrorClass, seconds: float | None = None) -> Callable[[Swarm], Awaitable[None]]:
    """By the next turn, which ends with this error."""

    async def enter(swarm: Swarm) -> None:
        until = None if seconds is None else swarm.stage.wall() + seconds
        swarm.trouble.failures["iris"] = [Result(error=error, detail="as the test wants", until=until)]
        await swarm.send("iris", "!say a turn to fail")
        await swarm.until(lambda: bool(reasons(swarm)))

    return enter


async def die_twice(swarm: Swarm) -> None:
    """By two dead letters in a row."""
    for _ in range(2):
        await fail(ErrorClass.MODEL)(swarm)
        await swarm.perform(Kick("iris"))
        await swarm.until(lambda: Reason.BACKOFF not in reasons(swarm))


async def crash_often(swarm: Swarm) -> None:
    """By a harness that crashes again and again."""
    with trio.move_on_after(60):
        while Reason.RESTARTS not in reasons(swarm):
            swarm.kill_loop("iris")
            await trio.sleep(0.5)


async def break_box(swarm: Swarm) -> None:
    """By a box that goes down and cannot be started."""
    await swarm.send("iris", "!say the box has to be up")
    await swarm.settle()
    swarm.boxes.broken.add("iris")
    swarm.kill_box("iris")
    await swarm.until(lambda: Reason.BOX_DOWN in reasons(swarm))


async def take_the_slot(swarm: Swarm) -> None:
    """By another agent that works."""
    await swarm.add("otto")
    swarm.boxes.broken.discard("otto")
    await swarm.send("otto", "!hang")
    await swarm.until(lambda: swarm.agent("otto").open_turn is not None)
    await swarm.send("iris", "!say in line")
    await swarm.until(lambda: Reason.SLOT in reasons(swarm))


async def stop(swarm: Swarm) -> None:
    """On purpose."""
    await swarm.perform(Park("iris", Reason.STOPPED))


async def interrupt_often(swarm: Swarm) -> None:
    """By turns that are interrupted again and again."""
    await swarm.send("iris", "!wait 3\n!say slowly")
    with trio.fail_after(100):
        while Reason.INTERRUPTED not in reasons(swarm):
            if swarm.agent("iris").open_turn is not None:
                swarm.kill_box("iris")
            await trio.sleep(0.5)


async def wait_for_client(swarm: Swarm) -> None:
    """By mail for an agent that a person drives."""
    await swarm.send("iris", "hello, person")
    await swarm.until(lambda: Reason.CLIENT in reasons(swarm))


# --- the ways out ----------------------------------------------------------------------------------


def resume(reason: Reason) -> Callable[[Swarm], Awaitable[None]]:
    """By the operator, who names it."""

    async def by_name(swarm: Swarm) -> None:
        await swarm.perform(Resume("iris", (reason,)))

    return by_name


async def start(swarm: Swarm) -> None:
    """By the operator, who stopped it."""
    await swarm.perform(StartAgent("iris"))


async def kick(swarm: Swarm) -> None:
    """By the operator, impatiently."""
    await swarm.perform(Kick("iris"))


async def wait(swarm: Swarm) -> None:
    """By itself."""
    await swarm.until(lambda: not reasons(swarm), 3_700)


async def repair_box(swarm: Swarm) -> None:
    """By hive, once that is possible."""
    swarm.boxes.broken.discard("iris")
    await wait(swarm)


async def free_the_slot(swarm: Swarm) -> None:
    """By the end of the other's turn."""
    await swarm.perform(CancelTurn("otto"))


async def fetch(swarm: Swarm) -> None:
    """By the client, which takes everything and says so."""
    for one in await swarm.perform(Lease("iris", "a client", limit=32)):
        await swarm.perform(Ack("iris", one.mail.id, one.claim))


WAYS: Mapping[str, tuple[Reason, Way]] = {
    "paused": (Reason.PAUSED, Way(pause, resume(Reason.PAUSED))),
    "backoff, waited for": (Reason.BACKOFF, Way(fail(ErrorClass.NETWORK), wait)),
    "backoff, kicked": (Reason.BACKOFF, Way(fail(ErrorClass.OVERLOADED), kick)),
    "login": (Reason.LOGIN, Way(fail(ErrorClass.AUTH), resume(Reason.LOGIN))),
    "limit": (Reason.LIMIT, Way(fail(ErrorClass.RATE_LIMIT, 600.0), wait)),
    "budget": (Reason.BUDGET, Way(fail(ErrorClass.BILLING), resume(Reason.BUDGET))),
    "restarts": (Reason.RESTARTS, Way(crash_often, resume(Reason.RESTARTS))),
    "failing": (Reason.FAILING, Way(die_twice, resume(Reason.FAILING))),
    "box down": (Reason.BOX_DOWN, Way(break_box, repair_box)),
    "stopped": (Reason.STOPPED, Way(stop, start)),
    "slot": (Reason.SLOT, Way(take_the_slot, free_the_slot)),
    "client": (Reason.CLIENT, Way(wait_for_client, fetch, Settings(backend="external"), driven=False)),
    "interrupted": (Reason.INTERRUPTED, Way(interrupt_often, resume(Reason.INTERRUPTED))),
    "unreachable": (Reason.UNREACHABLE, Way(fail(ErrorClass.TOOLS), wait)),
}


def test_no_reason_is_left_out() -> None:
    """A reason added to the protocol needs a story here."""
    assert {reason for reason, _ in WAYS.values()} == set(Reason)


@pytest.mark.parametrize("name", WAYS)
def test_a_reason_holds_until_its_way_out_and_no_mail_is_lost_to_it(name: str) -> None:
    """Entering, surviving the daemon, leaving, and mail at every step of it."""
    reason, way = WAYS[name]

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris", way.settings)
        sent = [await swarm.send("iris", "!say before")]
        if way.driven:
            await swarm.settle()
        await way.enter(swarm)
        assert reason in reasons(swarm)
        turns = len(swarm.store.reader.turns("iris"))

        sent.append(await swarm.send("iris", "!say while it holds"))
        await let_a_moment_pass(swarm, reason)
        await kill_the_daemon(swarm)
        sent.append(await swarm.send("iris", "!say after a restart"))
        await let_a_moment_pass(swarm, reason)
        assert len(swarm.store.reader.turns("iris")) == turns

        await way.leave(swarm)
        await swarm.settle(3_700)
        assert reason not in reasons(swarm)
        for one in sent:
            assert swarm.mail(one.id).state is State.DONE
            assert swarm.drove_a_turn(one.id) is way.driven

    run_swarm(story, 0, make=lambda stage, directory: Swarm(stage, directory, LIMITS))


async def let_a_moment_pass(swarm: Swarm, reason: Reason) -> None:
    """Long enough for anybody to look, and too short for what time lifts by itself."""
    await trio.sleep(1.0 if EXITS[reason].timed else 45.0)
    assert reason in reasons(swarm)


async def kill_the_daemon(swarm: Swarm) -> None:
    """And wait for the next one."""
    boots = swarm.boots
    swarm.restart_daemon()
    await swarm.until(lambda: swarm.boots > boots)


def reasons(swarm: Swarm) -> set[Reason]:
    """Why iris does not wake."""
    return {parked.reason for parked in swarm.agent("iris").parked}


# --- what the operator does ------------------------------------------------------------------------


@pytest.mark.seeds(5)
def test_a_pause_lets_the_running_turn_finish(seed: int) -> None:
    """And takes no more mail, neither into that turn nor into another."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        first = await swarm.send("iris", "!wait 5\n!say finished")
        await swarm.until(lambda: swarm.mail(first.id).state is State.CLAIMED)
        await swarm.perform(Pause("iris"))
        second = await swarm.send("iris", "!say later")
        await swarm.settle()
        assert swarm.mail(first.id).state is State.DONE
        assert swarm.mail(second.id).state is State.READY
        await swarm.perform(Resume("iris"))
        await swarm.settle()
        assert swarm.drove_a_turn(second.id)

    run_swarm(story, seed)


@pytest.mark.seeds(5)
def test_a_pause_now_interrupts_and_the_mail_is_tried_again_after_it(seed: int) -> None:
    """Uncharged, and not before somebody resumes."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", "!wait 50\n!say at last")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.CLAIMED)
        before = trio.current_time()
        await swarm.perform(Pause("iris", now=True))
        await swarm.settle()
        assert trio.current_time() - before < 6
        assert swarm.mail(sent.id).state is State.READY
        await swarm.perform(Resume("iris"))
        await swarm.settle()
        assert swarm.drove_a_turn(sent.id)
        assert swarm.mail(sent.id).attempts == 0

    run_swarm(story, seed)


@pytest.mark.seeds(5)
def test_a_kick_wakes_an_idle_agent_and_several_are_one(seed: int) -> None:
    """The note is a reason to wake by itself."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        await swarm.perform(Pause("iris"))
        for _ in range(3):
            await swarm.perform(Kick("iris"))
        await swarm.perform(Resume("iris"))
        await swarm.settle()
        turns = swarm.store.reader.turns("iris")
        assert [turn.outcome for turn in turns] == ["ok"]

    run_swarm(story, seed)


@pytest.mark.seeds(5)
def test_the_manager_gets_the_first_free_slot_and_then_the_oldest_mail(seed: int) -> None:
    """Whoever asked first."""

    async def story(swarm: Swarm) -> None:
        for name in ("busy", "ada", "bob", "cleo"):
            await swarm.add(name)
        await swarm.add("boss", Settings(role="manager"))
        await swarm.send("busy", "!wait 20")
        await swarm.until(lambda: swarm.agent("busy").open_turn is not None)
        for name in ("cleo", "ada", "boss", "bob"):
            await swarm.send(name, "!wait 5")
            await trio.sleep(1)
        await swarm.settle()
        order = [turn.agent for turn in reversed(swarm.store.reader.turns())]
        assert order == ["busy", "boss", "cleo", "ada", "bob"]

    run_swarm(story, seed, make=lambda stage, directory: Swarm(stage, directory, LIMITS))
