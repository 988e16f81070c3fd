"""A look at some mailboxes of a running store: what is broken there, and when time alone could break more.

The rule kept here: a moment is of so many messages, or of one mailbox, and the whole look is bounded, so that
nobody waits for it; what was left out is named, so that the next look begins there.
"""

import json
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate

from attrs import Factory, define, evolve, frozen

from hive.protocol.commands import Broken
from hive.protocol.views import Violation
from hive.store.invariants import EVIDENCE, SHOWN, TIMED, Look, unproven, violations

EVIDENCE_ROWS = 12
"""Rows of each kind that go with a violation."""

STEP = 10_000
"""Messages that are looked at in one moment: their evidence, or the mailboxes they were accepted for."""


@frozen
class Order:
    """What to look at."""

    agents: tuple[str, ...] | None = None
    """Names of mailboxes; None for all there are."""

    messages: tuple[int, ...] = ()
    """Numbers of messages whose evidence is looked at if they are done."""

    deep: bool = False
    """Count all messages of these mailboxes, and then look at the evidence of all messages."""

    first: int = 1
    """The number from which on the evidence is looked at, in a deep look."""

    seconds: float = math.inf
    """No further step once so many seconds of processor are spent; one is always taken."""


@frozen
class Seen:
    """What a look has seen."""

    agents: tuple[str, ...]
    """The mailboxes that were looked at, the deep look's with all counts."""

    deep: bool
    messages: tuple[Sequence[int], ...]
    """Numbers, and ranges of numbers, of the messages whose evidence was looked at."""

    found: tuple[Violation, ...]
    news: Mapping[str, Broken]
    """Those of them the operator has not been told of, by key, with the rows involved."""

    told: tuple[Violation, ...]
    """What the operator has been told of and not been told to be in order again."""

    breaks_at: Mapping[str, float]
    """When, wall clock, a mailbox breaks at the earliest with nothing committed; others only by commits."""

    rest: Order | None
    """What there was no time for."""

    def covers(self, one: Violation) -> bool:
        """Whether it would have been found, were it still there."""
        if sum(_group(one) == _group(other) for other in self.found) >= SHOWN:
            return False
        if one.message is not None and one.invariant == EVIDENCE:
            return any(one.message in numbers for numbers in self.messages)
        return one.agent in self.agents and (self.deep or one.invariant in TIMED)


@frozen
class Looked:
    """A look, and the seconds of processor it took."""

    seen: Seen
    spent: float


def _group(one: Violation) -> tuple[int, str | None]:
    """What shares a list that ends after so many."""
    return one.invariant, None if one.invariant == EVIDENCE else one.agent


def examine(
    look: Callable[..., Look],
    moment: Callable[[], AbstractContextManager[None]],
    meter: Callable[[], float],
    order: Order,
) -> Seen:
    """Carry out a look.  `look` makes one of this moment; `meter` tells seconds of processor."""
    begun, audit, db = meter(), _Audit(moment), look().db
    named = boxes(db) if order.agents is None else order.agents
    rest: Order | None = evolve(order, agents=named)
    while rest is not None:
        rest = audit.step(look, rest)
        if meter() - begun >= order.seconds:
            break
    return Seen(
        agents=tuple(audit.agents),
        deep=order.deep,
        messages=tuple(audit.messages),
        found=tuple(audit.found),
        news=audit.news,
        told=alarms(db),
        breaks_at=audit.breaks_at,
        rest=rest,
    )


