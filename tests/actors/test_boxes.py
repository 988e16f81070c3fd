"""Boxes that come up, go down and are replaced, as the store and the agent hear of it."""

from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
import trio

from hive.actors.boxes import LONGEST_DELAY_SECONDS
from hive.containers.fake import FakeDriver
from hive.containers.port import BoxStatus
from hive.protocol.commands import AddAgent, RemoveAgent, Settings, StartAgent, StopAgent
from hive.protocol.mail import Kind, Mail, State
from hive.protocol.parking import Reason
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm

seeds = pytest.mark.seeds(5)


async def work_once(swarm: Swarm) -> None:
    """An agent whose box is up and who has nothing to do."""
    await swarm.add("iris")
    await swarm.send("iris", "!say hello")
    await swarm.settle()


async def no_answer() -> None:
    """What a driver may do instead of answering."""
    raise OSError("there is nobody to ask")


@seeds
def test_the_first_start_of_a_box_is_no_reason_to_wake(seed: int) -> None:
    """A note there may be, but it only rides with the mail that was the reason."""

    async def story(swarm: Swarm) -> None:
        await work_once(swarm)
        assert swarm.agent("iris").epoch == 1
        assert [turn.number for turn in swarm.store.reader.turns("iris")] == [1]
        assert not [mail for mail in notes(swarm) if mail.wakes]

    run_swarm(story, seed)


@seeds
def test_a_box_that_dies_while_its_agent_is_idle_is_started_again_and_the_agent_told(seed: int) -> None:
    """The note alone is a wake."""

    async def story(swarm: Swarm) -> None:
        await work_once(swarm)
        swarm.kill_box("iris")
        await swarm.until(lambda: swarm.agent("iris").epoch == 2, 35)
        await swarm.settle()
        note = notes(swarm)[0]
        assert note.wakes
        assert "killed by a test" in note.body
        assert swarm.drove_a_turn(note.id)
        assert [row.type for row in swarm.journal if row.type.startswith("box.")] == [
            *("box.started", "box.down", "box.started")
        ]

    run_swarm(story, seed)


@seeds
@pytest.mark.parametrize("fails", [trio.sleep_forever, no_answer])
def test_a_death_nobody_tells_of_is_seen_though_another_box_does_not_answer(
    seed: int, monkeypatch: pytest.MonkeyPatch, fails: Callable[[], Awaitable[None]]
) -> None:
    """The look every half minute waits for none of them."""
    look, silent = FakeDriver.status, set[str]()

    async def status(driver: FakeDriver, agent: str) -> BoxStatus:
        if agent in silent:
            await fails()
        return await look(driver, agent)

    monkeypatch.setattr(FakeDriver, "status", status)

    async def story(swarm: Swarm) -> None:
        await swarm.add("anna")
        await swarm.send("anna", "!say hello")
        await work_once(swarm)
        silent.add("anna")
        monkeypatch.setattr(FakeDriver, "_ring", lambda *_: None)
        swarm.kill_box("iris")
        await swarm.until(lambda: swarm.agent("iris").epoch == 2, 35)
        silent.clear()

    run_swarm(story, seed)


