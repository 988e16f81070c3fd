"""Mail in the hands of an agent's own client, for as long as it shows that it is there.

The rule kept here: a lease is a claim with an end.  Its holder decides, or the end of it does.
"""

import sqlite3

from hive.protocol.commands import Ack, ExpireLeases, ExtendLeases, Lease, Release
from hive.protocol.errors import Conflict, NotFound
from hive.protocol.mail import ClaimedMail
from hive.store import claims, rows
from hive.store.guard import hear
from hive.store.parking import is_halted
from hive.store.transaction import Transaction
from hive.store.verdicts import Change, Verdict, release_all, settle

EXPIRED = rows.messages(
    "INDEXED BY message_leased WHERE state = 'claimed' AND lease_ends_at IS NOT NULL AND lease_ends_at <= ?"
)


def lease(tx: Transaction, command: Lease) -> tuple[ClaimedMail, ...]:
    """Claim mail for a client, urgent first."""
    rows.check_live(tx, command.agent)
    if is_halted(tx, command.agent):
        return ()
    ends_at = tx.now + max(0.0, command.seconds)
    batch = claims.next_for_recv(tx, command.agent, max(1, command.limit))
    if batch:
        hear(tx, command.agent, max(row["hops"] for row in batch))
    return claims.claim_for_client(tx, batch, command.holder, ends_at)


def extend_leases(tx: Transaction, command: ExtendLeases) -> int:
    """Extend what a client holds; never shortens."""
    ends_at = tx.now + max(0.0, command.seconds)
    extended = tx.execute(
        "UPDATE message INDEXED BY message_claimed SET lease_ends_at = max(lease_ends_at, ?)"
        " WHERE state = 'claimed' AND recipient = ? AND lease_ends_at IS NOT NULL"
        " AND (SELECT holder FROM claim WHERE claim.number = message.claim) = ?",
        *(ends_at, command.agent, command.holder),
    )
    return extended.rowcount


def ack(tx: Transaction, command: Ack) -> None:
    """The holder has handled it."""
    _settle(tx, command, Change(Verdict.DONE, "ack"))


def release(tx: Transaction, command: Release) -> None:
    """The holder gives it back."""
    _settle(tx, command, Change(Verdict.RELEASED, "given back by its holder"))


def expire_leases(tx: Transaction, command: ExpireLeases) -> int:  # noqa: ARG001 - all handlers look alike
    """Take back what leases past their end hold."""
    return release_all(tx, tx.rows(EXPIRED, tx.now), "its lease ended before it was acknowledged")


def _settle(tx: Transaction, command: Ack | Release, change: Change) -> None:
    row = rows.message(tx, command.message)
    if row["recipient"] != command.agent:
        raise NotFound(f"There is no message {command.message[:40]!r} in your mailbox.")
    held = _leased(row)
    if held is None or command.claim not in (None, held):
        raise Conflict(
            f"You do not hold {row['id']} (any more): it is {row['state']}."
            " Call recv; what is still yours to handle comes again."
        )
    settle(tx, row, change)


def _leased(row: sqlite3.Row) -> int | None:
    """The claim by which a client holds a message now."""
    return None if row["lease_ends_at"] is None else row["claim"]
