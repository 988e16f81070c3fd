"""Commands of the page: checked, built, handed to the broker, acknowledged.

The rule kept here: a command's id is its idempotency key.  Repeating one after a reconnect gets the stored
answer and changes nothing twice.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import trio
from attrs import evolve, frozen

from hive.actors import HiveError
from hive.actors.protocol import Perform
from hive.protocol import chaos, commands
from hive.protocol.commands import (
    AddAgent,
    ChangeAgent,
    Command as StoreCommand,
    Expectation,
    KeepAnswer,
    NoteCredential,
    Once,
    SetClientToken,
)
from hive.protocol.errors import Forbidden, HiveRefusal, Malformed, NotFound
from hive.protocol.grammar import WireCommand
from hive.protocol.mail import Provenance
from hive.protocol.names import OPERATOR, check_name
from hive.protocol.requests import WIRE_COMMANDS
from hive.store.codec import digest, structure, unstructure
from hive.web.connection import Connection
from hive.web.incoming import Command
from hive.web.parts import FAULT, Login, WebParts

ANSWER_SECONDS: Final = 30.0
"""A command whose answer takes longer is reported as unknown; repeating its id is safe."""

KEEP_SECONDS: Final = 5.0
"""How long to wait for an answer to be on the disk, even when whoever asked is gone."""

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
        return await _once(parts, login, command, own)
    arguments = _arguments(connection, command)
    if wire.command is AddAgent:
        arguments = _with_backend(parts, arguments)
    built = _built(wire, login, command, arguments)
    once = Once(_scope(login), command.id, digest(built), _expected(command))
    return await parts.broker.ask(Perform(_checked(parts, built), once))


def _with_backend(parts: WebParts, arguments: Mapping[str, object]) -> Mapping[str, object]:
    """The arguments of a spawn, with the hive's own choice where they make none."""
    match arguments.get("settings", {}):
        case dict(settings) if "backend" not in settings:
            return {**arguments, "settings": {**settings, "backend": parts.default_backend()}}
    return arguments


def _checked(parts: WebParts, built: StoreCommand[object]) -> StoreCommand[object]:
    """The command, where something could run the agent it is about, as it then is."""
    match built:
        case AddAgent():
            parts.check_settings(built.settings)
            return evolve(built, needs_login=parts.powers.secrets.missing(built.settings))
        case ChangeAgent():
            view = parts.store.reader.agent(built.name)
            if view is not None:
                settings = built.applied(view.settings)
                parts.check_settings(settings)
                return evolve(built, needs_login=parts.powers.secrets.missing(settings))
    return built


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


def _expected(command: Command) -> Expectation | None:
    """What the command rests on; the store checks it in the moment in which it carries the command out."""
    if not command.expect:
        return None
    match command.expect, command.arguments.get("message"):
        case {"state": str(state), **others}, str(message) if not others:
            return Expectation(message, state)
        case _:
            raise Malformed("expect: only the state of the message that a command names can be expected")


def _scope(login: Login) -> str:
    return f"{OPERATOR}:{login.via}"


def _refused(command: Command, code: str, text: str) -> Ack:
    return {"id": command.id, "ok": False, "n": 0, "error": {"code": code, "text": text}}


# --- what the server does itself -----------------------------------------------------------------


@frozen
class Request:
    """A command that is not the store's, and by whom."""

    parts: WebParts
    login: Login
    command: Command
    once: Once

    def text(self, name: str) -> str:
        """An argument."""
        value = self.command.arguments.get(name)
        if not isinstance(value, str):
            raise Malformed(f"{name}: expected text")
        return value

    async def keep(self, answer: dict[str, object]) -> dict[str, object]:
        """Keep the answer for later daemons.  Where the disk refuses, this one's memory has to do."""
        with trio.move_on_after(KEEP_SECONDS, shield=True), suppress(HiveRefusal, HiveError):
            await self.parts.broker.ask(Perform(KeepAnswer(answer), self.once))
        return answer


Own: TypeAlias = Callable[[Request], Awaitable[object]]


