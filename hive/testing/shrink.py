"""Which of the faults that struck a failure needs: delta debugging.  Pure.

The rule kept here: the search only asks; whoever drives it tells the story, and answers whether it fails.
"""

from collections.abc import Generator, Sequence
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Search: TypeAlias = Generator[tuple[T, ...], tuple[T, ...] | None, tuple[T, ...] | None]
"""Asks with faults to try; is answered with those that struck, if it fails as before, or None."""


def shrinking(faults: Sequence[T]) -> Search[T]:
    """Look for few faults that still make it fail; none of what remains can be left out alone.

    Returns them; nothing at all where it fails without any; None where it does not even fail with all.
    """
    everything = tuple(faults)
    if (struck := (yield everything)) is None:
        return None
    if not everything or (yield ()) is not None:
        return ()
    current, parts = struck or everything, 2
    while len(current) > 1:
        smaller = yield from _smaller(current, parts)
        if smaller is not None:
            current, parts = smaller, max(parts - 1, 2)
        elif parts >= len(current):
            break
        else:
            parts = min(2 * parts, len(current))
    return current


def _smaller(current: tuple[T, ...], parts: int) -> Search[T]:
    """Leave out each of so many parts in turn; what is left of the first try that still fails."""
    for begin, end in _cuts(len(current), parts):
        rest = current[:begin] + current[end:]
        if (struck := (yield rest)) is not None:
            # What did not strike was not needed.
            return struck or rest
    return None


def _cuts(length: int, parts: int) -> list[tuple[int, int]]:
    parts = min(parts, length)
    return [(length * part // parts, length * (part + 1) // parts) for part in range(parts)]
