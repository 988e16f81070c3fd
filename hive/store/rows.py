"""Rows of the mail tables: how they are found, read, counted and written down.

The rule kept here: whoever changes a message writes its journal row and its tally in the same breath.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import attrs

from hive.protocol.commands import Settings
from hive.protocol.errors import NotFound
from hive.protocol.mail import Kind, Mail, Priority, Provenance, State
from hive.protocol.names import EVERYONE, MANAGER, NAME, OPERATOR, SYSTEM, near
from hive.store.texts import storable
from hive.store.transaction import Parameter, Transaction

DIGITS = 18
"""The longest message number that is looked up: SQLite's integers end at 19 digits."""

NAMES_TOLD = 20
"""So many agents an error lists, when no name is near."""

MEANT = {
    "all": f"For everybody, write to `{EVERYONE}`.",
    "hive": "That is hive itself, which reads no mail; the operator does.",
    SYSTEM: "That is hive itself, which reads no mail; the operator does.",
}
"""Whom a reserved name stands for; `operator` does get mail."""

STORED_ONLY = ("ready_at", "lease_ends_at", "redriven_as")
"""Columns of a message that nobody outside the store sees."""

COLUMNS = tuple("urgent" if one.name == "priority" else one.name for one in attrs.fields(Mail)) + STORED_ONLY
MAIL_FIELDS = len(COLUMNS) - len(STORED_ONLY)

READ: Mapping[str, Callable[[Any], object]] = {
    "provenance": {one.value: one for one in Provenance}.__getitem__,
    "kind": {one.value: one for one in Kind}.__getitem__,
    "state": {one.value: one for one in State}.__getitem__,
    "urgent": (Priority.NORMAL, Priority.URGENT).__getitem__,
    "broadcast": bool,
    "wakes": bool,
}
MEANINGS = tuple((place, READ[column]) for place, column in enumerate(COLUMNS) if column in READ)
"""What is not stored as it is told, by its place: asking a row by names takes longer than all else."""


def messages(where: str, *more: str) -> str:
    """The statement that selects messages, their columns in the order in which `mail_of` takes them."""
    columns = ", ".join((*(f"message.{column}" for column in COLUMNS), *more))
    return f"SELECT {columns} FROM message {where}"  # noqa: S608 - our own words


BY_NUMBER = messages("WHERE number = ?")
BY_ID = messages("WHERE id = ?")

TURN = "SELECT number, agent, boot, incarnation, started_at, stop_requested, hops FROM turn"
"""What changes of a turn depend on, without its texts."""

Row: TypeAlias = sqlite3.Row | Mapping[str, Any]
"""A row of the message table, as it was read or as it was written."""

Counter = Literal["accepted", "done", "dead"]


def mail_of(row: Iterable[object]) -> Mail:
    """A row that `messages` selects, as everybody outside the store sees it."""
    values: list[Any] = list(row)[:MAIL_FIELDS]
    for place, meaning in MEANINGS:
        values[place] = meaning(values[place])
    return Mail(*values)


def changed(row: Row, **columns: Parameter) -> Mapping[str, Any]:
    """A row as a change just made has left it.  RETURNING says so too, at twice the change's own cost."""
    before = dict(zip(row.keys(), row, strict=True)) if isinstance(row, sqlite3.Row) else row
    return {**before, **columns}


def priority_of(row: Row) -> Priority:
    """The priority a message row stands for."""
    return Priority.URGENT if row["urgent"] else Priority.NORMAL


def settings_text(settings: Settings) -> str:
    """Settings as they are stored."""
    return json.dumps(attrs.asdict(settings))


@lru_cache(maxsize=1024)
def settings_of(text: str) -> Settings:
    """Settings as they were stored; the same ones are read with every look at their agent."""
    fields = json.loads(text)
    fields["directives_from"] = tuple(fields["directives_from"])
    return Settings(**fields)


