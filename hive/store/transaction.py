"""What a command's implementation may touch: one connection inside one savepoint.

The rule kept here: an implementation is a plain function `(transaction, command) -> answer`.  It writes
rows and journal rows together or raises a refusal and has written nothing.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence

from attrs import Factory, define, field

from hive.protocol.limits import Limits
from hive.protocol.views import JournalRow, StreamView

Parameter = str | int | float | None


@define(eq=False)
class Transaction:
    """One commit in the making.  Shared by the commands of a batch, each in its own savepoint."""

    db: sqlite3.Connection
    now: float
    """Wall-clock time of the whole batch, in seconds since the epoch."""

    boot: int
    new_id: Callable[[str], str]
    """Makes a fresh time-ordered id with the given prefix, as `m-...`."""

    limits: Limits
    command_key: str | None = None
    """Key of the keyed command at work, for its journal rows."""

    journal_rows: list[JournalRow] = field(default=Factory(list))
    stream_rows: list[tuple[str, StreamView]] = field(default=Factory(list))

    def execute(self, sql: str, *parameters: Parameter) -> sqlite3.Cursor:
        """Run one statement."""
        return self.db.execute(sql, parameters)

    def row(self, sql: str, *parameters: Parameter) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        found: sqlite3.Row | None = self.db.execute(sql, parameters).fetchone()
        return found

    def rows(self, sql: str, *parameters: Parameter) -> Sequence[sqlite3.Row]:
        """All rows of a query."""
        return self.db.execute(sql, parameters).fetchall()

    def journal(self, type_: str, agent: str | None, subject: str | int | None, **data: object) -> None:
        """Append a journal row; it is published after the commit."""
        name = None if subject is None else str(subject)
        cursor = self.db.execute(
            "INSERT INTO journal (boot, at, type, agent, subject, command, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self.boot, self.now, type_, agent, name, self.command_key, json.dumps(data)),
        )
        seq = cursor.lastrowid or 0
        self.journal_rows.append(
            JournalRow(seq, self.boot, self.now, type_, agent, name, dict(data), self.command_key)
        )
