"""A daemon starts: count it, and settle what earlier ones left in the middle of something.

The rule kept here: mail is released only after the processes that held it are dead, because a CLI that
outlived its daemon may still be working on it.  So a boot has two steps, and the killing is between them.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hive.protocol.commands import Command, EndOrphans, ExpireLeases, ForgetProcess
from hive.protocol.views import Process
from hive.store.batch import Committer
from hive.store.transaction import Transaction

NO_INCARNATION = 0
"""Incarnations count from 1: every open turn is somebody else's."""

WHY = "hive was restarted"


def leftovers(db: sqlite3.Connection) -> tuple[Process, ...]:
    """Processes that earlier boots recorded and have not seen leave, oldest first."""
    rows = db.execute("SELECT agent, pid, started, boot FROM process ORDER BY at, pid")
    return tuple(Process(**row) for row in rows)


def recover(committer: Committer, version: str) -> int:
    """Begin a boot in one synced transaction and return its number.

    Call it when everything `leftovers` listed is dead.  Open turns end as interrupted, leases past their
    end are released, and leases that have not ended are kept: their clients may still be there.
    """
    with _synced(committer.db):
        tx = committer.transaction()
        started = tx.execute("INSERT INTO boot (started_at, version) VALUES (?, ?)", tx.now, version)
        tx.boot = started.lastrowid or 0
        for row in tx.rows("SELECT DISTINCT agent FROM turn INDEXED BY turn_open WHERE ended_at IS NULL"):
            _perform(committer, tx, EndOrphans(row["agent"], NO_INCARNATION, WHY))
        _perform(committer, tx, ExpireLeases())
        for process in leftovers(committer.db):
            _perform(committer, tx, ForgetProcess(process.agent, process.pid, process.started))
        tx.execute("UPDATE boot SET served_at = ? WHERE number = ?", tx.now, tx.boot)
        tx.journal("hive.booted", None, None, version=version)
        tx.write_journal()
    committer.boot = tx.boot
    return tx.boot


def end(committer: Committer, why: str) -> None:
    """Record an ordered stop, where the disk can be written."""
    with suppress(sqlite3.Error), _synced(committer.db):
        tx = committer.transaction()
        tx.journal("hive.stopped", None, None, why=why)
        tx.write_journal()
        tx.execute("UPDATE boot SET ended_at = ? WHERE number = ?", tx.now, tx.boot)


def _perform(committer: Committer, tx: Transaction, command: Command[object]) -> None:
    committer.handlers[type(command)](tx, command)


@contextmanager
def _synced(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction of its own that is on the disk when it ends, or has not happened."""
    db.execute("PRAGMA synchronous = FULL")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