async def _once(parts: WebParts, login: Login, command: Command, own: Own) -> object:
    """Do it, or repeat what came of it."""
    if command.expect:
        raise Malformed(f"expect: {command.name} names no message whose state could be expected")
    content = json.dumps([command.name, command.arguments], sort_keys=True).encode()
    once = Once(_scope(login), command.id, hashlib.sha256(content).hexdigest())
    async with parts.answers.alone(once):
        if kept := parts.answers.find(once):
            return kept.answer
        answer = await own(Request(parts, login, command, once))
        parts.answers.keep(once, answer)
        return answer


async def _mint_client_token(request: Request) -> object:
    """Make an agent's client token and show it, this once."""
    agent, reader = check_name(request.text("agent")), request.parts.store.reader
    view = reader.agent(agent)
    if view is None or view.removed_at is not None:
        raise NotFound(f"there is no agent {agent}")
    if view.has_client_token and request.command.arguments.get("rotate") is not True:
        return {"agent": agent, "token": None}
    token = request.parts.new_secret()
    sha256 = hashlib.sha256(token.encode()).hexdigest()
    await request.parts.broker.ask(Perform(SetClientToken(agent, sha256, by=request.login.who), request.once))
    # Under an id that an earlier daemon carried out nothing is made: what it made was shown, and is not kept.
    known = reader.identity(agent)
    return {"agent": agent, "token": token if known and known.client_token == sha256 else None}


async def _set_secret(request: Request) -> object:
    """Keep a secret.  Only this daemon's memory knows that it has done so: a repeat keeps it once more."""
    name, value = check_name(request.text("name")), request.text("value")
    given = request.command.arguments.get("variable")
    secrets = request.parts.powers.secrets
    variable = secrets.variable_of(name) if given is None else request.text("variable")
    variables = await secrets.put(name, variable, value)
    noted = NoteCredential(name, variables, by=request.login.who)
    return {"name": name, "variables": variables, "woken": await request.parts.broker.ask(Perform(noted))}


async def _remove_secret(request: Request) -> object:
    """Forget one.  Noted first: what is gone cannot be found again when that has to be repeated."""
    name, given = check_name(request.text("name")), request.command.arguments.get("variable")
    variable = None if given is None else request.text("variable")
    secrets = request.parts.powers.secrets
    kept = {one.name: one.variables for one in secrets.credentials()}
    if name not in kept or variable not in (None, *kept[name]):
        raise NotFound(f"there is no {variable or 'credential'} of the name {name}; see: hive secret list")
    left = tuple(one for one in kept[name] if variable not in (None, one))
    await request.parts.broker.ask(Perform(NoteCredential(name, left, by=request.login.who)))
    return {"name": name, "left": await secrets.remove(name, variable)}


async def _backup(request: Request) -> object:
    file = Path(request.text("file"))
    if not file.is_absolute():
        raise Malformed("file: expected an absolute path")
    kept = request.parts.store.reader.answer(request.once)
    return kept or await request.keep({**await request.parts.powers.backup(file)})


async def _stop(request: Request) -> object:
    if kept := request.parts.store.reader.answer(request.once):
        return kept
    # Kept first: asked for again after the restart, it must not stop the next daemon.
    answer = await request.keep({"stopping": True})
    request.parts.powers.stop(f"asked by {request.login.who}")
    return answer


async def _chaos_on(request: Request) -> object:
    """Kept, so that a repeat after a restart does not turn it on in the next daemon."""
    if kept := request.parts.store.reader.answer(request.once):
        return kept
    given = request.command.arguments
    plan = chaos.planned(given.get("rate"), given.get("seconds"), given.get("only"), given.get("seed"))
    chaos.check_known(plan, known=given.get("i_know") is True)
    return await request.keep({**await request.parts.powers.chaos.on(plan, request.login.who)})


async def _chaos_off(request: Request) -> object:
    return {"last": await request.parts.powers.chaos.off(request.login.who)}


async def _link(request: Request) -> object:
    """A link is a secret and opens nothing after a restart, so a repeat then gets a fresh one."""
    parts = request.parts
    return {"link": parts.codes.link(parts.origins()[0]), "origins": parts.origins()}


OWN: Mapping[str, Own] = {
    "chaos.on": _chaos_on,
    "chaos.off": _chaos_off,
    "client.token": _mint_client_token,
    "secret.set": _set_secret,
    "secret.remove": _remove_secret,
    "hive.backup": _backup,
    "hive.stop": _stop,
    "session.link": _link,
}
