"""Opening the file: is it ours, is it whole, and does this hive know its schema?

The rule kept here: before anything in an existing file is changed, a copy of it is made beside it.
"""

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database, Migrations

from hive.protocol.errors import HiveRefusal
from hive.store.schema import PRAGMAS, migrations

LOG_ID_BITS = 128


class Unusable(HiveRefusal):
    """The database cannot be used as it is; the sentence says what to do."""

    code = "unusable"


def connect(path: Path) -> sqlite3.Connection:
    """Open for writing, creating the file where there is none, without transactions of Python's own."""
    # Only the owner: it holds everybody's mail.  SQLite gives its log files the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    # The thread changes from batch to batch; that there is one at a time is the writer's business.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
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
    """Open and migrate.  Raises `Unusable` for a file that is damaged, foreign or of a newer hive."""
    db = connect(path)
    try:
        # Both only hold for a file without tables, and in this order.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for pragma in PRAGMAS:
            db.execute(pragma)
        migrate(db, path, known)
        draw_log_id(db, random_, replace=False)
    except sqlite3.DatabaseError as error:
        db.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise Unusable(
            f"{path} is damaged or not a database of hive ({error}): restore a backup with `hive restore`."
        ) from error
    except BaseException:
        db.close()
        raise
    return db


def migrate(db: sqlite3.Connection, path: Path, known: Migrations) -> None:
    """Bring the schema up to date, with a copy of the file made first where there is something to lose."""
    wrapped = Database(db)
    applied = [migration.name for migration in known.applied(wrapped)]
    pending = [migration.name for migration in known.pending(wrapped)]
    newer = set(applied) - {migration.name for migration in known._migrations}  # noqa: SLF001
    if newer:
        raise Unusable(
            f"{path} was written by a newer hive (it has {', '.join(sorted(newer))}): "
            "run that version, or restore an older backup."
        )
    if applied and pending:
        copy(db, path.with_name(f"{path.name}.before-{len(applied) + 1}"))
    known.apply(wrapped)


def copy(db: sqlite3.Connection, target: Path) -> None:
    """Copy a database, live or not, whole and synced to the disk, over whatever `target` was."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    with closing(connect(partial)) as copied:
        db.backup(copied)
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def draw_log_id(db: sqlite3.Connection, random_: random.Random, *, replace: bool) -> None:
    """Name this history, so that a client never goes on in another one."""
    how = "REPLACE" if replace else "IGNORE"
    db.execute(
        f"INSERT OR {how} INTO hive (key, value) VALUES ('log_id', ?)",  # noqa: S608 - one of two words
        (f"{random_.getrandbits(LOG_ID_BITS):032x}",),
    )
