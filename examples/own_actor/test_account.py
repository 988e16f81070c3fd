"""The account keeps its promise, in whatever order its customers come."""

from contextlib import suppress

import pytest
import trio
from account import Move, Overdrawn, account

from hive.testing import Simulation, simulate


@pytest.mark.seeds(20)
def test_the_same_coin_is_spent_once(seed: int) -> None:
    """Five customers want the three coins there are."""
    assert simulate(five_customers, seed) == 3


async def five_customers(sim: Simulation) -> int:
    """How many of them get one?"""
    ref, served = await sim.actor(account), []
    await ref.ask(Move(3))

    async def customer() -> None:
        with suppress(Overdrawn):
            served.append(await ref.ask(Move(-1)))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(customer)
    return len(served)
