"""What is to be done to a hive, and for how long.  Pure."""

import math
from collections.abc import Callable, Sequence

from attrs import frozen

from hive.testing.torture.findings import Kill


def never(_kills: Sequence[Kill]) -> bool:
    """However many kills there were, go on."""
    return False


@frozen
class Plan:
    """What is to be done."""

    seed: int
    seconds: float = math.inf
    enough: Callable[[Sequence[Kill]], bool] = never
    """Whether these kills will do."""

    cut_share: float = 0.25
    """So many of the kills take the power: the log is cut, and whatever runs dies."""

    starting_share: float = 0.1
    """After so many of the kills the next one comes while the daemon is starting."""

    picky_seconds: float = 0.0
    """How long to wait for an instant with sends in flight by MCP, claimed mail and running children."""
