"""Ids that sort by the time they were made.

Time-ordered ids keep their index local; what orders mail is its number, never its id.
"""

import random
from collections.abc import Callable

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Base 32 without the letters that look like digits or like each other."""

TIME_DIGITS = 9
"""Milliseconds until the year 3084."""

RANDOM_DIGITS = 8


PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
"""Two digits at a time take a third of the time, and an id is made for every message."""


def _base32(number: int, digits: int) -> str:
    text = ""
    for _ in range(0, digits, 2):
        text = PAIRS[number & 1023] + text
        number >>= 10
    return text[-digits:]


def time_ordered(wall: Callable[[], float], random_: random.Random) -> Callable[[str], str]:
    """Make the function that makes ids: `m` gives something like `m-01kvx3q7a5c9e2m4r8`."""

    def new_id(prefix: str) -> str:
        moment = _base32(int(wall() * 1000), TIME_DIGITS)
        return f"{prefix}-{moment}{_base32(random_.getrandbits(5 * RANDOM_DIGITS), RANDOM_DIGITS)}"

    return new_id
