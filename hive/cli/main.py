"""From what was typed to an exit status.

The rule kept here: whatever goes wrong is one sentence on standard error and a status a script can use.
"""

import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence

import trio

from hive import __version__
from hive.actors import HiveError, RestartsExhausted, StartFailed
from hive.cli.local import ALONE, SPOKEN
from hive.cli.output import Output
from hive.cli.parser import FIRST, overview, parse
from hive.cli.places import places
from hive.cli.status import Failed, Status, pointed
from hive.cli.verbs import Call, change, look
from hive.protocol.errors import Conflict, HiveRefusal
from hive.protocol.grammar import Verb

INTERRUPTED = 130

LONGEST_CHAIN = 8
"""Causes that are shown of a failure."""

CAUSE_CHARACTERS = 200

QUOTES_NOTHING = (HiveError, HiveRefusal, OSError, ArithmeticError, RuntimeError, TypeError, AttributeError)
"""Errors whose texts are shown; those of others may quote a body or a token."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one verb.  Returns its exit status."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(typed)
    except BrokenPipeError:
        return _quiet()
    except (Failed, HiveRefusal, HiveError, OSError) as error:
        return _complain(typed, *_described(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _described(error: Exception) -> tuple[str, Status]:
    """A failure as its sentence and its status."""
    match error:
        case Failed():
            return str(error), error.status
        case Conflict():
            return error.text, Status.CONFLICT
        case OSError(filename=str() as where):
            return f"{where}: {error.strerror}", Status.REFUSED
        case RestartsExhausted() | StartFailed():
            return "\n  because of ".join([str(error), *_causes(error)]), Status.REFUSED
        case _:
            return str(error), Status.REFUSED


def _causes(error: BaseException) -> Iterator[str]:
    """What a failure came from, outermost first, each as one line."""
    for _ in range(LONGEST_CHAIN):
        cause = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
        if cause is None:
            return
        yield f"{_named(cause)}{_place(cause)}"
        error = cause


def _named(error: BaseException) -> str:
    """An error's type, and its text where that is nobody's but hive's or the machine's."""
    shown = isinstance(error, QUOTES_NOTHING) or type(error).__module__ == "sqlite3"
    text = " ".join(str(error).split())[:CAUSE_CHARACTERS] if shown else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException) -> str:
    """Where an error was raised, as far as it knows."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def _run(typed: Sequence[str]) -> int:
    if not typed:
        sys.stdout.write(FIRST)
        return Status.OK
    if typed[0] in ("help", "-h", "--help"):
        sys.stdout.write(overview())
        return Status.OK
    if typed[0] == "--version":
        sys.stdout.write(f"hive {__version__}\n")
        return Status.OK
    if typed[0].startswith("-"):
        raise Failed(Status.USAGE, f"the verb comes first: hive VERB {' '.join(typed[:2])} ...")
    verb, options = parse(typed)
    call = Call(verb, options, places(options.dir), Output(options.json))
    if verb.name in ALONE:
        return ALONE[verb.name](call)
    return trio.run(conversation(verb), call)


def conversation(verb: Verb) -> Callable[[Call], Awaitable[Status]]:
    """What a verb does that speaks with the daemon."""
    talk = SPOKEN.get(verb.name, look if verb.get else change)

    async def converse(call: Call) -> Status:
        try:
            return await talk(call)
        except Failed as failed:
            raise pointed(failed, (argument.name for argument in verb.arguments)) from None

    return converse


def _complain(typed: Sequence[str], text: str, status: Status) -> int:
    if "--json" in typed:
        sys.stdout.write(json.dumps({"error": text, "status": int(status)}) + "\n")
    sys.stderr.write(f"hive: {text}\n")
    return status


def _quiet() -> int:
    """Whoever read our output has seen enough; keep Python from complaining about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Status.OK
