"""Agents that do what agents do: read, think for a while, write to another, report."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from hive.protocol.names import OPERATOR

from .book import words_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hive.testing.brains import Turn
    from hive.testing.simulate import Simulation

    from .book import Book

PASSED_ON = 0.4
"""How probable it is that a worker has another one help."""

REPORTED = 0.4
"""How probable it is that a worker reports to the operator."""

THOUGHT_SECONDS = 8.0
"""How long a worker thinks, at most."""


def names_of(number: int) -> tuple[str, ...]:
    """Names for so many agents."""
    return tuple(f"agent-{one}" for one in range(number))


def content(_turn: Turn) -> None:
    """Nothing is wrong."""


async def start_workers(
    sim: Simulation, book: Book, number: int, mood: Callable[[Turn], None] = content
) -> tuple[str, ...]:
    """Add so many workers.  `mood` may raise, as a `TurnFailed`, in the middle of a turn's work."""
    names = names_of(number)
    for name in names:
        await sim.spawn(name, worker(book, names, mood))
    return names


def worker(
    book: Book, names: tuple[str, ...], mood: Callable[[Turn], None] = content
) -> Callable[[Turn], Awaitable[None]]:
    """A brain that works, among these agents."""
    return book.brain(partial(_work, book, names, mood))


async def _work(book: Book, names: tuple[str, ...], mood: Callable[[Turn], None], turn: Turn) -> None:
    chance = turn.random
    await turn.say("I look at it.")
    await trio.sleep(THOUGHT_SECONDS * chance.random())
    mood(turn)
    for mail in turn.mail:
        if words_of(mail) == "task" and chance.random() < PASSED_ON:
            await book.post(turn, chance.choice(names), "help")
        if words_of(mail) in {"task", "help"} and chance.random() < REPORTED:
            await book.post(turn, OPERATOR, "report", in_reply_to=mail.id)


async def hand_out(book: Book, names: tuple[str, ...], number: int) -> None:
    """The operator gives so many tasks to any of them, some seconds apart."""
    chance = book.sim.random
    for _ in range(number):
        await book.send(chance.choice(names), "task")
        await book.sim.advance(seconds=chance.expovariate(1 / 10))
