"""Storms from below: boxes that are rebuilt and lost, daemons that are killed, again and again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .book import Book
from .ending import come_to_rest, everything_is_accounted_for
from .work import hand_out, start_workers

if TYPE_CHECKING:
    from hive.store.sqlite import SqliteStore
    from hive.testing.simulate import Simulation
    from hive.testing.swarm import Swarm

BLOWS = 12
KILLED_AT_THE_START = 0.35
"""How probable it is that a new daemon is killed before it serves."""

LEAST_AT_THE_START = 2
"""So many are killed at their start in any case."""


async def rebuild_storm(sim: Simulation) -> None:
    """Boxes are rebuilt or lost a dozen times while their agents work.

    Every message that arrives before, meanwhile or after drives a turn, and each box comes back.
    """
    book = Book(sim)
    names = await start_workers(sim, book, 4)
    for blow in range(BLOWS):
        await hand_out(book, names, 2)
        agent = sim.random.choice(names)
        if blow % 3:
            await sim.rebuild(agent)
        else:
            await sim.lose_box(agent)
        await book.send(agent, "task")
        await sim.advance(seconds=sim.random.expovariate(1 / 5))
    await come_to_rest(book)
    everything_is_accounted_for(
        book, sent_by_the_operator=3 * BLOWS, box_down=BLOWS // 2, box_started=BLOWS // 2, turn_ended=BLOWS
    )


async def restart_storm(sim: Simulation) -> None:
    """The daemon is killed a dozen times at any moment, many of them while they start.

    Whoever was told that a message is accepted was told the truth, whichever daemon it was.
    """
    book, swarm = Book(sim), await sim.swarm()
    names = await start_workers(sim, book, 5)
    swarm.visitors.append(partial(_kill_some, book, swarm))
    for _ in range(BLOWS):
        await hand_out(book, names, 2)
        swarm.restart_daemon()
        await book.send(sim.random.choice(names), "task")
    swarm.visitors.clear()
    await come_to_rest(book)
    assert swarm.boots > BLOWS, f"{swarm.boots} daemons are too few"
    everything_is_accounted_for(book, sent_by_the_operator=3 * BLOWS, turn_ended=BLOWS, killed_at_the_start=2)


def _kill_some(book: Book, swarm: Swarm, _store: SqliteStore) -> None:
    """Kill a daemon that has settled what the last one left and is about to start its actors."""
    killed = book.happened["killed at the start"]
    if killed < LEAST_AT_THE_START or book.sim.random.random() < KILLED_AT_THE_START:
        swarm.restart_daemon()
        book.happened["killed at the start"] += 1
