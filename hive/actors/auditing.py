"""What the audit of a running hive looks at, when, and what it tells.  Pure: rows and looks in, orders out.

The rule kept here: whatever happens, looking takes less than a hundredth of one processor.  What waits for
the next look is only names and numbers, never more than a bound of them; past it everything is looked at.
"""

from collections.abc import Iterator, Sequence

from attrs import Factory, define, evolve, field, frozen

from hive.protocol.commands import Broken, TellAudit
from hive.protocol.views import AuditView, JournalRow, Violation
from hive.store.audit import Looked, Order, Seen
from hive.store.batch import CLEARED
from hive.store.invariants import TIMED

REST = 250.0
"""A look is followed by a rest so many times as long as the processor time it took: 0.4 %, for each of the
two kinds of looks, which leaves a fifth of a hundredth for what is not measured."""

LEAST_REST_SECONDS = 1.0
"""What is committed within it is looked at together."""

LOOK_SECONDS = 0.05
"""Of processor: no further mailbox in the same look."""

PIECE_SECONDS = 0.02
"""The same in a full check."""

FULL_SECONDS = 60.0
"""From the end of a full check to the beginning of the next one, at least."""

ROWS_KEPT = 2_000
"""Journal rows that wait to be read; where there are more, everything is looked at instead."""

FAILED_SECONDS = 30.0
"""Rest after a look that could not be taken, or not be told of."""

SURE_SECONDS = 55.0
"""What time alone can break is told when it is seen again so much later: a clock that jumps, as after the
sleep of a laptop, makes mail look old that nobody could have handled.  By then everybody has looked again,
and what they asked for has been committed, however slow the disk."""

AGAIN_SECONDS = 60.0
"""A mailbox with something broken is looked at so often, at least."""

LATEST_SECONDS = 30.0
"""However late the next date seems, the clock is looked at so often: it may jump."""


def rest_seconds(look: Looked | None, least: float = LEAST_REST_SECONDS) -> float:
    """How long to rest after a look; None is one that failed."""
    return FAILED_SECONDS if look is None else max(least, REST * look.spent)


# --- what journal rows call for --------------------------------------------------------------------


@frozen
class Touched:
    """What some journal rows have touched."""

    agents: tuple[str, ...] = ()
    messages: tuple[int, ...] = ()
    everybody: bool = False


def touched(rows: Sequence[JournalRow]) -> Touched:
    """Which checks these rows call for."""
    agents: dict[str, None] = {}
    messages: dict[int, None] = {}
    everybody = False
    for row in rows:
        kind = row.type.partition(".")[0]
        if kind == "msg" and isinstance(number := row.data.get("number"), int):
            messages[number] = None
        if kind in CONCERNED and row.agent is not None:
            agents[row.agent] = None
        everybody = everybody or row.type == "hive.booted" or row.data.get("code") == CLEARED
    return Touched(tuple(agents), tuple(messages), everybody)


CONCERNED = frozenset({"msg", "park", "turn", "agent"})
"""Kinds of rows that change what is owed to their agent's mailbox."""


# --- what to look at next --------------------------------------------------------------------------


