"""One agent that can do nothing right, among others that can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hive.protocol.mail import State
from hive.protocol.parking import Reason
from hive.testing.brains import TurnFailed

from .book import Book
from .ending import come_to_rest, everything_is_accounted_for, reader_of
from .work import hand_out, start_workers

if TYPE_CHECKING:
    from hive.testing.brains import Turn
    from hive.testing.simulate import Simulation

LETTERS = 4
WHY = "there is a hole in my memory"


async def always_fails(sim: Simulation) -> None:
    """Every turn of one agent breaks down, and the operator and its peers write to it all the same.

    Its mail dies with the reason, whoever sent it is told, and it is parked as failing until a person resumes
    it.  Nobody else dies of it.
    """
    book = Book(sim)

    async def fail(_turn: Turn) -> None:
        raise TurnFailed("crash", WHY)

    async def ask(turn: Turn) -> None:
        if any("ask the cursed one" in mail.body for mail in turn.mail):
            await book.post(turn, "cursed", "a question")

    await sim.spawn("cursed", book.brain(fail))
    await sim.spawn("asker", book.brain(ask))
    names = await start_workers(sim, book, 3)
    for _ in range(LETTERS):
        await book.send("asker", "ask the cursed one")
        await hand_out(book, names, 3)
    await book.send("cursed", "task")
    await sim.settle()
    reasons = {parked.reason for parked in sim.agent("cursed").parked}
    assert Reason.FAILING in reasons, "an agent that can do nothing right is not parked as failing"
    await come_to_rest(book)
    _nobody_else_is_harmed(book)
    everything_is_accounted_for(book, sent_by_the_operator=4 * LETTERS + 1, sent_by_agents=2, msg_dead=3)


def _nobody_else_is_harmed(book: Book) -> None:
    """All that was written to the cursed one is dead of its failure, and nothing else is."""
    dead = {mail.id: mail for mail in reader_of(book.sim).dead(limit=1_000)}
    for entry in book.accepted.values():
        mail = book.sim.mail(entry.id).now
        if mail.recipient == "cursed":
            assert mail.state is State.DEAD, f"{mail.id} to the cursed one is {mail.state}"
    assert [mail for mail in dead.values() if WHY in (mail.why or "")]
    assert not [mail.id for mail in dead.values() if mail.recipient != "cursed" and WHY in (mail.why or "")]
