"""What an agent's `send` costs over MCP, beside a raw handler that commits the same message.

Run it with: python -m bench.endpoints [FOLDER] [ROUNDS]
All are served by one process, on the same kind of listener and from the same store on disk: the endpoint as
it is; a bare ASGI callable that gives the store the same `Send` and answers with the same sentence; and the
SDK's server alone, whose one tool does that.  A round asks each of them in turn, over TCP and over a unix
socket, on connections and in sessions that are open already; we are the client, with no library between us
and the socket.  A ratio is the median of the rounds' ratios.  Absolute numbers depend on the machine, its
disk and its neighbours.
"""

import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import cast

import orjson
import trio
from attrs import asdict, define, field, frozen
from hypercorn.typing import ASGIFramework
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send as Respond

from bench.store import fsync, percentile
from hive.actors import ChildSpec, open_hive
from hive.actors.broker import Broker
from hive.actors.protocol import BROKER
from hive.actors.writer import Writer
from hive.agents.tokens import CliSession, Sessions
from hive.asgi import Endpoint, HttpServer
from hive.mcp.arguments import schema_of
from hive.mcp.events import SessionEvents
from hive.mcp.parts import McpParts
from hive.mcp.sending import SendArguments
from hive.mcp.serving import CHILD, endpoint_server
from hive.protocol.commands import AddAgent, BeginTurn, Send, TurnBegun
from hive.protocol.limits import Limits
from hive.protocol.mail import Provenance
from hive.protocol.wording import describe_send
from hive.sockets import open_tcp, open_unix
from hive.store.sqlite import SqliteStore, open_store

ROUNDS = 40
CALLS = 25
"""Sends of one kind in one round."""

RECIPIENTS = 50
BODY = "x" * 400
NO_BOUNDS = Limits(mailbox_messages=10**9, pair_messages=10**9)
GOAL = 2.0
MILLISECONDS = 1e3
PIECE = 65536

NEWER = "2026-07-28"
OLDER = "2025-11-25"
RAW, SDK, ENDPOINT = "/", "/sdk", "/mcp/iris"
HIVE = "hive"
CLIENT = {"name": "bench", "version": "1"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": NEWER,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": CLIENT,
}
NEWER_HEADERS = {"mcp-protocol-version": NEWER, "mcp-method": "tools/call", "mcp-name": "send"}
IDS = count(1)
WAYS = ("TCP", "unix")
NO_HEADERS: Mapping[str, str] = {}


def main(folder: str | None = None, rounds: str = str(ROUNDS)) -> None:
    """Measure everything and print it."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="hive-bench-") as place, serving(place) as served:
        flush = fsync(Path(place))
        kinds = list(contestants(served))
        for number in range(int(rounds) + 1):
            for kind in kinds:
                kind.ask(CALLS)
                if number == 0:  # everything is warm now
                    kind.forget()
        flush = (flush + fsync(Path(place))) / 2
    print(f"{len(kinds[0].rounds) * CALLS} sends of each kind; fdatasync p50 {flush / 1000:.2f} ms\n")
    print(f"{'':28}{'p50':>10}{'p99':>10}{'ratio':>8}{'processor':>12}{'ratio':>8}")
    for kind in kinds:
        report(kind, next(raw for raw in kinds if raw.way == kind.way))


@frozen
class Served:
    """Where the server listens, as it says in its first line."""

    raw_port: int
    mcp_port: int
    raw_socket: str
    mcp_socket: str
    token: str


@define(eq=False)
class Contestant:
    """One kind of send over one connection, and what its sends took."""

    name: str
    way: str
    wire: "Wire"
    meter: "Wire"
    request: Callable[[], bytes]
    rounds: list[list[float]] = field(factory=list)
    """Seconds of each send, round by round."""

    processor: list[float] = field(factory=list)
    """Seconds of the server's processor, round by round."""

    def ask(self, calls: int) -> None:
        """Send so many messages, one after the other."""
        before, taken = float(self.meter.ask(http("GET", RAW))), []
        for _ in range(calls):
            content = self.request()
            begun = time.perf_counter()
            answer = self.wire.ask(content)
            taken.append(time.perf_counter() - begun)
            assert b"accepted as #" in answer, answer
        self.rounds.append(taken)
        self.processor.append(float(self.meter.ask(http("GET", RAW))) - before)

    def forget(self) -> None:
        """Begin to measure."""
        self.rounds.clear()
        self.processor.clear()


