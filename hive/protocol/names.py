"""Names of agents, checked at this one boundary and nowhere else.

A name is also a path segment, a URL segment and a word in a prompt, hence the narrow alphabet.
"""

import difflib
import re
from collections.abc import Iterable

from hive.protocol.errors import Malformed

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")

OPERATOR = "operator"
SYSTEM = "system"
MANAGER = "manager"
EVERYONE = "*"

RESERVED = frozenset({OPERATOR, SYSTEM, "hive", "all"})
"""Names no agent may bear, and to which no mail may be addressed, except `operator`."""

NEAR_NAMES = 3
"""How many similar names an error offers."""


def check_name(name: str) -> str:
    """Return `name` if an agent may bear it, else raise `Malformed` saying what to choose."""
    if not NAME.match(name):
        message = f"{name[:40]!r} is not a name: use 1 to 32 of a-z, 0-9 and '-', beginning with a letter."
        raise Malformed(message)
    if name in RESERVED:
        message = f"{name!r} is reserved; choose another name."
        raise Malformed(message)
    return name


def near(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Known names that `name` might have been meant to be, best first."""
    return tuple(difflib.get_close_matches(name, sorted(known), n=NEAR_NAMES, cutoff=0.5))
