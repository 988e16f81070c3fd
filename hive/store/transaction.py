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
    _columns: list[tuple[Parameter, ...]] = field(default=Factory(list), init=False)
    """The journal rows once more, as they are written."""

    _journaled: int | None = field(default=None, init=False)
    """Number of the last journal row before this transaction, once it has been asked for."""

    def execute(self, sql: str, *parameters: Parameter) -> sqlite3.Cursor:
        """Run one statement."""
        return self.db.execute(sql, parameters)

    def many(self, sql: str, parameters: Sequence[Sequence[Parameter]]) -> int:
        """Run one statement for each row of parameters; answers how many rows it changed in all."""
        return self.db.executemany(sql, parameters).rowcount

    def row(self, sql: str, *parameters: Parameter) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        found: sqlite3.Row | None = self.db.execute(sql, parameters).fetchone()
        return found

    def rows(self, sql: str, *parameters: Parameter) -> Sequence[sqlite3.Row]:
        """All rows of a query."""
        return self.db.execute(sql, parameters).fetchall()

    def journal(self, type_: str, agent: str | None, subject: str | int | None, **data: object) -> None:
        """Append a journal row; it is published after the commit.

        Raises where the row could not be written, so that this fails its command and not the batch.
        """
        if self._journaled is None:
            last = self.row("SELECT seq FROM sqlite_sequence WHERE name = 'journal'")
            self._journaled = 0 if last is None else last["seq"]
        name = None if subject is None else str(subject)
        _words(agent, name, self.command_key)
        seq = self._journaled + len(self.journal_rows) + 1
        row = JournalRow(seq, self.boot, self.now, type_, agent, name, data, self.command_key)
        self._columns.append((seq, self.boot, self.now, type_, agent, name, self.command_key, _json(data)))
        self.journal_rows.append(row)

    def write_journal(self) -> None:
        """Write the rows that have been appended: the last thing before the commit."""
        self.db.executemany(
            "INSERT INTO journal (seq, boot, at, type, agent, subject, command, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            self._columns,
        )

    def appended(self) -> tuple[int, int]:
        """How many rows have been appended so far, to the journal and to streams."""
        return len(self.journal_rows), len(self.stream_rows)

    def take_back(self, appended: tuple[int, int]) -> None:
        """Forget what has been appended since: the command that did it was refused."""
        journal, stream = appended
        del self.journal_rows[journal:], self._columns[journal:], self.stream_rows[stream:]


def _words(*texts: str | None) -> None:
    """Raise `UnicodeEncodeError` for half a surrogate pair, which no column takes."""
    for text in texts:
        if text is not None:
            text.encode()


def _json(data: Mapping[str, object]) -> str:
    try:
        return orjson.dumps(data).decode()
    except orjson.JSONEncodeError:
        return json.dumps(data)  # escapes half a surrogate pair, and knows no largest number
