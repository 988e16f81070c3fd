"""Values of the protocol to and from JSON, strictly.

The rule kept here: nothing is guessed.  A number in quotes, a missing name or a field too many is
`Malformed`, with every problem and its path in one sentence, so that whoever wrote it can repair it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import GenericAlias
from typing import Any, ForwardRef, TypeVar, cast, get_args, get_origin

import attrs
import orjson
from cattrs import BaseValidationError, Converter, ForbiddenExtraKeysError, transform_error
from cattrs.gen import make_dict_structure_fn, make_mapping_structure_fn
from cattrs.preconf.orjson import make_converter

from hive.protocol import commands
from hive.protocol.commands import Command
from hive.protocol.errors import Malformed

T = TypeVar("T")

COMMANDS: Mapping[str, type[Command[object]]] = {
    name: value
    for name, value in vars(commands).items()
    if isinstance(value, type) and issubclass(value, Command) and value is not Command
}
"""Every command by its name on the wire."""

WORDS: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    type(None): "nothing",
}
SCALARS: Mapping[type, tuple[type, ...]] = {str: (), int: (), float: (int,), bool: ()}
"""Scalar types, each with what else stands for it."""


def structure(type_: type[T], value: object) -> T:
    """Build a value of `type_` from what JSON gave; raises `Malformed` naming every problem."""
    try:
        return _CONVERTER.structure(value, type_)
    except (BaseValidationError, ValueError, TypeError) as error:
        raise Malformed("; ".join(_problems(error))) from None


def unstructure(value: object) -> object:
    """What JSON can say of a value: objects, lists, texts, numbers, true, false, null."""
    return _CONVERTER.unstructure(value)


def encode(value: object) -> str:
    """One line of JSON."""
    return orjson.dumps(unstructure(value)).decode()


def decode(type_: type[T], text: str | bytes) -> T:
    """Build a value of `type_` from JSON text; raises `Malformed`."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"this is not JSON: {error}") from None
    return structure(type_, value)


def command_from(name: str, arguments: object) -> Command[object]:
    """Build a command from its name and its fields; raises `Malformed`."""
    if name not in COMMANDS:
        raise Malformed(f"there is no command {name[:80]!r}; there are {', '.join(sorted(COMMANDS))}")
    return structure(COMMANDS[name], arguments)


def digest(command: Command[object]) -> str:
    """A fingerprint of a command's name and content, for `Once`."""
    content = orjson.dumps([type(command).__name__, unstructure(command)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()


def answer_type(command: type[Command[T]]) -> type[T]:
    """The type a command names as its answer: `SendAnswer` for `class Send(Command[SendAnswer])`."""
    return cast("type[T]", _ANSWERS[command.__name__])


def _answer_type(command: type[Command[object]]) -> object:
    (answer,) = get_args(command.__orig_bases__[0])  # type: ignore[attr-defined]
    if isinstance(answer, ForwardRef):
        # A command may name its answer in quotes; it means what it means in its own module.
        return eval(answer.__forward_code__, vars(commands))  # noqa: S307
    return answer


_ANSWERS = {name: _answer_type(command) for name, command in COMMANDS.items()}


# --- the converter -------------------------------------------------------------------------------


def _exactly(type_: type[T], *accepted: type) -> Callable[[object, object], T]:
    """A hook that takes values of `type_` as they are and nothing else for them."""

    def hook(value: object, _: object) -> T:
        # By exact type: True is an int to isinstance and a mistake to us.
        if type(value) not in (type_, *accepted):
            raise TypeError(f"expected {WORDS[type_]}, got {_kind(value)}")
        return type_(value)  # type: ignore[call-arg]

    return hook


def _enumerated(value: Any, type_: type[StrEnum]) -> StrEnum:
    """One of an enumeration's values."""
    try:
        return type_(value)
    except ValueError:
        known = ", ".join(member.value for member in type_)
        raise ValueError(f"expected one of {known}, got {str(value)[:80]!r}") from None


def _nothing(value: object, _: object) -> None:
    if value is not None:
        raise TypeError(f"expected nothing, got {_kind(value)}")


def _kind(value: object) -> str:
    return WORDS.get(type(value), type(value).__name__)


def _expect(expected: type, words: str, hook: Callable[[Any, Any], T]) -> Callable[[object, object], T]:
    """Let a hook see only values of the right shape; cattrs takes a text for a list of its letters."""

    def guarded(value: object, type_: object) -> T:
        if not isinstance(value, expected):
            raise TypeError(f"expected {words}, got {_kind(value)}")
        return hook(value, type_)

    return guarded


def _is_tuple(type_: object) -> bool:
    return get_origin(type_) is tuple


def _is_dict(type_: object) -> bool:
    return get_origin(type_) is dict


def _make() -> Converter:
    """A converter that refuses what cattrs would by default make fit."""
    converter = make_converter(forbid_extra_keys=True)

    @converter.register_structure_hook_factory(_is_tuple)
    def tuples(type_: Any) -> Callable[[object, object], tuple[object, ...]]:
        many = GenericAlias(list, get_args(type_)[:1])
        hook = converter.get_structure_hook(many)
        return _expect(list, "a list", lambda value, _: tuple(hook(value, many)))

    @converter.register_structure_hook_factory(_is_dict)
    def dicts(type_: Any) -> Callable[[object, object], dict[str, object]]:
        return _expect(dict, "an object", make_mapping_structure_fn(type_, converter))

    @converter.register_structure_hook_factory(attrs.has)
    def objects(type_: Any) -> Callable[[object, object], object]:
        return _expect(dict, "an object", make_dict_structure_fn(type_, converter))

    for type_, accepted in SCALARS.items():
        converter.register_structure_hook(type_, _exactly(type_, *accepted))
    converter.register_structure_hook(type(None), _nothing)
    converter.register_structure_hook_func(lambda type_: type_ is object, lambda value, _: value)
    # Under its own name, because a StrEnum is also a text and would be taken for one.
    converter.register_structure_hook(StrEnum, _enumerated)
    return converter


def _words(error: BaseException, _: object) -> str:
    """One problem, for whoever wrote the value."""
    match error:
        case KeyError():
            return "required, but missing"
        case ForbiddenExtraKeysError(extra_fields=extra):
            return f"unknown: {', '.join(sorted(extra))}"
        case _:
            return str(error)


def _problems(error: BaseException) -> Sequence[str]:
    """Every problem with its path, as `$.to: expected text, got a whole number`."""
    found = (problem.rsplit(" @ ", 1) for problem in transform_error(error, "$", _words))
    return tuple(f"{path}: {words}" for words, path in found)


_CONVERTER = _make()
