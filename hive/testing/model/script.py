"""A brain for which the script stands in the prompt.  Pure.

Lines of the newest user text that begin with `!` are steps; where a prompt of hive shows mail, those of its
newest message.  Each answer goes up to the next call of a tool, and the place in the script is how many
groups of calls have their results since that text: nothing is remembered from one request to the next.

    !call hive/send {"to": "iris", "body": "hello"}     call a tool; `!call Bash {...}` one of the CLI's own
    !both hive/whoami ;; hive/agents                     call several at once
    !say TEXT   !think TEXT                              speak, think
    !usage IN OUT   !stop REASON   !header NAME VALUE    what this answer reports
    !wait SECONDS                                        answer so much later
    !error STATUS TYPE TEXT                              answer with an error
    !hang   !drop                                        say no more; cut the connection

A request without tools is a side call (a title, a summary): it and a text without a script get a short
answer.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from attrs import evolve, frozen

from hive.agents.directives import UnreadableError, alone, json_object, read_line, something, usage, wait
from hive.agents.steps import Hang, Say, Think, Use, Wait
from hive.testing.model.context import newest_mail
from hive.testing.model.conversation import Asked, Failure, Reply, Text, Thinking, ToolCall

PLAIN = Reply((Text("ok"),))
"""The answer to whatever is no script."""

NOTHING = Reply((Text("{}"),))
"""The same where it must be JSON: a client that cannot read an answer asks again and again."""

DONE = Text("done")
"""Said at the end of a script that ends with something else."""

_LINE = re.compile(r"^![a-z].*", re.MULTILINE)
_STATUSES = range(300, 600)


class WrongScriptError(Exception):
    """A script that cannot be read: a sentence for each of its lines that is wrong."""


@frozen
class Calls:
    """Tools to call in one answer."""

    calls: tuple[ToolCall, ...]


@frozen
class Header:
    """A header of the answer."""

    name: str
    value: str


@frozen
class Stop:
    """Why the answer ends."""

    reason: str


@frozen
class Drop:
    """Cut the connection."""


Step = Calls | Say | Think | Use | Stop | Header | Wait | Failure | Hang | Drop


def scripted(asked: Asked) -> Reply:
    """What the script in the newest user text says next; raises `WrongScriptError`."""
    steps = read_script(newest_mail(asked.user)) if asked.tools else ()
    if not steps:
        return NOTHING if asked.structured else PLAIN
    return answer(steps, asked.finished)


def read_script(text: str) -> tuple[Step, ...]:
    """The steps of a text, none where none of its lines is one; raises `WrongScriptError`."""
    steps: list[Step] = []
    faults: list[str] = []
    for line in _LINE.findall(text):
        try:
            steps.append(read_line(line.rstrip(), READERS))
        except UnreadableError as error:
            faults.append(str(error))
    if faults:
        raise WrongScriptError("\n".join(faults))
    return tuple(steps)


def answer(steps: Sequence[Step], place: int) -> Reply:
    """The answer at a place: what stands behind so many calls, up to and with the next one."""
    parts: list[list[Step]] = [[]]
    for step in steps:
        parts[-1].append(step)
        if isinstance(step, Calls):
            parts.append([])
    reply = Reply()
    for step in parts[place] if place < len(parts) else ():
        reply = _with(reply, step)
    complete = reply.blocks or reply.error or reply.unfinished
    return reply if complete else evolve(reply, blocks=(DONE,))


def _with(reply: Reply, step: Step) -> Reply:  # noqa: C901, PLR0911 - one arm a step
    match step:
        case Calls(calls):
            return evolve(reply, blocks=(*reply.blocks, *calls))
        case Say(text):
            return evolve(reply, blocks=(*reply.blocks, Text(text)))
        case Think(text):
            return evolve(reply, blocks=(*reply.blocks, Thinking(text)))
        case Use(used):
            return evolve(reply, usage=used)
        case Stop(reason):
            return evolve(reply, stop=reason)
        case Header(name, value):
            return evolve(reply, headers=(*reply.headers, (name, value)))
        case Wait(seconds):
            return evolve(reply, delay=reply.delay + seconds)
        case Failure():
            return evolve(reply, error=step)
        case Hang():
            return evolve(reply, hang=True)
        case Drop():
            return evolve(reply, drop=True)
        case _:
            assert_never(step)


def _call(rest: str) -> Calls:
    return Calls((_one_call(rest),))


def _both(rest: str) -> Calls:
    return Calls(tuple(_one_call(part.strip()) for part in rest.split(" ;; ")))


def _one_call(rest: str) -> ToolCall:
    name, _, written = something(rest, "name a tool, as hive/send, and its arguments").partition(" ")
    return ToolCall(name, json_object(written))


def _error(rest: str) -> Failure:
    status, _, more = rest.partition(" ")
    if not status.isdecimal() or int(status) not in _STATUSES:
        raise UnreadableError("give an HTTP status, a type and a text: !error 529 overloaded_error Busy")
    kind, _, text = something(more, "give a type after the status").partition(" ")
    return Failure(int(status), kind, text or kind)


def _header(rest: str) -> Header:
    name, _, value = something(rest, "give a name and a value: !header retry-after 1").partition(" ")
    if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not value.isascii():
        raise UnreadableError("a header's name is letters, digits and hyphens, its value ASCII")
    return Header(name, value)


def _stop(rest: str) -> Stop:
    return Stop(something(rest, "give a reason, as max_tokens"))


READERS: Mapping[str, Callable[[str], Step]] = {
    "call": _call,
    "both": _both,
    "say": Say,
    "think": Think,
    "usage": usage,
    "stop": _stop,
    "header": _header,
    "wait": wait,
    "error": _error,
    "hang": alone(Hang()),
    "drop": alone(Drop()),
}
