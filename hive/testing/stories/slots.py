"""More agents that want to work than may at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hive.protocol.limits import Limits
from hive.protocol.names import MANAGER
from hive.testing.recorder import Journalled

from .book import Book
from .ending import come_to_rest, everything_is_accounted_for, reader_of

if TYPE_CHECKING:
    from hive.testing.brains import Turn
    from hive.testing.simulate import Simulation

AGENTS = 7
ROUNDS = 4
SLOTS = 2


async def slots(sim: Simulation) -> None:
    """Seven agents and a manager want to work, and two turns may run at once.

    No more ever do, whatever dies; everybody comes to their turn; and the manager never waits while two
    others begin after its mail came and it could have begun.
    """
    sim.limits = Limits(max_running_turns=SLOTS)
    book = Book(sim)

    async def work(turn: Turn) -> None:
        running = len(reader_of(sim).open_turns())
        assert running <= SLOTS, f"{running} turns run at once, and {SLOTS} may"
        await trio.sleep(10 + 20 * turn.random.random())
        await turn.call("set_status", text="at work")

    names = [MANAGER, *(f"agent-{number}" for number in range(AGENTS))]
    for name in names:
        await sim.spawn(name, book.brain(work), role=MANAGER if name == MANAGER else "agent")
    for _ in range(ROUNDS):
        for name in reversed(names):
            await book.send(name, "task")
        await sim.advance(seconds=sim.random.expovariate(1 / 120))
    await come_to_rest(book)
    if sim.injector.plan.none:
        assert _began_before_the_manager(sim) == 0, "others began while the manager waited"
    waited = len(sim.facts.of(Journalled, type="park.set", subject="slot"))
    assert waited >= AGENTS, f"only {waited} waited for a slot"
    everything_is_accounted_for(book, sent_by_the_operator=ROUNDS * len(names), turn_ended=len(names))


def _began_before_the_manager(sim: Simulation) -> int:
    """How many turns of others began between the manager's waiting for a slot and its own turn."""
    waits, overtaken = False, 0
    for fact in sim.facts.of(Journalled):
        match fact.type, fact.agent, fact.subject:
            case "park.set", "manager", "slot":
                waits = True
            case "turn.started", "manager", _:
                waits = False
            case "turn.started", _, _:
                overtaken += waits
            case _:
                pass
    return overtaken
