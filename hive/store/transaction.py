"""What a command's implementation may touch: one connection inside one savepoint.

The rule kept here: an implementation is a plain function `(transaction, command) -> answer`.  It writes
rows and journal rows together or raises a refusal and has written nothing.  Journal rows are numbered at
once and written by one statement before the commit: half of what a row of its own would cost.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence

import orjson
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
    _journaled: int | None = field(default=None, init=False)
    """Number of the last journal row before this transaction, once it has been asked for."""

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
        if self._journaled is None:
            row = self.row("SELECT seq FROM sqlite_sequence WHERE name = 'journal'")
            self._journaled = 0 if row is None else row["seq"]
        name = None if subject is None else str(subject)
        seq = self._journaled + len(self.journal_rows) + 1
        self.journal_rows.append(
            JournalRow(seq, self.boot, self.now, type_, agent, name, data, self.command_key)
        )

    def write_journal(self) -> None:
        """Write the rows that have been appended: the last thing before the commit."""
        self.db.executemany(
            "INSERT INTO journal (seq, boot, at, type, agent, subject, command, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (row.seq, row.boot, row.at, row.type, row.agent, row.subject, row.command, _json(row.data))
                for row in self.journal_rows
            ],
        )


def _json(data: Mapping[str, object]) -> str:
    try:
        return orjson.dumps(data).decode()
    except orjson.JSONEncodeError:
        return json.dumps(data)  # escapes half a surrogate pair, and knows no largest number
