"""Copies of a store: made from a live one, and put in place of none.

The rule kept here: a restored store is another history.  It draws a new `log_id`, so that no client goes
on where the old one left off.
"""

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from hive.protocol.errors import Refused
from hive.store.opening import (
    Unusable,
    connect_reader,
    copy,
    draw_log_id,
    files_of,
    open_database,
    remove,
)


def backup(source: Path, target: Path, opened: sqlite3.Connection | None = None) -> None:
    """Copy the store in `source`, which may be in use, to `target`, which must not exist.

    `opened` is copied instead where the files of `source` are not those of the store any more.
    Blocks until the copy is on the disk: call it in a thread.  Raises `Unusable` for a store that is
    damaged and `Refused` for a target where no copy can be, and then leaves nothing there.
    """
    with _telling(target):
        _vacant(target)
        _foreign(source, target)
        if opened is not None:
            copy(opened, target)
            return
        _check(source)
        with closing(connect_reader(source)) as db:
            copy(db, target)


def restore(source: Path, target: Path, random_: random.Random | None = None) -> None:
    """Put a backup where a hive will look for its store; refuses to replace one.

    Raises `Unusable` for a backup that is damaged or of a newer hive, `Refused` for a target where no
    store can be, and then leaves no `target`.
    """
    chance = random_ or random.SystemRandom()
    with _telling(target):
        _vacant(target)
        _check(source)
        with closing(connect_reader(source)) as db:
            copy(db, target)
        with ExitStack() as undo:
            undo.callback(remove, target)
            with closing(open_database(target, chance)) as restored:
                draw_log_id(restored, chance, replace=True)
            undo.pop_all()


@contextmanager
def _telling(target: Path) -> Iterator[None]:
    """Refuse, in a sentence, what the machine refuses."""
    try:
        yield
    except (OSError, sqlite3.Error, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Refused(
            f"No copy was made at {str(target)!r}: {why}. "
            "Choose a file in a folder that exists, may be written and has room."
        ) from error


def _vacant(target: Path) -> None:
    """Refuse what exists, and a place where SQLite would take another database's log for the copy's."""
    for file in files_of(target):
        # A link that leads nowhere is somebody's, too.
        if os.path.lexists(file):
            raise Refused(f"{file} exists and is not replaced: move it away first, or choose another file.")


def _foreign(source: Path, target: Path) -> None:
    """Refuse the names of the store's own files, there or not: a copy of that name would be used as one."""
    if target.name.startswith(source.name) and target.parent.resolve() == source.parent.resolve():
        raise Refused(f"{target} is a name of hive's own files: choose another one.")


def _check(source: Path) -> None:
    """Refuse to copy what is not a whole database."""
    if not source.is_file():
        raise Unusable(f"There is no file {source}.")
    try:
        with closing(connect_reader(source)) as db:
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            db.execute("SELECT value FROM hive WHERE key = 'log_id'").fetchone()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise  # The disk or another process is to blame, not the file.
        raise Unusable(f"{source} is damaged or not a database of hive ({error}).") from error
    if found != "ok":
        raise Unusable(f"{source} is damaged: {found}.")
