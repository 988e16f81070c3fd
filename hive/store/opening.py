"""Opening the file: is it ours, is it whole, and does this hive know its schema?

The rule kept here: before anything in an existing file is changed, a copy of it is made beside it.
"""

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from sqlite_utils import Database, Migrations

from hive.protocol.errors import HiveRefusal
from hive.store.schema import PRAGMAS, migrations

LOG_ID_BITS = 128

STATEMENTS = 512
"""Prepared statements a connection keeps: more than hive has."""


class Unusable(HiveRefusal):
    """The database cannot be used as it is; the sentence says what to do."""

    code = "unusable"


def connect(path: Path) -> sqlite3.Connection:
    """Open for writing, creating the file where there is none, without transactions of Python's own."""
    # Only the owner: it holds everybody's mail.  SQLite gives its log files the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    # The thread changes from batch to batch; that there is one at a time is the writer's business.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS)
    db.row_factory = sqlite3.Row
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open an existing database for reading only."""
    db = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA query_only = ON")
    db.execute("PRAGMA busy_timeout = 5000")
    return db


def open_database(path: Path, random_: random.Random, known: Migrations = migrations) -> sqlite3.Connection:
    """Open and migrate.  Raises `Unusable` for a file that is damaged, foreign, of a newer hive or locked."""
    with ExitStack() as undo:
        db = undo.enter_context(closing(connect(path)))
        with usable(path):
            _prepare(db, path, known)
            draw_log_id(db, random_, replace=False)
        undo.pop_all()
        return db


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Tell who is to blame where the first use of a database fails.  Raises `Unusable`."""
    try:
        yield
    except sqlite3.OperationalError as error:  # The disk or another process, not the file.
        raise Unusable(
            f"{path} cannot be used now ({error}): free some space, or end what else has it open."
        ) from error
    except sqlite3.DatabaseError as error:
        raise Unusable(
            f"{path} is damaged or no database of hive ({error}): restore a backup with `hive restore`."
        ) from error


def _prepare(db: sqlite3.Connection, path: Path, known: Migrations) -> None:
    """Bring the schema up to date, with a copy of the file made first where there is something to lose."""
    applied = _applied(db, path, known)
    if not applied:
        # Holds only for a file without tables, and only before the log is chosen.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for pragma in PRAGMAS:
        db.execute(pragma)
    if applied and known.pending(Database(db)):
        copy(db, path.with_name(f"{path.name}.before-{applied + 1}"))
    known.apply(Database(db))


def _applied(db: sqlite3.Connection, path: Path, known: Migrations) -> int:
    """How many migrations the file has; refuses one that has others than we know, and changes nothing."""
    applied = [migration.name for migration in known.applied(Database(db))]
    newer = set(applied) - {migration.name for migration in known._migrations}  # noqa: SLF001
    if newer:
        raise Unusable(
            f"{path} was written by a newer hive (it has {', '.join(sorted(newer))}): "
            "run that version, or restore an older backup."
        )
    return len(applied)


def copy(db: sqlite3.Connection, target: Path) -> None:
    """Copy a database, live or not, whole and synced to the disk, over whatever `target` was.

    Raises `OSError` or `sqlite3.Error`, and then leaves nothing of the copy.
    """
    partial = target.with_name(f"{target.name}.partial")
    with ExitStack() as undo:
        undo.callback(remove, partial)
        _fill(db, partial)
        partial.replace(target)
        undo.pop_all()
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _fill(db: sqlite3.Connection, partial: Path) -> None:
    partial.unlink(missing_ok=True)
    with closing(connect(partial)) as copied:
        db.backup(copied)
        # One file, that can be read where nothing may be written; opening it for use chooses the log again.
        copied.execute("PRAGMA journal_mode = DELETE")
    with partial.open("rb") as written:
        os.fsync(written.fileno())


def files_of(path: Path) -> tuple[Path, ...]:
    """A database's file, and those SQLite keeps beside it and believes whatever database lies there."""
    return tuple(path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-shm", "-journal"))


def remove(path: Path) -> None:
    """Leave nothing of a database, as far as its folder allows."""
    for file in files_of(path):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def draw_log_id(db: sqlite3.Connection, random_: random.Random, *, replace: bool) -> None:
    """Name this history, so that a client never goes on in another one."""
    how = "REPLACE" if replace else "IGNORE"
    db.execute(
        f"INSERT OR {how} INTO hive (key, value) VALUES ('log_id', ?)",  # noqa: S608 - one of two words
        (f"{random_.getrandbits(LOG_ID_BITS):032x}",),
    )
