"""The store as the rest of hive knows it: a port with more than one possible implementation.

Commands go in, in order, and come back as tickets; reads see committed state only; waiting is a hint.
The rule kept here: nothing outside `hive.store` knows that there is SQLite.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from hive.protocol.commands import Command, Once
from hive.protocol.mail import Mail
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
from hive.store.once import Repeated

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Subscriber = Callable[[Sequence[JournalRow], Sequence[tuple[str, StreamView]]], None]
"""Called on Trio's thread after each commit, before any ticket of it is answered, with the journal rows
and the (agent, stream row) pairs it added.  Must be quick, must not raise, must not await."""


class Ticket(Protocol[T_co]):
    """The future outcome of one submitted command."""

    @property
    def settled(self) -> bool:
        """Whether the outcome is known."""
        ...

    async def outcome(self) -> T_co:
        """Wait until the command has been committed or refused; return its answer or raise.

        A cancelled caller still waits for the outcome, shielded, at most five seconds, so that a
        promise is not left in doubt; then `trio.Cancelled` goes on.
        """
        ...


class Reader(Protocol):
    """Committed state.  Every method is synchronous, indexed and small enough to call inline."""

    def moment(self) -> AbstractContextManager[None]:
        """Let everything read inside be of one committed moment.  Keep it short and synchronous."""
        ...

    def head(self) -> Head:
        """Where the journal stands."""
        ...

    def agents(self) -> tuple[AgentView, ...]:
        """Every agent that has not been removed, by name."""
        ...

    def agent(self, name: str) -> AgentView | None:
        """One agent, removed ones included."""
        ...

    def manager(self) -> str | None:
        """The manager's name, if there is one."""
        ...

    def mail(self, ref: str) -> Mail | None:
        """By id or by number (`12` or `#12`)."""
        ...

    def body(self, ref: str) -> str | None:
        """The whole body, attachment included."""
        ...

    def attachment(self, sha256: str) -> str | None:
        """A long body."""
        ...

    def may_read_attachment(self, sha256: str, identity: str) -> bool:
        """Whether `identity` sent it or had it addressed to it; the operator may read all."""
        ...

    def story(self, ref: str) -> tuple[JournalRow, ...]:
        """The life of one message, oldest first."""
        ...

    def mailbox(
        self,
        recipient: str,
        *,
        states: Sequence[str] = (),
        text: str = "",
        before: int | None = None,
        limit: int = 50,
    ) -> MailPage:
        """One recipient's mail, newest first; `text` is searched for in bodies, ids and senders."""
        ...

    def traffic(self, *, before: int | None = None, limit: int = 500) -> MailPage:
        """All mail, newest first."""
        ...

    def dead(self, *, limit: int = 200) -> tuple[Mail, ...]:
        """Dead letters, newest first."""
        ...

    def unfinished(self) -> tuple[Mail, ...]:
        """Every ready, claimed or blocked message, oldest first."""
        ...

    def unread_mail(self, *, limit: int = 2000) -> tuple[Mail, ...]:
        """The operator's unread mail, newest first."""
        ...

    def thread(self, thread: str) -> tuple[Mail, ...]:
        """One thread, oldest first."""
        ...

    def unread(self) -> int:
        """Of the operator's mailbox."""
        ...

    def turn(self, number: int) -> TurnView | None:
        """One turn."""
        ...

    def turns(self, agent: str | None = None, *, limit: int = 50) -> tuple[TurnView, ...]:
        """Newest first."""
        ...

    def costs(self, by: str, since: float) -> tuple[Cost, ...]:
        """What turns that ended since then used, by one of `COSTS_BY`; dearest first."""
        ...

    def open_turns(self) -> tuple[TurnView, ...]:
        """Turns that have not ended."""
        ...

    def journal(self, after: int, *, limit: int = 1000) -> tuple[JournalRow, ...]:
        """Rows with a greater number than `after`, in order."""
        ...

    def boot_of(self, seq: int) -> int | None:
        """The boot that wrote journal row `seq`, or None where no such row exists."""
        ...

    def stream(self, agent: str, *, after: int = 0, limit: int = 2000) -> tuple[StreamView, ...]:
        """Rows of an agent's stream after number `after`, in order."""
        ...

    def stream_tail(self, agent: str, *, limit: int = 2000) -> tuple[StreamView, ...]:
        """The newest rows of an agent's stream, in order."""
        ...

    def identity(self, agent: str) -> Identity | None:
        """Who an agent is, read at once; None for one that is not there, or not any more."""
        ...

    def answer(self, once: Once) -> dict[str, object] | None:
        """What `KeepAnswer` has kept under a key; `Conflict` where the key was used for something else."""
        ...

    def repeated(self, command: Command[object], once: Once) -> Repeated | None:
        """What was answered before under a key; `Conflict` where the key was used for something else."""
        ...

    def web_session(self, sha256: str) -> str | None:
        """Role of a session that is valid now."""
        ...

    def processes(self) -> tuple[Process, ...]:
        """Processes recorded and not known to be gone."""
        ...

    def counts(self) -> Counts:
        """The sums of invariant 3."""
        ...

    def violations(self) -> tuple[Violation, ...]:
        """Broken invariants, now; see ARCHITECTURE.md."""
        ...

    def figures(self) -> Figures:
        """What the agents and their mailboxes are like, as numbers."""
        ...

    def wake_latencies(self, *, limit: int = 10_000) -> tuple[float, ...]:
        """Seconds from deliverable to held by a turn, for messages held for the first time."""
        ...

    def next_lease_end(self) -> float | None:
        """When the first lease ends."""
        ...


class Store(Protocol):
    """One store of one hive."""

    @property
    def reader(self) -> Reader:
        """Committed state."""
        ...

    @property
    def refusing(self) -> str | None:
        """Why commits fail at the moment, or None."""
        ...

    def submit(self, command: Command[T], once: Once | None = None) -> Ticket[T]:
        """Queue a command.  Commands hold in the order they are submitted.  Never blocks."""
        ...

    async def study(self, question: Callable[[Reader], T]) -> T:
        """Answer a question about committed state that takes long, so that nobody has to wait for it."""
        ...

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Hear of every commit; returns the function that ends it."""
        ...
