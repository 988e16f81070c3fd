"""A name you can talk to.

Valid across restarts, never a live object, and as cheap as a string: it may travel in messages.
`tell` is at least once, `ask` at most once.
"""

from __future__ import annotations

from typing import TypeVar, cast

import trio
from attrs import field, frozen

from .errors import ActorStopped, NoSuchActor
from .facts import Burial
from .messages import Envelope, Message, Request
from .reply import Reply
from .runtime import SPEAKER, Runtime
from .status import RESTING

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
        self._post(message, None, urgent=urgent)

    async def send(self, message: Message, *, urgent: bool = False) -> None:
        """`tell`, but wait for room where the mailbox allows waiting. If this is cancelled, nothing was sent.

        Raises `Full` where it does not, `NoSuchActor`, and `WouldDeadlock` if the receiver waits for us.
        """
        await trio.lowlevel.checkpoint()
        if not urgent:
            await self._room()
        self._post(message, None, urgent=urgent)

    async def ask(self, request: Request[T], *, urgent: bool = False) -> T:
        """Send a request and wait for its answer. Put a deadline around the call, not into it.

        If this is cancelled, the request is withdrawn unless the actor has begun on it; a late answer is dropped.
        Raises what the handler declines with; `ActorCrashed`, `ActorStopped`, `NoSuchActor`; `Full` where the
        mailbox refuses; and `WouldDeadlock` if the actor waits, however indirectly, for us.
        """
        if not urgent:
            await self._room()
        speaker = SPEAKER.get()
        if speaker is None or not speaker.blocking:
            return await self._ask(request, urgent=urgent)
        with self._runtime.waits.edge(speaker.name, self.name):
            return await self._ask(request, urgent=urgent)

    async def _ask(self, request: Request[T], *, urgent: bool) -> T:
        reply = Reply()
        envelope = self._post(request, reply, urgent=urgent)
        cell = self._runtime.cells[self.name]
        return cast("T", await reply.wait(lambda: cell.withdraw(envelope)))

    async def _room(self) -> None:
        """Wait while the mailbox is full, if that is of use. No checkpoint if it has room."""
        while (cell := self._runtime.cells.get(self.name)) and cell.mailbox.must_wait:
            speaker = SPEAKER.get()
            if speaker is None or not speaker.blocking:
                await cell.wait_for_room()
            else:
                with self._runtime.waits.edge(speaker.name, self.name):
                    await cell.wait_for_room()

    def _post(self, message: Message, reply: Reply | None, *, urgent: bool) -> Envelope:
        runtime, speaker = self._runtime, SPEAKER.get()
        sender, cause = (None, None) if speaker is None else (speaker.name, speaker.cause)
        envelope = Envelope(message, runtime.next_id(), sender, cause, runtime.now(), urgent, reply)
        cell = runtime.cells.get(self.name)
        if cell is None:
            runtime.bury(self.name, envelope, Burial.NO_SUCH_ACTOR)
            raise NoSuchActor(self.name)
        if reply is not None and cell.status in RESTING:
            raise ActorStopped(self.name, begun=False)
        cell.post(envelope)
        return envelope
