"""One transaction: many commands, each in a savepoint of its own.

This is the part of the writer that touches the database, and it is plain synchronous code: production runs
it in a thread, simulation in place.  The rule kept here: either everything it reports has been committed,
or nothing has.
"""

import sqlite3
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from attrs import define, frozen

from hive.protocol.commands import Command, Once, Promise
from hive.protocol.errors import HiveRefusal
from hive.protocol.limits import Limits
from hive.protocol.views import JournalRow, StreamView
from hive.store.once import check_expectation, recall, remember
from hive.store.texts import storable
from hive.store.transaction import Transaction

Handler: TypeAlias = Callable[[Transaction, Command[object]], object]
Handlers: TypeAlias = Mapping[type[Command[object]], Handler]

STORAGE_FAILURES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
"""Primary result codes that blame the disk or the file and not the statement."""

CLEARED = "store_cleared"
"""Code of the warning that tells of a time without commits, when it is over."""


@frozen
class Asked:
    """A command as the transaction needs it."""

    command: Command[object]
    once: Once | None
    promise: Promise


@frozen
class Answer:
    """The command holds."""

    value: object


@frozen
class Failure:
    """The command changed nothing."""

    error: Exception


@frozen
class Committed:
    """The transaction holds: one outcome for each command, in order, and what subscribers are told."""

    outcomes: tuple[Answer | Failure, ...]
    journal: Sequence[JournalRow]
    stream: Sequence[tuple[str, StreamView]]


@frozen
class NotCommitted:
    """Nothing of it holds.

    If this process dies before the next commit, a transaction whose sync failed may be found in the log
    after all; the queue it came from is gone by then, so nothing of it is applied twice.
    """

    error: sqlite3.Error


@define(eq=False)
class Committer:
    """Carries out commands on the one connection that writes.  One thread at a time."""

    db: sqlite3.Connection
    handlers: Handlers
    limits: Limits
    wall: Callable[[], float]
    new_id: Callable[[str], str]
    faults: Callable[[], None]
    """Consulted before every COMMIT; a test's raises `sqlite3.OperationalError`."""

    boot: int = 0

    def commit(self, asked: Sequence[Asked], cleared: str | None = None) -> Committed | NotCommitted:
        """Carry out all of it in one transaction.

        `cleared` is the text of a warning to put into the journal first: commits had failed, and this
        one tells.
        """
        if not self.boot:
            raise RuntimeError("recover the store before it is served")
        try:
            return self._transact(asked, cleared)
        except sqlite3.Error as error:
            return NotCommitted(error)
        finally:
            if self.db.in_transaction:
                # A disk that fails a commit may fail this too; the next attempt begins here again.
                with suppress(sqlite3.Error):
                    self.db.execute("ROLLBACK")

    def transaction(self) -> Transaction:
        """What the implementations of one batch get."""
        return Transaction(self.db, self.wall(), self.boot, self.new_id, self.limits)

    def _transact(self, asked: Sequence[Asked], cleared: str | None) -> Committed:
        synced = cleared is not None or any(one.promise is Promise.KEPT for one in asked)
        # The log is sequential: a synced commit also syncs the unsynced ones before it.
        self.db.execute("PRAGMA synchronous = FULL" if synced else "PRAGMA synchronous = NORMAL")
        self.db.execute("BEGIN IMMEDIATE")
        tx = self.transaction()
        if cleared is not None:
            tx.journal("hive.warning", None, None, code=CLEARED, text=cleared)
        outcomes = tuple(self._perform(tx, one) for one in asked)
        tx.write_journal()
        self.faults()
        self.db.execute("COMMIT")
        return Committed(outcomes, tuple(tx.journal_rows), tuple(tx.stream_rows))

    def _perform(self, tx: Transaction, asked: Asked) -> Answer | Failure:
        """Carry out one command, or leave no trace of it but its refusal."""
        before = tx.appended()
        # Else the row that tells of the refusal could not be written either.
        tx.command_key = asked.once.key if asked.once and storable(asked.once.key) else None
        self.db.execute("SAVEPOINT command")
        try:
            answer = self._answer(tx, asked)
        except Exception as error:
            # Whatever else it is, it is this command's and not its neighbours'.
            if blames_storage(error):
                raise
            self.db.execute("ROLLBACK TO command")
            self.db.execute("RELEASE command")
            tx.take_back(before)
            _record(tx, asked, error)
            return Failure(error)
        self.db.execute("RELEASE command")
        return Answer(answer)

    def _answer(self, tx: Transaction, asked: Asked) -> object:
        if asked.once is None:
            return self.handlers[type(asked.command)](tx, asked.command)
        if repeated := recall(tx, asked.command, asked.once):
            return repeated.answer
        check_expectation(tx, asked.once)
        answer = self.handlers[type(asked.command)](tx, asked.command)
        remember(tx, asked.command, asked.once, answer)
        return answer


def blames_storage(error: Exception) -> bool:
    """Whether an error says that the database cannot be written, whatever the command."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and code is not None and code & 0xFF in STORAGE_FAILURES


def _record(tx: Transaction, asked: Asked, error: Exception) -> None:
    """Leave a journal row behind where somebody will look for one."""
    match error:
        case HiveRefusal():
            if asked.once:
                tx.journal("command.refused", None, None, code=error.code, text=error.text)
        case _:
            # Not the error's own text: it may quote a body or a token.
            text = f"{type(asked.command).__name__} failed: {type(error).__name__} at {_place(error)}"
            tx.journal("hive.warning", None, None, code="command_failed", text=text)


def _place(error: Exception) -> str:
    """File and line an error came from."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
