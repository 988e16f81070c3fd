"""The operator's end of `hive.1`, over the daemon's socket.

The rule kept here: a command keeps its id until it is acknowledged, so asking again after a lost connection
changes nothing twice.
"""

import json
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, field
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from hive.cli.places import Place
from hive.cli.status import Failed, Status, refused
from hive.directory import Directory

SUBPROTOCOL = "hive.1"
VERSION = 1
FRAME_BYTES = 256 * 1024
PART_CHARACTERS = 60_000
"""Characters of a long body in one frame: at most four bytes each, and escaped."""

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 40.0
REPEAT_SECONDS = 20.0
"""How long an unacknowledged command is repeated over fresh connections."""

Json = dict[str, Any]
Event = tuple[int, float, str, Json]
"""An event of a lane: its number, its time, its type, its data."""


@define(eq=False)
class Client:
    """One conversation with a daemon."""

    _socket: WebSocketConnection
    welcome: Json = field(factory=dict, init=False)

    async def _send(self, op: str, **fields: object) -> None:
        await self._socket.send_message(json.dumps({"op": op, **fields}))

    async def _receive(self) -> Json:
        text = await self._socket.get_message()
        received: Json = json.loads(text)
        if received["op"] == "bye":
            raise Failed(Status.NO_DAEMON, f"the daemon ended the conversation: {received['why']}")
        return received

    async def greet(self, *lanes: str) -> None:
        """Say hello and open lanes."""
        await self._send("hello", v=VERSION, want=list(lanes))
        self.welcome = await self._receive()

    async def get(self, what: str, **arguments: object) -> Any:
        """Ask for detail.  Raises `Failed` where it is refused."""
        key = secrets.token_hex(16)
        await self._send("get", id=key, what=what, args=arguments)
        return (await self._answer("got", key))["data"]

    async def command(self, name: str, arguments: Mapping[str, object], key: str) -> Json:
        """Give a command its id and wait for its `ack`.  Raises `Failed` where it is refused."""
        sent = dict(arguments)
        body = sent.get("body")
        if isinstance(body, str) and len(body) > PART_CHARACTERS:
            del sent["body"]
            await self._send_parts(key, body)
            sent["body_parts"] = key
        await self._send("cmd", id=key, name=name, args=sent, expect={})
        return await self._answer("ack", key)

    async def _send_parts(self, key: str, body: str) -> None:
        for start in range(0, len(body), PART_CHARACTERS):
            last = start + PART_CHARACTERS >= len(body)
            text = body[start : start + PART_CHARACTERS]
            await self._send("part", id=key, n=start // PART_CHARACTERS, text=text, last=last)

    async def _answer(self, op: str, key: str) -> Json:
        with trio.move_on_after(ANSWER_SECONDS):
            while True:
                received = await self._receive()
                if received["op"] == op and received["id"] == key:
                    if not received["ok"]:
                        raise refused(received["error"]["code"], received["error"]["text"])
                    return received
        raise Failed(Status.TIMEOUT, f"no answer within {ANSWER_SECONDS:.0f} s")

    async def next_events(self) -> tuple[str, list[Event]]:
        """The next events of any open lane.  Rows of snapshots are skipped."""
        while True:
            received = await self._receive()
            if received["op"] == "ev":
                return received["lane"], [(e[0], e[1], e[2], e[3]) for e in received["e"]]


@asynccontextmanager
async def connected(candidates: Sequence[Place]) -> AsyncGenerator[Client, None]:
    """A conversation with the daemon of the first place that has one.

    Raises `Failed` with every place that was tried where none has.
    """
    tried = []
    for place in candidates:
        path = Directory(place.directory).operator_socket
        try:
            stream = await _dialled(path)
        except OSError as error:
            tried.append(f"{place.directory} ({place.because}): {_why(error)}")
            continue
        async with _conversation(stream) as client:
            yield client
        return
    listed = "".join(f"\n  {line}" for line in tried)
    raise Failed(Status.NO_DAEMON, f"no hive is running. Tried:{listed}\nStart one with: hive up")


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "no hive has run here"
        case ConnectionRefusedError():
            return "not running"
        case PermissionError():
            return "belongs to somebody else"
        case _:
            return error.strerror or str(error)


async def _dialled(path: Path) -> trio.SocketStream:
    with trio.fail_after(CONNECT_SECONDS):
        return await trio.open_unix_socket(str(path))


@asynccontextmanager
async def _conversation(stream: trio.SocketStream) -> AsyncGenerator[Client, None]:
    """Speak over a stream until the block is left; a lost daemon is a `Failed`."""
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(CONNECT_SECONDS):
                socket = await wrap_client_stream(
                    nursery,
                    stream,
                    "localhost",
                    "/ws",
                    subprotocols=[SUBPROTOCOL],
                    max_message_size=4 * FRAME_BYTES,
                )
            yield Client(socket)
            with trio.move_on_after(1.0):
                await socket.aclose()
            nursery.cancel_scope.cancel(reason="the conversation is over")
    except BaseExceptionGroup as group:
        raise _told(group) from None


def _told(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error behind a nursery's group, in the words of a verb."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    match error:
        case ConnectionClosed():
            return Failed(Status.NO_DAEMON, "the daemon went away; see: hive status")
        case HandshakeError():
            return Failed(Status.REFUSED, f"the daemon does not accept us: {_reason(error)}")
        case trio.TooSlowError():
            return Failed(Status.TIMEOUT, "the daemon does not answer")
        case _:
            return error


def _reason(error: HandshakeError) -> str:
    body = getattr(error, "body", None)
    return body.decode().strip() if isinstance(body, bytes) and body else str(error)


async def insist(candidates: Sequence[Place], name: str, arguments: Mapping[str, object]) -> Json:
    """Carry a command out, repeating it under its id over fresh connections until it is acknowledged."""
    key = secrets.token_hex(16)
    deadline = trio.current_time() + REPEAT_SECONDS
    asked = False
    while True:
        try:
            async with connected(candidates) as client:
                asked = True
                await client.greet()
                return await client.command(name, arguments, key)
        except Failed as failed:
            if not asked or failed.status is not Status.NO_DAEMON or trio.current_time() > deadline:
                raise
        await trio.sleep(0.5)
