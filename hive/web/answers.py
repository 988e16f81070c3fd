"""Answers of commands that the server carries out itself, kept for whoever asks again.

The rule kept here: in memory and not for long, because some of them hold a secret that is shown once.
"""

from collections.abc import Callable
from typing import Final

from attrs import define, field, frozen

KEPT_SECONDS: Final = 600.0
KEPT_ANSWERS: Final = 256


@frozen
class Kept:
    """An answer and when it was given."""

    answer: object = field(repr=False)
    at: float


@define(eq=False)
class Answers:
    """The newest answers by who asked and under which id."""

    _wall: Callable[[], float]
    _kept: dict[tuple[str, str], Kept] = field(factory=dict, init=False)

    def find(self, scope: str, key: str) -> object | None:
        """The answer given under this id within the last ten minutes."""
        kept = self._kept.get((scope, key))
        return kept.answer if kept is not None and self._wall() - kept.at < KEPT_SECONDS else None

    def keep(self, scope: str, key: str, answer: object) -> None:
        """Remember an answer; the oldest one gives way."""
        self._kept[scope, key] = Kept(answer, self._wall())
        while len(self._kept) > KEPT_ANSWERS:
            del self._kept[next(iter(self._kept))]
