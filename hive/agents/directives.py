"""Directives: the lines with which a message tells a scripted agent exactly what to do.

They are remote control, so the rule kept here is narrow: only lines beginning with `!` that open a body
count.  The first other line ends the script, hence nothing quoted, fenced or forwarded is ever obeyed.  A
script is carried out whole or not at all: whoever mistypes a line does not want the rest of it half done.
So a body that is too long to come whole with its message, and comes as an attachment, is no script.

    !call hive/send {"to": "iris", "body": "hello"}     call one of hive's tools
    !sh wc -l *.py                                       run a command, where shells are allowed
    !say TEXT   !think TEXT   !note TEXT                 speak, think, leave a line in the stream
    !wait SECONDS                                        do nothing for a while
    !usage IN OUT [USD]                                  report tokens
    !error CLASS [in SECONDS] [TEXT]                     end the turn with an error
    !crash   !hang   !ignore-fold-in
"""

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import orjson

from hive.agents.events import ErrorClass
from hive.agents.steps import (
    Call,
    Crash,
    Fail,
    Hang,
    IgnoreFoldIn,
    Note,
    Say,
    Shell,
    Step,
    Think,
    Use,
    Wait,
    Wrong,
)
from hive.protocol.commands import Usage

T = TypeVar("T")

SERVER = "hive/"
EXAMPLE = '!call hive/send {"to": "iris", "body": "hello"}'

LARGEST = 1e12
"""No number in a directive is larger: what is counted must fit where it is stored."""


class UnreadableError(Exception):
    """A directive that makes no sense; the text says how to write it."""


def directives(body: str, *, allow_shell: bool) -> tuple[Step, ...] | Wrong:
    """The steps a body opens with, none where it does not begin with a directive; or what is wrong."""
    steps: list[Step] = []
    faults: list[str] = []
    for line in body.splitlines():
        if not line.startswith("!") and line.strip():
            break
        if line.startswith("!"):
            try:
                steps.append(_read(line.rstrip(), allow_shell=allow_shell))
            except UnreadableError as error:
                faults.append(str(error))
    return Wrong(tuple(faults)) if faults else tuple(steps)


def _read(line: str, *, allow_shell: bool) -> Step:
    if line.split(" ", 1)[0] == "!sh" and not allow_shell:
        raise UnreadableError("!sh is not allowed to this agent; spawn it with --allow-shell.")
    return read_line(line, READERS)


def read_line(line: str, readers: Mapping[str, Callable[[str], T]]) -> T:
    """One directive, read by the reader of its word; raises `UnreadableError`."""
    word, _, rest = line[1:].partition(" ")
    reader = readers.get(word)
    if reader is None:
        known = ", ".join(f"!{name}" for name in readers)
        raise UnreadableError(f"'!{word[:40]}' is not a directive; there are {known}.")
    try:
        return reader(rest.strip())
    except UnreadableError as error:
        raise UnreadableError(f"!{word}: {error}") from error


def _call(rest: str) -> Step:
    name, _, written = rest.partition(" ")
    if not name.startswith(SERVER) or name == SERVER:
        raise UnreadableError(f"name a tool as hive/TOOL, as in: {EXAMPLE}")
    return Call(name.removeprefix(SERVER), json_object(written))


def json_object(written: str) -> dict[str, object]:
    """The arguments of a call, none where nothing is written; raises `UnreadableError`."""
    try:
        arguments = orjson.loads(written or "{}")
        orjson.dumps(arguments)  # what is nested deeper than can be sent would break the turn
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise UnreadableError(f"its arguments are not JSON on one line ({error})") from error
    if not isinstance(arguments, dict):
        raise UnreadableError(f"its arguments must be one JSON object, as in: {EXAMPLE}")
    return arguments


def _shell(rest: str) -> Step:
    return Shell(something(rest, "give a command"))


def wait(rest: str) -> Wait:
    """So many seconds."""
    return Wait(_number(rest, "give the seconds to wait"))


def _error(rest: str) -> Step:
    known = ", ".join(sorted(ErrorClass))
    word, _, text = something(rest, f"give a class: {known}").partition(" ")
    if word not in frozenset(ErrorClass):
        raise UnreadableError(f"{word[:40]!r} is no class of error; there are {known}")
    after = None
    if text.startswith("in "):
        seconds, _, text = text.removeprefix("in ").partition(" ")
        after = _number(seconds, "after 'in' give the seconds until the limit ends")
    return Fail(ErrorClass(word), text, after)


def usage(rest: str) -> Use:
    """Tokens in and out, and perhaps dollars."""
    match rest.split():
        case [tokens_in, tokens_out]:
            cost = "0"
        case [tokens_in, tokens_out, cost]:
            pass
        case _:
            raise UnreadableError("give tokens in, tokens out and perhaps US dollars: !usage 1200 80 0.02")
    return Use(
        Usage(
            input_tokens=int(_number(tokens_in, "input tokens are a number")),
            output_tokens=int(_number(tokens_out, "output tokens are a number")),
            cost_usd=_number(cost, "the cost is a number"),
        )
    )


def _number(text: str, otherwise: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= LARGEST:  # nan is neither
        raise UnreadableError(f"{otherwise}, not {text[:40]!r}")
    return number


def something(text: str, otherwise: str) -> str:
    """The text, which must not be empty; raises `UnreadableError` with what to do otherwise."""
    if not text:
        raise UnreadableError(otherwise)
    return text


def alone(step: T) -> Callable[[str], T]:
    """A reader of a directive to which nothing is added."""

    def read(rest: str) -> T:
        if rest:
            raise UnreadableError(f"it stands alone, without {rest[:40]!r}")
        return step

    return read


READERS: Mapping[str, Callable[[str], Step]] = {
    "call": _call,
    "sh": _shell,
    "say": Say,
    "think": Think,
    "note": Note,
    "wait": wait,
    "usage": usage,
    "error": _error,
    "crash": alone(Crash()),
    "hang": alone(Hang()),
    "ignore-fold-in": alone(IgnoreFoldIn()),
}
