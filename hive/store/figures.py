"""How full the mailboxes are and what the agents do, as numbers: for whoever draws curves.

The rule kept here: only what is unfinished is counted, by its partial index, so history costs nothing.
"""

import sqlite3

from hive.protocol.views import Figures
from hive.store.parking import parked_of

AGENTS = "SELECT count(*) FROM agent WHERE removed_at IS NULL"
OPEN = "SELECT count(*) FROM turn INDEXED BY turn_open WHERE ended_at IS NULL"
HELD = "SELECT park.* FROM park JOIN agent ON agent.name = park.agent WHERE removed_at IS NULL"
DEPTHS = """
SELECT recipient, sum(n) AS depth FROM (
  SELECT recipient, count(*) AS n FROM message INDEXED BY message_ready
  WHERE state = 'ready' GROUP BY recipient
  UNION ALL
  SELECT recipient, count(*) FROM message INDEXED BY message_claimed
  WHERE state = 'claimed' GROUP BY recipient
  UNION ALL
  SELECT recipient, count(*) FROM message INDEXED BY message_blocked
  WHERE state = 'blocked' GROUP BY recipient)
GROUP BY recipient ORDER BY depth DESC, recipient
"""


def figures(db: sqlite3.Connection, now: float) -> Figures:
    """What a store's agents and mailboxes are like now."""
    parked = map(parked_of, db.execute(HELD).fetchall())
    return Figures(
        agents=db.execute(AGENTS).fetchone()[0],
        open_turns=db.execute(OPEN).fetchone()[0],
        parked=tuple(one.reason.value for one in parked if one.holds_at(now)),
        depths=tuple((row["recipient"], row["depth"]) for row in db.execute(DEPTHS)),
    )
