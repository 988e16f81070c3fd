"""The child that serves the store's queue.

The rule kept here: the queue belongs to the store.  This actor may die at any await; the next incarnation
goes on where it stood, and nobody who waits for a commit notices.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from attrs import define

from hive.actors import Actor, Context


@define(eq=False)
class Writer(Actor):
    """Commits what is queued for as long as it lives."""

    drain_forever: Callable[[], Awaitable[object]]
    """The store's loop: safe to cancel or crash at any await, and to call again."""

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Be ready at once: whatever was submitted before us is still there."""
        ctx.spawn(self.drain_forever)
        yield
