"""Keeps boxes up, and sees when one goes down.

The rule kept here: whatever is heard of a box only means "look at it"; what is committed comes from the
look.  Restart policy lives here and in no driver.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import trio
from attrs import define, field, frozen

from hive.actors import Actor, Context, Message
from hive.actors.boxes import Boxes
from hive.actors.hearing import look_on_hints, ringing
from hive.actors.protocol import WATCHER, Look, Rebuild
from hive.containers.port import Driver
from hive.protocol.errors import HiveRefusal
from hive.protocol.parking import Reason
from hive.protocol.views import JournalRow
from hive.store.hints import Hints
from hive.store.port import Store

AGAIN_SECONDS = 1.0
"""How soon to try again what the store or a driver could not do."""

GLANCE_SECONDS = 2.0
"""For so long all boxes are glanced at one after the other; then each left over is looked after by itself."""


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
        with ringing(self.store, self.hints, WATCHER, _concerns):
            look_on_hints(ctx, self.hints, WATCHER)
            yield

    async def handle(self, message: Message, ctx: Context) -> object:
        """Look, in helper tasks: one slow box holds up no other."""
        match message:
            case Look():
                ctx.spawn(self._glance, self.boxes.concerned(), ctx)
            case Tend(agent=agent):
                self._tend(agent, ctx)
            case Rebuild(agent=agent, cause=cause):
                await self.boxes.rebuild(agent, cause)
                self._tend(agent, ctx)
            case _:
                return await super().handle(message, ctx)
        return None

    async def _glance(self, agents: Sequence[str], ctx: Context) -> None:
        """Look after every box that does not turn out to be in order: mostly none, so this costs little."""
        left = list(agents)
        with trio.move_on_after(GLANCE_SECONDS), suppress(OSError):
            for agent in agents:
                at_rest = agent in self._listening and agent not in self._tending
                if at_rest and await self.boxes.is_in_order(agent):
                    left.remove(agent)
        for agent in left:
            self._tend(agent, ctx)

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


def _concerns(row: JournalRow) -> bool:
    match row.type:
        case "box.started" | "agent.removed":
            return True
        case "park.set" | "park.lifted":
            return row.subject in {Reason.BOX_DOWN, Reason.STOPPED}
        case _:
            return False
