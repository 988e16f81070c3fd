"""The verb table as a parser, and what it says of itself.

The rule kept here: nothing about a verb is written twice.
"""

import argparse
import difflib
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import NoReturn, TypeVar

from hive.cli.status import Failed, Status
from hive.protocol.grammar import Argument, Verb
from hive.protocol.verbs import VERBS

SECTIONS = {
    "start": "start and stop",
    "look": "look",
    "agents": "agents",
    "mail": "mail",
    "keep": "keep",
    "try": "try it out",
    "inside": "inside a box",
}
FIRST = """hive runs a swarm of AI coding agents as supervised actors with durable mail.

First things to type:
  hive demo        a temporary swarm to watch
  hive up          a hive of your own
  hive help        every verb
"""


LONGEST_SECONDS = 31 * 24 * 3600.0
LONGEST_MINUTES = LONGEST_SECONDS / 60
LARGEST = 2**63 - 1
"""SQLite's integers end here."""

T = TypeVar("T", int, float)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence and the status for wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Complain."""
        raise Failed(Status.USAGE, f"{message}\n{self.format_usage().strip()}")


def spelled(argument: Argument) -> str:
    """An argument as a usage line shows it: `NAME`, `[--switch]`, `[--option VALUE]`, `NAME...`."""
    value = "|".join(argument.choices) or argument.name.upper()
    value += "..." if argument.many else ""
    if argument.option:
        value = f"--{argument.name}" if argument.switch else f"--{argument.name} {value}"
    return value if argument.required else f"[{value}]"


def _number(text: str, read: Callable[[str], T], most: T, kind: str = "", unit: str = "") -> T:
    """What was typed, if it is such a number; the complaint is one sentence whatever is wrong with it."""
    with suppress(ValueError):
        if 0 <= (number := read(text)) <= most:
            return number
    raise argparse.ArgumentTypeError(f"{text} is not {kind}between 0 and {int(most)}{unit}")


def _seconds(text: str) -> float:
    return _number(text, float, LONGEST_SECONDS, unit=" seconds")


def _minutes(text: str) -> float:
    return _number(text, float, LONGEST_MINUTES, unit=" minutes")


def _whole(text: str) -> int:
    return _number(text, int, LARGEST, "a whole number ")


MEASURES = {"seconds": _seconds, "minutes": _minutes}
"""How numbers of these names are read; others are whole."""


def _add(parser: argparse.ArgumentParser, argument: Argument) -> None:
    name = argument.name if not argument.option else f"--{argument.name}"
    if argument.switch:
        parser.add_argument(name, action="store_true", help=argument.help)
        return
    options: dict[str, object] = {"help": argument.help, "default": argument.default}
    if argument.number:
        options["type"] = MEASURES.get(argument.name, _whole)
    if argument.choices:
        options["choices"] = argument.choices
    if argument.option:
        options["required"] = argument.required
        if argument.many:
            options["nargs"] = "+"
        parser.add_argument(name, **options)  # type: ignore[arg-type]
        return
    if argument.many:
        options["nargs"] = "+"
    elif not argument.required:
        options["nargs"] = "?"
    parser.add_argument(name.replace("-", "_"), metavar=argument.name, **options)  # type: ignore[arg-type]


def parser_of(verb: Verb) -> Parser:
    """The parser of one verb."""
    parser = Parser(prog=f"hive {verb.name}", description=verb.summary + ".", epilog=verb.details or None)
    for argument in verb.arguments:
        _add(parser, argument)
    parser.add_argument("--json", action="store_true", help="print JSON") if not _has(verb, "json") else None
    parser.add_argument("--dir", help="the hive's directory") if not _has(verb, "dir") else None
    return parser


def _has(verb: Verb, name: str) -> bool:
    return any(argument.name == name for argument in verb.arguments)


def find(name: str) -> Verb:
    """The verb of that name; `Failed` names near ones."""
    for verb in VERBS:
        if verb.name == name:
            return verb
    near = difflib.get_close_matches(name, [verb.name for verb in VERBS], n=3)
    meant = f" Did you mean {', '.join(near)}?" if near else " See: hive help"
    raise Failed(Status.USAGE, f"there is no verb {name!r}.{meant}")


def overview() -> str:
    """Every verb with its summary, by section."""
    width = max(len(verb.name) for verb in VERBS)
    lines = ["hive VERB [arguments]; hive VERB --help tells more.  Everywhere: --json, --dir DIR.", ""]
    for section, verbs in groupby(sorted(VERBS, key=_section), key=_section):
        lines.append(f"{list(SECTIONS.values())[section]}:")
        lines += [f"  {verb.name:<{width}}  {verb.summary}" for verb in verbs]
        lines.append("")
    return "\n".join(lines)


def _section(verb: Verb) -> int:
    return list(SECTIONS).index(verb.section)


def parse(arguments: Sequence[str]) -> tuple[Verb, argparse.Namespace]:
    """Which verb, with which arguments.  Raises `Failed` with status USAGE."""
    verb = find(arguments[0])
    return verb, parser_of(verb).parse_args(arguments[1:])