@seeds
def test_what_is_heard_while_a_box_is_looked_at_is_not_forgotten(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look had read the store before; without another one it would be half a minute till the next."""
    look, slow = FakeDriver.status, set[str]()

    async def status(driver: FakeDriver, agent: str) -> BoxStatus:
        if agent in slow:
            await trio.sleep(2)
        return await look(driver, agent)

    monkeypatch.setattr(FakeDriver, "status", status)

    async def story(swarm: Swarm) -> None:
        await work_once(swarm)
        slow.add("iris")
        swarm.boxes._ring("iris")
        await trio.sleep(1)
        await swarm.perform(StopAgent("iris"))
        await swarm.until(lambda: "iris" not in swarm.boxes.running, 10)

    run_swarm(story, seed)


@seeds
def test_a_box_that_dies_again_and_again_is_started_less_and_less_often(seed: int) -> None:
    """At once after the first death, then after delays that double; after a steady time at once again."""

    async def story(swarm: Swarm) -> None:
        await work_once(swarm)
        starts = [trio.current_time()]
        for _ in range(10):
            epoch = swarm.agent("iris").epoch
            swarm.kill_box("iris")
            await until_epoch(swarm, epoch + 1)
            starts.append(trio.current_time())
        gaps = [later - earlier for earlier, later in pairwise(starts)]
        assert gaps[0] < 1.0
        assert gaps[1:4] == pytest.approx([1.0, 2.0, 4.0], abs=0.6)
        assert gaps[-1] == pytest.approx(LONGEST_DELAY_SECONDS, abs=1.0)
        await trio.sleep(100)
        epoch, before = swarm.agent("iris").epoch, trio.current_time()
        swarm.kill_box("iris")
        await until_epoch(swarm, epoch + 1)
        assert trio.current_time() - before < 1.0

    run_swarm(story, seed)


async def until_epoch(swarm: Swarm, epoch: int) -> None:
    """Wait until the box was started so often."""
    await swarm.until(lambda: swarm.agent("iris").epoch == epoch)


@seeds
def test_a_box_that_cannot_be_started_parks_its_agent_until_it_can(seed: int) -> None:
    """Also where it never was up; the mail waits, and one sees for what."""

    async def story(swarm: Swarm) -> None:
        swarm.boxes.broken.add("iris")
        await swarm.add("iris")
        sent = await swarm.send("iris", "!say patience")
        await trio.sleep(100)
        (parked,) = swarm.agent("iris").parked
        assert parked.reason is Reason.BOX_DOWN
        assert "no space left" in parked.detail
        swarm.boxes.broken.clear()
        await swarm.settle()
        assert swarm.drove_a_turn(sent.id)

    run_swarm(story, seed)


def test_an_agent_whose_driver_is_not_here_is_parked_and_says_so() -> None:
    """A hive moved to another machine may lack what its agents lived in."""

    async def story(swarm: Swarm) -> None:
        await swarm.perform(AddAgent("iris", Settings(driver="nspawn")))
        sent = await swarm.send("iris", "!say where am I")
        await trio.sleep(60)
        (parked,) = swarm.agent("iris").parked
        assert (parked.reason, parked.detail) == (Reason.BOX_DOWN, "this hive has no driver 'nspawn'")
        assert swarm.mail(sent.id).state is State.READY

    run_swarm(story, 0)


@seeds
def test_the_box_of_a_removed_agent_is_taken_down_and_its_turn_ended(seed: int) -> None:
    """A name that is free again is free of processes too."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", "!hang")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.CLAIMED)
        await swarm.perform(RemoveAgent("iris"))
        await swarm.until(lambda: not swarm.boxes.running, 40)
        assert swarm.mail(sent.id).state is State.DEAD
        await swarm.add("iris")
        again = await swarm.send("iris", "!say a new life")
        await swarm.settle()
        assert swarm.drove_a_turn(again.id)

    run_swarm(story, seed)


@seeds
def test_an_agent_that_is_stopped_has_no_box(seed: int) -> None:
    """Stopping interrupts its turn and charges nothing; starting brings both back."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", "!wait 10\n!say finished")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.CLAIMED)
        await swarm.perform(StopAgent("iris"))
        await swarm.until(lambda: not swarm.boxes.running, 40)
        mail = swarm.mail(sent.id)
        assert (mail.state, mail.attempts, mail.interruptions) == (State.READY, 0, 0)
        await swarm.perform(StartAgent("iris"))
        await swarm.settle()
        assert swarm.drove_a_turn(sent.id)

    run_swarm(story, seed)


@seeds
def test_an_agent_may_bear_the_name_of_an_actor(seed: int) -> None:
    """Agents and actors are named in different worlds."""

    async def story(swarm: Swarm) -> None:
        for name in ("broker", "writer", "root", "agents"):
            await swarm.add(name)
            sent = await swarm.send(name, "!say me too")
            await swarm.settle()
            assert swarm.drove_a_turn(sent.id)

    run_swarm(story, seed)


def notes(swarm: Swarm) -> list[Mail]:
    """Restart notes, newest first."""
    return [mail for mail in swarm.store.reader.mailbox("iris").mail if mail.kind is Kind.RESTARTED]
