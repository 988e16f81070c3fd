"""The simulation kit repeats itself, exactly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from hive.testing import Simulation, deterministic_scheduling, simulate

ORDER = """
import sys, trio
from hive.testing import simulate
order = []
async def wakes(n):
    await trio.sleep(1)
    order.append(n)
async def story(sim):
    async with trio.open_nursery() as nursery:
        for n in range(6):
            nursery.start_soon(wakes, n)
    order.append(sim.random.random())
simulate(story, int(sys.argv[1]))
print(order)
"""


def order_in_another_process(seed: int, hash_seed: int) -> str:
    """The order six tasks woke in, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", ORDER, str(seed)],
        capture_output=True,
        check=True,
        text=True,
        env={"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(Path.cwd())},
    )
    return ran.stdout


async def _order(_: Simulation) -> tuple[int, ...]:
    woken = []

    async def wakes(n: int) -> None:
        await trio.sleep(1)
        woken.append(n)

    async with trio.open_nursery() as nursery:
        for n in range(6):
            nursery.start_soon(wakes, n)
    return tuple(woken)


def test_the_same_seed_gives_the_same_order_in_two_processes() -> None:
    """Neither the process nor its hash seed has a say."""
    assert order_in_another_process(7, 1) == order_in_another_process(7, 2)


def test_another_seed_gives_another_order() -> None:
    """The scheduler is shuffled by the seed. Guards the private names of Trio that this rests on."""
    orders = {simulate(_order, seed) for seed in range(30)}

    assert len(orders) > 20


def test_scheduling_is_as_it_was_after_a_simulation() -> None:
    """A simulation leaves nothing behind in Trio, even if it fails."""
    run = trio._core._run
    before = run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate()

    def fails() -> None:
        with deterministic_scheduling(1):
            assert run._ALLOW_DETERMINISTIC_SCHEDULING
            raise ValueError(run._r.random())

    with pytest.raises(ValueError, match="0"):
        fails()
    assert before == (run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate())


def test_time_is_virtual_and_the_wall_clock_can_jump() -> None:
    """An hour of sleep takes no time, and only the wall clock notices a jump."""

    async def story(sim: Simulation) -> None:
        start, wall = trio.current_time(), sim.wall()
        await trio.sleep(3600)
        assert trio.current_time() - start == 3600
        assert sim.wall() - wall == 3600

        sim.jump_wall(-7200)
        assert sim.wall() - wall == -3600
        assert trio.current_time() - start == 3600

    simulate(story, 0)


def test_a_story_that_hangs_is_ended() -> None:
    """Nothing to wait for but the deadline: the deadline comes at once."""

    async def story(_: Simulation) -> None:
        await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError):
        simulate(story, 0)
