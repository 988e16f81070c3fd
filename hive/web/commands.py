"""Commands of the page: checked, built, handed to the broker, acknowledged.

The rule kept here: a command's id is its idempotency key.  Repeating one after a reconnect gets the stored
answer and changes nothing twice.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import trio

from hive.actors import HiveError
from hive.actors.protocol import Perform
from hive.protocol import commands
from hive.protocol.commands import AddAgent, Command as StoreCommand, Once, SetClientToken
from hive.protocol.errors import Conflict, Forbidden, HiveRefusal, Malformed, NotFound
from hive.protocol.mail import Provenance
from hive.protocol.names import OPERATOR, check_name
from hive.protocol.verbs import WIRE_COMMANDS, WireCommand
from hive.store.codec import digest, structure, unstructure
from hive.web.connection import Connection
from hive.web.incoming import Command
from hive.web.parts import FAULT, Login, WebParts

ANSWER_SECONDS: Final = 30.0
"""A command whose answer takes longer is reported as unknown; repeating its id is safe."""

Ack = dict[str, object]


async def perform(parts: WebParts, connection: Connection, command: Command) -> Ack:
    """Carry out one command and return the fields of its `ack`."""
    try:
        with trio.fail_after(ANSWER_SECONDS):
            result = await _performed(parts, connection, command)
    except HiveRefusal as refusal:
        return _refused(command, refusal.code, refusal.text)
    except trio.TooSlowError:
        return _refused(command, "unknown", "no answer yet; ask again with the same id")
    except HiveError as error:
        # The broker was restarted under us: the id makes asking again safe.
        return _refused(command, "unavailable", f"{error}; ask again with the same id")
    except Exception as error:  # noqa: BLE001 - a fault of ours in one command must not end the connection
        parts.on_error(error)
        return {"id": command.id, "ok": False, "n": 0, "error": FAULT}
    return {"id": command.id, "ok": True, "n": parts.store.reader.head().seq, "result": unstructure(result)}


async def _performed(parts: WebParts, connection: Connection, command: Command) -> object:
    wire = WIRE_COMMANDS.get(command.name)
    if wire is None:
        raise NotFound(f"there is no command {command.name[:80]!r}; there are {', '.join(WIRE_COMMANDS)}")
    login = connection.login
    if login.role < wire.role:
        raise Forbidden(
            f"{command.name} is for the {wire.role.name.lower()}; you are {login.role.name.lower()}"
        )
    if own := OWN.get(command.name):
        return await _remembered(parts, login, command, own)
    _check_expectations(parts, command)
    built = _built(wire, login, command, _arguments(connection, command))
    if isinstance(built, AddAgent):
        parts.check_settings(built.settings)
    once = Once(f"{OPERATOR}:{login.via}", command.id, digest(built))
    return await parts.broker.ask(Perform(built, once))


def _arguments(connection: Connection, command: Command) -> Mapping[str, object]:
    """The arguments, with a body that came in parts put together."""
    arguments = dict(command.arguments)
    key = arguments.pop("body_parts", None)
    if key is None:
        return arguments
    body = connection.bodies.assembled(str(key))
    if body is None:
        raise Malformed("body_parts: no parts came under that id on this connection; send them again")
    return {**arguments, "body": body}


def _built(
    wire: WireCommand, login: Login, command: Command, arguments: Mapping[str, object]
) -> StoreCommand[object]:
    """The command as the store knows it, with what hive fills in filled in."""
    assert wire.command is not None
    filled = sorted(set(arguments) & set(wire.filled))
    if filled:
        raise Malformed(f"{filled[0]}: hive fills this in by itself")
    ours: dict[str, object] = {}
    if wire.command is commands.Send:
        ours = {"sender": OPERATOR, "provenance": Provenance.OPERATOR.value, "cause": f"command:{command.id}"}
    elif "by" in wire.filled:
        ours = {"by": login.who}
    return structure(wire.command, {**arguments, **ours})


def _check_expectations(parts: WebParts, command: Command) -> None:
    """Refuse a decision taken on something that has changed since."""
    for name, expected in command.expect.items():
        if name != "state":
            raise Malformed(f"expect.{name}: only a message's state can be expected")
        ref = str(command.arguments.get("message", ""))
        mail = parts.store.reader.mail(ref)
        if mail is not None and mail.state != expected and not _is_repeat(parts, command, ref):
            raise Conflict(f"the message is {mail.state} by now")


def _is_repeat(parts: WebParts, command: Command, ref: str) -> bool:
    """Whether what changed the message was this very command, whose answer was lost on the way."""
    return any(row.command == command.id for row in parts.store.reader.story(ref))


def _refused(command: Command, code: str, text: str) -> Ack:
    return {"id": command.id, "ok": False, "n": 0, "error": {"code": code, "text": text}}


# --- what the server does itself -----------------------------------------------------------------

Own = Callable[[WebParts, Login, Command], Awaitable[object]]


async def _remembered(parts: WebParts, login: Login, command: Command, own: Own) -> object:
    """Do it, or repeat what came of it: in memory, because answers hold secrets the store must not see."""
    kept = parts.answers.find(login.via, command.id)
    if kept is not None:
        await trio.lowlevel.checkpoint()
        return kept
    answer = await own(parts, login, command)
    parts.answers.keep(login.via, command.id, answer)
    return answer


def _argument(command: Command, name: str) -> str:
    value = command.arguments.get(name)
    if not isinstance(value, str):
        raise Malformed(f"{name}: expected text")
    return value


async def _mint_client_token(parts: WebParts, login: Login, command: Command) -> object:
    """Make an agent's client token and show it, this once."""
    agent = check_name(_argument(command, "agent"))
    view = parts.store.reader.agent(agent)
    if view is None or view.removed_at is not None:
        raise NotFound(f"there is no agent {agent}")
    if view.has_client_token and command.arguments.get("rotate") is not True:
        return {"agent": agent, "token": None}
    token = parts.new_secret()
    sha256 = hashlib.sha256(token.encode()).hexdigest()
    await parts.broker.ask(Perform(SetClientToken(agent, sha256, by=login.who)))
    return {"agent": agent, "token": token}


async def _backup(parts: WebParts, _login: Login, command: Command) -> object:
    file = Path(_argument(command, "file"))
    if not file.is_absolute():
        raise Malformed("file: expected an absolute path")
    return await parts.powers.backup(file)


async def _stop(parts: WebParts, login: Login, _command: Command) -> object:
    await trio.lowlevel.checkpoint()
    parts.powers.stop(f"asked by {login.who}")
    return {"stopping": True}


async def _link(parts: WebParts, _login: Login, _command: Command) -> object:
    await trio.lowlevel.checkpoint()
    return {"link": parts.codes.link(parts.origins()[0]), "origins": parts.origins()}


OWN: Mapping[str, Own] = {
    "client.token": _mint_client_token,
    "hive.backup": _backup,
    "hive.stop": _stop,
    "session.link": _link,
}
