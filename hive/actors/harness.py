"""The loop of one agent: look at the store, do what the look says, look again.

The rule kept here: the look decides, alone and from the store.  This actor only carries out its step, and
holds one turn at most.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import assert_never

from attrs import define, field, frozen

from hive.actors import Actor, Context, Message, Timer
from hive.actors.hearing import look_on_hints
from hive.actors.look import (
    LOOK_SECONDS,
    Begin,
    FoldIn,
    Interrupt,
    Rest,
    SleepUntil,
    client_wait,
    decide,
)
from hive.actors.protocol import Look
from hive.actors.turn import Parts, Turn
from hive.protocol.commands import EndOrphans, Lift, NotBegun, Park
from hive.protocol.parking import Reason
from hive.protocol.views import AgentView

AGAIN_SECONDS = 1.0
"""How soon to try again where a turn could not begin and nothing says when it can."""


@frozen
class TurnOver(Message):
    """The helper that ran a turn is done; `not_begun` says why there was none."""

    not_begun: NotBegun | None


@define(eq=False)
class Harness(Actor):
    """Runs one agent.  Everything it knows is in the store, except the turn it has in hand."""

    agent: str
    parts: Parts
    _turn: Turn | None = field(default=None, init=False)
    _missed: bool = field(default=False, init=False)
    """A look fell into the time in which a turn was about to begin."""

    _alarm: Timer | None = field(default=None, init=False)

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Ready when the turns of earlier incarnations have ended."""
        why = "its harness was restarted"
        await self.parts.store.submit(EndOrphans(self.agent, ctx.incarnation, why)).outcome()
        look_on_hints(ctx, self.parts.hints, self.agent)
        yield

    async def handle(self, message: Message, ctx: Context) -> object:
        """Look; never wait."""
        match message:
            case Look():
                self._look(ctx)
            case TurnOver(not_begun=not_begun):
                self._turn = None
                missed, self._missed = self._missed, False
                if not_begun is None or missed:
                    self._look(ctx)
                else:
                    self._look_later(ctx, not_begun.look_again_at or ctx.wall() + AGAIN_SECONDS)
            case _:
                return await super().handle(message, ctx)
        return None

    def _look(self, ctx: Context) -> None:
        if self._turn is not None and self._turn.in_hand is None:
            self._missed = True
            return
        view = self.parts.store.reader.agent(self.agent)
        if self._turn is None and view is not None and self._is_external(view):
            return
        match decide(view, ctx.wall(), None if self._turn is None else self._turn.in_hand):
            case Begin():
                assert view is not None
                self._begin(view, ctx)
            case Interrupt(stop=stop):
                assert self._turn is not None
                self._turn.ask_to_stop(stop)
            case FoldIn():
                assert self._turn is not None
                self._turn.take_mail()
            case SleepUntil(at=at):
                self._look_later(ctx, at)
            case Rest():
                pass
            case step:
                assert_never(step)

    def _begin(self, view: AgentView, ctx: Context) -> None:
        self._turn = Turn(self.parts, self.agent, view.settings, ctx.incarnation)
        ctx.spawn(self._run, self._turn, ctx)

    async def _run(self, turn: Turn, ctx: Context) -> None:
        ctx.me.tell(TurnOver(await turn.run()), urgent=True)

    def _look_later(self, ctx: Context, at: float) -> None:
        # The wall clock may jump meanwhile; the look every half minute notices.
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = ctx.after(max(0.0, min(LOOK_SECONDS, at - ctx.wall())), Look())

    def _is_external(self, view: AgentView) -> bool:
        """Whether a person's own client drives this agent; keep its park reason true."""
        external = self.parts.backend(view.settings).capabilities.external
        match client_wait(view, external=external):
            case True:
                self.parts.store.submit(
                    Park(self.agent, Reason.CLIENT, detail=_last_seen(view, self.parts.wall()))
                )
            case False:
                self.parts.store.submit(Lift(self.agent, Reason.CLIENT))
            case None:
                pass
        return external


def _last_seen(view: AgentView, now: float) -> str:
    if view.client_seen_at is None:
        return "never seen yet"
    return f"last seen {max(0.0, now - view.client_seen_at):.0f} s before this mail"
