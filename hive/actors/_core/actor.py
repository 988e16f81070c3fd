"""One actor: a loop that handles one message at a time.

Between a handler's last checkpoint and its verdict there is none, so a cancellation falls either before
(the message goes back, not charged) or after (it is done). There is no in-between.
"""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio
from attrs import define
from outcome import Error, Outcome

from .bus import Recording
from .cell import Cell, Incarnation
from .context import Context
from .errors import ActorStopped, Decline, HandlingTooLong, Leave, Reject, Snooze
from .essence import essence
from .facts import HandlingEnded
from .mailbox import DONE, Bury, Release, Retry, Verdict
from .messages import Envelope, Kinds, Message
from .timers import Timers

BURST: Final = 64
"""How many messages an actor handles before it lets others run, if its handlers do not wait by themselves."""


class Actor:
    """One message at a time, state of its own. Subclass it with `@define(eq=False)`."""

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:  # noqa: ARG002  - for those who need it
        """Acquire, yield, release. Reaching the yield means ready.

        Before the yield the startup grace runs, after it the shutdown grace. Slow warm-up that others need
        not wait for belongs in a helper task.
        """
        yield

    def wanted(self) -> Kinds | None:
        """Which kinds to receive now, matched exactly; None for all. The rest keeps waiting."""
        return None

    async def handle(self, message: Message, ctx: Context) -> object:  # noqa: ARG002
        """Handle one message. What it returns answers a request.

        Raising crashes this incarnation, unless it is `Leave`, `Snooze`, `Decline` or `Reject`.
        """
        raise Reject(NotImplementedError(f"{type(self).__name__} does not handle {type(message).__name__}"))

    async def serve(self, cell: Cell, *, task_status: trio.TaskStatus[None]) -> None:
        """Live one incarnation in this cell."""
        assert cell.life is not None
        cell.life.speaker.blocking = True
        async with trio.open_nursery() as nursery:
            ctx = Context(cell, cell.life, nursery)
            async with self.lifespan(ctx):
                task_status.started()
                await _Loop(self, ctx, cell.life, cell.runtime.bus.audience(HandlingEnded)).run()
            nursery.cancel_scope.cancel(reason="the actor has left")


@define(eq=False)
class _Loop:
    """Claims and handles, until the actor is asked to stop, leaves or crashes."""

    _actor: Actor
    _ctx: Context
    _life: Incarnation
    _audience: Sequence[Recording]

    async def run(self) -> None:  # noqa: C901
        """One burst of handlings after another, with a rest wherever there is no mail.

        All of it in one function: to call another for what follows a handler costs a tell 5 %, and to resume
        a second coroutine with every message an ask 2 %.
        """
        actor, ctx, life, cell = self._actor, self._ctx, self._life, self._life.cell
        mailbox, speaker, now = cell.mailbox, life.speaker, cell.runtime.now
        perform = actor.handle if cell.spec.handling_limit is None else self._perform_in_time
        while not life.stopping:
            for _ in range(BURST):
                life.since = now()
                if life.timers is not None:
                    self._post_due(life.timers)
                envelope = mailbox.claim(actor.wanted(), life.since)
                if envelope is None:
                    await cell.wait_for_mail(self._next_due())
                    break
                if cell.senders is not None:
                    cell.senders.unpark()  # should a tell be quicker, the sender waits again
                life.handling = envelope
                speaker.cause = envelope.id
                try:
                    answer = await perform(envelope.message, ctx)
                except (Exception, BaseExceptionGroup) as raised:
                    if self._failed(envelope, essence(raised)):
                        raise
                else:
                    verdict = None if life.kept else DONE
                    life.handling = life.kept = None
                    if verdict is DONE:
                        mailbox.finish(envelope, answer)
                    if self._audience or life.timers is not None:
                        self._over(envelope, verdict)
                if life.leaving or life.stopping:
                    return
            else:
                await trio.lowlevel.checkpoint()

    async def _perform_in_time(self, message: Message, ctx: Context) -> object:
        limit = self._life.cell.spec.handling_limit or math.inf
        with trio.move_on_after(limit):
            return await self._actor.handle(message, ctx)
        raise HandlingTooLong(f"{ctx.name!r} handled {type(message).__name__} for longer than {limit} s")

    def _post_due(self, timers: Timers) -> None:
        for timer in timers.fire(self._life.since):
            # A tick that nobody has looked at yet is enough.
            if timer.posted is None or timer.posted.claim:
                timer.posted = self._life.cell.post_own(timer.message)

    def _next_due(self) -> float:
        timers, snoozed = self._life.timers, self._life.cell.mailbox.next_due
        return snoozed if timers is None else min(snoozed, timers.next_due)

    def _failed(self, envelope: Envelope, error: BaseException) -> bool:
        """The handler raised: settle the message, and say whether that is a crash."""
        life, cell = self._life, self._life.cell
        # If cancelled, the message is not to blame, and goes back when this incarnation has ended.
        if not isinstance(error, Exception):
            return True
        verdict, answer = judge(error, envelope, cell.name)
        life.leaving = isinstance(error, Leave)
        carried_out: Verdict | None = None
        if cell.mailbox.holds(envelope, envelope.claim) and not (life.leaving and life.kept):
            carried_out = cell.settle(envelope, envelope.claim, verdict, answer)
        life.handling = life.kept = None
        self._over(envelope, carried_out)
        return isinstance(verdict, Retry)

    def _over(self, e: Envelope, verdict: Verdict | None) -> None:
        """A handling is over: tell whom it concerns."""
        life, cell, now = self._life, self._life.cell, self._life.cell.runtime.now()
        if life.timers is not None:
            life.timers.last_activity = now
        if self._audience:
            ended = "Held" if verdict is None else type(verdict).__name__
            about = (e.kind, e.id, e.cause, e.sender, e.attempts)
            cell.publish(HandlingEnded(cell.name, life.number, *about, now - life.since, ended))


def judge(raised: Exception, envelope: Envelope, name: str) -> tuple[Verdict, Outcome[object] | None]:
    """What becomes of a message, and of whoever asked, when its handler raised this."""
    match raised:
        case Leave():
            return DONE, Error(ActorStopped(name, begun=True))
        case Decline(error=error) if envelope.reply is not None:
            return DONE, Error(error)
        case Decline(error=error) | Reject(error=error):
            return Bury(error), Error(error)
        case Snooze(seconds=seconds):
            return Release(after=seconds), None
        case _:
            return Retry(raised), None
