"""A daemon that only speaks `hive.1`, so that each verb can be tried against answers made up for it."""

import io
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, field
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from hive.cli.main import conversation
from hive.cli.output import Output
from hive.cli.parser import parse
from hive.cli.places import Place
from hive.cli.status import Status
from hive.cli.verbs import Call
from hive.directory import Directory
from tests.cli.person import Person, somebody

Json = dict[str, Any]
LOG = "a" * 32
AGENT_VIEW = {
    "name": "iris",
    "settings": {"role": "agent", "backend": "scripted"},
    "ready": 1,
    "blocked": 0,
    "deliverable": 1,
    "deliverable_since": 1_000.0,
    "open_turn": None,
    "stream_head": 0,
}


@define(eq=False)
class FakeDaemon:
    """Answers from two tables; what it was sent is kept."""

    place: Place
    answers: dict[str, Any] = field(factory=dict)
    """By what is asked for: the data, or a function of the arguments that returns them."""

    results: dict[str, Any] = field(factory=dict)
    """By command: its result, or a function of the arguments."""

    errors: dict[str, str] = field(factory=dict)
    """By command or question: the code it is refused with."""

    received: list[Json] = field(factory=list)
    deaf: bool = False
    """Answer nothing but the greeting."""

    full: int = 0
    """So many commands cannot be written down."""

    hang_up: int = 0
    """So many commands lose their connection instead of being acknowledged."""

    restarts: int = 0
    """So many conversations end with a goodbye in place of a welcome."""

    resumes: bool = True
    connections: int = 0
    open: dict[WebSocketConnection, trio.CancelScope] = field(factory=dict)

    def said(self, op: str) -> list[Json]:
        """What came of one kind."""
        return [frame for frame in self.received if frame["op"] == op]

    async def tell(self, lane: str, *events: list[Any]) -> None:
        """Push events to whoever is connected."""
        for socket in list(self.open):
            await socket.send_message(json.dumps({"op": "ev", "lane": lane, "e": list(events)}))

    def drop(self) -> None:
        """Lose every connection without a word, as a daemon that is killed does."""
        for scope in self.open.values():
            scope.cancel()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection."""
        self.connections += 1
        async with stream, trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            socket = await request.accept(subprotocol="hive.1")
            self.open[socket] = nursery.cancel_scope
            try:
                while True:
                    await self._take(socket, json.loads(await socket.get_message()))
            except ConnectionClosed:
                pass
            finally:
                del self.open[socket]
            nursery.cancel_scope.cancel()

    async def _take(self, socket: WebSocketConnection, frame: Json) -> None:
        self.received.append(frame)
        match frame["op"]:
            case "hello":
                await self._welcome(socket, frame)
            case "get" if not self.deaf:
                await self._reply(socket, "got", frame, self.answers, frame["what"])
            case "cmd" if not self.deaf:
                if self.hang_up:
                    self.hang_up -= 1
                    await socket.aclose(1012, "restarting")
                else:
                    await self._reply(socket, "ack", frame, self.results, frame["name"])

    async def _welcome(self, socket: WebSocketConnection, frame: Json) -> None:
        if self.restarts:
            self.restarts -= 1
            await socket.send_message(json.dumps({"op": "bye", "code": 1012, "why": "hive restarts"}))
            await socket.aclose(1012, "restarting")
            return
        lanes = dict.fromkeys(frame["want"], "resumed" if self.resumes else "snapshot")
        welcome = {"op": "welcome", "v": 1, "log_id": LOG, "boot": 7, "now": 1_060.0, "lanes": lanes}
        await socket.send_message(json.dumps(welcome))
        if not self.resumes:
            for lane in lanes:
                begin = {"op": "snap", "lane": lane, "part": "begin", "n": 50, "boot": 7}
                await socket.send_message(json.dumps(begin))

    async def _reply(
        self, socket: WebSocketConnection, op: str, frame: Json, table: Mapping[str, Any], name: str
    ) -> None:
        full = op == "ack" and self.full > 0
        self.full -= full
        answer: Json = {"op": op, "id": frame["id"], "ok": name not in self.errors and not full}
        if full:
            answer["error"] = {"code": "unavailable", "text": "hive cannot write to its disk at the moment"}
        elif name in self.errors:
            answer["error"] = {"code": self.errors[name], "text": f"{name} is refused"}
        else:
            found = table[name]
            data = found(frame["args"]) if callable(found) else found
            answer |= {"data": data} if op == "got" else {"result": data}
        await socket.send_message(json.dumps(answer))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has happened that no event tells of."""
    while not condition():  # noqa: ASYNC110 - the fake keeps lists of what it heard
        await trio.sleep(0.01)


@pytest.fixture
def place() -> Iterator[Place]:
    """A hive's directory whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="hive-test-") as root:
        Directory(Path(root)).create()
        yield Place(Path(root), "test")


@asynccontextmanager
async def serving(daemon: FakeDaemon) -> AsyncIterator[FakeDaemon]:
    """Let a daemon serve for as long as the block lasts."""
    listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    path = Directory(daemon.place.directory).operator_socket
    path.unlink(missing_ok=True)
    await listening.bind(str(path))
    listening.listen(8)
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, daemon.serve, [trio.SocketListener(listening)])
        yield daemon
        nursery.cancel_scope.cancel()


@pytest.fixture
async def daemon(place: Place) -> AsyncIterator[FakeDaemon]:
    """A fake daemon that serves."""
    async with serving(FakeDaemon(place)) as fake:
        yield fake


Run = Callable[..., Awaitable[tuple[Status, str]]]


@pytest.fixture
def run(place: Place) -> Run:
    """Carry a verb out as it would be typed; returns its status and what it printed."""

    async def typed(*words: str) -> tuple[Status, str]:
        verb, options = parse(words)
        printed = io.StringIO()
        call = Call(verb, options, (place,), Output(options.json, printed))
        return await conversation(verb)(call), printed.getvalue()

    return typed


@pytest.fixture
def person() -> Iterator[Person]:
    """Somebody with a fresh hive of their own."""
    with somebody() as one:
        yield one
