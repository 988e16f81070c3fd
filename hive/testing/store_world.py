"""What the suite of stores plays with, and other tests of hive's: a store's surroundings, and a few commands.

The rule kept here: the clock, the pauses and the failures of a store under test are state that the test sets.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Protocol

import trio
from attrs import Factory, define, field

from hive.actors._core.essence import essence
from hive.protocol.commands import Command, Send
from hive.protocol.mail import Provenance
from hive.protocol.views import Process
from hive.store.port import Reader, Store

NOON = 1_750_000_000.0
VERSION = "0"


@define(eq=False)
class World:
    """What a store under test depends on: a wall clock, pauses around its commits, failing commits."""

    now: float = NOON
    failing: Callable[[], Exception] | None = None
    """Makes the error of every commit, while it is set."""

    random: Random = field(default=Factory(lambda: Random(0)), init=False)
    """One for all that is opened in this world: a second one would repeat the ids of the first."""

    commits: int = field(default=0, init=False)
    """How many commits have been tried."""

    before: Callable[[], trio.Event | None] = field(default=lambda: None, init=False)
    after: Callable[[], trio.Event | None] = field(default=lambda: None, init=False)
    paused: trio.Event = field(default=Factory(trio.Event), init=False)
    """Set when the writer has come to a pause that holds it."""

    def wall(self) -> float:
        """The time, as far as the store can tell."""
        return self.now

    def faults(self) -> None:
        """Fail this commit, or let it pass."""
        self.commits += 1
        if self.failing is not None:
            raise self.failing()

    async def before_commit(self) -> None:
        """Hold the writer until the event that `before` gives, if any."""
        await self._hold(self.before())

    async def after_commit(self) -> None:
        """Hold the writer until the event that `after` gives, if any."""
        await self._hold(self.after())

    async def _hold(self, until: trio.Event | None) -> None:
        if until is not None:
            self.paused.set()
            await until.wait()


class ServedStore(Store, Protocol):
    """A store and what its owner does with it."""

    def leftovers(self) -> Sequence[Process]:
        """Processes of earlier boots."""
        ...

    def recover(self, version: str) -> int:
        """Begin a boot."""
        ...

    async def drain_forever(self) -> object:
        """Serve the queue."""
        ...

    def kill(self) -> None:
        """Be as if killed."""
        ...


@asynccontextmanager
async def served(store: ServedStore) -> AsyncIterator[None]:
    """Serve a store for the length of a block."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.drain_forever)
            yield
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise essence(group) from None  # what a test compared is easier to read without a group around it


def a_send(to: str, body: str, sender: str = "operator") -> Send:
    """A message as the operator or an agent sends it."""
    who = Provenance.OPERATOR if sender == "operator" else Provenance.AGENT
    return Send(sender, to, body, who)


async def done(store: Store, *commands: Command[object]) -> None:
    """Submit and wait for all of them."""
    for ticket in [store.submit(command) for command in commands]:
        await ticket.outcome()


def bodies(reader: Reader, recipient: str) -> list[str]:
    """What a mailbox holds, oldest first."""
    return [mail.body for mail in reversed(reader.mailbox(recipient).mail)]