def report(kind: Contestant, raw: Contestant) -> None:
    """Print what one kind of send took, beside the raw handler's on the same way."""
    half, late = (percentile([one for taken in kind.rounds for one in taken], share) for share in (0.5, 0.99))
    halves, floors = ([statistics.median(taken) for taken in one.rounds] for one in (kind, raw))
    slower, dearer = ratio(halves, floors), ratio(kind.processor, raw.processor)
    each = sum(kind.processor) / len(kind.processor) / CALLS
    goal = f"   goal <= {GOAL:g}: {'met' if slower <= GOAL else 'missed'}" if HIVE in kind.name else ""
    print(
        f"{kind.name:28}{half * MILLISECONDS:7.2f} ms{late * MILLISECONDS:7.2f} ms{slower:8.2f}"
        f"{each * MILLISECONDS:9.2f} ms{dearer:8.2f}{goal}"
    )


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios, round by round."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


# --- the client ------------------------------------------------------------------------------------


@define(eq=False)
class Wire:
    """One connection that stays open."""

    socket: socket.socket
    head: bytes = b""
    """The head of the last answer, in lower case."""

    def ask(self, content: bytes) -> bytes:
        """Send a request and read its whole answer; its body, in pieces or not."""
        self.socket.sendall(content)
        heard = bytearray()
        while b"\r\n\r\n" not in heard:
            heard += self._more()
        head, _, body = bytes(heard).partition(b"\r\n\r\n")
        self.head = head.lower()
        size = self.header("content-length")
        while len(body) < int(size) if size else not body.endswith(b"0\r\n\r\n"):
            body += self._more()
        return body

    def header(self, name: str) -> str:
        """A header of the last answer, or nothing."""
        return self.head.partition(f"\r\n{name}: ".encode())[2].partition(b"\r\n")[0].decode()

    def _more(self) -> bytes:
        piece = self.socket.recv(PIECE)
        assert piece, "the server hung up"
        return piece


def http(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = NO_HEADERS) -> bytes:
    """A request, as it goes over the wire."""
    all_ = {"host": "localhost", "content-length": len(body), "content-type": "application/json", **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in all_.items()), "\r\n"]
    return "\r\n".join(lines).encode() + body


def contestants(served: Served) -> Iterator[Contestant]:
    """The raw handler, and the endpoint on both wires of the protocol, each on both ways."""
    meter = Wire(tcp(served.raw_port))
    for way in WAYS:
        yield Contestant(f"raw, {way}", way, Wire(connected(served, way, RAW)), meter, raw_requests())
        for name, path in (("SDK alone", SDK), (HIVE, ENDPOINT)):
            newer, older = (Wire(connected(served, way, path)) for _ in range(2))
            headers = http_headers(served)
            yield Contestant(
                f"{name}, {NEWER}, {way}",
                way,
                newer,
                meter,
                requests(path, ENVELOPE, headers | NEWER_HEADERS),
            )
            session = headers | opened(path, older, headers)
            yield Contestant(f"{name}, {OLDER}, {way}", way, older, meter, requests(path, {}, session))


def connected(served: Served, way: str, path: str) -> socket.socket:
    """A connection to where this path is served, on one of the ways."""
    if way == "TCP":
        return tcp(served.mcp_port if path == ENDPOINT else served.raw_port)
    return unix(served.mcp_socket if path == ENDPOINT else served.raw_socket)


def tcp(port: int) -> socket.socket:
    """A connection to a port of this machine."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def unix(path: str) -> socket.socket:
    """A connection to a unix socket."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


def http_headers(served: Served) -> dict[str, str]:
    """The headers of every request to the endpoint; the SDK alone asks for no token."""
    return {"authorization": f"Bearer {served.token}", "accept": "application/json, text/event-stream"}


def opened(path: str, wire: Wire, headers: Mapping[str, str]) -> dict[str, str]:
    """Open a session of the older wire; the headers its requests bear besides."""
    opening = {"protocolVersion": OLDER, "capabilities": {}, "clientInfo": CLIENT}
    wire.ask(http("POST", path, rpc("initialize", opening), headers))
    return {"mcp-session-id": wire.header("mcp-session-id"), "mcp-protocol-version": OLDER}


def raw_requests() -> Callable[[], bytes]:
    """Requests to the raw handler."""
    numbers = count()
    return lambda: http("POST", RAW, json.dumps(mail(next(numbers))).encode())


def requests(path: str, meta: Mapping[str, object], headers: Mapping[str, str]) -> Callable[[], bytes]:
    """Calls of the tool `send`."""
    numbers = count()

    def request() -> bytes:
        params = {"name": "send", "arguments": mail(next(numbers)), "_meta": meta}
        return http("POST", path, rpc("tools/call", params), headers)

    return request


def mail(number: int) -> Mapping[str, str]:
    """Something to send, to each recipient in turn."""
    return {"to": f"a{number % RECIPIENTS}", "body": BODY}


