"""Where a message enters the store: one insertion for everybody.

The rule kept here: a kick, a restart note and an agent's wish for another turn are one row each while
nobody has claimed them, so that repeating them costs nothing.
"""

import sqlite3

from attrs import frozen

from hive.protocol.events import SENT_FIELDS
from hive.protocol.mail import Kind, Provenance, State
from hive.protocol.names import SYSTEM
from hive.store.rows import count, priority_of, record
from hive.store.texts import head
from hive.store.transaction import Transaction

COALESCED = frozenset({Kind.KICK, Kind.RESTARTED, Kind.NEXT_TURN})


@frozen
class Draft:
    """A message that has passed every check and lacks only its number and id."""

    recipient: str
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
    blocked: str | None = None
    """Why the loop guard holds it back."""


def post(tx: Transaction, draft: Draft) -> sqlite3.Row:
    """Store a message, or renew the unclaimed one it coalesces with; returns its row."""
    if draft.kind in COALESCED and (waiting := _unclaimed(tx, draft)) is not None:
        row, extra = _renew(tx, waiting, draft), {"coalesced": True}
    else:
        row, extra = _insert(tx, draft), {}
        count(tx, draft.recipient, "accepted")
    record(tx, "msg.sent", row, **_sent_fields(row), **extra)
    return row


def _insert(tx: Transaction, draft: Draft) -> sqlite3.Row:
    identity = tx.new_id("m")
    columns: dict[str, str | int | float | None] = {
        "id": identity,
        "sender": draft.sender,
        "label": draft.label,
        "recipient": draft.recipient,
        "kind": draft.kind,
        "body": draft.body,
        "size": draft.size,
        "attachment": draft.attachment,
        "in_reply_to": draft.in_reply_to,
        "thread": draft.thread or identity,
        "cause": draft.cause,
        "provenance": draft.provenance,
        "urgent": draft.urgent,
        "not_before": draft.not_before,
        "state": State.BLOCKED if draft.blocked else State.READY,
        "hops": draft.hops,
        "broadcast": draft.broadcast,
        "wakes": draft.wakes,
        "created_at": tx.now,
        "ready_at": tx.now,
        "why": draft.blocked,
    }
    sql = f"INSERT INTO message ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) RETURNING *"  # noqa: S608 - our own names
    row = tx.row(sql, *columns.values())
    assert row is not None
    return row


def _unclaimed(tx: Transaction, draft: Draft) -> sqlite3.Row | None:
    for state, index in (("ready", "message_ready"), ("blocked", "message_blocked")):
        sql = (
            f"SELECT * FROM message INDEXED BY {index}"  # noqa: S608 - one of two literals
            f" WHERE state = '{state}' AND recipient = ? AND kind = ? AND sender = ? AND provenance = ?"
        )
        row = tx.row(sql, draft.recipient, draft.kind, draft.sender, draft.provenance)
        if row is not None:
            return row
    return None


def _renew(tx: Transaction, waiting: sqlite3.Row, draft: Draft) -> sqlite3.Row:
    """The newest words win; the strongest claim to attention stays."""
    row = tx.row(
        "UPDATE message SET body = ?, size = ?, attachment = ?, wakes = max(wakes, ?), hops = max(hops, ?),"
        " urgent = max(urgent, ?), ready_at = CASE WHEN wakes < ? THEN ? ELSE ready_at END,"
        " not_before = CASE WHEN ? IS NULL THEN NULL ELSE min(not_before, ?) END"
        " WHERE number = ? RETURNING *",
        *(draft.body, draft.size, draft.attachment, draft.wakes, draft.hops),
        *(draft.urgent, draft.wakes, tx.now),
        *(draft.not_before, draft.not_before),
        waiting["number"],
    )
    assert row is not None
    return row


def _sent_fields(row: sqlite3.Row) -> dict[str, object]:
    special: dict[str, object] = {
        "head": head(row["body"]),
        "priority": priority_of(row).value,
        "broadcast": bool(row["broadcast"]),
        "wakes": bool(row["wakes"]),
    }
    return {name: special[name] if name in special else row[name] for name in SENT_FIELDS}
