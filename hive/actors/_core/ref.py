"""A name you can talk to.

Valid across restarts, never a live object, and as cheap as a string: it may travel in messages.
`tell` is at least once, `ask` at most once.
"""

from typing import Never, TypeVar

import trio
from attrs import field, frozen

from .errors import ActorStopped, NoSuchActor
from .facts import Burial
from .messages import Message, Reply, Request
from .policy import RESTING
from .runtime import SPEAKER, Runtime

T = TypeVar("T")


@frozen
class Ref:
    """Whoever bears this name now. Two refs are equal if they name the same actor."""

    name: str
    _runtime: Runtime = field(eq=False, repr=False)

    def tell(self, message: Message, *, urgent: bool = False) -> None:
        """Put a message into the mailbox. It survives crashes of the actor and is tried until it has a
        verdict.

        Urgent mail overtakes the rest and is never refused. Raises `Full` and `NoSuchActor`.
        """
        cell = self._runtime.cells.get(self.name) or self._nobody(message)
        cell.post(message, urgent=urgent)

    async def send(self, message: Message, *, urgent: bool = False) -> None:
        """`tell`, but wait for room where the mailbox allows waiting. If this is cancelled, nothing was sent.

        Raises `Full` where it does not, `NoSuchActor`, and `WouldDeadlock` if the receiver waits for us.
        """
        await trio.lowlevel.checkpoint()
        cell = self._runtime.cells.get(self.name) or self._nobody(message)
        while cell.mailbox.must_wait and not urgent:
            with self._runtime.waits.edge(self._waiter(), self.name):
                await cell.wait_for_room()
            cell = self._runtime.cells.get(self.name) or self._nobody(message)
        cell.post(message, urgent=urgent)

    async def ask(self, request: Request[T], *, urgent: bool = False) -> T:
        """Send a request and wait for its answer. Put a deadline around the call, not into it.

        If this is cancelled, the request is withdrawn unless the actor has begun on it; a late answer is
        dropped. Raises what the handler declines with; `ActorCrashed`, `ActorStopped`, `NoSuchActor`; `Full`
        where the mailbox refuses; and `WouldDeadlock` if the actor waits, however indirectly, for us.
        """
        cell = self._runtime.cells.get(self.name) or self._nobody(request)
        waits, waiter = self._runtime.waits, self._waiter()
        waits.begin(waiter, self.name)
        try:
            while cell.mailbox.must_wait and not urgent and cell.status not in RESTING:
                await cell.wait_for_room()
                cell = self._runtime.cells.get(self.name) or self._nobody(request)
            if cell.status in RESTING:
                raise ActorStopped(self.name, begun=False)
            reply = Reply()
            envelope = cell.post(request, urgent=urgent, reply=reply)

            def give_up(_: object) -> trio.lowlevel.Abort:
                reply.asker = None
                cell.withdraw(envelope)
                return trio.lowlevel.Abort.SUCCEEDED

            reply.asker = trio.lowlevel.current_task()
            answer: T = await trio.lowlevel.wait_task_rescheduled(give_up)
            return answer
        finally:
            waits.end(waiter, self.name)

    def _waiter(self) -> str | None:
        """The actor that waits while we do. Helper tasks and outsiders block nobody by waiting."""
        speaker = SPEAKER.get()
        return None if speaker is None or not speaker.blocking else speaker.name

    def _nobody(self, message: Message) -> Never:
        speaker = SPEAKER.get()
        self._runtime.bury(self.name, message, speaker.name if speaker else None, Burial.NO_SUCH_ACTOR)
        raise NoSuchActor(f"there is no actor called {self.name!r}")
