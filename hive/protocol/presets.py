"""What hive has to know of an agent CLI that speaks ACP: a preset, as data.  Pure.

The rule kept here: a preset is read strictly, and whatever is wrong with one is told with its path, all of
it at once.
"""

import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache, partial
from typing import Final, TypeAlias

import cattrs
from attrs import field, fields, frozen
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from hive.protocol.failures import ErrorClass
from hive.protocol.names import near

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""What a preset may be called."""

VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a variable of an environment may be called."""

HOME: Final = "{home}"
"""Stands for the agent's own directory in a preset's arguments and environment."""

MODEL: Final = "{model}"
"""Stands for the agent's model there."""


class ModelWay(StrEnum):
    """How a CLI is told which model to think with."""

    NONE = "none"
    """Not at all: it chooses by itself."""

    OPTION = "option"
    """By `session/set_config_option`."""

    METHOD = "method"
    """By `session/set_model`, as older agents have it."""

    START = "start"
    """Where it is started: `model.arguments` and `model.environment` say how."""


class Leaves(StrEnum):
    """What makes a CLI leave once its turn is over."""

    EOF = "eof"
    """The end of its input."""

    TERM = "term"
    """SIGTERM, and nothing less."""

    KILL = "kill"
    """Nothing but SIGKILL: no turn waits for anything milder."""


@frozen
class Start:
    """Arguments and environment for a start."""

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(factory=dict)


@frozen
class WithoutShell:
    """What is otherwise for an agent that may run no commands."""

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(factory=dict)
    """Both are added to what it is started with."""

    mode: str = ""
    """The mode to set in place of the preset's, where that would let it act without asking."""


@frozen
class Model:
    """How a CLI gets its model."""

    way: ModelWay = ModelWay.NONE
    option: str = "model"
    """The id of the option, where it is one."""

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(factory=dict)
    required: str = ""
    """Why the CLI must not run without one and what to name, in a sentence; empty where it may."""


@frozen
class ErrorRule:
    """An error by what it says: the first rule that fits counts."""

    pattern: str
    """A regular expression, found anywhere in the message.  A group `seconds` says how long a limit holds."""

    error: ErrorClass

    def __attrs_post_init__(self) -> None:
        re.compile(self.pattern)


