"""Copies of a store: made from a live one, and put in place of none.

The rule kept here: a restored store is another history.  It draws a new `log_id`, so that no client goes
on where the old one left off.
"""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

from hive.store.opening import Unusable, connect_reader, copy, draw_log_id, open_database


def backup(source: Path, target: Path) -> None:
    """Copy the store in `source`, which may be in use, to `target`, which must not exist.

    Blocks until the copy is on the disk: call it in a thread.  Raises `Unusable`.
    """
    _vacant(target)
    _check(source)
    with closing(connect_reader(source)) as db:
        copy(db, target)


def restore(source: Path, target: Path, random_: random.Random | None = None) -> None:
    """Put a backup where a hive will look for its store; refuses to replace one.

    Raises `Unusable` for a backup that is damaged or of a newer hive, and then leaves no `target`.
    """
    _vacant(target)
    _check(source)
    with closing(connect_reader(source)) as db:
        copy(db, target)
    chance = random_ or random.SystemRandom()
    try:
        with closing(open_database(target, chance)) as restored:
            draw_log_id(restored, chance, replace=True)
    except BaseException:
        target.unlink()
        raise


def _vacant(target: Path) -> None:
    if target.exists():
        raise Unusable(f"{target} exists and is not replaced: move it away first, or choose another file.")


def _check(source: Path) -> None:
    """Refuse to copy what is not a whole database."""
    if not source.is_file():
        raise Unusable(f"There is no file {source}.")
    try:
        with closing(connect_reader(source)) as db:
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            db.execute("SELECT value FROM hive WHERE key = 'log_id'").fetchone()
    except sqlite3.DatabaseError as error:
        raise Unusable(f"{source} is damaged or not a database of hive ({error}).") from error
    if found != "ok":
        raise Unusable(f"{source} is damaged: {found}.")