@define(eq=False)
class _Audit:
    """One look in the making."""

    moment: Callable[[], AbstractContextManager[None]]
    agents: list[str] = Factory(list)
    messages: list[Sequence[int]] = Factory(list)
    found: list[Violation] = Factory(list)
    news: dict[str, Broken] = Factory(dict)
    breaks_at: dict[str, float] = Factory(dict)

    def step(self, look: Callable[..., Look], order: Order) -> Order | None:
        """Do the first of what is ordered; answers the rest, or None."""
        match order:
            case Order(messages=messages) if messages:
                self.evidence(look(messages=messages), messages)
                return evolve(order, messages=())
            case Order(agents=agents) if agents:
                some = together(look().db, agents)
                self.boxes(look, some, deep=order.deep)
                return evolve(order, agents=agents[len(some) :])
            case Order(deep=True):
                return self.reach(look, order)
            case _:
                return None

    def reach(self, look: Callable[..., Look], order: Order) -> Order | None:
        """Look at the evidence of the next messages there are."""
        beyond = look().db.execute(REACH, {"first": order.first, "step": STEP}).fetchone()
        numbers = range(order.first, LARGEST if beyond is None else beyond["number"])
        self.evidence(look(messages=numbers), numbers)
        return None if beyond is None else evolve(order, first=numbers.stop)

    def boxes(self, look: Callable[..., Look], agents: Sequence[str], *, deep: bool) -> None:
        """Some mailboxes: together, and each alone where that finds anything: a list ends after so many."""
        whole = look(agents=agents, deep=deep)
        with self.moment():
            broken = violations(whole)
            if not broken or len(agents) == 1:
                self.agents += agents
                self.breaks_at |= breaks_at(whole)
                self.add(whole.db, broken)
                return
        for agent in agents:
            self.boxes(look, (agent,), deep=deep)

    def evidence(self, look: Look, numbers: Sequence[int]) -> None:
        """The evidence of some messages."""
        self.messages.append(numbers)
        with self.moment():
            self.add(look.db, tuple(unproven(look)))

    def add(self, db: sqlite3.Connection, broken: Sequence[Violation]) -> None:
        """What was found, each with the rows of the same moment."""
        if broken:
            told = {one.key for one in alarms(db)}
            self.found += broken
            self.news |= {one.key: with_evidence(db, one) for one in broken if one.key not in told}


REACH = "SELECT number FROM message WHERE number >= :first ORDER BY number LIMIT 1 OFFSET :step"
LARGEST = 2**63 - 1


# --- which mailboxes there are ---------------------------------------------------------------------

BOXES = """
WITH RECURSIVE box (name) AS (
  SELECT min(recipient) FROM message INDEXED BY message_box
  UNION ALL
  SELECT (SELECT min(recipient) FROM message INDEXED BY message_box WHERE recipient > box.name) FROM box
  WHERE box.name IS NOT NULL)
SELECT name FROM box WHERE name IS NOT NULL UNION SELECT agent FROM tally UNION SELECT name FROM agent
"""


def boxes(db: sqlite3.Connection) -> tuple[str, ...]:
    """Every mailbox there is or should be, by name, and those with an alarm that may be over."""
    told = {one.agent for one in alarms(db) if one.agent is not None}
    return tuple(sorted({row[0] for row in db.execute(BOXES)} | told))


SIZES = "SELECT agent, accepted FROM tally WHERE agent IN (SELECT value FROM json_each(:agents))"


def together(db: sqlite3.Connection, agents: Sequence[str]) -> Sequence[str]:
    """The first of these mailboxes, as many as have got few enough messages for one moment; at least one."""
    sizes = {row["agent"]: row["accepted"] for row in db.execute(SIZES, {"agents": json.dumps(agents)})}
    reached = accumulate(sizes.get(agent, 0) for agent in agents)
    return agents[: max(1, sum(size <= STEP for size in reached))]


# --- what time alone can break ---------------------------------------------------------------------

NOT_YET = """
SELECT recipient, min(not_before) AS at FROM message INDEXED BY message_ready
WHERE state = 'ready' {mail} AND wakes AND not_before > :now GROUP BY recipient
"""
LEASED = """
SELECT recipient, min(lease_ends_at) AS at FROM message INDEXED BY message_claimed
WHERE state = 'claimed' AND lease_ends_at IS NOT NULL {mail} GROUP BY recipient
"""


