"""One actor: a loop that handles one message at a time.

Between a handler's last checkpoint and its verdict there is none, so a cancellation falls either before
(the message goes back, not charged) or after (it is done). There is no in-between.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import outcome
import trio
from attrs import define, frozen

from .context import Context
from .errors import ActorStopped, Decline, HandlingTooLong, Leave, Reject, Snooze
from .essence import essence
from .facts import HandlingEnded
from .mailbox import DONE, Bury, Release, Retry, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .cell import Cell, Incarnation
    from .messages import Envelope, Kinds, Message

BURST: Final = 64
"""How many messages an actor handles before it lets others run, if its handlers do not wait by themselves."""


class Actor:
    """One message at a time, state of its own. Subclass it with `@define(eq=False)`."""

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Acquire, yield, release. Reaching the yield means ready; it ends when the actor leaves, crashes or is stopped.

        Before the yield the startup grace runs, after it the shutdown grace. Slow warm-up that others need not wait
        for belongs in a helper task.
        """
        yield

    def wanted(self) -> Kinds | None:
        """The kinds to receive now; None for all. The rest keeps waiting. Matched exactly, asked before each message."""
        return None

    async def handle(self, message: Message, ctx: Context) -> object:
        """Handle one message. What it returns answers a request.

        Raising crashes this incarnation, unless it is `Leave`, `Snooze`, `Decline` or `Reject`.
        """
        error = NotImplementedError(f"{type(self).__name__} does not handle {type(message).__name__}")
        raise Reject(error)

    async def serve(self, cell: Cell, *, task_status: trio.TaskStatus[None]) -> None:
        """Live one incarnation in this cell."""
        life = cell.life
        assert life is not None
        life.speaker.blocking = True
        async with trio.open_nursery() as nursery:
            ctx = Context(cell, life, nursery)
            async with self.lifespan(ctx):
                task_status.started()
                await _Loop(self, ctx, cell, life).run()
            nursery.cancel_scope.cancel(reason="the actor has left")


@frozen
class Judgement:
    """What becomes of a message, of whoever asked, and of the actor, after a handler has ended."""

    verdict: Verdict
    answer: outcome.Outcome[object] | None = None
    leaves: bool = False
    crashes: bool = False


def judge(raised: Exception, envelope: Envelope, name: str) -> Judgement:
    """Judge a handler that raised. One that returned is done, and what it returned is the answer."""
    match raised:
        case Leave():
            return Judgement(DONE, outcome.Error(ActorStopped(name, begun=True)), leaves=True)
        case Decline(error=error) if envelope.reply is not None:
            return Judgement(DONE, outcome.Error(error))
        case Decline(error=error) | Reject(error=error):
            return Judgement(Bury(error), outcome.Error(error))
        case Snooze(seconds=seconds):
            return Judgement(Release(after=seconds))
        case _:
            return Judgement(Retry(raised), crashes=True)


@define(eq=False)
class _Loop:
    """Claims and handles, until the actor is asked to stop, leaves or crashes."""

    _actor: Actor
    _ctx: Context
    _cell: Cell
    _life: Incarnation

    async def run(self) -> None:
        while not self._life.stopping and await self._burst():
            pass

    async def _burst(self) -> bool:
        """Handle what is there, up to a limit, or wait for more. False when the actor leaves."""
        cell, life, now, wanted = self._cell, self._life, self._cell.runtime.now, self._actor.wanted
        for _ in range(BURST):
            started = now()
            if life.timers is not None and life.timers.next_due <= started:
                self._post_due(started)
            envelope = cell.claim(wanted(), started)
            if envelope is None:
                await cell.wait_for_mail(self._next_due())
                return True
            if not await self._handle(envelope, started):
                return False
            if life.stopping:
                return True
        await trio.lowlevel.checkpoint()
        return True

    def _post_due(self, now: float) -> None:
        assert self._life.timers is not None
        for timer in self._life.timers.fire(now):
            if not timer.still_waits:
                timer.posted = self._cell.post_own(timer.message)

    def _next_due(self) -> float:
        timers = self._life.timers
        return min(self._cell.mailbox.next_due, math.inf if timers is None else timers.next_due)

    async def _handle(self, envelope: Envelope, started: float) -> bool:
        """One handling, from claim to verdict. False when the actor leaves; raises when it crashes."""
        life, cell = self._life, self._cell
        life.begin(envelope, started)
        try:
            answer = await self._perform(envelope)
        except BaseException as raised:
            error = essence(raised)
            if not isinstance(error, Exception):
                raise  # Cancelled: the message is not to blame, and goes back when this incarnation has ended.
            judgement = judge(error, envelope, cell.name)
            self._end(
                envelope,
                started,
                judgement.verdict,
                judgement.answer,
                settle=not (judgement.leaves and life.kept),
            )
            if judgement.crashes:
                raise
            return not judgement.leaves
        self._end(
            envelope,
            started,
            DONE,
            outcome.Value(answer) if envelope.reply else None,
            settle=life.kept is None,
        )
        return True

    async def _perform(self, envelope: Envelope) -> object:
        limit = self._cell.spec.handling_limit
        if limit is None:
            return await self._actor.handle(envelope.message, self._ctx)
        with trio.move_on_after(limit):
            return await self._actor.handle(envelope.message, self._ctx)
        message = f"{self._cell.name!r} handled {envelope.kind} for longer than {limit} s"
        raise HandlingTooLong(message)

    def _end(
        self,
        envelope: Envelope,
        started: float,
        verdict: Verdict,
        answer: outcome.Outcome[object] | None,
        *,
        settle: bool,
    ) -> None:
        """Carry out the verdict, unless the handler kept the message or has settled it itself; announce it."""
        life, cell = self._life, self._cell
        attempt = envelope.attempts + 1
        carried_out: Verdict | None = None
        if settle and cell.mailbox.holds(envelope, life.claim):
            carried_out = cell.settle(envelope, life.claim, verdict, answer)
        life.handling = None
        if life.timers is not None:
            life.timers.last_activity = cell.runtime.now()
        if cell.runtime.bus.hears(HandlingEnded):
            named = "Held" if carried_out is None else type(carried_out).__name__
            seconds = cell.runtime.now() - started
            cell.publish(
                HandlingEnded(
                    cell.name,
                    life.number,
                    envelope.kind,
                    envelope.id,
                    envelope.cause,
                    envelope.sender,
                    attempt,
                    seconds,
                    named,
                )
            )
