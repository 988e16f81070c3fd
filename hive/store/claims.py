"""Taking mail in hand.

The rule kept here: a claim draws a number that never falls or repeats, and that number alone decides later
whether a verdict still holds.  Urgent mail goes first, but never alone where there is room for two.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import frozen

from hive.protocol.mail import ClaimedMail, Redelivery
from hive.store.rows import changed, mail_of, messages, record
from hive.store.texts import one_line
from hive.store.transaction import Transaction

REDELIVERIES_TOLD = 5
"""Of so many earlier turns a redelivered message tells."""

SENT_TOLD = 10
"""So many messages each of those turns is said to have sent."""

WORDS_TOLD = 80
"""Characters of each of those."""

READY = messages("""
INDEXED BY message_ready
WHERE state = 'ready' AND recipient = ?1 AND urgent = {urgent} AND wakes >= {wakes}
  AND (not_before IS NULL OR not_before <= ?2) ORDER BY number LIMIT ?3
""")
RIDING = messages("""
INDEXED BY message_riding
WHERE state = 'ready' AND recipient = ?1 AND wakes = 0 AND (not_before IS NULL OR not_before <= ?2)
""")


def _of_each_priority(wakes: int) -> tuple[str, ...]:
    each = (READY.format(urgent=urgent, wakes=wakes) for urgent in (1, 0))
    return tuple(f"SELECT * FROM ({one})" for one in each)  # noqa: S608 - put together from the lines above


FOR_RECV = " UNION ALL ".join(_of_each_priority(wakes=0))
FOR_TURN = " UNION ALL ".join((*_of_each_priority(wakes=1), RIDING))
"""One statement each: to ask costs more than what there mostly is to find."""


def next_for_turn(tx: Transaction, agent: str, limit: int, bytes_: int, *, alone: bool) -> list[sqlite3.Row]:
    """The deliverable messages a new turn begins with, and the notes that ride along.

    The oldest urgent and the oldest normal message are always among them, whatever `limit` and `bytes_`
    say, except `alone`: then it is one message, of those two the one with fewer attempts, so that a
    message which breaks turns is found out by itself.  Notes count against neither bound.
    """
    found = tx.rows(FOR_TURN, agent, tx.now, limit)
    urgent, normal = _by_priority(row for row in found if row["wakes"])
    if alone:
        chosen = sorted([*urgent[:1], *normal[:1]], key=lambda row: row["attempts"])[:1]
    else:
        chosen = _fitting(urgent, normal, limit, bytes_)
    riding = sorted((row for row in found if not row["wakes"]), key=_number)
    return [*riding, *chosen] if chosen else []


def _by_priority(found: Iterable[sqlite3.Row]) -> tuple[list[sqlite3.Row], list[sqlite3.Row]]:
    """The urgent and the normal ones, each oldest first."""
    both: tuple[list[sqlite3.Row], list[sqlite3.Row]] = ([], [])
    for row in sorted(found, key=_number):
        both[0 if row["urgent"] else 1].append(row)
    return both


def _number(row: sqlite3.Row) -> int:
    return int(row["number"])


def _fitting(
    urgent: Sequence[sqlite3.Row], normal: Sequence[sqlite3.Row], limit: int, bytes_: int
) -> list[sqlite3.Row]:
    chosen = [*urgent[:1], *normal[:1]]
    room = bytes_ - sum(_weight(row) for row in chosen)
    for row in (*urgent[1:], *normal[1:]):
        room -= _weight(row)
        # A message that fits behind one that does not would overtake it.
        if room < 0 or len(chosen) >= limit:
            break
        chosen.append(row)
    return in_order(chosen)


def _weight(row: sqlite3.Row) -> int:
    """Bytes a message takes in a prompt: an attachment comes as its excerpt."""
    return len(row["body"].encode())


def next_for_recv(tx: Transaction, agent: str, limit: int) -> list[sqlite3.Row]:
    """The messages somebody who asks for `limit` gets: for one, the oldest urgent one if there is any."""
    urgent, normal = _by_priority(tx.rows(FOR_RECV, agent, tx.now, limit))
    kept = 1 if normal and limit > 1 else 0
    first = urgent[: limit - kept]
    return in_order([*first, *normal[: limit - len(first)]])


def in_order(rows: Iterable[sqlite3.Row]) -> list[sqlite3.Row]:
    """Urgent first, then by number."""
    return sorted(rows, key=lambda row: (-row["urgent"], row["number"]))


def deliverable(tx: Transaction, agent: str) -> int:
    """How many messages would wake the agent now."""
    row = tx.row(
        "SELECT count(*) AS n FROM message INDEXED BY message_ready WHERE state = 'ready' AND recipient = ?"
        " AND wakes = 1 AND (not_before IS NULL OR not_before <= ?)",
        *(agent, tx.now),
    )
    return 0 if row is None else int(row["n"])


def next_due(tx: Transaction, agent: str) -> float | None:
    """When the next delayed message of an agent comes due."""
    row = tx.row(
        "SELECT min(not_before) AS at FROM message INDEXED BY message_ready WHERE state = 'ready'"
        " AND recipient = ? AND wakes = 1 AND not_before > ?",
        *(agent, tx.now),
    )
    return None if row is None else row["at"]


@frozen
class Holder:
    """Who takes mail in hand: a turn, or a client until its lease ends."""

    turn: int | None = None
    client: str | None = None
    ends_at: float | None = None


Drawn: TypeAlias = Sequence[tuple[sqlite3.Row, int]]
"""Messages, each with the number of its claim."""

LIST = """
INSERT INTO turn_message (turn, message, claim, first, waited)
VALUES (?1, ?2, ?3, NOT EXISTS (SELECT 1 FROM turn_message WHERE message = ?2), max(?4, 0.0))
ON CONFLICT (turn, message) DO UPDATE SET claim = excluded.claim, seen = 0, verdict = NULL
"""
TAKE = """
UPDATE message SET state = 'claimed', claim = ?, turn = ?, lease_ends_at = ?, why = NULL
WHERE number = ? AND state = 'ready'
"""


def claim_for_turn(tx: Transaction, batch: Sequence[sqlite3.Row], turn: int) -> tuple[ClaimedMail, ...]:
    """Take ready messages into an open turn."""
    drawn = _draw(tx, batch, Holder(turn=turn))
    tx.many(LIST, [(turn, row["number"], claim, _waited(tx, row)) for row, claim in drawn])
    return _take(tx, drawn, Holder(turn=turn))


def _waited(tx: Transaction, row: sqlite3.Row) -> float:
    return float(tx.now - max(row["ready_at"], row["not_before"] or 0.0))


def claim_for_client(
    tx: Transaction, batch: Sequence[sqlite3.Row], client: str, ends_at: float
) -> tuple[ClaimedMail, ...]:
    """Take ready messages for a client, until its lease ends."""
    holder = Holder(client=client, ends_at=ends_at)
    return _take(tx, _draw(tx, batch, holder), holder)


def _draw(tx: Transaction, batch: Sequence[sqlite3.Row], holder: Holder) -> Drawn:
    return [(row, _draw_one(tx, row["number"], holder)) for row in batch]


def _draw_one(tx: Transaction, number: int, holder: Holder) -> int:
    cursor = tx.execute(
        "INSERT INTO claim (message, turn, holder, claimed_at, ends_at) VALUES (?, ?, ?, ?, ?)",
        *(number, holder.turn, holder.client, tx.now, holder.ends_at),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _take(tx: Transaction, drawn: Drawn, holder: Holder) -> tuple[ClaimedMail, ...]:
    taken = tx.many(TAKE, [(claim, holder.turn, holder.ends_at, row["number"]) for row, claim in drawn])
    assert taken == len(drawn)  # picked in this very transaction
    return tuple(_taken(tx, row, claim, holder) for row, claim in drawn)


def _taken(tx: Transaction, row: sqlite3.Row, claim: int, holder: Holder) -> ClaimedMail:
    after = changed(
        row, state="claimed", claim=claim, turn=holder.turn, lease_ends_at=holder.ends_at, why=None
    )
    record(tx, "msg.claimed", after, claim=claim, holder=holder.client)
    # Whatever gives a claim back says why: who bears no reason has not been in anybody's hands.
    earlier = () if row["why"] is None else _redeliveries(tx, row["number"], holder.turn)
    return ClaimedMail(mail_of(after.values()), claim, earlier)


def _redeliveries(tx: Transaction, number: int, turn: int | None) -> tuple[Redelivery, ...]:
    earlier = tx.rows(
        "SELECT turn.number, turn.agent, turn.outcome FROM turn_message INDEXED BY turn_message_message"
        " JOIN turn ON turn.number = turn_message.turn"
        " WHERE turn_message.message = ? AND turn.number IS NOT ? ORDER BY turn.number DESC LIMIT ?",
        *(number, turn, REDELIVERIES_TOLD),
    )
    return tuple(
        Redelivery(row["number"], row["outcome"] or "open", _sent(tx, row["number"], row["agent"]))
        for row in reversed(earlier)
    )


def _sent(tx: Transaction, turn: int, agent: str) -> tuple[str, ...]:
    sent = tx.rows(
        "SELECT id, recipient, substr(body, 1, ?) AS body FROM message INDEXED BY message_cause"
        " WHERE cause = ? AND sender = ? ORDER BY number LIMIT ?",
        *(WORDS_TOLD * 2, f"turn:{turn}", agent, SENT_TOLD),
    )
    return tuple(f"{row['id']} to {row['recipient']}: {one_line(row['body'], WORDS_TOLD)}" for row in sent)
