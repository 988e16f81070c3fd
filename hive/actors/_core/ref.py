"""A name you can talk to.

Valid across restarts, never a live object, and as cheap as a string: it may travel in messages.
`tell` is at least once, `ask` at most once.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar, cast

import trio
from attrs import field, frozen

from .cell import RESTING
from .errors import ActorStopped, Full, NoSuchActor
from .facts import Burial
from .mailbox import Overflow
from .messages import Envelope
from .reply import Reply
from .runtime import SPEAKER

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .cell import Cell
    from .messages import Message, Request
    from .runtime import Runtime

T = TypeVar("T")


@frozen
class Ref:
    """Whoever bears this name now. Two refs are equal if they name the same actor."""

    name: str
    _runtime: Runtime = field(eq=False, repr=False)

    def tell(self, message: Message, *, urgent: bool = False) -> None:
        """Put a message into the mailbox. It survives crashes of the actor and is tried until it has a verdict.

        Urgent mail overtakes the rest and is never refused. Raises `Full` and `NoSuchActor`.
        """
        envelope = self._envelope(message, None, urgent=urgent)
        cell = self._cell(envelope)
        try:
            cell.post(envelope)
        except Full:
            self._runtime.bury(self.name, envelope, Burial.REFUSED)
            raise

    async def send(self, message: Message, *, urgent: bool = False) -> None:
        """`tell`, but wait for room where the mailbox allows waiting. If this is cancelled, nothing was sent.

        Raises `Full` where it does not, `NoSuchActor`, and `WouldDeadlock` if the receiver waits for us.
        """
        await trio.lowlevel.checkpoint()
        await self._room(urgent=urgent)
        self.tell(message, urgent=urgent)

    async def ask(self, request: Request[T], *, urgent: bool = False) -> T:
        """Send a request and wait for its answer. Put a deadline around the call, not into it.

        If this is cancelled, the request is withdrawn unless the actor has begun on it; a late answer is dropped.
        Raises what the handler declines with; `ActorCrashed`, `ActorStopped`, `NoSuchActor`; `Full` where the
        mailbox refuses; and `WouldDeadlock` if the actor waits, however indirectly, for us.
        """
        await self._room(urgent=urgent)
        reply = Reply()
        envelope = self._envelope(request, reply, urgent=urgent)
        cell = self._cell(envelope)
        if cell.status in RESTING:
            raise ActorStopped(self.name, begun=False)
        with self._waiting():
            cell.post(envelope)
            return cast("T", await reply.wait(lambda: cell.withdraw(envelope)))

    async def _room(self, *, urgent: bool) -> None:
        """Wait while the mailbox is full, if it is one to wait for. No checkpoint if it has room."""
        while not urgent:
            cell = self._runtime.cells.get(self.name)
            if cell is None or cell.mailbox.has_room or cell.mailbox.overflow is not Overflow.BLOCK:
                return
            with self._waiting():
                await cell.wait_for_room()

    def _waiting(self) -> AbstractContextManager[None]:
        """Show that our actor waits for this one. Helper tasks and outsiders block nobody by waiting."""
        speaker = SPEAKER.get()
        if speaker is None or not speaker.blocking:
            return nullcontext()
        return self._runtime.waits.edge(speaker.name, self.name)

    def _envelope(self, message: Message, reply: Reply | None, *, urgent: bool) -> Envelope:
        runtime = self._runtime
        speaker = SPEAKER.get()
        if speaker is None:
            return Envelope(message, runtime.next_id(), None, None, runtime.now(), urgent, reply)
        return Envelope(message, runtime.next_id(), speaker.name, speaker.cause, runtime.now(), urgent, reply)

    def _cell(self, envelope: Envelope) -> Cell:
        cell = self._runtime.cells.get(self.name)
        if cell is None:
            self._runtime.bury(self.name, envelope, Burial.NO_SUCH_ACTOR)
            raise NoSuchActor(self.name)
        return cell
