"""The operator's end of `hive.1`, over the daemon's socket.

The rule kept here: a command keeps its id until it is acknowledged, so asking again after a lost connection
changes nothing twice.
"""

import json
import math
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio
from attrs import define, field
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from hive.cli.places import Place, has_hive
from hive.cli.status import Failed, Lost, Status, refused
from hive.directory import Directory
from hive.protocol.errors import StoreUnavailable

SUBPROTOCOL = "hive.1"
VERSION = 1
FRAME_BYTES = 256 * 1024
PART_CHARACTERS = 40_000
"""Characters of a long body in one frame: at most six bytes each."""

SHOWN_CHARACTERS = 20
"""How much is shown of what stands before bytes that are no text."""

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 40.0
PAUSES = (0.5, 1.0, 2.0)
"""Seconds before a command is given again that could not be written down."""

BEAT_SECONDS = 10.0
REPEAT_SECONDS = 20.0
"""How long a lost daemon is tried again."""

RETRY_SECONDS = 0.5

Json = dict[str, Any]
Event = tuple[int, float, str, Json]
"""An event of a lane: its number, its time, its type, its data."""

Position = tuple[int, int | None]
"""An event's number, and the boot that wrote it where the lane knows."""

T = TypeVar("T")


@define(eq=False)
class Client:
    """One conversation with a daemon, after its greeting."""

    place: Place
    _socket: WebSocketConnection
    welcome: Json = field(factory=dict, init=False)
    _news: deque[Json] = field(factory=deque, init=False)
    """Frames of lanes that came while an answer was awaited."""

    async def _send(self, op: str, **fields: object) -> None:
        # Text of any language travels as it is: escaped, a part of a body would outgrow its frame.
        text = json.dumps({"op": op, **fields}, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            near = text[max(0, error.start - SHOWN_CHARACTERS) : error.end]
            raise Failed(Status.USAGE, f"what was typed is not valid UTF-8: ...{near!r}...") from None
        await self._socket.send_message(text)

    async def _receive(self) -> Json:
        text = await self._socket.get_message()
        received: Json = json.loads(text)
        if received["op"] == "bye":
            raise Lost(f"the daemon ended the conversation: {received['why']}")
        return received

    async def beat(self) -> None:
        """Show now and then that somebody still listens: the daemon hangs up on the silent."""
        try:
            while True:
                await trio.sleep(BEAT_SECONDS)
                await self._send("beat", at={})
        except ConnectionClosed:
            pass  # whoever reads hears of it

    async def greet(self, log_id: str | None = None, at: Mapping[str, Position] | None = None) -> None:
        """Say hello; with positions, open these lanes after them."""
        positions = {} if at is None else dict(at)
        await self._send("hello", v=VERSION, log_id=log_id, want=list(positions), at=positions)
        self._news.clear()
        self.welcome = await self._until("welcome")

    async def get(self, what: str, **arguments: object) -> Any:
        """Ask for detail.  Raises `Failed` where it is refused."""
        key = secrets.token_hex(16)
        await self._send("get", id=key, what=what, args=arguments)
        return (await self._answer("got", key))["data"]

    async def command(self, name: str, arguments: Mapping[str, object], key: str) -> Json:
        """Give a command its id and wait for its `ack`.  Raises `Failed` where it is refused.

        One that cannot be written down at the moment is given again, a few times, by the same id.
        """
        for pause in PAUSES:
            received = await self._command(name, dict(arguments), key)
            if received["ok"] or received["error"]["code"] != StoreUnavailable.code:
                return _granted(received)
            await trio.sleep(pause)
        return _granted(await self._command(name, dict(arguments), key))

    async def _command(self, name: str, sent: dict[str, object], key: str) -> Json:
        body = sent.get("body")
        if isinstance(body, str) and len(body) > PART_CHARACTERS:
            del sent["body"]
            await self._send_parts(key, body)
            sent["body_parts"] = key
        await self._send("cmd", id=key, name=name, args=sent, expect={})
        return await self._until("ack", key)

    async def _send_parts(self, key: str, body: str) -> None:
        for start in range(0, len(body), PART_CHARACTERS):
            last = start + PART_CHARACTERS >= len(body)
            text = body[start : start + PART_CHARACTERS]
            await self._send("part", id=key, n=start // PART_CHARACTERS, text=text, last=last)

    async def _answer(self, op: str, key: str) -> Json:
        return _granted(await self._until(op, key))

    async def _until(self, op: str, key: str | None = None) -> Json:
        """The frame of that kind; news that come before it are kept for `news`."""
        with trio.move_on_after(ANSWER_SECONDS):
            while True:
                received = await self._receive()
                if received["op"] == op and received.get("id") == key:
                    return received
                if received["op"] in ("ev", "snap"):
                    self._news.append(received)
        raise Failed(
            Status.TIMEOUT,
            f"no answer within {ANSWER_SECONDS:.0f} s; what was asked for may have been done all the same."
            " Look before you ask again: hive status, hive events --from 0. See also: hive doctor",
        )

    async def news(self) -> Json:
        """The next frame of an open lane: events, or a piece of a snapshot."""
        if self._news:
            await trio.lowlevel.checkpoint()
            return self._news.popleft()
        while True:
            received = await self._receive()
            if received["op"] in ("ev", "snap"):
                return received


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
        except (OSError, trio.TooSlowError) as error:
            tried.append(f"{place.directory} ({place.because}): {_why(error, place)}")
            continue
        async with _conversation(place, stream) as client:
            yield client
        return
    listed = "".join(f"\n  {line}" for line in tried)
    raise Failed(Status.NO_DAEMON, f"no hive is running. Tried:{listed}\nStart one with: hive up")


def _granted(received: Json) -> Json:
    """An answer that is not a refusal; `Failed` for one that is."""
    if not received["ok"]:
        raise refused(received["error"]["code"], received["error"]["text"])
    return received


def _why(error: OSError | trio.TooSlowError, place: Place) -> str:
    match error:
        case trio.TooSlowError():
            return "does not answer"
        case FileNotFoundError() if not has_hive(place):
            return "no hive has run here"
        case FileNotFoundError() | ConnectionRefusedError():
            return "not running"
        case BlockingIOError():
            return "too many wait for it already; try again"
        case PermissionError():
            return "belongs to somebody else"
        case _:
            return error.strerror or str(error)


async def _dialled(path: Path) -> trio.SocketStream:
    with trio.fail_after(CONNECT_SECONDS):
        return await trio.open_unix_socket(str(path))


@asynccontextmanager
async def _conversation(place: Place, stream: trio.SocketStream) -> AsyncGenerator[Client, None]:
    """Speak over a stream until the block is left; a lost daemon is a `Failed`."""
    try:
        async with stream, trio.open_nursery() as nursery:
            with trio.fail_after(CONNECT_SECONDS):
                socket = await wrap_client_stream(
                    nursery,
                    stream,
                    "localhost",
                    "/ws",
                    subprotocols=[SUBPROTOCOL],
                    max_message_size=4 * FRAME_BYTES,
                )
                client = Client(place, socket)
                await client.greet()
            nursery.start_soon(client.beat)
            yield client
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
            return Lost("the daemon went away; see: hive status")
        case HandshakeError():
            return Failed(Status.REFUSED, f"the daemon does not accept us: {_reason(error)}")
        case trio.TooSlowError():
            return Failed(Status.TIMEOUT, "the daemon does not answer; see: hive doctor")
        case _:
            return error


def _reason(error: HandshakeError) -> str:
    body = getattr(error, "body", None)
    return body.decode().strip() if isinstance(body, bytes) and body else str(error)


async def insist(candidates: Sequence[Place], name: str, arguments: Mapping[str, object]) -> Json:
    """Carry a command out, repeating it under its id over fresh connections until it is acknowledged."""
    key = secrets.token_hex(16)

    async def ask(client: Client) -> Json:
        return await client.command(name, arguments, key)

    return await persist(candidates, ask)


async def persist(candidates: Sequence[Place], talk: Callable[[Client], Awaitable[T]]) -> T:
    """Talk, over a fresh connection whenever one is lost, until `talk` comes to its end.

    A daemon that was there and is lost is tried again for `REPEAT_SECONDS`; one that never was is not.
    """
    deadline = -math.inf
    while True:
        met = False
        try:
            async with connected(candidates) as client:
                met = True
                return await talk(client)
        except Failed as failed:
            if failed.status is not Status.NO_DAEMON:
                raise
            # One that is lost before it was met is there too: who answers its door is being restarted.
            if met or (isinstance(failed, Lost) and deadline == -math.inf):
                deadline = trio.current_time() + REPEAT_SECONDS
            if trio.current_time() >= deadline:
                raise
        await trio.sleep(RETRY_SECONDS)
