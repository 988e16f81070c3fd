"""What somebody else's JSON is taken for, whatever it is.  Pure.

The rule kept here: nothing that has another shape than was hoped for goes on; it counts as nothing.
"""

from typing import Final

from hive.agents.cli.json_lines import JsonObject

LARGEST: Final = 1e15
"""No count, price or time is larger; what is, is a mistake."""


def an_object(value: object) -> JsonObject:
    """An object, or one without anything in it."""
    return value if isinstance(value, dict) else {}


def a_list(value: object) -> list[object]:
    """A list, or one without anything in it."""
    return value if isinstance(value, list) else []


def string(value: object) -> str:
    """A text, or an empty one."""
    return value if isinstance(value, str) else ""


def strings(value: object) -> list[str]:
    """The texts in a list."""
    return [one for one in a_list(value) if isinstance(one, str)]


def number(value: object) -> float:
    """A number as it may be added up and stored; anything else counts as nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value <= LARGEST else 0.0
