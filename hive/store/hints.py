"""Doorbells: who waits for a change is told to look again.

The rule kept here: a hint carries nothing.  Whoever is rung looks at the store; whoever is not rung looks
there at least every half minute anyway, so that losing every hint costs latency and never a message.
"""

from collections.abc import Sequence

import trio
from attrs import Factory, define, field

from hive.protocol.views import JournalRow, StreamView

ANY = "*"
"""The doorbell that every change rings."""


@define(eq=False)
class Hints:
    """One doorbell for each name, rung by the store after each commit."""

    deaf: bool = False
    """A fault, for tests and chaos: every hint is lost."""

    _rings: dict[str, int] = field(default=Factory(dict), init=False)
    _waiting: dict[str, trio.Event] = field(default=Factory(dict), init=False)

    def mark(self, name: str) -> int:
        """Remember now; take it before looking, so that no change falls between the look and the wait."""
        return self._rings.get(name, 0)

    async def wait(self, name: str, mark: int) -> None:
        """Wait until `name` has been rung since `mark`.  May return without cause; look again anyway."""
        if self.mark(name) != mark:
            await trio.lowlevel.checkpoint()
            return
        await self._waiting.setdefault(name, trio.Event()).wait()

    def ring(self, name: str) -> None:
        """Wake everybody who waits for `name`, and those who wait for anything."""
        if self.deaf:
            return
        for doorbell in dict.fromkeys((name, ANY)):
            self._rings[doorbell] = self.mark(doorbell) + 1
            if (waiting := self._waiting.pop(doorbell, None)) is not None:
                waiting.set()

    def on_commit(self, rows: Sequence[JournalRow], _stream: Sequence[tuple[str, StreamView]]) -> None:
        """Ring the agent of every journal row: a subscriber of the store."""
        # dict.fromkeys: in order and without repeats, so that simulations replay.
        for name in dict.fromkeys(row.agent or ANY for row in rows):
            self.ring(name)
