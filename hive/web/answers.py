"""Answers of commands that the server carries out itself, kept for whoever asks again.

The rule kept here: in memory and not for long, because some of them hold a secret that is shown once.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio
from attrs import define, field, frozen

from hive.protocol.commands import Once
from hive.protocol.errors import Conflict

KEPT_SECONDS: Final = 600.0
KEPT_ANSWERS: Final = 256


@frozen
class Kept:
    """An answer, to what, and when it was given."""

    digest: str
    answer: object = field(repr=False)
    at: float


@define(eq=False)
class Answers:
    """The newest answers by who asked and under which id."""

    _wall: Callable[[], float]
    _kept: dict[tuple[str, str], Kept] = field(factory=dict, init=False)
    _at_work: dict[tuple[str, str], trio.Lock] = field(factory=dict, init=False)

    @asynccontextmanager
    async def alone(self, once: Once) -> AsyncIterator[None]:
        """Be the only one at work on this id: who repeats a command that is under way waits for it."""
        key = (once.scope, once.key)
        lock = self._at_work.setdefault(key, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._at_work.pop(key, None)

    def find(self, once: Once) -> Kept | None:
        """The answer given under this id within the last ten minutes.

        Raises `Conflict` where it answers something else.
        """
        kept = self._kept.get((once.scope, once.key))
        if kept is None or self._wall() - kept.at >= KEPT_SECONDS:
            return None
        if kept.digest != once.digest:
            raise Conflict(f"the id {once.key!r} was used before for something else; use a new one")
        return kept

    def keep(self, once: Once, answer: object) -> None:
        """Remember an answer; the oldest one gives way."""
        self._kept[once.scope, once.key] = Kept(once.digest, answer, self._wall())
        while len(self._kept) > KEPT_ANSWERS:
            del self._kept[next(iter(self._kept))]
