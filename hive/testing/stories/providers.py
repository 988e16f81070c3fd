"""What providers of models do to agents: limits that end by themselves, and what only a person can mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from hive.protocol.commands import Resume
from hive.protocol.parking import Reason
from hive.testing.brains import TurnFailed

from .book import Book
from .ending import come_to_rest, everything_is_accounted_for, reader_of
from .work import hand_out, start_workers

if TYPE_CHECKING:
    from hive.testing.brains import Turn
    from hive.testing.simulate import Simulation

TASKS = 24


@define(eq=False)
class Provider:
    """What an agent meets when its model is asked, by chance."""

    book: Book
    errors: tuple[tuple[str, float | None], ...]
    """Each with the seconds it says it lasts, at most."""

    rate: float = 0.4
    well: bool = False
    """Nothing is wrong with it any more."""

    def ask(self, turn: Turn) -> None:
        """Answer, or raise a `TurnFailed`."""
        if self.well or turn.random.random() >= self.rate:
            return
        error, lasts = turn.random.choice(self.errors)
        self.book.happened[error] += 1
        after = None if lasts is None else lasts * turn.random.random()
        raise TurnFailed(error, "says the provider", after=after)


async def limit_storm(sim: Simulation) -> None:
    """Models reach their limits or are overloaded, at two turns of five.

    Nobody but time lifts that; nothing is charged for it and nothing dies of it.
    """
    book = Book(sim)
    provider = Provider(book, (("rate_limit", 900.0), ("rate_limit", None), ("overloaded", None)))
    names = await start_workers(sim, book, 4, provider.ask)
    await hand_out(book, names, TASKS)
    await sim.settle()
    provider.well = True
    await come_to_rest(book)
    assert not [mail for mail in reader_of(sim).dead() if "the provider" in (mail.why or "")]
    everything_is_accounted_for(
        book, sent_by_the_operator=TASKS, rate_limit=1, overloaded=1, park_set=4, park_lifted=4
    )


async def login_storm(sim: Simulation) -> None:
    """Logins lapse and budgets are spent, at two turns of five.

    Their agents stay where they are until a person says that it is mended, and then nothing is missing.
    """
    book = Book(sim)
    provider = Provider(book, (("auth", None), ("billing", None)))
    names = await start_workers(sim, book, 4, provider.ask)
    for _ in range(4):
        await hand_out(book, names, TASKS // 4)
        await sim.settle()
        parked = [name for name in names if _lacks(sim, name)]
        began = {name: len(sim.turns(name)) for name in parked}
        await sim.advance(minutes=20)
        assert began == {name: len(sim.turns(name)) for name in parked}, (
            "a turn began that cannot be paid for"
        )
        for name in parked:
            await book.do(Resume(name, (Reason.LOGIN, Reason.BUDGET)), "mended")
    provider.well = True
    await come_to_rest(book)
    everything_is_accounted_for(book, sent_by_the_operator=TASKS, auth=1, billing=1, mended=4)


def _lacks(sim: Simulation, name: str) -> bool:
    return any(parked.reason in {Reason.LOGIN, Reason.BUDGET} for parked in sim.agent(name).parked)
