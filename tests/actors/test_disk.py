"""The disk fills and has room again: nothing starts that could not be recorded, and no verdict is lost."""

from collections.abc import Callable
from functools import partial

import pytest
import trio

from hive.actors.protocol import BROKER, Perform
from hive.protocol.commands import AddAgent, Once, Send, Settings
from hive.protocol.errors import Conflict, StoreUnavailable
from hive.protocol.mail import Provenance, State
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm

seeds = pytest.mark.seeds(10)
LONG = 120.0
"""Longer than any patience: what waits for the disk has to go on waiting."""


async def fill(swarm: Swarm) -> None:
    """Fill the disk, and wait until the store has noticed."""
    swarm.fill_disk()
    with pytest.raises(StoreUnavailable):
        await swarm.store.submit(Send("operator", "iris", "lost", Provenance.OPERATOR)).outcome()
    assert swarm.store.refusing


@seeds
def test_a_turn_that_ends_on_a_full_disk_has_ended_well_when_there_is_room_again(seed: int) -> None:
    """Its verdict waits in the queue, is applied once, and no second turn runs for the same mail."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", "!wait 10\n!say worth keeping")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.CLAIMED)
        await fill(swarm)
        await trio.sleep(LONG)
        assert swarm.mail(sent.id).state is State.CLAIMED
        swarm.fill_disk(full=False)
        await swarm.settle()
        assert swarm.drove_a_turn(sent.id)
        assert len(swarm.store.reader.turns("iris")) == 1

    run_swarm(story, seed)


@seeds
def test_mail_that_waits_when_the_disk_fills_is_driven_when_there_is_room(seed: int) -> None:
    """No turn begins that could not be recorded, and none is forgotten."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        swarm.boxes.broken.add("iris")
        sent = await swarm.send("iris", "!say patience")
        await fill(swarm)
        swarm.boxes.broken.clear()
        await trio.sleep(LONG)
        assert swarm.mail(sent.id).state is State.READY
        swarm.fill_disk(full=False)
        await swarm.settle()
        assert swarm.drove_a_turn(sent.id)
        assert swarm.agent("iris").epoch == 1, "a start that could not be recorded has to be announced later"

    run_swarm(story, seed)


@seeds
def test_whatever_dies_while_the_disk_is_full_is_back_when_there_is_room(seed: int) -> None:
    """A harness that waits for its store is not one that crashes: its budget is not spent by a full disk."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", "!wait 10\n!say at last")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.CLAIMED)
        await fill(swarm)
        blows: list[Callable[[], None]] = [
            partial(swarm.kill_loop, "iris"),
            partial(swarm.kill_box, "iris"),
            swarm.kill_watcher,
        ]
        blows += [swarm.kill_broker, swarm.kill_steward, swarm.kill_writer]
        swarm.stage.random.shuffle(blows)
        for blow in blows:
            blow()
            await trio.sleep(10)
        await trio.sleep(LONG)
        swarm.fill_disk(full=False)
        await swarm.settle(600)
        assert swarm.drove_a_turn(sent.id)
        assert not swarm.agent("iris").parked

    run_swarm(story, seed)


@seeds
def test_a_client_is_refused_at_once_and_says_why(seed: int) -> None:
    """Nothing hangs on a full disk; asking again later is safe."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        await fill(swarm)
        before = trio.current_time()
        with pytest.raises(StoreUnavailable, match="full"):
            await swarm.store.submit(AddAgent("otto", Settings())).outcome()
        assert trio.current_time() - before < 1.0
        swarm.fill_disk(full=False)
        sent = await swarm.send("iris", "!say accepted now")
        await swarm.settle()
        assert swarm.drove_a_turn(sent.id)

    run_swarm(story, seed)


@seeds
def test_what_held_before_the_disk_was_full_is_not_denied_when_it_is_asked_again(seed: int) -> None:
    """The same key gets the same answer, other content a conflict, and only what is new is refused."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        broker = (await swarm.daemon()).hive.ref(BROKER)
        send = Send("operator", "iris", "!say once", Provenance.OPERATOR)
        once = Once("operator", "key", "content")
        answer = await broker.ask(Perform(send, once))
        await fill(swarm)
        assert await broker.ask(Perform(send, once)) == answer
        with pytest.raises(Conflict):
            await broker.ask(Perform(send, Once("operator", "key", "other content")))
        for new in (None, Once("operator", "another key", "content")):
            with pytest.raises(StoreUnavailable):
                await broker.ask(Perform(send, new))
        swarm.fill_disk(full=False)
        await swarm.settle()
        assert [mail.id for mail in swarm.store.reader.mailbox("iris").mail] == [answer.accepted[0].id]

    run_swarm(story, seed)
