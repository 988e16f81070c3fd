"""The loop guard: mail between agents cannot go on for ever without anybody from outside.

Two measures: `hops`, how long the chain behind a message is, and how much a pair has written each other.
The rule kept here: what hive and the operator say is never held back, nor is what is said to a person.
"""

from hive.protocol.commands import Send
from hive.protocol.errors import NotFound
from hive.protocol.mail import Provenance
from hive.protocol.names import OPERATOR
from hive.store.transaction import Transaction

MEMORY_SECONDS = 600.0
"""So long after an agent was given mail, what comes from its own token or socket counts as caused by it.

Not a setting: shorter would let a command that sleeps begin chains of its own.
"""

TRUSTED = frozenset({Provenance.OPERATOR, Provenance.SYSTEM})


def hops_of(tx: Transaction, send: Send) -> int:
    """How far the chain behind a message is from input from outside."""
    hops = [0]
    if send.own_token:
        hops.append(_own_hops(tx, send.sender))
    if send.turn is not None and (send.own_token or send.provenance is Provenance.AGENT):
        hops.append(_turn_hops(tx, send.sender, send.turn) + 1)
    return max(hops)


def _turn_hops(tx: Transaction, sender: str, turn: int) -> int:
    row = tx.row("SELECT hops FROM turn WHERE number = ? AND agent = ?", turn, sender)
    if row is None:
        raise NotFound(f"There is no turn {turn} of {sender}.")
    return int(row["hops"])


OWN_HOPS = """
SELECT max(
  iif(heard_at > ?2, heard_hops, -1),
  coalesce((SELECT hops FROM turn INDEXED BY turn_open
            WHERE turn.agent = agent.name AND ended_at IS NULL), -1),
  coalesce((SELECT max(hops) FROM message INDEXED BY message_claimed
            WHERE state = 'claimed' AND recipient = agent.name), -1)) AS hops
FROM agent WHERE name = ?1
"""
"""Of what an agent is working on, in a turn or through its client, and of what it was given lately."""


def _own_hops(tx: Transaction, agent: str) -> int:
    row = tx.row(OWN_HOPS, agent, tx.now - MEMORY_SECONDS)
    return 0 if row is None else int(row["hops"]) + 1


def hear(tx: Transaction, agent: str, hops: int) -> None:
    """Remember what an agent was given: the longest chain, until it has been quiet for so long.

    A command that a turn left behind, or a client that has handled its mail, must not begin a new chain.
    """
    tx.execute(
        "UPDATE agent SET heard_hops = ?2, heard_at = ?3"
        " WHERE name = ?1 AND (?2 >= heard_hops OR heard_at <= ?4)",
        *(agent, hops, tx.now, tx.now - MEMORY_SECONDS),
    )


def why_blocked(tx: Transaction, send: Send, recipient: str, hops: int) -> str | None:
    """Why this message must wait for a person, or None."""
    if send.provenance in TRUSTED or recipient == OPERATOR:
        return None
    if hops >= tx.limits.hops:
        return f"{hops} hops without input from outside"
    # A wish for another turn of one's own is bounded by its hops; it is no conversation.
    if recipient != send.sender and _written(tx, send.sender, recipient) >= tx.limits.pair_messages:
        pair, minutes = f"{send.sender} and {recipient}", tx.limits.pair_seconds / 60
        return f"{tx.limits.pair_messages} messages between {pair} within {minutes:g} minutes"
    return None


def _written(tx: Transaction, one: str, other: str) -> int:
    """How many messages the pair has exchanged since the window began or somebody from outside came in."""
    begun = tx.now - tx.limits.pair_seconds
    written = _exchanged(tx, one, other, begun)
    if written < tx.limits.pair_messages:
        return written  # an input from outside could only make it fewer
    inputs = (_last_input(tx, one), _last_input(tx, other), _released(tx, one, other))
    return _exchanged(tx, one, other, max(begun, *inputs))


EXCHANGED = """
SELECT
  (SELECT count(*) FROM message INDEXED BY message_sender
   WHERE sender = ?1 AND recipient = ?2 AND created_at > ?3 AND provenance IN ('agent', 'outside'))
+ (SELECT count(*) FROM message INDEXED BY message_sender
   WHERE sender = ?2 AND recipient = ?1 AND created_at > ?3 AND provenance IN ('agent', 'outside')) AS n
"""


def _exchanged(tx: Transaction, one: str, other: str, since: float) -> int:
    row = tx.row(EXCHANGED, one, other, since)
    return 0 if row is None else int(row["n"])


def _last_input(tx: Transaction, agent: str) -> float:
    row = tx.row(
        "SELECT max(created_at) AS at FROM message INDEXED BY message_sender"
        " WHERE sender = ? AND recipient = ?",
        *(OPERATOR, agent),
    )
    return 0.0 if row is None or row["at"] is None else float(row["at"])


def remember_release(tx: Transaction, one: str, other: str) -> None:
    """Count a released message as input from outside for its pair."""
    tx.execute(
        "INSERT INTO hive (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        *(_key(one, other), repr(tx.now)),
    )


def _released(tx: Transaction, one: str, other: str) -> float:
    row = tx.row("SELECT value FROM hive WHERE key = ?", _key(one, other))
    return 0.0 if row is None else float(row["value"])


def _key(one: str, other: str) -> str:
    return "released:" + ":".join(sorted((one, other)))
