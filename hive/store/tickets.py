"""The future outcome of one submitted command.

The rule kept here: an outcome is either taken by the caller that waits for it or handed to `disowned`, so
that a claim always has an owner.
"""

from collections.abc import Callable
from typing import Generic, TypeVar, cast

import trio
from attrs import define, field

T = TypeVar("T")

IN_DOUBT_SECONDS = 5.0
"""How long a cancelled caller waits for the outcome of what it has asked for."""


@define(eq=False)
class PendingTicket(Generic[T]):
    """A ticket of one caller.  Settled once, by the writer."""

    _disowned: Callable[[T], None]
    """Told the answer when the caller was cancelled and so cannot have taken it."""

    _done: trio.Event = field(factory=trio.Event, init=False)
    _answer: T | None = field(default=None, init=False)
    _error: Exception | None = field(default=None, init=False)
    _abandoned: bool = field(default=False, init=False)

    @property
    def settled(self) -> bool:
        """Whether the outcome is known."""
        return self._done.is_set()

    def settle(self, answer: T) -> None:
        """The command holds."""
        self._answer = answer
        self._done.set()
        if self._abandoned:
            self._disowned(answer)

    def fail(self, error: Exception) -> None:
        """The command was refused and changed nothing."""
        self._error = error
        self._done.set()

    async def outcome(self) -> T:
        """Wait until the command has been committed or refused; return its answer or raise.

        A cancelled caller still waits, shielded, at most `IN_DOUBT_SECONDS`; what was claimed for it is
        given back.
        """
        try:
            await self._done.wait()
        except trio.Cancelled:
            with trio.move_on_after(IN_DOUBT_SECONDS, shield=True):
                await self._done.wait()
            self._abandon()
            raise
        if self._error is not None:
            raise self._error
        return cast("T", self._answer)

    def _abandon(self) -> None:
        """Give the answer back, now or when it comes."""
        first, self._abandoned = not self._abandoned, True
        if first and self.settled and self._error is None:
            self._disowned(cast("T", self._answer))
