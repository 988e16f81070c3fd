"""A desk: the handlers over a database in memory, with a clock and a boot one can set."""

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TypeVar

import pytest
from attrs import Factory, define, evolve, field
from sqlite_utils import Database

from hive.protocol.commands import (
    AddAgent,
    BeginTurn,
    Command,
    EndOrphans,
    EndTurn,
    Send,
    Settings,
    TurnBegun,
)
from hive.protocol.errors import HiveRefusal
from hive.protocol.limits import Limits
from hive.protocol.mail import Accepted, ClaimedMail, Mail, Provenance
from hive.protocol.outcome import Outcome
from hive.protocol.views import JournalRow, Violation
from hive.store import invariants
from hive.store.handlers import HANDLERS
from hive.store.parking import reasons
from hive.store.rows import mail_of, message, messages
from hive.store.schema import migrations
from hive.store.transaction import Transaction

T = TypeVar("T")

NOON = 1_750_000_000.0


def fresh_database() -> sqlite3.Connection:
    """An empty hive in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.row_factory = sqlite3.Row
    migrations.apply(Database(db))
    return db


@define(eq=False)
class Desk:
    """Carries out commands one by one, each in its own savepoint, as the writer does."""

    limits: Limits = Limits()
    now: float = NOON
    boot: int = field(default=0, init=False)
    db: sqlite3.Connection = field(default=Factory(fresh_database), init=False)
    journal: list[JournalRow] = field(default=Factory(list), init=False)
    _ids: Iterator[int] = field(default=Factory(itertools.count), init=False)

    def __attrs_post_init__(self) -> None:
        """Begin the first boot."""
        self.restart()

    def tx(self) -> Transaction:
        """What a handler gets now."""
        return Transaction(
            self.db, self.now, self.boot, lambda prefix: f"{prefix}-{next(self._ids)}", self.limits
        )

    def do(self, command: Command[T]) -> T:
        """Carry out a command, or raise and leave no trace."""
        tx = self.tx()
        self.db.execute("SAVEPOINT command")
        try:
            answer: T = HANDLERS[type(command)](tx, command)  # type: ignore[assignment]
        except HiveRefusal:
            self.db.execute("ROLLBACK TO command")
            raise
        finally:
            self.db.execute("RELEASE command")
        self.journal += tx.journal_rows
        return answer

    def restart(self) -> None:
        """Begin another boot, as the store's recovery does."""
        self.db.execute(
            "INSERT INTO boot (started_at, served_at, version) VALUES (?, ?, '0')", (self.now, self.now)
        )
        self.boot += 1
        for row in self.db.execute("SELECT agent FROM turn WHERE ended_at IS NULL").fetchall():
            self.do(EndOrphans(row["agent"], 0, "hive was restarted"))

    def adjust(self, **limits: int) -> None:
        """Set limits from now on."""
        self.limits = evolve(self.limits, **limits)

    # --- asking ----------------------------------------------------------------------------------

    def add(self, *names: str, role: str = "agent") -> None:
        """Add agents."""
        for name in names:
            self.do(AddAgent(name, Settings(role=role)))

    def send(self, sender: str, to: str, body: object = "hello", **options: object) -> Accepted:
        """Send to one recipient, with the provenance that fits the sender."""
        fitting = {"operator": Provenance.OPERATOR, "system": Provenance.SYSTEM}
        provenance = options.pop("provenance", fitting.get(sender, Provenance.AGENT))
        answer = self.do(Send(sender, to, body, provenance, **options))  # type: ignore[arg-type]
        (accepted,) = answer.accepted
        return accepted

    def begin(self, agent: str, **options: int) -> TurnBegun:
        """Begin a turn that is expected to begin."""
        begun = self.do(BeginTurn(agent, 1, **options))
        assert isinstance(begun, TurnBegun), begun
        return begun

    def end(self, begun: TurnBegun, outcome: Outcome = Outcome.OK, **options: object) -> None:
        """End a turn that has shown all its mail to the model."""
        seen = tuple(one.mail.number for one in begun.messages)
        self.do(EndTurn(begun.turn, outcome, **{"seen": seen, **options}))  # type: ignore[arg-type]

    # --- looking ---------------------------------------------------------------------------------

    def mail(self, ref: str | int) -> Mail:
        """One message."""
        return mail_of(message(self.tx(), str(ref)))

    def box(self, recipient: str) -> tuple[Mail, ...]:
        """Everything ever accepted for somebody, oldest first."""
        found = self.db.execute(messages("WHERE recipient = ? ORDER BY number"), (recipient,))
        return tuple(mail_of(row) for row in found.fetchall())

    def bodies(self, mail: Sequence[ClaimedMail]) -> list[str]:
        """The texts of claimed mail, in the order it was claimed."""
        return [one.mail.body for one in mail]

    def parked(self, agent: str) -> set[str]:
        """The park reasons in force."""
        return {parked.reason.value for parked in reasons(self.tx(), agent)}

    def types(self, ref: str) -> list[str]:
        """What the journal says happened to one subject."""
        return [row.type for row in self.journal if row.subject == ref]

    def rows(self, type_: str) -> list[JournalRow]:
        """Journal rows of one type."""
        return [row for row in self.journal if row.type == type_]

    def value(self, sql: str, *parameters: object) -> object:
        """The first column of the first row."""
        return self.db.execute(sql, parameters).fetchone()[0]

    def violations(self) -> tuple[Violation, ...]:
        """Broken invariants about claims, counts and evidence."""
        look = invariants.Look(self.db, self.now, grace=0.0, deep=True)
        return tuple(one for one in invariants.violations(look) if one.invariant > 1)


@pytest.fixture
def new_desk() -> Callable[[], Desk]:
    """Make desks where one is not enough."""
    return Desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A desk with two agents and a manager, whose invariants hold at the end."""
    desk = Desk()
    with closing(desk.db):
        desk.add("iris", "rose")
        desk.add("boss", role="manager")
        yield desk
        assert desk.violations() == ()