def breaks_at(look: Look) -> Mapping[str, float]:
    """When a mailbox breaks at the earliest, with nothing committed; what is broken already is not meant."""
    ends = [(until, row["name"]) for row, until in look.waiting]
    for sql in (NOT_YET, LEASED):
        ends += [(row["at"] + look.grace, row["recipient"]) for row in look.rows(sql)]
    # From the latest to the earliest, which is the one that stays.
    return {name: end for end, name in sorted(ends, reverse=True) if look.now <= end < math.inf}


# --- what the operator has been told ---------------------------------------------------------------

ALARMS = """
SELECT type, agent, data FROM journal AS newest INDEXED BY journal_subject
WHERE subject >= 'audit:' AND subject < 'audit;' AND type = 'audit.broken' AND seq = (
  SELECT max(seq) FROM journal INDEXED BY journal_subject WHERE subject = newest.subject)
ORDER BY seq
"""


def alarms(db: sqlite3.Connection) -> tuple[Violation, ...]:
    """Violations of which the newest word is that they are there, oldest first."""
    told = ((row["agent"], json.loads(row["data"])) for row in db.execute(ALARMS))
    return tuple(Violation(data["invariant"], agent, data["text"], data["message"]) for agent, data in told)


# --- the rows involved -----------------------------------------------------------------------------

COLUMNS = """number, id, sender, recipient, kind, state, wakes, attempts, interruptions, created_at, ready_at,
  not_before, settled_at, lease_ends_at, claim, turn, why"""
OF_MESSAGE = {
    "message": f"SELECT {COLUMNS} FROM message WHERE number = :message",  # noqa: S608 - our own names
    "held": "SELECT * FROM turn_message INDEXED BY turn_message_message WHERE message = :message LIMIT :rows",
    "claim": "SELECT * FROM claim INDEXED BY claim_message WHERE message = :message LIMIT :rows",
    "turn": """
SELECT number, agent, boot, started_at, ended_at, outcome, stop_requested FROM turn WHERE number IN (
  SELECT turn FROM turn_message INDEXED BY turn_message_message WHERE message = :message) LIMIT :rows""",
}
OF_WAITING = {
    "message": f"""
SELECT {COLUMNS} FROM message INDEXED BY message_ready
WHERE state = 'ready' AND recipient = :agent LIMIT :rows""",  # noqa: S608 - our own names
    "park": "SELECT agent, reason, since, until FROM park WHERE agent = :agent LIMIT :rows",
    "turn": """
SELECT number, agent, boot, started_at, ended_at, outcome, stop_requested FROM turn INDEXED BY turn_agent
WHERE agent = :agent ORDER BY number DESC LIMIT 2""",
    "boot": "SELECT number, started_at, served_at FROM boot ORDER BY number DESC LIMIT 1",
}
OF_COUNTS = {
    "tally": "SELECT * FROM tally WHERE agent = :agent",
    "messages": """
SELECT state, count(*) AS messages, min(number) AS first, max(number) AS last
FROM message INDEXED BY message_box WHERE recipient = :agent GROUP BY state""",
}


def with_evidence(db: sqlite3.Connection, violation: Violation) -> Broken:
    """A violation and the rows a person needs to see, without a word of what the messages say."""
    if violation.message is not None:
        queries = OF_MESSAGE
    else:
        queries = OF_WAITING if violation.invariant == 1 else OF_COUNTS
    asked = {"agent": violation.agent, "message": violation.message, "rows": EVIDENCE_ROWS}
    rows = tuple(
        {"table": table, **{name: value for name, value in dict(row).items() if value is not None}}
        for table, sql in queries.items()
        for row in db.execute(sql, asked).fetchall()
    )
    return Broken(
        key=violation.key,
        invariant=violation.invariant,
        agent=violation.agent,
        text=violation.text,
        message=violation.message,
        rows=rows,
    )