@frozen
class SettingsFile:
    """A file of settings that is written into the agent's directory before each start."""

    name: str
    """Its name there; no path."""

    text: str

    def __attrs_post_init__(self) -> None:
        if not re.fullmatch(r"\.?[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError("a plain file name is expected, without a directory")
        if self.name.endswith("-session"):
            raise ValueError("hive keeps the ids of sessions in files of that name")


@frozen
class Preset:
    """How one CLI is driven."""

    title: str
    program: str
    install: str
    """How to get it, in a sentence."""

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(factory=dict)
    """Switches: no telemetry, no updates by itself."""

    without_shell: WithoutShell = WithoutShell()

    settings: SettingsFile | None = None
    credentials: tuple[str, ...] = ()
    """Environment variables by which it is logged in, any of them."""

    authenticate: str = ""
    """The id of the way to log in that it has to be told, where it has to."""

    mode: str = ""
    """The mode to set; empty for its own default."""

    model: Model = Model()
    compact: str = ""
    """What said to it makes it compact its conversation; empty where nothing does."""

    errors: tuple[ErrorRule, ...] = ()
    tools: tuple[str, ...] = (
        r"mcp__hive__(?P<tool>\w+)",
        r"(?:mcp_)?hive[_/](?P<tool>\w+)",
        r"(?P<tool>\w+) \(hive MCP Server\)",
    )
    """Regular expressions, one of which the whole title of a call of hive's tools fits."""

    leaves: Leaves = Leaves.EOF
    commands: str = ""
    """What is known of commands it sees in a message, for its reader."""

    hosts: tuple[str, ...] = ()
    """Where its model is, unless it is told otherwise."""

    driven: str = ""
    """With which version it was driven for real; empty where only stand-ins were."""

    def __attrs_post_init__(self) -> None:
        if not self.program:
            raise ValueError("program: the name of one is expected")
        for pattern in self.tools:
            if "tool" not in re.compile(pattern).groupindex:
                raise ValueError(f"tools: {pattern!r} lacks the group (?P<tool>...)")


Presets: TypeAlias = Mapping[str, Preset]


def read_presets(tables: object, *, taken: Sequence[str] = ()) -> tuple[dict[str, Preset], list[str]]:
    """The presets of a `[presets]` table, and everything that is wrong with them, each with its path.

    `taken` are names that mean something else.
    """
    if not isinstance(tables, dict):
        return {}, ["presets: expected a table, as in [presets.NAME]"]
    found: dict[str, Preset] = {}
    problems: list[str] = []
    for name, table in tables.items():
        where = f"presets.{name}"
        if not NAME.fullmatch(name):
            problems.append(f"{where}: a name has 1 to 32 of a-z, 0-9 and '-', and begins with a letter")
        elif name in taken:
            problems.append(f"{where}: {name} is a backend of hive's own; choose another name")
        try:
            found[name] = _converter().structure(_table(table), Preset)
        except Exception as error:  # noqa: BLE001 - whatever a table holds, it is told what is wrong
            problems += [f"{where}{path}: {text}" for path, text in _problems(error, "")]
    return found, problems


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, lambda value, _: _text(value))
    for words in (ErrorClass, ModelWay, Leaves):  # each is a kind of `str`, too
        converter.register_structure_hook(words, _word)
    # Left to itself, a converter takes a text for a list of its characters.
    converter.register_structure_hook_func(
        partial(operator.eq, tuple[str, ...]),
        lambda value, _: tuple(converter.structure(_list(value), list[str])),
    )
    converter.register_structure_hook_func(
        partial(operator.eq, tuple[ErrorRule, ...]),
        lambda value, _: tuple(converter.structure(_list(value), list[ErrorRule])),
    )
    converter.register_structure_hook_func(
        partial(operator.eq, Mapping[str, str]),
        lambda value, _: converter.structure(_environment(value), dict[str, str]),
    )
    converter.register_structure_hook_func(
        partial(operator.eq, SettingsFile | None),
        lambda value, _: converter.structure(_table(value), SettingsFile),
    )
    return converter


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r:.40}")
    if "\0" in value:
        raise ValueError("no program can be given a text with a NUL in it")
    return value


def _environment(value: object) -> Mapping[str, object]:
    for name in _table(value):
        if not VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r:.40} is no name of a variable")
    return _table(value)


def _word(value: object, kind: type[ErrorClass] | type[ModelWay] | type[Leaves]) -> StrEnum:
    try:
        return kind(_text(value))
    except ValueError:
        known = ", ".join(sorted(kind))
        raise ValueError(f"expected one of {known}, got {value!r:.40}") from None


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f'expected a list, as in ["text"], got {value!r:.40}')
    return value


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a table, got {value!r:.40}")
    return value


def _problems(error: BaseException, path: str) -> Iterator[tuple[str, str]]:
    """Every leaf of a failure, with where it is."""
    match error:
        case ClassValidationError() | IterableValidationError():
            placed, others = error.group_exceptions()
            for one, note in placed:
                yield from _problems(one, path + _step(note))
            for other in others:
                yield from _problems(other, path)
        case ForbiddenExtraKeysError(extra_fields=extra, cl=kind):
            known = [one.name for one in fields(kind)]
            yield from ((f"{path}.{name}", _unknown(name, known)) for name in sorted(extra))
        case KeyError():
            yield path, "is missing"
        case re.error():
            yield path, f"not a regular expression: {error}"
        case _:
            yield path, str(error)


def _step(note: AttributeValidationNote | IterableValidationNote) -> str:
    match note:
        case AttributeValidationNote():
            return f".{note.name}"
        case _ if isinstance(note.index, int):
            return f"[{note.index}]"
    return f".{note.index}"


def _unknown(name: str, known: Sequence[str]) -> str:
    similar = near(name, known)
    hint = f"did you mean {' or '.join(similar)}?" if similar else f"known here: {', '.join(known)}"
    return f"unknown setting; {hint}"
