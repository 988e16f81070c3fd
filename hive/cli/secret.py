"""`hive secret`: the keys by which agents' CLIs are logged in.

The rule kept here: a value is read from standard input or typed unseen; it is no argument, which everybody
on the machine could read, and nothing prints it.
"""

import getpass
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hive.cli.client import connected, insist
from hive.cli.status import Failed, Status
from hive.cli.verbs import Call, text_argument
from hive.protocol.wording import duration

Json = Mapping[str, Any]


async def secret(call: Call) -> Status:
    """Set one, take one away, or list them."""
    options = call.options
    if options.deed == "list" and options.variable is not None:
        raise Failed(Status.USAGE, "--variable is for hive secret set and hive secret remove")
    if (options.name is None) != (options.deed == "list"):
        raise Failed(Status.USAGE, "name the credential: hive secret set NAME, or hive secret remove NAME")
    match options.deed:
        case "set":
            arguments = {"name": options.name, "value": _value(options.name)}
            if options.variable is not None:
                arguments["variable"] = options.variable
            ack = await insist(call.places, "secret.set", arguments)
            call.out.show(ack["result"], lambda kept, _: _kept(kept))
        case "remove":
            arguments = {"name": options.name}
            if options.variable is not None:
                arguments["variable"] = options.variable
            ack = await insist(call.places, "secret.remove", arguments)
            call.out.show(ack["result"], lambda gone, _: _gone(gone))
        case _:
            async with connected(call.places) as client:
                found, now = await client.get("secrets"), client.welcome["now"]
            call.out.show(found, lambda found, _: _listed(found, now))
    return Status.OK


def _value(name: str) -> str:
    """What is to be kept, without the end of its line."""
    if sys.stdin.isatty():
        try:
            return getpass.getpass(f"key for {name} (not shown): ").strip()
        except EOFError:
            raise Failed(Status.USAGE, "no key was typed; nothing was changed") from None
    return text_argument("-").strip()


def _kept(kept: Json) -> str:
    woken = f" No longer waiting for it: {', '.join(kept['woken'])}." if kept["woken"] else ""
    return f"{kept['name']} is kept, with {', '.join(kept['variables'])}.{woken}"


def _gone(gone: Json) -> str:
    left = f"{gone['name']} has {', '.join(gone['left'])} left."
    return left if gone["left"] else f"{gone['name']} is gone."


def _listed(found: Sequence[Json], now: float) -> str:
    if not found:
        return "no credentials yet.  Add one: hive secret set claude"
    return "\n".join(_line(one, now) for one in found)


def _line(one: Json, now: float) -> str:
    variables = ", ".join(one["variables"]) or "(cannot be read)"
    users = "used by " + (", ".join(one["used_by"]) or "nobody")
    return f"{one['name']}: {variables}, changed {duration(now - one['changed_at'])} ago, {users}"
