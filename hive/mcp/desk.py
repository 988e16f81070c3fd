"""What the endpoint remembers between calls, for one incarnation of it.

The rule kept here: nothing in this memory is a promise.  Losing it costs a client a repeated question, a
lease's extension or a moment's waiting, never a message.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import trio
from attrs import define, field, frozen

from hive.actors import ActorCrashed, ActorStopped, HiveError
from hive.actors.protocol import Perform
from hive.mcp.delivery import Delivery
from hive.mcp.identity import Caller
from hive.mcp.parts import McpParts
from hive.protocol.commands import Command, ExtendLeases, MarkSeen, Once, TouchClient
from hive.protocol.errors import StoreUnavailable
from hive.store.port import Reader

T = TypeVar("T")

ANSWER_SECONDS = 10.0
"""How long one command may take; a caller that is cancelled meanwhile still waits for its outcome."""

TOUCH_SECONDS = 1.0
"""Between two records that a client was here: its leases last minutes."""

REPEATS = 64
"""Unread answers kept for one turn, or for one client."""

REPEAT_SECONDS = 60.0
"""So long a client's identical request is taken for a repetition; within a turn there is no such limit."""


Unread: TypeAlias = dict[str, tuple[str, float]]
"""Answers that could not be handed over and when that was, by the digest of their requests."""


@define(eq=False)
class Desk:
    """One incarnation's memory, and its way to the broker."""

    parts: McpParts
    _waiters: dict[tuple[str, str], trio.Event] = field(factory=dict, init=False)
    _touched: dict[tuple[str, str], float] = field(factory=dict, init=False)
    _unread: dict[tuple[str, bool], tuple[str, Unread]] = field(factory=dict, init=False)

    @property
    def reader(self) -> Reader:
        """Committed state."""
        return self.parts.store.reader

    async def perform(self, command: Command[T], once: Once | None = None) -> T:
        """Carry out a command and return its answer, also where the caller is cancelled meanwhile.

        A keyed command is asked for again where the broker fell over it; without a key that is not safe.
        Raises what refuses it, and `StoreUnavailable` where nobody can say what became of it.
        """
        try:
            with trio.fail_after(ANSWER_SECONDS, shield=True):
                try:
                    return await self.parts.broker.ask(Perform(command, once))
                except (ActorStopped, ActorCrashed):
                    if once is None:
                        raise
                    return await self.parts.broker.ask(Perform(command, once))
        except (trio.TooSlowError, HiveError) as error:
            self.parts.on_error(error)
            raise StoreUnavailable(
                "hive cannot say at the moment whether this was done. Look before you repeat it, or repeat "
                "it with the same key."
            ) from error

    def heard_from(self, caller: Caller, holder: str) -> None:
        """Take a call as what it proves: the last mail was seen, or the client is still here."""
        if caller.session:
            seen = caller.session.confirm()
            if seen and caller.session.turn is not None:
                self.parts.store.submit(MarkSeen(caller.session.turn, seen))
            return
        if self._touch((caller.agent, holder)):
            self.parts.store.submit(TouchClient(caller.agent))
            self.parts.store.submit(ExtendLeases(caller.agent, holder, self.parts.limits.lease_seconds))

    def _touch(self, seat: tuple[str, str]) -> bool:
        """Whether this holder's last touch is long enough ago to be made again."""
        now = trio.current_time()
        while self._touched and now - self._touched[oldest := next(iter(self._touched))] >= TOUCH_SECONDS:
            del self._touched[oldest]
        if seat in self._touched:
            return False
        self._touched[seat] = now
        return True

    @contextmanager
    def only_waiter(self, caller: Caller) -> Iterator[trio.Event]:
        """Be the one that waits for this caller's mail; the event is set when a newer one comes."""
        seat, replaced = (caller.agent, caller.credential), trio.Event()
        if seat in self._waiters:
            self._waiters[seat].set()
        self._waiters[seat] = replaced
        try:
            yield replaced
        finally:
            if self._waiters.get(seat) is replaced:
                del self._waiters[seat]

    def keep_unread(self, caller: Caller, digest: str, answer: str) -> None:
        """Keep an answer that could not be handed over, for whoever asks the same again in the same turn."""
        kept = self._unread_of(caller)
        kept[digest] = answer, trio.current_time()
        while len(kept) > REPEATS:
            del kept[next(iter(kept))]

    def take_unread(self, caller: Caller, digest: str) -> str | None:
        """The answer to an identical request of the same turn that was not handed over, once."""
        answer, at = self._unread_of(caller).pop(digest, (None, 0.0))
        late = caller.turn is None and trio.current_time() - at > REPEAT_SECONDS
        return None if late else answer

    def _unread_of(self, caller: Caller) -> Unread:
        """The unread answers of this turn; those of the turn before are nobody's any more."""
        seat, turn = (caller.agent, caller.client), f"{caller.credential}/{caller.turn}"
        if seat not in self._unread or self._unread[seat][0] != turn:
            self._unread[seat] = turn, {}
        return self._unread[seat][1]


@frozen(eq=False)
class Call:
    """One call of one tool, and what it may touch."""

    caller: Caller
    desk: Desk
    delivery: Delivery
    stopping: trio.Event
    """Set when the endpoint begins to leave: whoever waits answers now."""

    mcp_session: str | None = None
    """The client's MCP session, which there is in the handshake era only."""

    request: str | None = None
    """The request's id in that session, as JSON."""

    tool_use: str | None = None
    """The client's own id of this tool use, the same when it tries again."""

    context: object | None = None
    """The SDK's context of the request, for tools that speak to the client meanwhile."""

    @property
    def agent(self) -> str:
        """Whose endpoint was called."""
        return self.caller.agent

    @property
    def now(self) -> float:
        """Wall-clock time."""
        return self.desk.parts.wall()

    @property
    def holder(self) -> str:
        """Whose leases these are: the MCP session's where there is one."""
        return f"client:{self.mcp_session}" if self.mcp_session else "client"