def rpc(method: str, params: Mapping[str, object]) -> bytes:
    """A request of JSON-RPC."""
    return json.dumps({"jsonrpc": "2.0", "id": next(IDS), "method": method, "params": params}).encode()


# --- the server ------------------------------------------------------------------------------------


@contextmanager
def serving(folder: str) -> Iterator[Served]:
    """A process of its own that serves both, until the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.endpoints", "serve", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdin
    assert process.stdout
    with process:
        yield Served(**json.loads(process.stdout.readline()))
        process.stdin.close()


async def serve(folder: str) -> None:
    """Serve the endpoint and the raw handler until our standard input is closed."""
    root = Path(folder)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(root / "hive.sqlite3", limits=NO_BOUNDS))
        store.recover("bench")
        core = (
            ChildSpec("writer", lambda: Writer(store.drain_forever)),
            ChildSpec(BROKER, lambda: Broker(store)),
        )
        async with open_hive(*core) as hive:
            sessions = Sessions(lambda: secrets.token_urlsafe(32))
            parts = McpParts(
                store, hive.ref(BROKER), sessions, store.hints, time.time, "bench", limits=NO_BOUNDS
            )
            session = await furnished(store, sessions)
            tcp_mcp, tcp_raw = (stack.enter_context(open_tcp("127.0.0.1", 0)) for _ in range(2))
            unix_raw = stack.enter_context(open_unix(root / "raw.sock"))
            endpoint = stack.enter_context(endpoint_server(parts, [tcp_mcp], root / "run"))
            raw = HttpServer(
                cast("ASGIFramework", Raw(store, session)), [Endpoint(tcp_raw), Endpoint(unix_raw)]
            )
            async with open_hive(ChildSpec(CHILD, lambda: endpoint), ChildSpec("raw", lambda: raw)):
                served = Served(
                    raw_port=tcp_raw.getsockname()[1],
                    mcp_port=tcp_mcp.getsockname()[1],
                    raw_socket=str(root / "raw.sock"),
                    mcp_socket=str(root / "run" / "agents" / "iris" / "mcp.sock"),
                    token=session.token,
                )
                print(json.dumps(asdict(served)), flush=True)
                await trio.to_thread.run_sync(sys.stdin.read)
        store.stop("measured")


async def furnished(store: SqliteStore, sessions: Sessions) -> CliSession:
    """Agents to write to, and one whose turn is open."""
    for name in ("iris", *(f"a{number}" for number in range(RECIPIENTS))):
        await store.submit(AddAgent(name)).outcome()
    await store.submit(Send("operator", "iris", "go", Provenance.OPERATOR)).outcome()
    begun = await store.submit(BeginTurn("iris", incarnation=1)).outcome()
    assert isinstance(begun, TurnBegun)
    session = sessions.mint("iris")
    session.turn = begun.turn
    return session


@define(eq=False)
class Raw:
    """Commits a message for who asks, and tells how much processor this process has taken."""

    store: SqliteStore
    session: CliSession
    sdk: StreamableHTTPSessionManager = field(init=False)
    """The SDK's server, with one tool that does the same."""

    @sdk.default
    def _sdk(self) -> StreamableHTTPSessionManager:
        async def send(_: object, params: types.CallToolRequestParams) -> types.CallToolResult:
            text = await self.commit(params.arguments or {})
            return types.CallToolResult(content=[types.TextContent(text=text)])

        server: Server[object] = Server(
            "bench", on_call_tool=send, get_tool_input_schema={"send": schema_of(SendArguments)}.get
        )
        return StreamableHTTPSessionManager(server, event_store=SessionEvents())

    async def __call__(self, scope: Scope, receive: Receive, send: Respond) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["path"] == SDK:
            await self.sdk.handle_request(scope, receive, send)
        else:
            await self.answer(receive, send)

    async def live(self, receive: Receive, send: Respond) -> None:
        """Keep the SDK's sessions while this is served."""
        await receive()
        async with self.sdk.run():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, receive: Receive, send: Respond) -> None:
        """Commit what a request's body says; without a body, tell the seconds of processor."""
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        body += message["body"]
        answer = await self.commit(orjson.loads(body)) if body else str(time.process_time())
        content = answer.encode()
        headers = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def commit(self, given: Mapping[str, object]) -> str:
        """Carry out what the endpoint's tool `send` would."""
        command = Send(
            self.session.agent,
            str(given["to"]),
            str(given["body"]),
            Provenance.AGENT,
            turn=self.session.turn,
            own_token=True,
        )
        return describe_send(await self.store.submit(command).outcome(), time.time())


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        trio.run(serve, sys.argv[2])
    else:
        with suppress(KeyboardInterrupt):
            main(*sys.argv[1:])
