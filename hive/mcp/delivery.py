"""Whether an answer reached the client that asked, and what to do when it did not.

The rule kept here: an answer that could not be handed over is not forgotten; whoever made it hears of it once
and takes back what was in it.
"""

from collections.abc import Callable

import trio
from attrs import define, field

OnLost = Callable[[], None]


@define(eq=False)
class Delivery:
    """The way of one answer back to its client."""

    gone: trio.Event = field(factory=trio.Event)
    """Set as soon as the client is known to have left."""

    _if_lost: list[OnLost] = field(factory=list)
    _handed_over: bool = False

    async def hand_over(self, if_lost: OnLost) -> None:
        """Say what to do should the answer not arrive, and pass the answer on.

        A caller that is cancelled already, or whose client has left, has lost its answer now.
        """
        self._if_lost.append(if_lost)
        if self.gone.is_set():
            self.lose()
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:
            self.lose()
            raise

    def arrived(self) -> None:
        """The answer has been written.  That its client leaves now is how HTTP ends."""
        self._handed_over = True
        self._if_lost.clear()

    def left(self) -> None:
        """The client has closed its side."""
        self.gone.set()

    def lose(self) -> None:
        """The answer was not written: take it back.  After it has arrived this changes nothing."""
        if self._handed_over:
            return
        self.gone.set()
        lost = self._if_lost.copy()
        self._if_lost.clear()
        for take_back in lost:
            take_back()