def message(tx: Transaction, ref: str) -> sqlite3.Row:
    """The message with this id or number (`12` or `#12`); `NotFound` otherwise."""
    digits = ref.removeprefix("#")
    row = None
    if digits.isascii() and digits.isdigit() and len(digits) <= DIGITS:
        row = tx.row(BY_NUMBER, int(digits))
    elif storable(ref):
        row = tx.row(BY_ID, ref)
    if row is None:
        raise NotFound(f"There is no message {ref[:40]!r}; give an id (m-…) or a number (#12) of your inbox.")
    return row


def agent_row(tx: Transaction, name: str) -> sqlite3.Row | None:
    """The row of an agent, removed or not."""
    return tx.row("SELECT * FROM agent WHERE name = ?", name) if NAME.match(name) else None


def live_agent(tx: Transaction, name: str) -> sqlite3.Row:
    """The row of an agent that has not been removed; otherwise `NotFound`, naming near ones."""
    row = agent_row(tx, name)
    if row is None or row["removed_at"] is not None:
        raise no_such_recipient(tx, name)
    return row


def check_live(tx: Transaction, name: str) -> None:
    """Raise `NotFound`, naming near ones, where no agent of this name exists or it has been removed."""
    if not is_live(tx, name):
        raise no_such_recipient(tx, name)


def live_names(tx: Transaction) -> tuple[str, ...]:
    """Names of all agents that have not been removed, sorted."""
    live = tx.rows("SELECT name FROM agent WHERE removed_at IS NULL ORDER BY name")
    return tuple(row["name"] for row in live)


def is_live(tx: Transaction, name: str) -> bool:
    """Whether an agent of this name exists and has not been removed."""
    sql = "SELECT 1 FROM agent WHERE name = ? AND removed_at IS NULL"
    return bool(NAME.match(name)) and tx.row(sql, name) is not None


def manager_name(tx: Transaction) -> str | None:
    """The one agent with the manager's role."""
    row = tx.row(
        "SELECT name FROM agent WHERE removed_at IS NULL AND json_extract(settings, '$.role') = 'manager'"
    )
    return None if row is None else row["name"]


def no_such_recipient(tx: Transaction, name: str) -> NotFound:
    """The refusal for a name nobody bears, in words for a model and for a person alike."""
    similar = near(name, (*live_names(tx), OPERATOR, MANAGER))
    if name in MEANT:
        hint = MEANT[name]
    elif similar:
        hint = f"Did you mean {' or '.join(similar)}?"
    else:
        hint = whom_there_is(tx)
    return NotFound(f"There is no agent {name[:40]!r}. {hint}")


def whom_there_is(tx: Transaction) -> str:
    """The agents one can write to, as a sentence; the first of them where there are many."""
    names = live_names(tx)
    if not names:
        return "This hive has no agents yet."
    more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
    return f"There are: {', '.join(names[:NAMES_TOLD])}{more}."


def open_turn_of(tx: Transaction, agent: str) -> sqlite3.Row | None:
    """The open turn of an agent, of whatever boot."""
    return tx.row(f"{TURN} INDEXED BY turn_open WHERE agent = ? AND ended_at IS NULL", agent)


def record(tx: Transaction, type_: str, row: Row, **data: object) -> None:
    """Journal what has become of a message."""
    fields: dict[str, object] = {
        "number": row["number"],
        "from": row["sender"],
        "to": row["recipient"],
        "state": row["state"],
        "attempts": row["attempts"],
        "turn": row["turn"],
        "why": row["why"],
    }
    tx.journal(type_, str(row["recipient"]), str(row["id"]), **fields, **data)


def count(tx: Transaction, recipient: str, counter: Counter) -> None:
    """Add one to a recipient's stored count."""
    tx.execute(
        f"INSERT INTO tally (agent, {counter}) VALUES (?, 1)"  # noqa: S608 - one of three literals
        f" ON CONFLICT (agent) DO UPDATE SET {counter} = {counter} + 1",
        recipient,
    )


def unfinished(tx: Transaction, recipient: str) -> int:
    """How many messages of a recipient are ready, claimed or blocked, by the stored counts."""
    row = tx.row("SELECT accepted - removed - done - dead AS n FROM tally WHERE agent = ?", recipient)
    return 0 if row is None else int(row["n"])
