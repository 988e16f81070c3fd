"""Park reasons: a set of rows for each agent, each lifted by its own way out.

The rule kept here: a timed reason always has an end within reach, so none that only time lifts can hold
for ever.
"""

import math
import sqlite3

from hive.protocol.outcome import backoff_seconds
from hive.protocol.parking import EXITS, Parked, Reason
from hive.store.texts import mended
from hive.store.transaction import Transaction

PARKED_SECONDS = 31 * 24 * 3600.0
"""The longest a timed reason holds before it is looked at again: no limit of a model lasts longer, and a
wrong end must not park its agent for ever."""


def reasons(tx: Transaction, agent: str) -> tuple[Parked, ...]:
    """Every reason in force now, oldest first."""
    return tuple(one for one in _stored(tx, agent) if one.holds_at(tx.now))


def _stored(tx: Transaction, agent: str) -> tuple[Parked, ...]:
    found = tx.rows("SELECT * FROM park WHERE agent = ? ORDER BY since, reason", agent)
    return tuple(map(parked_of, found))


def parked_of(row: sqlite3.Row) -> Parked:
    """A row of the park table as a value."""
    return Parked(Reason(row["reason"]), row["since"], row["until"], row["detail"])


def is_halted(tx: Transaction, agent: str) -> bool:
    """Whether the operator has stopped all claims of an agent, by `recv` too."""
    return tx.row("SELECT 1 FROM park WHERE agent = ? AND reason IN ('paused', 'stopped')", agent) is not None


def set_reason(
    tx: Transaction, agent: str, reason: Reason, *, until: float | None = None, detail: str = ""
) -> bool:
    """Add a reason or renew its end and detail.  Answers whether that changed anything."""
    end, words = _end(tx, agent, reason, until), mended(detail)
    changed = tx.execute(
        "INSERT INTO park (agent, reason, since, until, detail) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (agent, reason) DO UPDATE SET until = excluded.until, detail = excluded.detail"
        " WHERE until IS NOT excluded.until OR detail IS NOT excluded.detail",
        *(agent, reason, tx.now, end, words),
    )
    if changed.rowcount:
        tx.journal("park.set", agent, reason.value, until=end, detail=words)
    return changed.rowcount > 0


def _end(tx: Transaction, agent: str, reason: Reason, until: float | None) -> float | None:
    if not EXITS[reason].timed:
        return None
    # An end that is past already, as of a service whose clock is slow, would have a refused agent ask again
    # at once, and again.
    if until is None or not tx.now < until < math.inf:
        row = tx.row("SELECT failures FROM agent WHERE name = ?", agent)
        return tx.now + backoff_seconds(row["failures"] if row else 1)
    return min(until, tx.now + PARKED_SECONDS)


RESET = {Reason.FAILING: "dead_in_a_row", Reason.INTERRUPTED: "interruptions"}
"""The counter that led to a reason starts anew when the reason is lifted."""


def lift_reason(tx: Transaction, agent: str, reason: Reason, by: str) -> bool:
    """Take one reason away.  Answers whether it held."""
    gone = tx.execute("DELETE FROM park WHERE agent = ? AND reason = ?", agent, reason)
    if not gone.rowcount:
        return False
    reset = f", {RESET[reason]} = 0" if reason in RESET else ""
    tx.execute(f"UPDATE agent SET idle_since = ?{reset} WHERE name = ?", tx.now, agent)  # noqa: S608 - from RESET
    tx.journal("park.lifted", agent, reason.value, by=by)
    return True


def in_force(tx: Transaction, agent: str) -> tuple[Parked, ...]:
    """The reasons that hold; those whose time has come are taken away."""
    parked = _stored(tx, agent)
    for one in parked:
        if not one.holds_at(tx.now):
            lift_reason(tx, agent, one.reason, by="time")
    return tuple(one for one in parked if one.holds_at(tx.now))
