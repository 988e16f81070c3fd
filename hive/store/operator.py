"""What the operator does with single messages.

The rule kept here: a dead letter stays what it is; bringing it back makes a fresh message that names it.
"""

import sqlite3

from attrs import evolve

from hive.protocol.commands import Bury, MarkDone, MarkRead, Redrive, ReleaseBlocked
from hive.protocol.errors import Conflict, NotFound
from hive.protocol.mail import Kind, Mail, Provenance, State
from hive.protocol.names import OPERATOR
from hive.store.attachments import check_body, keep_body
from hive.store.guard import remember_release
from hive.store.mailbox import COALESCED, Letter, post
from hive.store.notes import tell_undelivered
from hive.store.rows import mail_of, message, record
from hive.store.send import recipient
from hive.store.texts import mended
from hive.store.transaction import Transaction
from hive.store.verdicts import finish_unclaimed, kill_unclaimed


def mark_read(tx: Transaction, command: MarkRead) -> None:
    """Note that the operator has (not) read a message."""
    row = _own(tx, command.message)
    if (row["read_at"] is None) is command.unread:
        return
    read_at = None if command.unread else tx.now
    tx.execute("UPDATE message SET read_at = ? WHERE number = ?", read_at, row["number"])
    record(tx, "msg.unread" if command.unread else "msg.read", row, by=command.by)


def mark_done(tx: Transaction, command: MarkDone) -> None:
    """Note that the operator has dealt with a message; doing so twice is no mistake."""
    row = _own(tx, command.message)
    if finish_unclaimed(tx, row["number"], OPERATOR) is None and row["state"] != State.DONE:
        raise Conflict(f"{row['id']} is {row['state']}; only mail that waits can be marked done.")


def _own(tx: Transaction, ref: str) -> sqlite3.Row:
    row = message(tx, ref)
    if row["recipient"] != OPERATOR:
        raise NotFound(f"{row['id']} is not in the operator's mailbox; it belongs to {row['recipient']}.")
    return row


def redrive(tx: Transaction, command: Redrive) -> Mail:
    """Bring a dead letter back, once."""
    dead = message(tx, command.message)
    if dead["state"] != State.DEAD:
        raise Conflict(f"{dead['id']} is {dead['state']}; only a dead letter can be redriven.")
    if dead["redriven_as"] is not None:
        raise Conflict(f"{dead['id']} was redriven already, as {dead['redriven_as']}; look at that one.")
    fresh = post(tx, _copy(tx, dead, command), recipient(tx, command.to or dead["recipient"]))
    tx.execute("UPDATE message SET redriven_as = ? WHERE number = ?", fresh.id, dead["number"])
    record(tx, "msg.redriven", dead, by=command.by, **{"as": fresh.id})
    return mail_of(message(tx, fresh.id))


def _copy(tx: Transaction, dead: sqlite3.Row, command: Redrive) -> Letter:
    letter = Letter(
        body=dead["body"],
        size=dead["size"],
        attachment=dead["attachment"],
        sender=dead["sender"],
        provenance=Provenance(dead["provenance"]),
        # A copy is a message of its own: it must not vanish into another note of the same kind.
        kind=Kind.MESSAGE if dead["kind"] in COALESCED else Kind(dead["kind"]),
        label=dead["label"],
        in_reply_to=dead["in_reply_to"],
        thread=dead["thread"],
        cause=f"redrive:{dead['id']}",
        urgent=bool(dead["urgent"]),
    )
    if command.body is None:
        return letter
    size = check_body(command.body)
    body = keep_body(tx, dead["sender"], command.body, size, bounded=False)
    return evolve(letter, body=body.text, size=size, attachment=body.sha256)


def bury(tx: Transaction, command: Bury) -> None:
    """Make an unclaimed message a dead letter."""
    row = message(tx, command.message)
    dead = kill_unclaimed(tx, row["number"], mended(command.why))
    if dead is None:
        raise Conflict(f"{row['id']} is {row['state']}; only mail that waits or is blocked can be buried.")
    tell_undelivered(tx, [dead], dead["why"])


def release_blocked(tx: Transaction, command: ReleaseBlocked) -> None:
    """Let a blocked message go; its pair starts anew."""
    row = message(tx, command.message)
    freed = tx.row(
        "UPDATE message SET state = 'ready', hops = 0, ready_at = ?, why = ?"
        " WHERE number = ? AND state = 'blocked' RETURNING *",
        *(tx.now, f"released by {command.by}", row["number"]),
    )
    if freed is None:
        raise Conflict(f"{row['id']} is {row['state']}; only blocked mail can be released.")
    remember_release(tx, freed["sender"], freed["recipient"])
    record(tx, "msg.unblocked", freed, by=command.by)
