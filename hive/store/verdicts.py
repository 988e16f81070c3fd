"""The endings of a claim: done, retried, released, dead.

The rule kept here: every statement is fenced by the claim's number, so a verdict from somebody whose claim
no longer holds changes nothing.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import frozen

from hive.protocol.mail import State
from hive.store.guard import hear
from hive.store.rows import Counter, Row, changed, count, record
from hive.store.transaction import Transaction


class Verdict(StrEnum):
    """What became of a claim, as the turn's list of its mail keeps it."""

    DONE = "done"
    RETRIED = "retried"
    RELEASED = "released"
    DEAD = "dead"


STATES: Mapping[Verdict, State] = {
    Verdict.DONE: State.DONE,
    Verdict.RETRIED: State.READY,
    Verdict.RELEASED: State.READY,
    Verdict.DEAD: State.DEAD,
}
COUNTED: Mapping[Verdict, Counter] = {Verdict.DONE: "done", Verdict.DEAD: "dead"}


@frozen
class Change:
    """A verdict with its reason and what it charges."""

    verdict: Verdict
    why: str
    attempts: int = 0
    interruptions: int = 0
    error: str | None = None


SETTLE = """
UPDATE message SET state = ?3, claim = NULL, lease_ends_at = NULL, why = ?4,
  attempts = ?5, interruptions = ?6,
  ready_at = CASE ?3 WHEN 'ready' THEN ?7 ELSE ready_at END,
  settled_at = CASE ?3 WHEN 'ready' THEN NULL ELSE ?7 END
WHERE number = ?1 AND state = 'claimed' AND claim = ?2
"""


def settle(tx: Transaction, row: Row, change: Change) -> Row | None:
    """Give the claim in a message's row its verdict.

    The row has been read in this transaction.  Answers it as it is now, or None where nobody holds it.
    """
    number, claim = row["number"], row["claim"]
    after = changed(
        row,
        state=STATES[change.verdict].value,
        claim=None,
        lease_ends_at=None,
        why=change.why,
        attempts=row["attempts"] + change.attempts,
        interruptions=row["interruptions"] + change.interruptions,
    )
    columns = (after[name] for name in ("state", "why", "attempts", "interruptions"))
    if not tx.execute(SETTLE, number, claim, *columns, tx.now).rowcount:
        return None
    tx.execute("UPDATE claim SET ends_at = ? WHERE number = ?", tx.now, claim)
    if row["turn"] is None:
        hear(tx, row["recipient"], row["hops"])
    else:
        tx.execute(
            "UPDATE turn_message SET verdict = ? WHERE turn = ? AND message = ? AND claim = ?",
            *(change.verdict.value, row["turn"], number, claim),
        )
    _written_down(tx, after, change)
    return after


def _written_down(tx: Transaction, row: Row, change: Change) -> None:
    if change.verdict in COUNTED:
        count(tx, row["recipient"], COUNTED[change.verdict])
    extra = {} if change.error is None else {"error": change.error}
    record(tx, f"msg.{change.verdict}", row, **extra)


def kill_unclaimed(tx: Transaction, number: int, why: str) -> sqlite3.Row | None:
    """Make a ready or blocked message a dead letter.  Answers its new row, or None where it is neither."""
    row = tx.row(
        "UPDATE message SET state = 'dead', why = ?, settled_at = ?"
        " WHERE number = ? AND state IN ('ready', 'blocked') RETURNING *",
        *(why, tx.now, number),
    )
    if row is not None:
        _written_down(tx, row, Change(Verdict.DEAD, why))
    return row


def finish_unclaimed(tx: Transaction, number: int, why: str) -> sqlite3.Row | None:
    """Make a ready message done, for somebody who reads without claiming: the operator."""
    row = tx.row(
        "UPDATE message SET state = 'done', why = ?, settled_at = ?, read_at = coalesce(read_at, ?)"
        " WHERE number = ? AND state = 'ready' RETURNING *",
        *(why, tx.now, tx.now, number),
    )
    if row is not None:
        _written_down(tx, row, Change(Verdict.DONE, why))
    return row


def release_all(tx: Transaction, held: Iterable[Row], why: str) -> int:
    """Give claimed messages back, uncharged.  Answers how many still were theirs to give."""
    change = Change(Verdict.RELEASED, why)
    return sum(settle(tx, row, change) is not None for row in held)
