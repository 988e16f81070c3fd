"""Agents that would talk to each other for ever, and the guard that does not let them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hive.protocol.commands import Bury, ReleaseBlocked, Resume
from hive.protocol.limits import Limits
from hive.protocol.mail import Kind, State
from hive.protocol.parking import RESUMABLE
from hive.testing.brains import TurnFailed

from .book import Book
from .ending import come_to_rest, everything_is_accounted_for, reader_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hive.protocol.mail import Mail
    from hive.testing.brains import Turn
    from hive.testing.simulate import Simulation

HOPS = 12
PAIR_MESSAGES = 10
NEXT: Mapping[str, str] = {
    "one": "two",
    "two": "three",
    "three": "one",
    "ping": "pong",
    "pong": "ping",
}
"""Who passes it on to whom: three that only count hops can stop, and a pair that is stopped sooner."""


async def ring(sim: Simulation) -> None:
    """Three agents in a ring and two that answer each other, for ever.

    The loop guard holds their mail back and says so to the sender; a person lets one message go, which
    goes round again and is held again, and buries the rest.
    """
    sim.limits = Limits(hops=HOPS, pair_messages=PAIR_MESSAGES)
    book = Book(sim)
    for name, peer in NEXT.items():
        await sim.spawn(name, book.brain(partial(_pass_on, book, peer)))
    for first in ("one", "ping"):
        await book.send(first, "say it")
    # What the guard counts is what was accepted: each round is of at most so many messages.
    for _ in range(2):
        await sim.do(Resume(None, RESUMABLE))  # else a ring stands still where a fault has parked somebody
        await sim.settle()
        held = _held(sim)
        told = [mail.id for mail in held if mail.id not in book.accepted or book.accepted[mail.id].held_back]
        assert len(told) == len(held), f"not all of {[mail.id for mail in held]} were said to be held back"
        for number, mail in enumerate(held):
            await book.do(ReleaseBlocked(mail.id) if number % 2 == 0 else Bury(mail.id), "decided")
    await come_to_rest(book)
    for mail in _held(sim):
        await book.do(Bury(mail.id), "decided")
    await come_to_rest(book)
    assert not _held(sim)
    everything_is_accounted_for(book, sent_by_agents=PAIR_MESSAGES, decided=1, msg_unblocked=1)


async def _pass_on(book: Book, peer: str, turn: Turn) -> None:
    for mail in turn.mail:
        if mail.kind is Kind.MESSAGE:
            answer = await book.post(turn, peer, "pass it on")
            if not answer.ok:  # else a full disk would end the talk before the guard does
                raise TurnFailed("overloaded", answer.text)


def _held(sim: Simulation) -> list[Mail]:
    return [mail for mail in reader_of(sim).unfinished() if mail.state is State.BLOCKED]
