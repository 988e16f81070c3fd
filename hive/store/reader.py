"""Committed state, read on a connection of its own.

Every question here is answered by an index that is named in the statement: a missing one is an error and
not a slow query.  The rule kept here: a view is of one moment, even where it takes several statements.
"""

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from attrs import define, field, frozen

from hive.protocol.commands import Command, KeepAnswer, Once
from hive.protocol.mail import Mail
from hive.protocol.names import OPERATOR
from hive.protocol.parking import EXITS, Parked
from hive.protocol.views import (
    AgentView,
    Cost,
    Counts,
    Figures,
    Head,
    Identity,
    JournalRow,
    MailPage,
    Process,
    StreamView,
    TurnView,
    Violation,
)
from hive.store import audit, history, invariants
from hive.store.audit import Order, Seen
from hive.store.boot import leftovers
from hive.store.figures import figures
from hive.store.once import Repeated, answer_of
from hive.store.parking import parked_of
from hive.store.rows import mail_of, settings_of

AGENT = """
SELECT agent.*, coalesce(tally.done, 0) AS done, coalesce(tally.dead, 0) AS dead,
  (SELECT count(*) FROM message INDEXED BY message_claimed
   WHERE recipient = agent.name AND state = 'claimed') AS claimed,
  (SELECT count(*) FROM message INDEXED BY message_blocked
   WHERE recipient = agent.name AND state = 'blocked') AS blocked
FROM agent LEFT JOIN tally ON tally.agent = agent.name
"""
DELIVERABLE = """
SELECT count(*) AS ready,
  coalesce(sum(wakes AND coalesce(not_before, 0) <= :now), 0) AS deliverable,
  min(iif(wakes AND coalesce(not_before, 0) <= :now, max(ready_at, coalesce(not_before, 0)), NULL)) AS since,
  min(iif(wakes AND not_before > :now, not_before, NULL)) AS next_due
FROM message INDEXED BY message_ready WHERE recipient = :agent AND state = 'ready'
"""
UNREAD = """
SELECT count(*) FROM message INDEXED BY message_unread
WHERE recipient = 'operator' AND read_at IS NULL AND state = 'ready'
"""
OPEN_TURN = "SELECT * FROM turn INDEXED BY turn_open WHERE agent = ? AND ended_at IS NULL"
LAST_TURN = """
SELECT * FROM turn INDEXED BY turn_agent WHERE agent = ? AND ended_at IS NOT NULL ORDER BY number DESC LIMIT 1
"""
NEXT_LEASE_END = """
SELECT min(lease_ends_at) FROM message INDEXED BY message_leased
WHERE state = 'claimed' AND lease_ends_at IS NOT NULL
"""
MANAGER = "SELECT name FROM agent WHERE removed_at IS NULL AND json_extract(settings, '$.role') = 'manager'"
COUNTS = """
SELECT
  (SELECT count(*) FROM message INDEXED BY message_ready WHERE state = 'ready') AS ready,
  (SELECT count(*) FROM message INDEXED BY message_claimed WHERE state = 'claimed') AS claimed,
  (SELECT count(*) FROM message INDEXED BY message_blocked WHERE state = 'blocked') AS blocked,
  coalesce(sum(accepted), 0) AS accepted, coalesce(sum(done), 0) AS done,
  coalesce(sum(dead), 0) AS dead, coalesce(sum(removed), 0) AS removed
FROM tally
"""


@frozen
class _Seen:
    """Views of agents, and from when until when they are what would be read."""

    at: float
    until: float
    views: tuple[AgentView, ...]


