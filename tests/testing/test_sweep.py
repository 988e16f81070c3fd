"""Sweeps strike at every step, once, and say how often they did."""

from __future__ import annotations

import pytest
import trio
from attrs import define

from hive.testing import Simulation, sweep, sweep_cancel, sweep_kill


@define
class World:
    """How far a story came, and whether it was struck."""

    at: int = 0
    killed_at: int | None = None

    def kill(self) -> None:
        """Note when."""
        assert self.killed_at is None
        self.killed_at = self.at


async def ten_steps(_: Simulation, world: World) -> None:
    """Count to ten, with a step between."""
    for world.at in range(10):
        await trio.lowlevel.checkpoint()
    world.at = 10


def test_a_cancel_sweep_cancels_at_each_step_until_the_story_is_over() -> None:
    """Every point of the story is the last one of some run."""
    reached: list[int] = []
    swept = sweep_cancel(ten_steps, build=World, check=lambda world: reached.append(world.at))

    assert set(reached) == set(range(11))
    assert len(reached) == swept.steps + 1
    assert swept.unfinished == sum(at < 10 for at in reached)


def test_a_kill_sweep_strikes_at_each_step_and_lets_the_story_go_on() -> None:
    """Unless it ends the run, as the death of a process does."""
    killed: list[int | None] = []
    swept = sweep_kill(
        ten_steps, build=World, kill=World.kill, check=lambda world: killed.append(world.killed_at)
    )

    assert swept.unfinished == 0
    assert set(killed) == {None, *range(11)}
    assert killed[-1] is None

    swept = sweep_kill(ten_steps, build=World, kill=World.kill, check=lambda _: None, ends_run=True)
    assert swept.unfinished > 0


def test_a_sweep_may_skip_steps() -> None:
    """For long stories."""
    every = sweep_cancel(ten_steps, build=World, check=lambda _: None)
    third = sweep_cancel(ten_steps, build=World, check=lambda _: None, every=3)

    assert every.steps == pytest.approx(third.steps * 3, abs=3)


def test_a_story_that_never_ends_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep is bounded."""
    monkeypatch.setattr(sweep, "BOUND", 5)

    with pytest.raises(AssertionError, match="more than 5 steps"):
        sweep_cancel(ten_steps, build=World, check=lambda _: None)
