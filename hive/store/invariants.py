"""What must always be true of a hive, as queries.

1. Mail that can be delivered is being handled, or there is a reason one can see, or it is quite new.
2. Every claimed message is held by an open turn of this boot or by a lease that has not ended.
3. Accepted = ready + claimed + blocked + done + dead + removed.
4. *Done* has evidence.

The rule kept here: a sentence about a broken one names what is broken, so that a person can look.
"""

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cached_property

from attrs import frozen

from hive.protocol.views import Violation
from hive.store.batch import CLEARED
from hive.store.parking import parked_of

GRACE_SECONDS = 30.0
"""How long mail may wait without a reason: every loop looks at the store at least so often."""

RECENT_DONE = 200
"""How many of the newest verdicts a quick look examines."""

TIMED = frozenset({1, 2})
"""Invariants that time alone can break."""

EVIDENCE = 4
"""The invariant that is about single messages that are done."""

SHOWN = 20
"""How many single messages an answer names for one invariant."""


@frozen
class Look:
    """One look at a store at one moment."""

    db: sqlite3.Connection
    now: float
    grace: float = GRACE_SECONDS
    refusing: str | None = None
    """Why the store refuses commits at the moment; then no turn can begin."""

    deep: bool = False
    """Look at all history, not only at what stored counts and indexes answer at once."""

    agents: Sequence[str] | None = None
    """Look at the mailboxes of these only."""

    messages: Sequence[int] | None = None
    """Numbers of the messages whose evidence is looked at, where it is only of these: some, or a range."""

    @cached_property
    def waiting(self) -> Sequence[tuple[sqlite3.Row, float]]:
        """The agents with deliverable mail and no turn, and until when that may stay so with nothing done."""
        return [(row, _excused_until(self, row)) for row in self.rows(WAITING)]

    def rows(self, sql: str, **more: object) -> list[sqlite3.Row]:
        """All rows of a query; see `scoped`."""
        moment = {"agents": json.dumps(self.agents), "now": self.now, "grace": self.grace, "shown": SHOWN}
        return self.db.execute(scoped(sql, some=self.agents is not None), {**moment, **more}).fetchall()


def scoped(sql: str, *, some: bool) -> str:
    """A query about all mailboxes, or about some: the list of names in `:agents`."""
    return sql.format(
        mail=f"AND {_named('recipient')}" if some else "",
        whose=f"WHERE {_named('agent')}" if some else "",
        box=f"INDEXED BY message_box WHERE {_named('recipient')}" if some else "",
    )


def _named(column: str) -> str:
    return f"{column} IN (SELECT value FROM json_each(:agents))"  # noqa: S608 - our own names


def violations(look: Look) -> tuple[Violation, ...]:
    """Every broken invariant, in order of its number."""
    return (*_waiting(look), *_unheld(look), *_uncounted(look), *unproven(look))


# --- 1: what is deliverable is attended to ---------------------------------------------------------

WAITING = """
SELECT agent.name, agent.removed_at, count(*) AS mail,
  min(max(message.ready_at, coalesce(message.not_before, 0))) AS since,
  (SELECT max(ended_at) FROM turn INDEXED BY turn_agent WHERE turn.agent = agent.name) AS turn_ended
FROM message INDEXED BY message_ready JOIN agent ON agent.name = message.recipient
WHERE message.state = 'ready' {mail} AND message.wakes AND coalesce(message.not_before, 0) <= :now
  AND NOT EXISTS (
    SELECT 1 FROM turn INDEXED BY turn_open
    WHERE turn.agent = agent.name AND ended_at IS NULL AND boot = (SELECT max(number) FROM boot))
GROUP BY agent.name
"""
PARKED = "SELECT * FROM park WHERE agent = ?"
NEWS = """
SELECT max(at) FROM journal
WHERE (type = 'park.lifted' AND agent = :agent OR type = 'hive.warning' AND data ->> 'code' = :code)
  AND seq > coalesce((SELECT seq FROM journal WHERE at < :since ORDER BY seq DESC LIMIT 1), 0)
"""


def _waiting(look: Look) -> Iterator[Violation]:
    if look.refusing:
        return
    for row, excused in look.waiting:
        if look.now > excused:
            text = f"{row['mail']} deliverable messages wait for {row['name']} and nothing is done about it"
            waited = look.now - excused + look.grace
            yield Violation(1, row["name"], f"{text}; the reason to wait ended {waited:.1f} s ago.")


def _excused_until(look: Look, row: sqlite3.Row) -> float:
    """Until when an agent's deliverable mail, a row of `WAITING`, may wait with nothing committed."""
    served = look.db.execute("SELECT coalesce(max(served_at), 0) FROM boot").fetchone()[0]
    reasons = [parked_of(one) for one in look.db.execute(PARKED, (row["name"],))]
    if any(reason.holds_at(math.inf) for reason in reasons):
        return math.inf
    ends = [one.until for one in reasons if one.until is not None]
    moments = [row["since"], row["turn_ended"] or 0, served, *ends, _freed(look, row["name"])]
    return float(max(moments) + look.grace)