@define(eq=False)
class SqliteReader:
    """Implements `hive.store.port.Reader`; every method is of one committed moment."""

    _db: sqlite3.Connection
    _wall: Callable[[], float]
    _refusing: Callable[[], str | None] = lambda: None
    _version: int = field(default=-1, init=False)
    _seen: dict[str | None, _Seen] = field(factory=dict, init=False)
    """By the agent's name, None for all of them; of the commit `_version` only."""

    def on(self, db: sqlite3.Connection) -> "SqliteReader":
        """The same reader on another connection."""
        return SqliteReader(db, self._wall, self._refusing)

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Let everything read inside be of one moment; keep it short, for it holds up the log."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def head(self) -> Head:
        """Where the journal stands."""
        with self.moment():
            log_id = self._value("SELECT value FROM hive WHERE key = 'log_id'")
            boot = self._value("SELECT coalesce(max(number), 0) FROM boot")
            return Head(str(log_id), int(boot or 0), history.last_seq(self._db))

    # --- agents ----------------------------------------------------------------------------------

    def agents(self) -> tuple[AgentView, ...]:
        """Every agent that has not been removed, by name."""
        rows = partial(self._rows, f"{AGENT} WHERE removed_at IS NULL ORDER BY name")
        return self._views(None, rows)

    def agent(self, name: str) -> AgentView | None:
        """One agent, removed or not."""
        rows = partial(self._rows, f"{AGENT} WHERE name = ?", name)
        return next(iter(self._views(name, rows)), None)

    def _views(self, name: str | None, rows: Callable[[], Sequence[sqlite3.Row]]) -> tuple[AgentView, ...]:
        """Read agents, or answer as before where nothing was committed since and no time has come.

        Every loop looks at its agent each half minute, and mostly there is nothing new.
        """
        now, version = self._wall(), self._db.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            self._seen.clear()
            self._version = version
        seen = self._seen.get(name)
        # A clock that was set back brings reasons back that had ended.
        if seen is not None and seen.at <= now < seen.until:
            return seen.views
        with self.moment():
            views = tuple(self._agent(row) for row in rows())
        if views:  # names that nobody bears are not worth remembering, and there are many
            until = min((view.next_due for view in views if view.next_due is not None), default=math.inf)
            self._seen[name] = _Seen(now, until, views)
        return views

    def manager(self) -> str | None:
        """The one agent that answers to `manager`."""
        row = self._row(MANAGER)
        return None if row is None else str(row["name"])

    def identity(self, agent: str) -> Identity | None:
        """Who an agent is that has not been removed; asked for every request to an endpoint."""
        row = self._row(
            "SELECT settings, client_token FROM agent WHERE name = ? AND removed_at IS NULL", agent
        )
        return None if row is None else Identity(settings_of(row["settings"]).role, row["client_token"])

    def _agent(self, row: sqlite3.Row) -> AgentView:
        name, now = row["name"], self._wall()
        parked = self._parked(name, now)
        mail = self._db.execute(DELIVERABLE, {"agent": name, "now": now}).fetchone()
        return AgentView(
            name=name,
            settings=settings_of(row["settings"]),
            added_at=row["added_at"],
            removed_at=row["removed_at"],
            status=row["status"],
            status_at=row["status_at"],
            parked=parked,
            open_turn=self._turn(OPEN_TURN, name),
            last_turn=self._turn(LAST_TURN, name),
            deliverable=mail["deliverable"],
            deliverable_since=mail["since"],
            next_due=_earliest(mail["next_due"], parked),
            ready=mail["ready"],
            claimed=row["claimed"],
            blocked=row["blocked"],
            done=row["done"],
            dead=row["dead"],
            batch_limit=row["batch_limit"],
            epoch=row["epoch"],
            client_seen_at=row["client_seen_at"],
            has_client_token=row["client_token"] is not None,
            stream_head=row["stream_head"],
        )

    def _parked(self, agent: str, now: float) -> tuple[Parked, ...]:
        found = map(parked_of, self._rows("SELECT * FROM park WHERE agent = ? ORDER BY since, reason", agent))
        return tuple(parked for parked in found if parked.holds_at(now))

    # --- mail ------------------------------------------------------------------------------------

    def mail(self, ref: str) -> Mail | None:
        """By id or by number (`12` or `#12`)."""
        row = history.find(self._db, ref)
        return None if row is None else mail_of(row)

    def body(self, ref: str) -> str | None:
        """The whole body, attachment included."""
        with self.moment():
            row = history.find(self._db, ref)
            if row is None:
                return None
            return self.attachment(row["attachment"]) if row["attachment"] else str(row["body"])

    def attachment(self, sha256: str) -> str | None:
        """A body that was too long to travel inline."""
        row = self._row("SELECT body FROM attachment WHERE sha256 = ?", sha256)
        return None if row is None else str(row["body"])

    def may_read_attachment(self, sha256: str, identity: str) -> bool:
        """Whether this is the operator, or somebody who sent it or to whom it was sent."""
        if identity == OPERATOR:
            return self._row("SELECT 1 FROM attachment WHERE sha256 = ?", sha256) is not None
        return history.is_party_to(self._db, sha256, identity)

    def story(self, ref: str) -> tuple[JournalRow, ...]:
        """The life of one message, oldest first; also of one that retention has removed, by its id."""
        row = history.find(self._db, ref)
        return history.story(self._db, ref if row is None else row["id"])

    def mailbox(
        self,
        recipient: str,
        *,
        states: Sequence[str] = (),
        text: str = "",
        before: int | None = None,
        limit: int = 50,
    ) -> MailPage:
        """A page of one recipient's mail, newest first; `text` is looked for in bodies and senders."""
        return history.mailbox(self._db, recipient, history.Search(states, text, before, limit))

    def traffic(self, *, before: int | None = None, limit: int = 500) -> MailPage:
        """Everybody's mail, newest first."""
        return history.traffic(self._db, before, limit)

    def dead(self, *, limit: int = 200) -> tuple[Mail, ...]:
        """Dead letters, newest first."""
        return history.dead(self._db, limit)

    def unfinished(self) -> tuple[Mail, ...]:
        """Every ready, claimed or blocked message, oldest first."""
        return history.unfinished(self._db)

    def unread_mail(self, *, limit: int = 2000) -> tuple[Mail, ...]:
        """The operator's unread mail, newest first."""
        return history.unread(self._db, limit)

    def thread(self, thread: str) -> tuple[Mail, ...]:
        """One conversation, oldest first."""
        return history.thread(self._db, thread)

    def unread(self) -> int:
        """Of the operator's mailbox."""
        return int(self._db.execute(UNREAD).fetchone()[0])

    # --- turns and lanes -------------------------------------------------------------------------

    def turn(self, number: int) -> TurnView | None:
        """One turn, open or ended."""
        with self.moment():
            return self._turn("SELECT * FROM turn WHERE number = ?", number)

    def turns(self, agent: str | None = None, *, limit: int = 50) -> tuple[TurnView, ...]:
        """Turns of one agent, or of all, newest first."""
        with self.moment():
            return history.turns(self._db, agent, limit)

    def costs(self, by: str, since: float) -> tuple[Cost, ...]:
        """What turns that ended since then used, by `agent`, `model`, `day` or `cause`; dearest first."""
        with self.moment():
            return history.costs(self._db, by, since)

    def open_turns(self) -> tuple[TurnView, ...]:
        """Turns that have not ended, of whatever boot."""
        with self.moment():
            return history.open_turns(self._db)

    def journal(self, after: int, *, limit: int = 1000) -> tuple[JournalRow, ...]:
        """Journal rows with a `seq` beyond `after`, in order."""
        return history.journal(self._db, after, limit)

    def boot_of(self, seq: int) -> int | None:
        """The boot that wrote journal row `seq`, or None where no such row exists."""
        row = self._row("SELECT boot FROM journal WHERE seq = ?", seq)
        return None if row is None else int(row["boot"])

    def stream(self, agent: str, *, after: int = 0, limit: int = 2000) -> tuple[StreamView, ...]:
        """Rows of an agent's stream with an `n` beyond `after`, in order."""
        return history.stream(self._db, agent, after, limit)

    def stream_tail(self, agent: str, *, limit: int = 2000) -> tuple[StreamView, ...]:
        """The newest rows of an agent's stream, in order."""
        return history.stream_tail(self._db, agent, limit)

    # --- the rest --------------------------------------------------------------------------------

    def answer(self, once: Once) -> dict[str, object] | None:
        """What `KeepAnswer` has kept under this key; `Conflict` where it was used for something else."""
        row = self._row("SELECT * FROM answer WHERE scope = ? AND key = ?", once.scope, once.key)
        return None if row is None else answer_of(row, KeepAnswer, once)

    def repeated(self, command: Command[object], once: Once) -> Repeated | None:
        """What was answered before under this key; `Conflict` where it was used for something else."""
        row = self._row("SELECT * FROM answer WHERE scope = ? AND key = ?", once.scope, once.key)
        return None if row is None else Repeated(answer_of(row, type(command), once))

    def web_session(self, sha256: str) -> str | None:
        """Role of a session that is valid now."""
        row = self._row("SELECT role, expires_at FROM web_session WHERE sha256 = ?", sha256)
        return str(row["role"]) if row and row["expires_at"] > self._wall() else None

    def processes(self) -> tuple[Process, ...]:
        """Processes that were recorded and have not been seen to leave, of this boot or earlier ones."""
        return leftovers(self._db)

    def counts(self) -> Counts:
        """The sums behind invariant 3."""
        return Counts(**self._db.execute(COUNTS).fetchone())

    def violations(
        self, *, grace: float = invariants.GRACE_SECONDS, deep: bool = False
    ) -> tuple[Violation, ...]:
        """Broken invariants, now.

        `grace` is how long mail may wait for its turn, in seconds; 0 where hints are known to work.
        `deep` looks at all history instead of the part that can be read at once.
        """
        with self.moment():
            look = invariants.Look(self._db, self._wall(), grace, self._refusing(), deep)
            return invariants.violations(look)

    def figures(self) -> Figures:
        """What the agents and their mailboxes are like, as numbers."""
        with self.moment():
            return figures(self._db, self._wall())

    def alarms(self) -> tuple[Violation, ...]:
        """Broken invariants of which the operator was told, and not yet that they hold again."""
        return audit.alarms(self._db)

    def examine(self, order: Order, meter: Callable[[], float]) -> Seen:
        """Look at some mailboxes; `meter` tells the seconds of processor that bound it."""

        def look(**of: Any) -> invariants.Look:
            return invariants.Look(self._db, self._wall(), refusing=self._refusing(), **of)

        return audit.examine(look, self.moment, meter, order)

    def wake_latencies(self, *, limit: int = 10_000) -> tuple[float, ...]:
        """Seconds from deliverable to held by a turn, of messages held for the first time, newest first."""
        return history.wake_latencies(self._db, limit)

    def next_lease_end(self) -> float | None:
        """When the next lease ends, wall clock; None where there is none."""
        return cast("float | None", self._db.execute(NEXT_LEASE_END).fetchone()[0])

    # --- plumbing --------------------------------------------------------------------------------

    def _turn(self, sql: str, *parameters: str | int) -> TurnView | None:
        row = self._row(sql, *parameters)
        return None if row is None else history.turn_of(self._db, row)

    def _row(self, sql: str, *parameters: str | float) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._db.execute(sql, parameters).fetchone()
        return found

    def _rows(self, sql: str, *parameters: str | float) -> Sequence[sqlite3.Row]:
        return self._db.execute(sql, parameters).fetchall()

    def _value(self, sql: str) -> str | int | None:
        row = self._row(sql)
        return None if row is None else row[0]


def _earliest(due: float | None, parked: Sequence[Parked]) -> float | None:
    """When the next delayed message or timed park reason comes due."""
    ends = [one.until for one in parked if one.until is not None and EXITS[one.reason].timed]
    return min([*ends, *([] if due is None else [due])], default=None)
