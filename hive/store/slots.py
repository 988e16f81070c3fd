"""Who may begin a turn while others want to as well.

The rule kept here: the line is computed, never stored.  The manager stands first, then whoever has the
oldest deliverable message; the stored reason `slot` only says to everybody that somebody waits.
"""

from hive.protocol.parking import Reason
from hive.store.parking import lift_reason
from hive.store.transaction import Transaction

OLDEST = """
(SELECT number FROM message INDEXED BY message_ready
 WHERE state = 'ready' AND recipient = agent.name AND urgent = {urgent} AND wakes = 1
   AND (not_before IS NULL OR not_before <= ?1)
 ORDER BY number LIMIT 1)
"""
"""One for each priority, so that each ends at its first row."""

CANDIDATES = """
WITH RECURSIVE candidate (name, n) AS (
  SELECT min(recipient), 1 FROM message INDEXED BY message_ready WHERE state = 'ready'
  UNION ALL
  SELECT (SELECT min(recipient) FROM message INDEXED BY message_ready
          WHERE state = 'ready' AND recipient > candidate.name), n + 1
  FROM candidate WHERE name IS NOT NULL AND n < {bound}
)
"""
"""Whoever has ready mail, found by leaping from one mailbox to the next: idle agents cost nothing."""

FEW = f"""
{CANDIDATES.format(bound="?1 + 1")}
SELECT count(name) <= ?1 AS few FROM candidate
"""  # noqa: S608 - put together from the lines above

LINE = f"""
{CANDIDATES.format(bound=2**31)}
SELECT name FROM (
  SELECT agent.name, json_extract(settings, '$.role') = 'manager' AS manager,
    {OLDEST.format(urgent=1)} AS urgent, {OLDEST.format(urgent=0)} AS normal
  FROM candidate CROSS JOIN agent USING (name)
  WHERE removed_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM turn INDEXED BY turn_open WHERE agent = agent.name AND ended_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM park WHERE park.agent = agent.name AND reason <> 'slot'
                    AND (until IS NULL OR until > ?1))
) WHERE coalesce(urgent, normal) IS NOT NULL
ORDER BY manager DESC, coalesce(min(urgent, normal), urgent, normal) LIMIT ?2
"""  # noqa: S608 - put together from the lines above


def free(tx: Transaction) -> int:
    """How many more turns may run now."""
    running = tx.row(
        "SELECT count(*) AS n FROM turn INDEXED BY turn_open WHERE ended_at IS NULL AND boot = ?", tx.boot
    )
    return max(0, tx.limits.max_running_turns - (0 if running is None else int(running["n"])))


def always_suffice(tx: Transaction) -> bool:
    """Whether there is one for every agent there ever was, so that nobody ever stands in line."""
    one_too_many = tx.row("SELECT 1 FROM agent LIMIT 1 OFFSET ?", tx.limits.max_running_turns)
    return one_too_many is None


def suffice_now(tx: Transaction, free: int) -> bool:
    """Whether all who want a slot now can have one.

    An agent that could not begin anyway only makes the answer "no", and then the line is looked at.
    """
    few = tx.row(FEW, free) if free > 0 else None
    return few is not None and bool(few["few"])


def line(tx: Transaction, length: int) -> tuple[str, ...]:
    """The agents that may begin now if `length` of them may, first one first."""
    return tuple(row["name"] for row in tx.rows(LINE, tx.now, length))


def offer(tx: Transaction) -> None:
    """Tell those that wait for a slot and may have one now; called whenever the line may have moved."""
    waiting = {row["agent"] for row in tx.rows("SELECT agent FROM park WHERE reason = 'slot'")}
    if not waiting:
        return
    for name in line(tx, free(tx)):
        if name in waiting:
            lift_reason(tx, name, Reason.SLOT, by="slot")
