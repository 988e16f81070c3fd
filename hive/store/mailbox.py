"""Where a message enters the store: one insertion for everybody.

The rule kept here: a kick, a restart note and an agent's wish for another turn are one row each while
nobody has claimed them, so that repeating them costs nothing.
"""

import sqlite3
from functools import cache

from attrs import frozen

from hive.protocol.events import SENT_FIELDS
from hive.protocol.mail import Kind, Provenance, State
from hive.protocol.names import SYSTEM
from hive.store.rows import Row, count, priority_of, record
from hive.store.texts import head
from hive.store.transaction import Parameter, Transaction

COALESCED = frozenset({Kind.KICK, Kind.RESTARTED, Kind.NEXT_TURN})


@frozen
class Letter:
    """What a message says, before it is known who gets it: it has passed every check of its own."""

    body: str
    size: int
    sender: str = SYSTEM
    provenance: Provenance = Provenance.SYSTEM
    kind: Kind = Kind.MESSAGE
    label: str | None = None
    in_reply_to: str | None = None
    thread: str | None = None
    """None: the message opens a thread of its own."""

    cause: str | None = None
    urgent: bool = False
    not_before: float | None = None
    hops: int = 0
    broadcast: bool = False
    wakes: bool = True
    attachment: str | None = None


@frozen
class Posted:
    """A letter that has become a message."""

    number: int
    id: str
    blocked: str | None
    """Why the loop guard holds it back."""


def post(tx: Transaction, letter: Letter, to: str, blocked: str | None = None) -> Posted:
    """Store a message, or renew the unclaimed one it coalesces with."""
    if letter.kind in COALESCED and (waiting := _unclaimed(tx, letter, to)) is not None:
        row = _renew(tx, waiting, letter)
        record(tx, "msg.sent", row, **_sent_fields(row), coalesced=True)
        return Posted(row["number"], row["id"], row["why"] if row["state"] == State.BLOCKED else None)
    count(tx, to, "accepted")
    return _insert(tx, letter, to, blocked)


def _insert(tx: Transaction, letter: Letter, to: str, blocked: str | None) -> Posted:
    identity = tx.new_id("m")
    # Plain values: an enumeration or a bool makes sqlite3 look for an adapter, each time and in vain.
    columns: dict[str, Parameter] = {
        "id": identity,
        "sender": letter.sender,
        "label": letter.label,
        "recipient": to,
        "kind": letter.kind.value,
        "body": letter.body,
        "size": letter.size,
        "attachment": letter.attachment,
        "in_reply_to": letter.in_reply_to,
        "thread": letter.thread or identity,
        "cause": letter.cause,
        "provenance": letter.provenance.value,
        "urgent": int(letter.urgent),
        "not_before": letter.not_before,
        "state": (State.BLOCKED if blocked else State.READY).value,
        "hops": letter.hops,
        "broadcast": int(letter.broadcast),
        "wakes": int(letter.wakes),
        "created_at": tx.now,
        "ready_at": tx.now,
        "why": blocked,
    }
    number = tx.execute(_insertion(*columns), *columns.values()).lastrowid
    assert number is not None
    # What the table itself would answer, without asking it: a third of the insertion's time.
    row = {**columns, "number": number, "attempts": 0, "turn": None}
    record(tx, "msg.sent", row, **_sent_fields(row))
    return Posted(number, identity, blocked)


@cache
def _insertion(*columns: str) -> str:
    return f"INSERT INTO message ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own names


def _unclaimed(tx: Transaction, letter: Letter, to: str) -> sqlite3.Row | None:
    for state, index in (("ready", "message_ready"), ("blocked", "message_blocked")):
        sql = (
            f"SELECT * FROM message INDEXED BY {index}"  # noqa: S608 - one of two literals
            f" WHERE state = '{state}' AND recipient = ? AND kind = ? AND sender = ? AND provenance = ?"
        )
        row = tx.row(sql, to, letter.kind, letter.sender, letter.provenance)
        if row is not None:
            return row
    return None


def _renew(tx: Transaction, waiting: sqlite3.Row, letter: Letter) -> sqlite3.Row:
    """The newest words win; the strongest claim to attention stays."""
    row = tx.row(
        "UPDATE message SET body = ?, size = ?, attachment = ?, wakes = max(wakes, ?), hops = max(hops, ?),"
        " urgent = max(urgent, ?), ready_at = CASE WHEN wakes < ? THEN ? ELSE ready_at END,"
        " not_before = CASE WHEN ? IS NULL THEN NULL ELSE min(not_before, ?) END"
        " WHERE number = ? RETURNING *",
        *(letter.body, letter.size, letter.attachment, letter.wakes, letter.hops),
        *(letter.urgent, letter.wakes, tx.now),
        *(letter.not_before, letter.not_before),
        waiting["number"],
    )
    assert row is not None
    return row


def _sent_fields(row: Row) -> dict[str, object]:
    special: dict[str, object] = {
        "head": head(str(row["body"])),
        "priority": priority_of(row).value,
        "broadcast": bool(row["broadcast"]),
        "wakes": bool(row["wakes"]),
    }
    return {name: special[name] if name in special else row[name] for name in SENT_FIELDS}
