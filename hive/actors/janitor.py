"""What nobody else would do in time: leases that end, mail that falls due, rows that have grown old.

The rule kept here: due times are wall-clock times, read anew at least every half minute, so a clock that
jumps makes nobody wait for longer than that.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from hive.actors import Actor, Context, Message, Timer
from hive.actors.look import LOOK_SECONDS
from hive.actors.protocol import Look
from hive.protocol.commands import ExpireLeases, Sweep
from hive.store.hints import Hints
from hive.store.port import Store

SWEEP_SECONDS = 600.0
"""How often old rows are looked for."""

SWEEP_PAUSE_SECONDS = 0.1
"""Rest between two small steps of retention, so that nobody waits behind it."""


@define(eq=False)
class Janitor(Actor):
    """Sleeps to the next due time."""

    store: Store
    hints: Hints
    _alarm: Timer | None = field(default=None, init=False)

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Ready at once."""
        ctx.every(LOOK_SECONDS, Look())
        ctx.me.tell(Look(), urgent=True)
        ctx.spawn(self._sweep_often)
        yield

    async def handle(self, message: Message, ctx: Context) -> object:
        """Do what is due and set the alarm for what comes next."""
        if not isinstance(message, Look):
            return await super().handle(message, ctx)
        now = ctx.wall()
        lease_end = self.store.reader.next_lease_end()
        if lease_end is not None and lease_end <= now:
            self.store.submit(ExpireLeases())
        due = {view.name: view.next_due for view in self.store.reader.agents() if view.next_due is not None}
        for name, at in due.items():
            if at <= now:
                self.hints.ring(name)
        coming = [at for at in (lease_end, *due.values()) if at is not None and at > now]
        if self._alarm is not None:
            self._alarm.cancel()
        if coming:
            self._alarm = ctx.after(min(LOOK_SECONDS, min(coming) - now), Look())
        return None

    async def _sweep_often(self) -> None:
        while True:
            gone = await self.store.submit(Sweep()).outcome()
            await trio.sleep(SWEEP_PAUSE_SECONDS if gone else SWEEP_SECONDS)
