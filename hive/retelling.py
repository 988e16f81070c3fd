"""How a story is to be told again: said by whoever runs it, heeded by the simulation kit.

The rule kept here: pytest loads its plugins in every run, so what they share with the kit weighs nothing.
"""

from contextvars import ContextVar

AGAIN: ContextVar[str | None] = ContextVar("AGAIN", default=None)
"""The command that runs the same again, as a failure shows it."""

TWICE: ContextVar[bool] = ContextVar("TWICE", default=False)
"""Whether `simulate` tells every story twice and compares: what `pytest --hive-twice` sets."""

MOST_SEEDS = 1_000_000_000
"""More than anybody waits for; beyond 2**63 a range has no length."""


def seed_of(text: str) -> int:
    """A seed as it is typed.  Raises `ValueError`."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is no seed: write a whole number from 0 on")
    return int(text)


def seeds_of(text: str) -> range:
    """A range of seeds as it is typed, the last one included.  Raises `ValueError`."""
    first, dots, last = text.partition("..")
    if not dots:
        raise ValueError(f"{text!r} is no range of seeds: write FIRST..LAST, as 0..99")
    seeds = range(seed_of(first), seed_of(last) + 1)
    if not seeds:
        raise ValueError(f"{text!r} holds no seed: the first is greater than the last")
    if seeds[-1] - seeds[0] >= MOST_SEEDS:
        raise ValueError(f"{text!r} holds too many seeds: {MOST_SEEDS} is the most")
    return seeds
