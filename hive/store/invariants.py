"""What must always be true of a hive, as queries.

1. Mail that can be delivered is being handled, or there is a reason one can see, or it is quite new.
2. Every claimed message is held by an open turn of this boot or by a lease that has not ended.
3. Accepted = ready + claimed + blocked + done + dead + removed.
4. *Done* has evidence.

The rule kept here: a sentence about a broken one names what is broken, so that a person can look.
"""

import sqlite3
from collections.abc import Iterator

from attrs import frozen

from hive.protocol.parking import EXITS
from hive.protocol.views import Violation
from hive.store.batch import CLEARED
from hive.store.parking import parked_of

GRACE_SECONDS = 30.0
"""How long mail may wait without a reason: every loop looks at the store at least so often."""

RECENT_DONE = 200
"""How many of the newest verdicts a quick look examines."""

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


def violations(look: Look) -> tuple[Violation, ...]:
    """Every broken invariant, in order of its number."""
    return (*_waiting(look), *_unheld(look), *_uncounted(look), *_unproven(look))


# --- 1: what is deliverable is attended to ---------------------------------------------------------

WAITING = """
SELECT agent.name, agent.removed_at, count(*) AS mail,
  min(max(message.ready_at, coalesce(message.not_before, 0))) AS since,
  (SELECT max(ended_at) FROM turn INDEXED BY turn_agent WHERE turn.agent = agent.name) AS turn_ended
FROM message INDEXED BY message_ready JOIN agent ON agent.name = message.recipient
WHERE message.state = 'ready' AND message.wakes AND coalesce(message.not_before, 0) <= :now
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
    served = look.db.execute("SELECT coalesce(max(served_at), 0) FROM boot").fetchone()[0]
    for row in look.db.execute(WAITING, {"now": look.now}).fetchall():
        reasons = [parked_of(one) for one in look.db.execute(PARKED, (row["name"],))]
        if any(reason.holds_at(look.now) for reason in reasons):
            continue
        ended = [one.until for one in reasons if one.until is not None and EXITS[one.reason].timed]
        moments = [row["since"], row["turn_ended"] or 0, served, *ended, _freed(look, row["name"])]
        waited = look.now - max(moments)
        if waited > look.grace:
            text = f"{row['mail']} deliverable messages wait for {row['name']} and nothing is done about it"
            yield Violation(1, row["name"], f"{text}; the reason to wait ended {waited:.1f} s ago.")


def _freed(look: Look, agent: str) -> float:
    """When a park reason of this agent was lifted, or commits held again, if that was within the grace."""
    asked = {"agent": agent, "code": CLEARED, "since": look.now - look.grace}
    return float(look.db.execute(NEWS, asked).fetchone()[0] or 0)


# --- 2: what is claimed has a holder ---------------------------------------------------------------

UNHELD = """
SELECT number, recipient FROM message INDEXED BY message_claimed
WHERE state = 'claimed' AND NOT (coalesce(lease_ends_at, 0) + :grace > :now) AND NOT EXISTS (
  SELECT 1 FROM turn_message JOIN turn ON turn.number = turn_message.turn
  WHERE turn_message.turn = message.turn AND turn_message.message = message.number
    AND turn_message.claim = message.claim
    AND turn.ended_at IS NULL AND turn.boot = (SELECT max(number) FROM boot))
LIMIT :shown
"""


def _unheld(look: Look) -> Iterator[Violation]:
    for row in look.db.execute(UNHELD, {"now": look.now, "grace": look.grace, "shown": SHOWN}).fetchall():
        recipient = row["recipient"]
        text = f"Message #{row['number']} for {recipient} is claimed, but no open turn or lease holds it."
        yield Violation(2, recipient, text)


# --- 3: everything accepted is somewhere -----------------------------------------------------------

UNCOUNTED = """
WITH live AS (
  SELECT recipient, count(*) AS n FROM message INDEXED BY message_ready
  WHERE state = 'ready' GROUP BY recipient
  UNION ALL
  SELECT recipient, count(*) FROM message INDEXED BY message_claimed
  WHERE state = 'claimed' GROUP BY recipient
  UNION ALL
  SELECT recipient, count(*) FROM message INDEXED BY message_blocked
  WHERE state = 'blocked' GROUP BY recipient
  UNION ALL
  SELECT agent, done + dead + removed FROM tally
), found AS (SELECT recipient, sum(n) AS n FROM live GROUP BY recipient)
SELECT recipient, found.n, coalesce(accepted, 0) AS accepted
FROM found LEFT JOIN tally ON tally.agent = recipient
WHERE found.n <> coalesce(accepted, 0)
"""
MISCOUNTED = """
WITH each AS (
  SELECT recipient, 1 AS n, state = 'done' AS done, state = 'dead' AS dead,
    state NOT IN ('ready', 'claimed', 'blocked', 'done', 'dead') AS lost FROM message
  UNION ALL
  SELECT agent, removed - accepted, -done, -dead, 0 FROM tally)
SELECT recipient FROM each GROUP BY recipient
HAVING sum(n) <> 0 OR sum(done) <> 0 OR sum(dead) <> 0 OR sum(lost) <> 0
"""


def _uncounted(look: Look) -> Iterator[Violation]:
    for row in look.db.execute(UNCOUNTED).fetchall():
        recipient = row["recipient"]
        text = f"{row['accepted']} messages were accepted for {recipient}, but {row['n']} are accounted for."
        yield Violation(3, recipient, text)
    if look.deep:
        for row in look.db.execute(MISCOUNTED).fetchall():
            text = f"The stored counts of {row['recipient']} are not those of its messages."
            yield Violation(3, row["recipient"], text)


# --- 4: done has evidence --------------------------------------------------------------------------

UNPROVEN = """
SELECT number, recipient FROM (
  SELECT * FROM message INDEXED BY message_done WHERE state = 'done' ORDER BY settled_at DESC LIMIT :recent
) AS message
WHERE NOT (recipient = 'operator' AND why = 'operator')
  AND NOT EXISTS (
    SELECT 1 FROM turn_message INDEXED BY turn_message_message JOIN turn ON turn.number = turn_message.turn
    WHERE message = message.number AND seen AND verdict = 'done'
      AND turn.outcome IN ('ok', 'step_limit', 'cancelled'))
  AND NOT (why = 'ack' AND EXISTS (
    SELECT 1 FROM claim WHERE claim.message = message.number AND holder IS NOT NULL))
LIMIT :shown
"""
EVERYTHING = -1


def _unproven(look: Look) -> Iterator[Violation]:
    recent = EVERYTHING if look.deep else RECENT_DONE
    for row in look.db.execute(UNPROVEN, {"recent": recent, "shown": SHOWN}).fetchall():
        text = f"Message #{row['number']} is done, without evidence that {row['recipient']} was given it."
        yield Violation(4, row["recipient"], text)
