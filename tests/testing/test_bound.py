"""A run that would never end is ended, says what to look at, and takes no real time to find it out."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest
import trio

from hive.testing import Faults, bound
from hive.testing.simulate import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hive.testing import Simulation


@pytest.fixture(autouse=True)
def _low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that are soon reached."""
    monkeypatch.setattr(bound, "MOST_STEPS", 20_000)
    monkeypatch.setattr(bound, "MOST_FAULTS", 100)


def ended(story: Callable[[Simulation], Awaitable[None]], faults: Faults | None = None) -> str:
    """What a run was ended with."""
    error = run(story, 3, faults=faults).error
    assert isinstance(error, trio.TooSlowError)
    return str(error)


def test_faults_that_leave_no_time_to_live_are_named() -> None:
    """A daemon that is killed at each step never comes up, and virtual time stands."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")

    text = ended(story, Faults(kill_daemon=1))
    assert "100 faults struck (100 of them kill_daemon), and no second of virtual time has passed" in text
    assert "take a smaller one" in text


def test_a_loop_that_does_not_sleep_is_named() -> None:
    """By its line."""

    async def story(_: Simulation) -> None:
        for _again in itertools.repeat(None):
            await trio.lowlevel.checkpoint()

    text = ended(story)
    assert "20000 steps were taken, and no second of virtual time has passed" in text
    assert re.search(r"test_bound\.py:\d+ in .*story", text)


def test_a_wait_with_a_shield_is_ended_all_the_same() -> None:
    """Nothing could wake it: no task takes a step any more, and no deadline is left."""

    async def story(_: Simulation) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    assert "or with a shield and for ever" in ended(story)


def test_a_loop_with_a_shield_in_each_round_is_ended_a_day_after_its_end() -> None:
    """Time passes, so steps say nothing."""

    async def story(_: Simulation) -> None:
        while True:
            with trio.CancelScope(shield=True):
                await trio.sleep(60)

    assert "deaf to its end" in ended(story)


def test_a_task_that_stays_behind_a_story_that_is_over_fails_it() -> None:
    """It would have hung."""

    async def deaf() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    async def story(sim: Simulation) -> None:
        sim._nursery.start_soon(deaf)
        await trio.sleep(1)

    assert re.search(r"test_bound\.py:\d+ in .*deaf", ended(story))


def test_a_run_that_goes_on_is_left_alone() -> None:
    """As many steps as it likes, as long as time passes."""

    async def story(_: Simulation) -> None:
        for _second in range(10):
            for _step in range(6_000):
                await trio.lowlevel.checkpoint()
            await trio.sleep(1)

    told = run(story, 3)
    assert told.error is None
    assert told.steps > 60_000