def _freed(look: Look, agent: str) -> float:
    """When a park reason of this agent was lifted, or commits held again, if that was within the grace."""
    asked = {"agent": agent, "code": CLEARED, "since": look.now - look.grace}
    return float(look.db.execute(NEWS, asked).fetchone()[0] or 0)


# --- 2: what is claimed has a holder ---------------------------------------------------------------

UNHELD = """
SELECT number, recipient FROM message INDEXED BY message_claimed
WHERE state = 'claimed' {mail} AND NOT (coalesce(lease_ends_at, 0) + :grace > :now) AND NOT EXISTS (
  SELECT 1 FROM turn_message JOIN turn ON turn.number = turn_message.turn
  WHERE turn_message.turn = message.turn AND turn_message.message = message.number
    AND turn_message.claim = message.claim
    AND turn.ended_at IS NULL AND turn.boot = (SELECT max(number) FROM boot))
ORDER BY number LIMIT :shown
"""


def _unheld(look: Look) -> Iterator[Violation]:
    for row in look.rows(UNHELD):
        recipient = row["recipient"]
        text = f"Message #{row['number']} for {recipient} is claimed, but no open turn or lease holds it."
        yield Violation(2, recipient, text, row["number"])


# --- 3: everything accepted is somewhere -----------------------------------------------------------

UNCOUNTED = """
WITH live AS (
  SELECT recipient, count(*) AS n FROM message INDEXED BY message_ready
  WHERE state = 'ready' {mail} GROUP BY recipient
  UNION ALL
  SELECT recipient, count(*) FROM message INDEXED BY message_claimed
  WHERE state = 'claimed' {mail} GROUP BY recipient
  UNION ALL
  SELECT recipient, count(*) FROM message INDEXED BY message_blocked
  WHERE state = 'blocked' {mail} GROUP BY recipient
  UNION ALL
  SELECT agent, done + dead + removed FROM tally {whose}
), found AS (SELECT recipient, sum(n) AS n FROM live GROUP BY recipient)
SELECT recipient, found.n, coalesce(accepted, 0) AS accepted
FROM found LEFT JOIN tally ON tally.agent = recipient
WHERE found.n <> coalesce(accepted, 0)
"""
MISCOUNTED = """
WITH each AS (
  SELECT recipient, 1 AS n, state = 'done' AS done, state = 'dead' AS dead,
    state NOT IN ('ready', 'claimed', 'blocked', 'done', 'dead') AS lost FROM message {box}
  UNION ALL
  SELECT agent, removed - accepted, -done, -dead, 0 FROM tally {whose})
SELECT recipient FROM each GROUP BY recipient
HAVING sum(n) <> 0 OR sum(done) <> 0 OR sum(dead) <> 0 OR sum(lost) <> 0
"""


def _uncounted(look: Look) -> Iterator[Violation]:
    found = {row["recipient"]: row for row in look.rows(UNCOUNTED)}
    for recipient, row in found.items():
        text = f"{row['accepted']} messages were accepted for {recipient}, but {row['n']} are accounted for."
        yield Violation(3, recipient, text)
    for row in look.rows(MISCOUNTED) if look.deep else ():
        if row["recipient"] not in found:
            text = f"The stored counts of {row['recipient']} are not those of its messages."
            yield Violation(3, row["recipient"], text)


# --- 4: done has evidence --------------------------------------------------------------------------

EVERYTHING = -1


def _unproven_among(done: str) -> str:
    return f"""
SELECT number, recipient FROM (SELECT * FROM message {done}) AS message
WHERE NOT (recipient = 'operator' AND why = 'operator')
  AND NOT EXISTS (
    SELECT 1 FROM turn_message INDEXED BY turn_message_message JOIN turn ON turn.number = turn_message.turn
    WHERE message = message.number AND seen AND verdict = 'done'
      AND turn.outcome IN ('ok', 'step_limit', 'cancelled'))
  AND NOT (why = 'ack' AND EXISTS (
    SELECT 1 FROM claim WHERE claim.message = message.number AND holder IS NOT NULL))
ORDER BY number LIMIT :shown
"""  # noqa: S608 - three literals


UNPROVEN = _unproven_among(
    "INDEXED BY message_done WHERE state = 'done' ORDER BY settled_at DESC LIMIT :recent"
)
UNPROVEN_NAMED = _unproven_among("WHERE number IN (SELECT value FROM json_each(:numbers)) AND state = 'done'")
UNPROVEN_RANGE = _unproven_among("NOT INDEXED WHERE number >= :first AND number < :beyond AND state = 'done'")


def unproven(look: Look) -> Iterator[Violation]:
    """Messages that are done, nobody knows why; of some mailboxes only those that the look names."""
    match look.messages:
        case None if look.agents is not None:
            return
        case None:
            rows = look.rows(UNPROVEN, recent=EVERYTHING if look.deep else RECENT_DONE)
        case range(start=first, stop=beyond):
            rows = look.rows(UNPROVEN_RANGE, first=first, beyond=beyond)
        case some:
            rows = look.rows(UNPROVEN_NAMED, numbers=json.dumps(some))
    for row in rows:
        text = f"Message #{row['number']} is done, without evidence that {row['recipient']} was given it."
        yield Violation(4, row["recipient"], text, row["number"])
