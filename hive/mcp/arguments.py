"""A tool's arguments: one attrs class is the schema a model sees and the check its call must pass.

The rule kept here: whatever a model sent comes back either as a value of the class, or as one `Malformed`
that names every problem with its path, never just the first.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs
from attrs import NOTHING, field, frozen

from hive.protocol.errors import Malformed
from hive.store.codec import structure
from hive.store.texts import storable

T = TypeVar("T")

Schema = dict[str, object]

PROBLEM_CHARACTERS = 2000
"""Of the text that lists what is wrong: a model's mistake may be as long as a model likes."""

SPELT = 2**53
"""Beyond it a number is not written out to whoever sent it."""

_METADATA = "hive.argument"


@frozen
class Bounds:
    """What an argument means, and how small and large it may be: a number, or a text's or list's length."""

    description: str = ""
    least: float | None = None
    most: float | None = None


def argument(
    description: str, *, least: float | None = None, most: float | None = None, default: object = NOTHING
) -> Any:
    """Declare one argument of a tool; without a default it is required.

    `least` and `most` bound a number, a text's characters or a list's items.
    """
    return field(default=default, metadata={_METADATA: Bounds(description, least, most)})


def schema_of(arguments: type) -> Schema:
    """The JSON Schema of a tool's arguments."""
    kinds = get_type_hints(arguments)
    fields = _fields(arguments)
    return {
        "type": "object",
        "properties": {known.name: _property(kinds[known.name], known) for known in fields},
        "required": [known.name for known in fields if known.default is NOTHING],
        "additionalProperties": False,
    }


def read(arguments: type[T], given: Mapping[str, object]) -> T:
    """Make the value a model's arguments stand for; raise `Malformed` with every problem otherwise."""
    present = _without_nulls(arguments, given)
    problems = list(_out_of_bounds(arguments, present))
    try:
        value = structure(arguments, present)
    except Malformed as error:
        problems.insert(0, error.text)
    else:
        if not problems:
            return value
    raise Malformed("; ".join(problems)[:PROBLEM_CHARACTERS])


# --- the schema ------------------------------------------------------------------------------------


def _property(kind: object, known: "attrs.Attribute[object]") -> Schema:
    bounds = _bounds(known)
    described: Schema = {"description": bounds.description} if bounds.description else {}
    # An absent argument is absent: None and the like would only invite a model to write them.
    default: Schema = {"default": known.default} if known.default not in (NOTHING, None, "", ()) else {}
    return _schema(_present(kind), bounds) | described | default


def _schema(kind: object, bounds: Bounds) -> Schema:
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema(get_args(kind)[0], Bounds())} | _limits("Items", bounds)
    if isinstance(kind, type):
        if issubclass(kind, StrEnum):
            return {"type": "string", "enum": [choice.value for choice in kind]}
        if attrs.has(kind):
            return schema_of(kind)
        name, suffix = _TYPES[kind]
        return {"type": name} | _limits(suffix, bounds)
    message = f"an argument cannot be a {kind!r}"
    raise TypeError(message)


_TYPES: Mapping[type, tuple[str, str]] = {
    bool: ("boolean", ""),
    int: ("integer", "imum"),
    float: ("number", "imum"),
    str: ("string", "Length"),
}
"""The schema's name of a type, and how the words for its bounds end."""


def _limits(suffix: str, bounds: Bounds) -> Schema:
    named = {"min" + suffix: bounds.least, "max" + suffix: bounds.most}
    return {name: value for name, value in named.items() if value is not None}


# --- the check -------------------------------------------------------------------------------------


def _without_nulls(arguments: type, given: Mapping[str, object]) -> dict[str, object]:
    """Many clients send null for an argument they leave out."""
    optional = {known.name for known in _fields(arguments) if known.default is not NOTHING}
    return {name: value for name, value in given.items() if value is not None or name not in optional}


def _out_of_bounds(arguments: type, given: Mapping[str, object]) -> Iterator[str]:
    for known in _fields(arguments):
        bounds, value = _bounds(known), given.get(known.name)
        size, unit = _size(value)
        if isinstance(value, str) and not storable(value):
            yield f"$.{known.name}: contains half of a surrogate pair; send valid Unicode text"
        if size is None:
            continue
        if bounds.least is not None and size < bounds.least:
            yield f"$.{known.name}: must be at least {_spelt(bounds.least)}{unit}, not {_spelt(size)}"
        if bounds.most is not None and size > bounds.most:
            yield f"$.{known.name}: must be at most {_spelt(bounds.most)}{unit}, not {_spelt(size)}"


def _spelt(number: float) -> str:
    """Whole numbers digit by digit; JSON has some with more digits than Python would write."""
    if abs(number) > SPELT:
        return f"{'more' if number > 0 else 'less'} than can be counted"
    return f"{number:g}" if number % 1 else f"{number:.0f}"


def _size(value: object) -> tuple[float | None, str]:
    """What the bounds are about; None for what has no size, wrong types among them."""
    match value:
        case bool():
            return None, ""
        case int() | float():
            return value, ""
        case str():
            return len(value), " characters"
        case list():
            return len(value), " items"
        case _:
            return None, ""


def _fields(arguments: type) -> tuple["attrs.Attribute[object]", ...]:
    return cast("tuple[attrs.Attribute[object], ...]", attrs.fields(arguments))


def _bounds(known: "attrs.Attribute[object]") -> Bounds:
    return cast("Bounds", known.metadata.get(_METADATA, Bounds()))


def _present(kind: object) -> object:
    """The type itself of an argument that may be left out."""
    if get_origin(kind) in {Union, UnionType}:
        (only,) = (member for member in get_args(kind) if member is not NoneType)
        return cast("object", only)
    return kind
