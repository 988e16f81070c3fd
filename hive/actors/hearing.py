"""How an actor comes to look: by a doorbell, and by the clock where nobody rings.

The rule kept here: the doorbell is read before the look it asks for, so what changes during a look rings
for the next one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hive.actors import Context
from hive.actors.look import LOOK_SECONDS
from hive.actors.protocol import Look
from hive.protocol.views import JournalRow, StreamView
from hive.store.hints import Hints
from hive.store.port import Store

Concerns = Callable[[JournalRow], bool]
"""Whether an actor has to look after this change."""


def look_on_hints(ctx: Context, hints: Hints, name: str) -> None:
    """From now on tell ourselves to look: now, when `name` is rung, and at least every half minute."""
    ctx.every(LOOK_SECONDS, Look())
    ctx.spawn(_hear, ctx, hints, name)


async def _hear(ctx: Context, hints: Hints, name: str) -> None:
    while True:
        mark = hints.mark(name)
        ctx.me.tell(Look(), urgent=True)
        await hints.wait(name, mark)


@contextmanager
def ringing(store: Store, hints: Hints, name: str, concerns: Concerns) -> Iterator[None]:
    """Ring `name` after every commit with a row that concerns it, until the block is left."""

    def on_commit(rows: Sequence[JournalRow], _stream: Sequence[tuple[str, StreamView]]) -> None:
        if any(concerns(row) for row in rows):
            hints.ring(name)

    unsubscribe = store.subscribe(on_commit)
    try:
        yield
    finally:
        unsubscribe()
