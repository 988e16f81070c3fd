"""A mailbox that is full: who writes to it is told, and what it took is handled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hive.protocol.commands import Pause, Resume
from hive.protocol.limits import Limits
from hive.protocol.mail import Provenance
from hive.protocol.parking import RESUMABLE

from .book import Book
from .ending import come_to_rest, everything_is_accounted_for, reader_of

if TYPE_CHECKING:
    from hive.testing.brains import Turn
    from hive.testing.simulate import Simulation

ROOM = 6
SENDERS = ("adam", "beth", "carl")
EACH = 4
ROUNDS = 3


async def full_mailbox(sim: Simulation) -> None:
    """Three agents write more to a sleeping one than its mailbox takes, again and again.

    Beyond its room nothing is accepted and nothing refused is stored; what was accepted is handled when the
    agent wakes.
    """
    sim.limits = Limits(mailbox_messages=ROOM)
    book = Book(sim)

    async def write(turn: Turn) -> None:
        for _ in range(EACH):
            answer = await book.post(turn, "sleeper", "for when you wake")
            if "mailbox is full" in answer.text:
                book.happened["met a full mailbox"] += 1

    async def read(_turn: Turn) -> None:
        pass

    await sim.spawn("sleeper", book.brain(read))
    for name in SENDERS:
        await sim.spawn(name, book.brain(write))
    for _ in range(ROUNDS):
        await book.do(Pause("sleeper"), "pause")
        for name in SENDERS:
            await book.send(name, "write to the sleeper")
        await sim.settle()
        assert _from_agents(sim) <= ROOM, f"{_from_agents(sim)} messages are in a mailbox for {ROOM}"
        await book.do(Resume("sleeper", RESUMABLE), "resume")
        await sim.settle()
    await come_to_rest(book)
    everything_is_accounted_for(
        book, sent_by_the_operator=ROUNDS * len(SENDERS), sent_by_agents=ROOM, met_a_full_mailbox=4
    )


def _from_agents(sim: Simulation) -> int:
    waiting = (mail for mail in reader_of(sim).unfinished() if mail.recipient == "sleeper")
    return sum(mail.provenance is Provenance.AGENT for mail in waiting)
