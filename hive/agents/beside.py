"""A task beside a block of code, for as long as the block lasts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def beside(task: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run `task` beside the block, until the block is left.  The block's own error comes out as it is."""
    trouble = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again below, outside the nursery that would wrap it
            trouble = error
        nursery.cancel_scope.cancel(reason="the turn's block was left")
    if trouble is not None:
        raise trouble
