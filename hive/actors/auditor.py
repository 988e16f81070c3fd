"""Looks whether the promise is kept while hive runs, and says so when it is not.

The rule kept here: it changes nothing it looks at, and can be missed: what it has told is in the store, what
it has not seen yet the next full check sees.  Nothing that goes wrong with looking may stop a hive.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import trio
from attrs import define, evolve, field

from hive.actors import Actor, Context
from hive.actors.auditing import (
    FULL_SECONDS,
    LEAST_REST_SECONDS,
    PIECE_SECONDS,
    SURE_SECONDS,
    Agenda,
    Doubts,
    checked,
    lasting,
    looked,
    rest_seconds,
)
from hive.protocol.commands import NoteFact, TellAudit
from hive.protocol.errors import HiveRefusal
from hive.protocol.views import AuditView, JournalRow, StreamView
from hive.store.audit import Looked, Order
from hive.store.port import Store


class AuditedStore(Store, Protocol):
    """A store that can be looked over without holding anybody up."""

    def audit(self, order: Order) -> Awaitable[Looked]:
        """Look at some mailboxes."""
        ...


@define(eq=False)
class Audit:
    """What the auditor has found out, for whoever shows it; it outlives every incarnation."""

    view: AuditView = AuditView()


@define(eq=False)
class Auditor(Actor):
    """Looks after commits and dates, and at everything now and then."""

    store: AuditedStore
    audit: Audit
    _agenda: Agenda = field(factory=Agenda, init=False)
    _doubts: Doubts = field(factory=Doubts, init=False)
    _alone: trio.Lock = field(factory=trio.Lock, init=False)
    _news: trio.Event = field(factory=trio.Event, init=False)
    _fault: str = field(default="", init=False)

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Ready at once."""
        unsubscribe = self.store.subscribe(self._hear)
        try:
            ctx.spawn(self._keep_watch, ctx)
            ctx.spawn(self._go_round, ctx)
            yield
        finally:
            unsubscribe()

    def _hear(self, rows: Sequence[JournalRow], _stream: Sequence[tuple[str, StreamView]]) -> None:
        if self._agenda.hear(rows):
            self._news.set()

    # --- what was touched ------------------------------------------------------------------------

    async def _keep_watch(self, ctx: Context) -> None:
        while True:
            await self._wait(ctx)
            await trio.sleep(await self._watch(ctx))

    async def _wait(self, ctx: Context) -> None:
        """Wait until something has been heard, or is due."""
        self._news = trio.Event()
        if (seconds := self._agenda.wait_seconds(ctx.wall())) > 0:
            with trio.move_on_after(seconds):
                await self._news.wait()

    async def _watch(self, ctx: Context) -> float:
        """Look at what is on the agenda; answers how long to rest."""
        if (order := self._agenda.next(ctx.wall())) is None:
            return LEAST_REST_SECONDS
        look = await self._look(order, ctx)
        if look is None:
            self._agenda.everything()
        return rest_seconds(look)

    # --- everything ------------------------------------------------------------------------------

    async def _go_round(self, ctx: Context) -> None:
        while True:
            await self._check_all(ctx)
            await trio.sleep(FULL_SECONDS)

    async def _check_all(self, ctx: Context) -> None:
        """One full check, a piece at a time; given up where a piece of it fails."""
        began, spent = ctx.wall(), 0.0
        order: Order | None = Order(deep=True, seconds=PIECE_SECONDS)
        while order is not None:
            look = await self._look(order, ctx)
            await trio.sleep(rest_seconds(look, least=0.0))
            if look is None:
                return
            order, spent = look.seen.rest, spent + look.spent
        self.audit.view = checked(self.audit.view, ctx.wall(), began, spent)

    # --- one look --------------------------------------------------------------------------------

    async def _look(self, order: Order, ctx: Context) -> Looked | None:
        """Look, and tell of it; None where that failed."""
        # One at a time, or one would tell what the other has just seen to be over.
        async with self._alone:
            try:
                look = await self.store.audit(order)
                self._agenda.learn(look.seen, ctx.wall())
                news, unsure = self._doubts.judge(look.seen, ctx.now())
                for agent in unsure:
                    self._agenda.again(agent, ctx.wall() + SURE_SECONDS)
                    self._news.set()  # whoever waits for a later date has an earlier one now
                self.audit.view = lasting(looked(self.audit.view, ctx.wall(), look.spent), look.seen, news)
                if news != TellAudit():
                    await self.store.submit(news).outcome()
            except Exception as error:  # noqa: BLE001 - a fault in looking must not stop what is looked at
                self._failed(error)
                return None
        return look

    def _failed(self, error: Exception) -> None:
        """Say once that looking fails, and how."""
        self.audit.view = evolve(self.audit.view, failed=self.audit.view.failed + 1)
        text = error.text if isinstance(error, HiveRefusal) else f"{type(error).__name__}: {error}"
        if text != self._fault:
            self._fault = text
            self.store.submit(NoteFact("hive.warning", None, {"code": "audit_failed", "text": text[:500]}))
