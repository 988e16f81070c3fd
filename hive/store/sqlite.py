"""The store on one SQLite file.

One connection writes, in the order in which commands were submitted; others only read.  The rule kept here:
everybody else knows `hive.store.port` and gets this by `open_store`.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Never, TypeVar

import trio
from attrs import define, field

from hive.protocol.commands import Command, Once
from hive.protocol.errors import StoreUnavailable
from hive.protocol.limits import Limits
from hive.protocol.views import Process
from hive.store import boot
from hive.store.audit import Looked, Order, Seen
from hive.store.batch import Committer, Handlers
from hive.store.handlers import HANDLERS
from hive.store.hints import Hints
from hive.store.ids import time_ordered
from hive.store.opening import connect_reader, open_database, usable
from hive.store.port import Subscriber
from hive.store.reader import SqliteReader
from hive.store.tickets import PendingTicket
from hive.store.writer import NoPauses, Pauses, Writer

T = TypeVar("T")


STEPS_BETWEEN_QUESTIONS = 1_000_000
"""Of SQLite's, a few milliseconds: how often a long question asks whether anybody still waits for it."""


def no_faults() -> None:
    """Let every commit pass."""


@define(eq=False)
class SqliteStore:
    """One store of one hive.  Made by `open_store`."""

    path: Path
    reader: SqliteReader
    hints: Hints
    _committer: Committer
    _writer: Writer
    _meter: Callable[[], float] = time.thread_time
    _heavy: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(2), init=False)

    @property
    def refusing(self) -> str | None:
        """Why commits fail at the moment, or None."""
        return self._writer.refusing

    @property
    def boot(self) -> int:
        """The number of this start of hive; 0 before `recover`."""
        return self._committer.boot

    def submit(self, command: Command[T], once: Once | None = None) -> PendingTicket[T]:
        """Queue a command.  Commands hold in the order they are submitted.  Never blocks."""
        return self._writer.submit(command, once)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Hear of every commit; returns the function that ends it."""
        return self._writer.subscribe(subscriber)

    async def drain_forever(self) -> Never:
        """Serve the queue: the business of the child `writer`.

        Safe to cancel or to crash at any await and to call again; one call at a time.
        """
        await self._writer.drain_forever()

    async def study(self, question: Callable[[SqliteReader], T]) -> T:
        """Answer a heavy question about committed state in a thread, on a connection of its own.

        Under simulation in place.  When cancelled, waits for the thread first, which then soon raises
        `sqlite3.OperationalError`.
        """
        if self._writer.inline:
            await trio.lowlevel.checkpoint()
            return question(self.reader)
        return await trio.to_thread.run_sync(self._ask, question, limiter=self._heavy)

    def _ask(self, question: Callable[[SqliteReader], T]) -> T:
        with closing(connect_reader(self.path)) as db:
            # What it raises, SQLite takes for a wish to be interrupted.
            db.set_progress_handler(trio.from_thread.check_cancelled, STEPS_BETWEEN_QUESTIONS)
            return question(self.reader.on(db))

    async def audit(self, order: Order) -> Looked:
        """Look at some mailboxes off the loop, under simulation in place.

        Raises `StoreUnavailable` where the file cannot be read.  When cancelled, waits for the thread, which
        soon gives up.
        """
        try:
            if self._writer.inline:
                await trio.lowlevel.checkpoint()
                return self._metered(order, lambda question: question(self.reader))
            return await trio.to_thread.run_sync(self._metered, order, self._ask, limiter=self._heavy)
        except sqlite3.Error as error:
            failed = error
        await trio.lowlevel.checkpoint()  # whoever was cancelled is told that, and not what became of it
        raise StoreUnavailable(f"hive cannot look at its store at the moment: {failed}") from failed

    def _metered(self, order: Order, ask: Callable[[Callable[[SqliteReader], Seen]], Seen]) -> Looked:
        begun = self._meter()
        seen = ask(lambda reader: reader.examine(order, self._meter))
        return Looked(seen, self._meter() - begun)

    @property
    def open_connection(self) -> sqlite3.Connection:
        """The reading connection, for a copy where the files it has open lie nowhere any more."""
        return self.reader._db  # noqa: SLF001 - nobody else is to have it

    # --- start and stop --------------------------------------------------------------------------

    def leftovers(self) -> tuple[Process, ...]:
        """Processes of earlier boots; kill them, wait for their death, and then `recover`."""
        return boot.leftovers(self._committer.db)

    def recover(self, version: str) -> int:
        """Begin this boot: settle what earlier ones left open.  Before the first `drain_forever`.

        Raises `Unusable` where the disk cannot be written; then nothing has begun.
        """
        with usable(self.path):
            return boot.recover(self._committer, version)

    def stop(self, why: str) -> None:
        """Commit what is still queued and record an ordered stop; after `drain_forever` has ended.

        A disk that fails does not keep hive from stopping.  Nothing happens to a store that was killed.
        """
        if not self._writer.closed:
            self._writer.flush()
            boot.end(self._committer, why)

    def kill(self) -> None:
        """From now on be as if this process had been killed: nothing that is queued is written."""
        self._writer.close()


@contextmanager
def open_store(  # noqa: PLR0913 - what a simulation replaces, each by its name
    path: Path,
    *,
    wall: Callable[[], float] = time.time,
    random_: random.Random | None = None,
    limits: Limits | None = None,
    inline: bool = False,
    pauses: Pauses | None = None,
    faults: Callable[[], None] = no_faults,
    handlers: Handlers = HANDLERS,
    meter: Callable[[], float] = time.thread_time,
) -> Iterator[SqliteStore]:
    """Open the store in `path`, creating it where there is none.

    Then, in this order: `leftovers`, kill them, `recover`, `drain_forever`; and `stop` for an ordered end.
    Leaving the block without `stop` is like a crash: what is queued is refused.  `inline` commits on Trio's
    thread; `faults` are chaos's and, with `pauses`, a simulation's, which keeps one `random_` over all its
    restarts, or ids would repeat.  Raises `Unusable` for a file that is not whole or of a newer hive.
    """
    chance = random_ or random.SystemRandom()
    with ExitStack() as stack:
        db = stack.enter_context(closing(open_database(path, chance)))
        reading = stack.enter_context(closing(connect_reader(path)))
        committer = Committer(db, handlers, limits or Limits(), wall, time_ordered(wall, chance), faults)
        writer = Writer(committer, pauses or NoPauses(), inline)
        stack.callback(writer.close)
        hints = Hints()
        writer.subscribe(hints.on_commit)
        reader = SqliteReader(reading, wall, lambda: writer.refusing)
        yield SqliteStore(path, reader, hints, committer, writer, meter)


@contextmanager
def open_reader(path: Path, wall: Callable[[], float] = time.time) -> Iterator[SqliteReader]:
    """Read a store that another process may be writing, or none.  The file must exist."""
    with closing(connect_reader(path)) as db:
        yield SqliteReader(db, wall)


__all__ = ["SqliteStore", "open_reader", "open_store"]
