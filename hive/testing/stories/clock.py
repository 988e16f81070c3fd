"""A wall clock that is set while mail is to be held until its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hive.protocol.commands import Send
from hive.protocol.mail import Provenance
from hive.testing.recorder import Journalled

from .book import Book
from .client import Client
from .ending import come_to_rest, everything_is_accounted_for
from .work import start_workers

if TYPE_CHECKING:
    from hive.testing.simulate import Simulation

LETTERS = 12
HOUR = 3600.0


async def clock(sim: Simulation) -> None:
    """Mail that is to wait, leases that are to end, and a clock that people set forward and back.

    No delayed message is taken before its time, as the clock has it then; each is taken once that has come.
    """
    book, swarm = Book(sim), await sim.swarm()
    names = await start_workers(sim, book, 3)
    client = await Client.of(book, names[0])
    due: dict[str, float] = {}
    for _ in range(LETTERS):
        at = sim.wall() + HOUR * sim.random.random()
        text = book.text("for later")
        send = Send("operator", sim.random.choice(names), text, Provenance.OPERATOR, not_before=at)
        accepted = (await sim.do(send)).accepted[0]
        book.note(accepted, text)
        due[accepted.id] = at
        await client.receive(1)
        swarm.jump_wall(sim.random.choice((-1, 1)) * HOUR * sim.random.random())
        book.happened["the clock was set"] += 1
        await sim.advance(minutes=sim.random.expovariate(1 / 5))
    sim.calm()  # nobody sets it any more; it may have been set back by hours
    await sim.advance(seconds=max(0.0, max(due.values()) - sim.wall()))
    await come_to_rest(book)
    for fact in sim.facts.of(Journalled, type="msg.claimed"):
        assert fact.row.at >= due.get(fact.subject or "", 0.0), f"{fact.subject} was taken before its time"
    everything_is_accounted_for(book, the_clock_was_set=LETTERS, turn_ended=3)
