"""Keeps boxes up, and sees when one goes down.

The rule kept here: whatever is heard of a box only means "look at it"; what is committed comes from the
look.  Restart policy lives here and in no driver.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import define, field, frozen

from hive.actors import Actor, Context, Message
from hive.actors.boxes import Boxes
from hive.actors.look import LOOK_SECONDS
from hive.actors.protocol import Look, Rebuild
from hive.containers.port import Driver
from hive.protocol.errors import HiveRefusal
from hive.store.hints import ANY, Hints
from hive.store.port import Store

AGAIN_SECONDS = 1.0
"""How soon to try again what the store or a driver could not do."""


@frozen
class Tend(Message):
    """Look at one agent's box."""

    agent: str


@define(eq=False)
class Watcher(Actor):
    """Looks after the boxes that are up, or that the store misses."""

    store: Store
    boxes: Boxes
    hints: Hints
    _tending: set[str] = field(factory=set, init=False)
    _again: set[str] = field(factory=set, init=False)
    """Agents whose box is to be looked at once more, because something was heard meanwhile."""

    _listening: set[str] = field(factory=set, init=False)

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Ready at once; boxes that should be up are brought up by the first look."""
        ctx.every(LOOK_SECONDS, Look())
        ctx.spawn(self._hear, ctx)
        yield

    async def _hear(self, ctx: Context) -> None:
        while True:
            mark = self.hints.mark(ANY)
            ctx.me.tell(Look(), urgent=True)
            await self.hints.wait(ANY, mark)

    async def handle(self, message: Message, ctx: Context) -> object:
        """Look, in helper tasks: one slow box holds up no other."""
        match message:
            case Look():
                for view in self.store.reader.agents():
                    if self.boxes.concerns(view):
                        self._tend(view.name, ctx)
            case Tend(agent=agent):
                self._tend(agent, ctx)
            case Rebuild(agent=agent, cause=cause):
                await self.boxes.rebuild(agent, cause)
                self._tend(agent, ctx)
            case _:
                return await super().handle(message, ctx)
        return None

    def _tend(self, agent: str, ctx: Context) -> None:
        if agent in self._tending:
            self._again.add(agent)
        else:
            self._tending.add(agent)
            ctx.spawn(self._look_after, agent, ctx)

    async def _look_after(self, agent: str, ctx: Context) -> None:
        self._again.add(agent)
        while agent in self._again:
            self._again.discard(agent)
            try:
                later = await self.boxes.tend(agent)
            except (HiveRefusal, OSError, trio.TooSlowError):
                later = AGAIN_SECONDS
            if later is not None:
                ctx.after(later, Tend(agent))
        self._tending.discard(agent)
        driver = self.boxes.up.get(agent)
        if driver is not None and agent not in self._listening:
            self._listening.add(agent)
            ctx.spawn(self._listen, agent, driver, ctx)

    async def _listen(self, agent: str, driver: Driver, ctx: Context) -> None:
        await driver.changed(agent)
        self._listening.discard(agent)
        ctx.me.tell(Tend(agent), urgent=True)
