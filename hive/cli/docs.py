"""The verbs as a page of documentation: `python -m hive.cli.docs > docs/cli.md`.  Pure.

The rule kept here: every sentence about a verb comes from the verb table.
"""

import sys
from collections.abc import Iterator

from hive.cli.parser import SECTIONS, spelled
from hive.protocol.grammar import Argument, Verb
from hive.protocol.verbs import VERBS

HEAD = """# The command line

This page is made from the table of verbs (`hive/protocol/verbs.py`); `hive help` and `hive VERB --help` print
the same.

`hive VERB [arguments]`. Every verb takes `--json`, for output that programs read, and `--dir DIR`, for the
hive that is meant. Without `--dir` it is the one of `HIVE_DIR`; without that the first there is of
`$XDG_DATA_HOME/hive` (`~/.local/share/hive`) and `/var/lib/hive`.

| Status | Meaning |
|---|---|
| 0 | done |
| 1 | refused; standard error says why |
| 2 | wrong usage |
| 3 | no hive runs there; standard error lists the places tried |
| 4 | conflict: the state has moved on since |
| 5 | no answer in time |
| 130 | Ctrl-C |

With `--json` an error is an object on standard output as well: `{"error": ..., "status": ...}`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join((HEAD, *_sections()))


def _sections() -> Iterator[str]:
    for section, title in SECTIONS.items():
        yield f"## {title.capitalize()}\n"
        for verb in VERBS:
            if verb.section == section:
                yield from _entry(verb)


def _entry(verb: Verb) -> Iterator[str]:
    usage = " ".join(("hive", verb.name, *(spelled(argument) for argument in verb.arguments)))
    yield f"### `{usage}`\n"
    yield f"{verb.summary[0].upper()}{verb.summary[1:]}.{' ' if verb.details else ''}{verb.details}\n"
    if verb.arguments:
        yield "\n".join(_line(argument) for argument in verb.arguments) + "\n"


def _line(argument: Argument) -> str:
    choices = f" ({', '.join(argument.choices)})" if argument.choices else ""
    name = f"--{argument.name}" if argument.option else argument.name.upper()
    return f"- `{name}`: {argument.help}{choices}"


if __name__ == "__main__":
    sys.stdout.write(page())
