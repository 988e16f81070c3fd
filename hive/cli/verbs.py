"""Verbs that speak with the daemon: one question or one command each, most of them straight from the table.

The rule kept here: an async function fetches, a pure one shows; the first one here is the only one that
most verbs need.
"""

import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import run
from typing import Any

from attrs import frozen

from hive.cli import show
from hive.cli.client import connected, insist
from hive.cli.output import Output
from hive.cli.places import Place
from hive.cli.status import Failed, Status
from hive.protocol.grammar import Verb
from hive.protocol.parking import EXITS, Reason

Arguments = Mapping[str, object]

TURNS = 20
"""So many of an agent's turns are shown where nobody says otherwise."""


@frozen
class Call:
    """A verb as it was typed."""

    verb: Verb
    options: Namespace
    places: Sequence[Place]
    out: Output


def text_argument(value: str) -> str:
    """A text, or with `-` what standard input holds.  Raises `Failed` for bytes that are no text."""
    try:
        text = sys.stdin.read() if value == "-" else value
        text.encode()
    except UnicodeError:
        raise Failed(Status.USAGE, "the text is not valid UTF-8") from None
    return text


# --- looking -------------------------------------------------------------------------------------


def _cost_of(options: Namespace) -> Arguments:
    given = {"by": options.by, "days": options.days}
    return {name: value for name, value in given.items() if value is not None}


ASKED: Mapping[str, Callable[[Namespace], Arguments]] = {
    "why": lambda options: {"agent": options.agent},
    "mail": lambda options: {"recipient": options.agent, "before": options.before},
    "inbox": lambda options: {"before": options.before},
    "message": lambda options: {"message": options.message},
    "turns": lambda options: {
        "agent": options.agent,
        "limit": TURNS if options.limit is None else options.limit,
    },
    "cost": _cost_of,
}
"""The arguments of the `get` behind a verb, where it has any."""


async def look(call: Call) -> Status:
    """Ask and show."""
    assert call.verb.get is not None
    asked = ASKED[call.verb.name](call.options) if call.verb.name in ASKED else {}
    async with connected(call.places) as client:
        data = await client.get(call.verb.get, **asked)
    call.out.show(data, show.SHOWN[call.verb.get])
    return Status.OK


async def tree(call: Call) -> Status:
    """The supervision tree, with what the agents in it are at."""
    async with connected(call.places) as client:
        shown = await client.get("tree")
        agents = {entry["view"]["name"]: entry["view"] for entry in await client.get("agents")}
    now = client.welcome["now"]
    call.out.show({"now": now, "tree": show.with_work(shown, agents)}, show.tree)
    return Status.OK


# --- changing ------------------------------------------------------------------------------------


def _one_or_all(options: Namespace) -> Arguments:
    if (options.agent is None) != bool(options.all):
        raise Failed(Status.USAGE, "name one agent, or say --all")
    return {"agent": options.agent}


def _resumed(options: Namespace) -> Arguments:
    return {**_one_or_all(options), **({"reasons": options.reason} if options.reason else {})}


def _spawned(options: Namespace) -> Arguments:
    settings: dict[str, object] = {
        "role": "manager" if options.manager else "agent",
        "allow_shell": options.allow_shell,
    }
    for name in ("backend", "purpose", "model", "credential", "rules", "directives_from"):
        if (value := getattr(options, name)) is not None:
            settings[name] = value
    return {"name": options.name, "settings": settings}


def _given(options: Namespace) -> Arguments:
    """What is to be changed of an agent."""
    given = {name: getattr(options, name) for name in ("purpose", "model", "credential", "allow_shell")}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise Failed(Status.USAGE, "say what to change: --purpose, --model, --credential or --allow-shell")
    if "allow_shell" in changes:
        changes["allow_shell"] = changes["allow_shell"] == "yes"
    return {"name": options.agent, **changes}


def _redriven(options: Namespace) -> Arguments:
    chosen: dict[str, object] = {"message": options.message}
    if options.to is not None:
        chosen["to"] = options.to
    return chosen


