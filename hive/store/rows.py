"""Rows of the mail tables: how they are found, read, counted and written down.

The rule kept here: whoever changes a message writes its journal row and its tally in the same breath.
"""

import json
import sqlite3
from collections.abc import Mapping
from typing import Literal, TypeAlias

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

Row: TypeAlias = sqlite3.Row | Mapping[str, Parameter]
"""A row of the message table, as it was read or as it was written."""

Counter = Literal["accepted", "done", "dead"]


def mail_of(row: sqlite3.Row) -> Mail:
    """A row of the message table as everybody outside the store sees it."""
    return Mail(
        number=row["number"],
        id=row["id"],
        sender=row["sender"],
        recipient=row["recipient"],
        body=row["body"],
        thread=row["thread"],
        provenance=Provenance(row["provenance"]),
        # SQLite's RETURNING gives a whole number where the column has a real one.
        created_at=float(row["created_at"]),
        kind=Kind(row["kind"]),
        label=row["label"],
        in_reply_to=row["in_reply_to"],
        cause=row["cause"],
        priority=priority_of(row),
        not_before=row["not_before"],
        state=State(row["state"]),
        attempts=row["attempts"],
        interruptions=row["interruptions"],
        hops=row["hops"],
        broadcast=bool(row["broadcast"]),
        wakes=bool(row["wakes"]),
        size=row["size"],
        attachment=row["attachment"],
        claim=row["claim"],
        turn=row["turn"],
        read_at=row["read_at"],
        settled_at=row["settled_at"],
        why=row["why"],
    )


def priority_of(row: Row) -> Priority:
    """The priority a message row stands for."""
    return Priority.URGENT if row["urgent"] else Priority.NORMAL


def settings_text(settings: Settings) -> str:
    """Settings as they are stored."""
    return json.dumps(attrs.asdict(settings))


def settings_of(text: str) -> Settings:
    """Settings as they were stored."""
    fields = json.loads(text)
    fields["directives_from"] = tuple(fields["directives_from"])
    return Settings(**fields)


def message(tx: Transaction, ref: str) -> sqlite3.Row:
    """The message with this id or number (`12` or `#12`); `NotFound` otherwise."""
    digits = ref.removeprefix("#")
    row = None
    if digits.isascii() and digits.isdigit() and len(digits) <= DIGITS:
        row = tx.row("SELECT * FROM message WHERE number = ?", int(digits))
    elif storable(ref):
        row = tx.row("SELECT * FROM message WHERE id = ?", ref)
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
    return tx.row("SELECT * FROM turn INDEXED BY turn_open WHERE agent = ? AND ended_at IS NULL", agent)


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
