"""The kernel's snapshot as JSON has it.

The kernel knows nothing of wires, and its types are not resolved for one; so this walks values, not types.
"""

from collections.abc import Mapping
from enum import Enum
from typing import cast

import attrs


def plain(value: object) -> object:  # noqa: PLR0911 - one return a kind
    """Frozen values as objects with their class's name, errors as sentences, the rest as it is."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Enum():
            return value.value
        case BaseException():
            return f"{type(value).__name__}: {value}"
        case Mapping():
            return {str(plain(key)): plain(entry) for key, entry in value.items()}
        case tuple() | list() | frozenset():
            return [plain(entry) for entry in value]
        case type():
            return value.__name__
        case _ if attrs.has(type(value)):
            fields = attrs.fields(cast("type[attrs.AttrsInstance]", type(value)))
            return {"type": type(value).__name__} | {
                field.name: plain(getattr(value, field.name)) for field in fields if field.repr
            }
        case _:
            return str(value)