def _message(options: Namespace) -> Arguments:
    return {"message": options.message}


COMMANDS: Mapping[str, Callable[[Namespace], Arguments]] = {
    "spawn": _spawned,
    "change": _given,
    "remove": lambda options: {"name": options.agent},
    "pause": lambda options: {**_one_or_all(options), "now": options.now},
    "resume": _resumed,
    "stop": _one_or_all,
    "start": _one_or_all,
    "kick": _one_or_all,
    "cancel": lambda options: {"agent": options.agent, "requeue": options.requeue},
    "read": _message,
    "unread": lambda options: {"message": options.message, "unread": True},
    "done": _message,
    "redrive": _redriven,
    "bury": _message,
    "release": _message,
    "backup": lambda options: {"file": str(Path(options.file).absolute())},
}
"""The arguments of the command behind each verb."""


def _changed(names: Any, verb: str) -> str:
    return f"{verb}: {', '.join(names)}." if names else "nothing to change."


def _said_resumed(told: Any) -> str:
    """What a resume did to one agent; what it left names its own way out."""
    ended = f"no longer {', '.join(told['lifted'])}" if told["lifted"] else "nothing lifted"
    ways = (EXITS[Reason(reason)].way_out.format(agent=told["agent"]) for reason in told["still"])
    left = (f"; still {reason} (way out: {way})" for reason, way in zip(told["still"], ways, strict=True))
    return f"{told['agent']}: {ended}{''.join(left)}."


def _done(_call: Call, _result: Any) -> str:
    return "done."


SAID: Mapping[str, Callable[[Call, Any], str]] = {
    "spawn": lambda call, waits_for: (
        f"{call.options.name} is there, but {waits_for}"
        if waits_for
        else f"{call.options.name} is there. Say something: hive send {call.options.name} hello"
    ),
    "change": lambda call, _: f"{call.options.agent} is run so from its next turn on.",
    "remove": lambda call, dead: (
        f"{call.options.agent} is gone; {dead} messages became dead letters (hive dead)."
    ),
    "pause": lambda _, names: _changed(names, "paused"),
    "resume": lambda _, told: "\n".join(map(_said_resumed, told)) or "nothing to change.",
    "stop": lambda _, names: _changed(names, "stopped"),
    "start": lambda _, names: _changed(names, "started"),
    "kick": lambda _, names: _changed(names, "kicked"),
    "cancel": lambda call, turn: f"turn {turn} of {call.options.agent} is asked to stop.",
    "redrive": lambda _, mail: f"brought back as #{mail['number']} ({mail['id']}) to {mail['recipient']}.",
    "backup": lambda _, made: f"{made['bytes'] // 1024} KiB in {made['file']}.",
}


async def change(call: Call) -> Status:
    """Give a command and say what came of it."""
    assert call.verb.wire is not None
    arguments = COMMANDS[call.verb.name](call.options)
    if call.verb.name == "redrive" and call.options.edit:
        arguments = {**arguments, "body": await _edited(call)}
    ack = await insist(call.places, call.verb.wire, arguments)
    said = SAID.get(call.verb.name, _done)
    call.out.show(ack["result"], lambda result, _: said(call, result))
    return Status.OK


async def _edited(call: Call) -> str:
    """The text of a dead letter, after the person's editor."""
    async with connected(call.places) as client:
        found = await client.get("message", message=call.options.message)
    if found["cut"]:
        raise Failed(Status.REFUSED, "this message is too long to be edited here; redrive it as it is")
    with tempfile.NamedTemporaryFile("w+", suffix=".md", encoding="utf-8") as file:
        file.write(found["body"])
        file.flush()
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        if run([*editor.split(), file.name], check=False).returncode:  # noqa: ASYNC221 - the person has the terminal
            raise Failed(Status.REFUSED, "the editor failed; nothing was changed")
        return Path(file.name).read_text(encoding="utf-8")  # noqa: ASYNC240 - as above
