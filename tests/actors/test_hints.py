"""A hint is only a hint: with all of them lost everything still happens, half a minute later at most."""

from pathlib import Path
from types import ModuleType

import pytest
import trio

from hive.actors import Context, harness, steward, watcher
from hive.actors.look import LOOK_SECONDS
from hive.actors.protocol import Look
from hive.protocol.commands import CancelTurn, Lease, Pause, RemoveAgent, Resume, Send, Settings
from hive.protocol.mail import Provenance, State
from hive.store.hints import Hints
from hive.testing.stage import Stage
from hive.testing.swarm import AGAIN_SECONDS, Swarm
from hive.testing.telling import run_swarm

LATE = LOOK_SECONDS + 2.0
"""A look, and the time to act on it."""

seeds = pytest.mark.seeds(5)


async def everything(swarm: Swarm) -> None:
    """Adding, sending, folding in, pausing, resuming, cancelling, rebuilding, removing."""
    await swarm.add("iris")
    first = await swarm.send("iris", "!wait 70\n!say one")
    # Two looks: the steward's, which starts the harness, and then the harness looks at once.
    await swarm.until(lambda: swarm.mail(first.id).state is State.CLAIMED, 2 * LATE)
    second = await swarm.send("iris", "!say two")
    await swarm.until(lambda: swarm.mail(second.id).state is State.CLAIMED, LATE)
    await swarm.until(lambda: swarm.mail(second.id).state is State.DONE, 3 * LATE)

    await swarm.perform(Pause("iris"))
    third = await swarm.send("iris", "!hang")
    await swarm.perform(Resume("iris"))
    await swarm.until(lambda: swarm.mail(third.id).state is State.CLAIMED, LATE)
    await swarm.perform(CancelTurn("iris"))
    await swarm.until(lambda: swarm.mail(third.id).state is State.DONE, LATE)

    epoch = swarm.agent("iris").epoch
    await swarm.rebuild("iris")
    await swarm.until(lambda: swarm.agent("iris").epoch > epoch, 2 * LATE)
    await swarm.settle(LATE)

    await swarm.perform(RemoveAgent("iris"))
    await swarm.until(lambda: not swarm.boxes.running, LATE)


def without_hints(seed: int, *, checked: bool = True) -> None:
    """All of it while every hint is lost, from the first on."""

    def make(stage: Stage, folder: Path) -> Swarm:
        return Swarm(stage, folder, grace=35.0, deaf=True, checked=checked)

    run_swarm(everything, seed, make=make)


@seeds
def test_without_any_hint_everything_happens_within_half_a_minute(seed: int) -> None:
    """Each step of it, by the clock alone."""
    without_hints(seed)


def never_by_itself(ctx: Context, _hints: Hints, _name: str) -> None:
    """The mistake: look now, and then only when told to."""
    ctx.me.tell(Look(), urgent=True)


@pytest.mark.parametrize("actor", [harness, steward, watcher])
def test_whoever_waits_for_a_hint_is_found_out(actor: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above depends on every one of them looking by itself."""
    monkeypatch.setattr(actor, "look_on_hints", never_by_itself)
    with pytest.raises(trio.TooSlowError):
        without_hints(0, checked=False)


@seeds
def test_with_hints_mail_is_with_its_turn_at_once(seed: int) -> None:
    """No look that nobody rang for is needed."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        await swarm.send("iris", "!say the box is up")
        await swarm.settle()
        before = trio.current_time()
        sent = await swarm.send("iris", "!say quick")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.DONE)
        assert trio.current_time() - before <= 2 * AGAIN_SECONDS

    run_swarm(story, seed)


# --- times that come due ---------------------------------------------------------------------------


@pytest.mark.parametrize("hints", [True, False])
@seeds
def test_delayed_mail_is_delivered_when_it_is_due(seed: int, *, hints: bool) -> None:
    """Not before, and soon after."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        due = swarm.stage.wall() + 100.0
        send = Send("operator", "iris", "!say on time", Provenance.OPERATOR, not_before=due)
        answer = await swarm.perform(send)
        await swarm.until(lambda: swarm.mail(answer.accepted[0].id).state is State.DONE)
        late = swarm.stage.wall() - due
        assert 0 <= late <= (1.0 if hints else LATE)

    run_swarm(
        story,
        seed,
        make=lambda stage, directory: Swarm(stage, directory, grace=35.0, deaf=not hints),
    )


@pytest.mark.parametrize("jump", [3_600.0, -3_600.0])
def test_a_clock_that_jumps_makes_due_mail_wait_half_a_minute_at_most(jump: float) -> None:
    """Forward, what is due by the new clock is delivered soon; backward, nothing is delivered twice."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        due = swarm.stage.wall() + max(jump, 0.0) + 10.0
        send = Send("operator", "iris", "!say on time", Provenance.OPERATOR, not_before=due)
        answer = await swarm.perform(send)
        now = await swarm.send("iris", "!say at once")
        await swarm.settle()
        swarm.jump_wall(jump)
        before = trio.current_time()
        await swarm.until(lambda: swarm.mail(answer.accepted[0].id).state is State.DONE, 3_700)
        waited = trio.current_time() - before
        assert waited <= max(-jump, 0.0) + 10.0 + LATE
        assert swarm.drove_a_turn(now.id)

    run_swarm(story, 0)


@seeds
def test_mail_whose_holder_never_came_back_is_ready_again_when_its_lease_ends(seed: int) -> None:
    """A client that vanished costs five minutes, and the next one gets the mail."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris", Settings(backend="external"))
        sent = await swarm.send("iris", "hello, person")
        await swarm.perform(Lease("iris", "a client that vanishes", seconds=300.0))
        assert swarm.mail(sent.id).state is State.CLAIMED
        before = trio.current_time()
        await swarm.until(lambda: swarm.mail(sent.id).state is State.READY, 400)
        assert 299 <= trio.current_time() - before <= 302
        claimed = await swarm.perform(Lease("iris", "another client"))
        assert [one.mail.id for one in claimed] == [sent.id]

    run_swarm(story, seed)