@define(eq=False)
class Agenda:
    """What is to be looked at: what was touched, and what time may have broken."""

    _heard: list[Sequence[JournalRow]] = Factory(list)
    _rows: int = 0
    _everybody: bool = True
    _rest: Order | None = None
    _dates: dict[str, float] = Factory(dict)

    def hear(self, rows: Sequence[JournalRow]) -> bool:
        """Remember rows to be read, for nothing where there are too many; answers whether any are wanted."""
        self._rows += len(rows)
        if self._rows <= ROWS_KEPT:
            self._heard.append(rows)
        return bool(rows)

    def wait_seconds(self, now: float) -> float:
        """How long nothing is due, if nothing is heard."""
        if self._everybody or self._rest is not None or self._rows:
            return 0.0
        return min(max(0.0, min(self._dates.values(), default=now + LATEST_SECONDS) - now), LATEST_SECONDS)

    def next(self, now: float) -> Order | None:
        """What to look at now, all in one; it is off the agenda.  None where nothing is to be looked at."""
        rest, self._rest = self._rest or Order(agents=()), None
        due = tuple(name for name, at in self._dates.items() if at <= now)
        for name in due:
            del self._dates[name]
        found = touched([row for rows in self._heard for row in rows])
        everybody = self._everybody or self._rows > ROWS_KEPT or found.everybody
        self._heard, self._rows, self._everybody = [], 0, False
        named = dict.fromkeys((*(rest.agents or ()), *due, *found.agents))
        order = Order(None if everybody else tuple(named), found.messages, seconds=LOOK_SECONDS)
        return order if everybody or named or found.messages else None

    def learn(self, seen: Seen, now: float) -> None:
        """Note when to look again at what has been looked at, and what there was no time for."""
        for name in seen.agents:
            self._dates.pop(name, None)
        self._dates |= seen.breaks_at
        for one in (*seen.found, *seen.told):
            if one.agent is not None and one.invariant in TIMED:
                self.again(one.agent, now + AGAIN_SECONDS)
        if not seen.deep:
            self._rest = seen.rest

    def again(self, name: str, at: float) -> None:
        """Look at a mailbox once more, then or sooner."""
        self._dates[name] = min(at, self._dates.get(name, at))

    def everything(self) -> None:
        """Look at all mailboxes: what has been heard is lost."""
        self._everybody = True


# --- what to tell ----------------------------------------------------------------------------------


@define(eq=False)
class Doubts:
    """What was seen broken once, and may be a clock that has jumped."""

    _since: dict[str, tuple[Broken, float]] = field(factory=dict, init=False)
    _begun: float | None = field(default=None, init=False)

    def judge(self, seen: Seen, now: float) -> tuple[TellAudit, tuple[str, ...]]:
        """What the operator is to be told of a look, and whose mailboxes to look at again to be sure.

        `now` is a clock that does not jump.
        """
        found = {one.key for one in seen.found}
        for key, (one, _) in tuple(self._since.items()):
            if key not in found and seen.covers(violation_of(one)):
                del self._since[key]
        unsure = {key: one for key, one in seen.news.items() if one.invariant in TIMED}
        for key, one in tuple(unsure.items()):
            if now - self._since.setdefault(key, (one, now))[1] >= SURE_SECONDS:
                del unsure[key]
        broken = tuple(one for key, one in seen.news.items() if key not in unsure)
        gone = tuple(one.key for one in self._over(seen, now) if one.key not in found and seen.covers(one))
        return TellAudit(broken, gone), tuple(one.agent for one in unsure.values() if one.agent is not None)

    def _over(self, seen: Seen, now: float) -> Iterator[Violation]:
        """What was told and may be over: that all mail is excused for a while after a start mends nothing."""
        self._begun = now if self._begun is None else self._begun
        sure = now - self._begun >= SURE_SECONDS
        return (one for one in seen.told if sure or one.invariant not in TIMED)


def violation_of(one: Broken) -> Violation:
    """What is broken, without its rows."""
    return Violation(one.invariant, one.agent, one.text, one.message)


def lasting(view: AuditView, seen: Seen, news: TellAudit) -> AuditView:
    """The figures with what is broken after a look: what it found, and what it did not cover."""
    known = {one.key: one for one in view.violations if not seen.covers(one)}
    known |= {one.key: one for one in seen.told if one.key not in news.gone}
    known |= {one.key: violation_of(one) for one in news.broken}
    return evolve(view, violations=tuple(known.values()))


# --- the figures -----------------------------------------------------------------------------------


def looked(view: AuditView, now: float, spent: float) -> AuditView:
    """The figures after one more look."""
    return evolve(
        view,
        since=now if view.since is None else view.since,
        looks=view.looks + 1,
        spent=view.spent + spent,
    )


def checked(view: AuditView, now: float, began: float, spent: float) -> AuditView:
    """The figures after a full check."""
    seconds = max(0.0, now - began)
    return evolve(view, full_at=now, full_seconds=seconds, full_spent=spent, full_checks=view.full_checks + 1)
