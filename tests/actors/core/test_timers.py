"""Messages an actor sends itself: as values, and in an actor under many seeds."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import pytest
import trio

from hive.actors import ActorSnapshot, Context
from hive.actors._core.timers import Timer, Timers
from hive.testing import Do, Note, Simulation, probe, simulate


def test_timers_fire_in_order_and_once() -> None:
    """Only those that are due."""
    timers = Timers(0)
    for due in (3, 1, 2):
        timers.add(Timer(Note(str(due)), due))

    assert timers.next_due == 1
    assert [timer.message for timer in timers.fire(2)] == [Note("1"), Note("2")]
    assert timers.fire(2) == []
    assert timers.next_due == 3


def test_a_tick_that_was_missed_is_missed() -> None:
    """One message, and the next one in step with the first."""
    timers = Timers(0)
    tick = Timer(Note("tick"), 10, period=10)
    timers.add(tick)

    assert timers.fire(45) == [tick]
    assert timers.next_due == 50


def test_silence_counts_from_the_last_activity() -> None:
    """And begins anew when it has been broken, by its own message too."""
    timers = Timers(0)
    silence = Timer(Note("quiet"), 10, silence=10)
    timers.add(silence)
    timers.last_activity = 4

    assert timers.fire(10) == []
    assert timers.next_due == 14
    assert timers.fire(14) == [silence]
    assert timers.next_due == 24


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
def test_a_timer_that_repeats_takes_a_while(seconds: float) -> None:
    """One that were due again at once would be due for ever, and nothing else would run."""
    with pytest.raises(ValueError, match="must be > 0"):
        Timer(Note("tick"), 0, period=seconds)
    with pytest.raises(ValueError, match="must be > 0"):
        Timer(Note("quiet"), 0, silence=seconds)


def test_a_cancelled_timer_does_not_fire() -> None:
    """And without timers there is nothing to wait for."""
    timers = Timers(0)
    timer = Timer(Note("never"), 1)
    timers.add(timer)
    timer.cancel()

    assert timers.fire(2) == []
    assert timers.next_due == float("inf")


async def after(ctx: Context) -> None:
    """Two, out of order."""
    ctx.after(5, Note("five"))
    ctx.after(2, Note("two"))


async def every(ctx: Context) -> None:
    """Ticks."""
    ctx.every(4, Note("tick"))


async def on_silence(ctx: Context) -> None:
    """Quiet."""
    ctx.on_silence(6, Note("quiet"))


async def cancelled(ctx: Context) -> None:
    """Nothing at all."""
    ctx.every(1, Note("never")).cancel()


async def by_a_helper(ctx: Context) -> None:
    """Set while the actor's loop is waiting."""

    async def help_out() -> None:
        await trio.sleep(1)
        ctx.after(1, Note("helped"))

    ctx.spawn(help_out)


@pytest.mark.parametrize(
    ("act", "heard"),
    [
        (after, [(2, "two"), (5, "five")]),
        (every, [(4, "tick"), (8, "tick")]),
        (on_silence, [(6, "quiet")]),
        (cancelled, []),
        (by_a_helper, [(2, "helped")]),
    ],
)
def test_an_actor_hears_from_its_timers(
    seed: int, act: Callable[[Context], Awaitable[None]], heard: list[tuple[float, str]]
) -> None:
    """When they are due; and not any more when its incarnation has ended."""
    log: list[str] = []
    times: list[float] = []

    class Log(list[str]):
        def append(self, entry: str) -> None:
            if "got" in entry:
                times.append(trio.current_time())
            log.append(entry)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", Log())) as hive:
            hive.ref("a").tell(Do(act))
            await trio.sleep(9)
            hive.kill("a")
            await trio.sleep(50)

    simulate(story, seed)

    got = [entry.removeprefix("a got ") for entry in log if "got" in entry]
    assert list(zip(times, got, strict=True)) == heard


def test_ticks_nobody_wants_do_not_pile_up(seed: int) -> None:
    """One waits until it is looked at, however long that takes."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", select=frozenset({Do}))) as hive:
            hive.ref("a").tell(Do(every))
            await trio.sleep(100)
            found = hive.snapshot().find("a")
            assert isinstance(found, ActorSnapshot)
            assert found.mailbox.depth == 1

    simulate(story, seed)
