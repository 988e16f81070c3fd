"""What can be told of a store that nobody serves, from its file alone, without changing it.

The rule kept here: it is judged as it was at its last commit, because nobody has attended to its mail since.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from attrs import frozen

from hive.protocol.views import Counts, Violation
from hive.store.opening import Unusable, connect_reader
from hive.store.reader import SqliteReader


@frozen
class Condition:
    """The state of a whole store at its last commit."""

    counts: Counts
    violations: tuple[Violation, ...]


def condition(path: Path) -> Condition:
    """Look a store's file over, which must exist.  Blocks for long on a large one.

    Raises `Unusable`, whose sentence says what is wrong with the file.
    """
    try:
        with closing(connect_reader(path)) as db:
            whole = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if whole != "ok":
                raise Unusable(f"{path} is damaged: {whole}")
            reader = SqliteReader(db, lambda: _last_commit(db))
            with reader.moment():
                return Condition(reader.counts(), reader.violations())
    except sqlite3.Error as error:
        raise Unusable(f"{path} cannot be read: {error}") from error


def _last_commit(db: sqlite3.Connection) -> float:
    """When the journal ends; a store without a journal has nothing to be late with."""
    row = db.execute("SELECT at FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    return 0.0 if row is None else float(row["at"])
