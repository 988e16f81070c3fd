"""Serving over real sockets: every promise of the accept loop, each tried with a client that makes it hard.

These tests use the real clock, because the kernel's sockets do; every deadline is a fraction of a second.
"""

import errno
import os
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypercorn.events import Event
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.utils import LifespanFailureError
from quart import websocket as quart_websocket
from quart_trio import QuartTrio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from hive.actors import ChildSpec, Grace, open_hive
from hive.asgi import LIFESPAN_SHUTDOWN, PIECE, SERVICE_RESTART, Endpoint, HttpServer, Limits
from hive.sockets import Credentials, open_tcp, open_unix

HOST = "127.0.0.1"
GRACE = 0.4
SEND_TIMEOUT = 0.4
SLACK = 1.0
"""Seconds by which a loaded machine may be late; the bounds without our loop are infinite."""

App = Callable[[Any, Any, Any], Awaitable[None]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory for sockets, with a path short enough for them."""
    with tempfile.TemporaryDirectory(prefix="hive-") as path:
        yield Path(path)


@pytest.fixture(params=["tcp", "unix"])
def endpoint(request: pytest.FixtureRequest, folder: Path) -> Iterator[Endpoint]:
    """A listening socket of either kind."""
    opened = open_tcp(HOST, 0) if request.param == "tcp" else open_unix(folder / "s")
    with opened:
        yield Endpoint(opened, {"hive.listener": request.param})


@pytest.fixture
def tcp() -> Iterator[Endpoint]:
    """A listening TCP socket."""
    with open_tcp(HOST, 0) as opened:
        yield Endpoint(opened)


@pytest.fixture
def unix(folder: Path) -> Iterator[Endpoint]:
    """A listening unix socket of an agent."""
    with open_unix(folder / "iris") as opened:
        yield Endpoint(opened, {"hive.agent": "iris"})


class Unexpected:
    """Where the errors go that should not happen."""

    def __init__(self) -> None:
        self.seen: list[BaseException] = []

    def __call__(self, error: BaseException) -> None:
        """Keep it for the end: raised here, it would end up in somebody's `except`."""
        self.seen.append(error)


@asynccontextmanager
async def serving(server: HttpServer, seconds: float | None = None) -> AsyncIterator[trio.Event]:
    """A server that serves; leaving, or setting the event, stops it within the seconds it may take."""
    stop = trio.Event()

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        async with server.serving():
            task_status.started()
            await stop.wait()

    with trio.move_on_after(10) as late:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            try:
                yield stop
            finally:
                stop.set()
                late.deadline = trio.current_time() + (GRACE + SLACK if seconds is None else seconds)
                late.shield = True
    assert not late.cancelled_caught, "the server did not stop in time"
    if isinstance(server.on_error, Unexpected):
        assert server.on_error.seen == []


def a_server(app: App, *endpoints: Endpoint, **options: Any) -> HttpServer:
    """A server with short deadlines, of which any error that the test does not expect fails it."""
    usual = {"grace": GRACE, "send_timeout": SEND_TIMEOUT, "on_error": Unexpected()}
    return HttpServer(app, endpoints, **{**usual, **options})


async def connect(endpoint: Endpoint) -> trio.SocketStream:
    """A client's raw connection."""
    if isinstance(endpoint.address, str):
        return trio.SocketStream(await _unix(endpoint.address))
    return await trio.open_tcp_stream(*endpoint.address)  # type: ignore[misc]


async def _unix(path: str) -> trio.socket.SocketType:
    connected = trio.socket.socket(socket.AF_UNIX)
    await connected.connect(path)
    return connected


async def everything(stream: trio.SocketStream) -> bytes:
    """What the server sends until it closes."""
    return b"".join([chunk async for chunk in stream])


async def get(endpoint: Endpoint, path: str = "/") -> str:
    """The whole answer to a request on a connection of its own; empty if there was none."""
    async with await connect(endpoint) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: hive\r\nConnection: close\r\n\r\n".encode())
        return (await everything(stream)).decode()


@asynccontextmanager
async def websocket(endpoint: Endpoint) -> AsyncIterator[WebSocketConnection]:
    """A websocket client over either kind of socket."""
    async with await connect(endpoint) as stream, trio.open_nursery() as nursery:
        connection = await wrap_client_stream(nursery, stream, "hive", "/ws")
        async with connection:
            yield connection


async def answer(send: Any, body: bytes = b"hello", status: int = 200) -> None:
    """A whole answer."""
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]}
    )
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """An application that knows no lifespan, greets over HTTP and echoes over websockets."""
    match scope["type"]:
        case "http":
            await answer(send)
        case "websocket":
            await echo(receive, send)
        case _:
            raise NotImplementedError


async def echo(receive: Any, send: Any) -> None:
    """Accept, and send back what comes, until the client leaves."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


# Clients that do not read.


class Flood:
    """Answers `/flood` with more than any buffer holds, and anything else with a greeting."""

    def __init__(self) -> None:
        self.flooding = trio.Event()
        self.over = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Flood, or greet."""
        if scope["type"] == "http" and scope["path"] == "/":
            await answer(send)
        elif scope["type"] == "http":
            await self._flood(receive, send)
        else:
            raise NotImplementedError

    async def _flood(self, receive: Any, send: Any) -> None:
        await receive()
        self.flooding.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(1000):
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
                await trio.lowlevel.checkpoint()
        finally:
            self.over.set()


async def ask_and_never_read(endpoint: Endpoint) -> trio.SocketStream:
    """A client whose buffers fill up."""
    stream = await connect(endpoint)
    await stream.send_all(b"GET /flood HTTP/1.1\r\nHost: hive\r\n\r\n")
    return stream


async def test_a_client_that_never_reads_does_not_hold_up_a_stop(endpoint: Endpoint) -> None:
    """The stop is bounded by the grace, however long clients may stall; others are served meanwhile."""
    app = Flood()
    async with serving(a_server(app, endpoint, send_timeout=60.0)):
        silent = await ask_and_never_read(endpoint)
        await app.flooding.wait()
        assert "hello" in await get(endpoint)
        assert not app.over.is_set()
    assert app.over.is_set()
    await silent.aclose()


async def test_a_client_that_never_reads_is_cut_off_while_others_are_served(endpoint: Endpoint) -> None:
    """Its handler gets on after the send timeout, without anybody stopping the server."""
    app = Flood()
    async with serving(a_server(app, endpoint)):
        silent = await ask_and_never_read(endpoint)
        await app.flooding.wait()
        assert "hello" in await get(endpoint)
        with trio.fail_after(SEND_TIMEOUT + SLACK + 2):
            await app.over.wait()
        assert "hello" in await get(endpoint)
    await silent.aclose()


async def test_a_websocket_client_that_never_reads_does_not_hold_up_a_stop(endpoint: Endpoint) -> None:
    """The same for a pump that pushes frames."""
    full = trio.Event()

    async def push(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await receive()
        await send({"type": "websocket.accept"})
        with trio.move_on_after(0.2):
            while True:
                await send({"type": "websocket.send", "bytes": bytes(1 << 16)})
                await trio.lowlevel.checkpoint()
        full.set()
        await trio.sleep_forever()

    async with serving(a_server(push, endpoint, send_timeout=60.0)) as stop:
        stream = await connect(endpoint)
        await stream.send_all(UPGRADE)
        await trio.sleep(0.3)
        stop.set()
    await stream.aclose()


async def test_a_slow_reader_gets_a_long_answer_whole(unix: Endpoint) -> None:
    """Whoever takes a piece now and then is no dead client, however long it takes in all."""
    body = os.urandom(40 * PIECE)

    async def long(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await answer(send, body)

    async with serving(a_server(long, unix)), await connect(unix) as stream:
        for _ in range(2):
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: hive\r\n\r\n")
            began = trio.current_time()
            received = b""
            while not received.endswith(body):
                chunk = await stream.receive_some(2 * PIECE)
                assert chunk, "cut off"
                received += chunk
                await trio.sleep(SEND_TIMEOUT / 10)
            assert trio.current_time() - began > SEND_TIMEOUT


# Restarting.


async def test_a_restart_answers_whoever_connected_meanwhile(endpoint: Endpoint) -> None:
    """While no incarnation serves, connections wait in the backlog of the socket nobody closed."""
    server = a_server(hello, endpoint)
    for _ in range(3):
        answers: list[str] = []

        async def waiting(answers: list[str] = answers) -> None:
            answers.append(await get(endpoint))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(waiting)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not answers
            async with serving(server):
                await trio.testing.wait_all_tasks_blocked(0.1)
                assert len(answers) == 3
        assert [text.endswith("hello") for text in answers] == [True] * 3


async def test_a_socket_its_owner_closed_is_forgotten_at_a_restart(tcp: Endpoint, unix: Endpoint) -> None:
    """One dead socket does not keep the others from being served."""
    server = a_server(hello, unix, tcp)
    unix.socket.close()

    async with serving(server):
        assert "hello" in await get(tcp)


# Who is there.


async def test_scopes_carry_the_listeners_entries_and_the_peer(tcp: Endpoint, unix: Endpoint) -> None:
    """The application learns whose socket it is, and which process is at the other end."""
    seen = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            seen.append((scope["type"], scope.get("hive.agent"), scope["hive.peer"]))
        await hello(scope, receive, send)

    async with serving(a_server(note, tcp, unix)):
        await get(tcp)
        await get(unix)
        async with websocket(unix) as client:
            await client.send_message("x")
            await client.get_message()

    us = Credentials(os.getpid(), os.getuid(), os.getgid())
    assert seen == [("http", None, None), ("http", "iris", us), ("websocket", "iris", us)]


async def test_a_peer_that_is_not_admitted_is_closed_before_a_byte_is_read(
    tcp: Endpoint, unix: Endpoint
) -> None:
    """The application never hears of it; what the peer sent was not read, which resets the connection."""
    asked = []

    def admit(endpoint: Endpoint, peer: Credentials | None) -> bool:
        asked.append((endpoint, peer and peer.pid))
        return endpoint is tcp

    async with serving(a_server(hello, tcp, unix, admit=admit)):
        async with await connect(unix) as refused:
            assert await refused.receive_some() == b""
        assert "hello" in await get(tcp)

    assert asked == [(unix, os.getpid()), (tcp, None)]


async def test_an_admission_that_fails_refuses(tcp: Endpoint) -> None:
    """In doubt the door stays shut, and the error is told."""
    errors: list[BaseException] = []

    def admit(endpoint: Endpoint, peer: Credentials | None) -> bool:
        raise LookupError

    server = a_server(hello, tcp, admit=admit, on_error=errors.append)
    async with serving(server), await connect(tcp) as refused:
        assert await refused.receive_some() == b""

    assert [LookupError] == [type(error) for error in errors]


async def test_errors_nobody_asked_for_are_logged(tcp: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    """Without a hook an error is at least written down."""

    def admit(endpoint: Endpoint, peer: Credentials | None) -> bool:
        raise LookupError("who is it")

    async with serving(HttpServer(hello, [tcp], admit=admit)), await connect(tcp) as refused:
        assert await refused.receive_some() == b""

    assert "who is it" in caplog.text


# Listeners that come and go.


async def test_a_listener_added_and_removed_while_serving(tcp: Endpoint, folder: Path) -> None:
    """The sockets of agents come and go; the others never notice, and a removed one accepts nobody."""
    server = a_server(hello, tcp)
    async with serving(server):
        with open_unix(folder / "iris") as opened:
            iris = Endpoint(opened)
            server.add_listener(iris)
            assert "hello" in await get(iris)
            assert server.remove_listener(folder / "iris") is iris
            unanswered = await connect(iris)
            await unanswered.send_all(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await unanswered.receive_some()
        await unanswered.aclose()
        assert "hello" in await get(tcp)
        assert server.remove_listener(folder / "iris") is None


async def test_a_listener_added_between_incarnations_is_served_by_the_next(
    tcp: Endpoint, unix: Endpoint
) -> None:
    """The server remembers its listeners, whether or not it serves at the moment."""
    server = a_server(hello, tcp)
    async with serving(server):
        pass
    server.add_listener(unix)
    assert unix.address == server.listeners[-1].address
    async with serving(server):
        assert "hello" in await get(unix)
        assert server.remove_listener(str(unix.address))
    server.add_listener(unix)
    assert server.remove_listener(str(unix.address))
    async with serving(server):
        assert "hello" in await get(tcp)
        with trio.move_on_after(0.1) as unserved:
            await get(unix)
    assert unserved.cancelled_caught


async def test_a_closed_socket_is_not_added(tcp: Endpoint, unix: Endpoint) -> None:
    """Whoever hands it over hears of it, and nothing is remembered."""
    unix.socket.close()
    server = a_server(hello, tcp)
    async with serving(server):
        with pytest.raises(OSError, match="Bad file descriptor"):
            server.add_listener(unix)
        assert server.listeners == [tcp]


async def test_removing_a_listener_ends_its_connections_and_no_others(tcp: Endpoint, unix: Endpoint) -> None:
    """An identity that is taken away does not go on talking over an old connection."""
    server = a_server(hello, tcp, unix)
    async with serving(server), websocket(tcp) as staying, websocket(unix) as leaving:
        server.remove_listener(str(unix.address))
        with pytest.raises(ConnectionClosed):
            await leaving.get_message()
        await staying.send_message("still here")
        assert await staying.get_message() == "still here"


# Clients that misbehave, and applications that do.

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: hive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.parametrize(
    "request_",
    [
        UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Key"),
        UPGRADE.replace(b"Version: 13", b"Version: 7"),
        UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        UPGRADE.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"),
        UPGRADE.replace(b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: \xff\xfe"),
        UPGRADE.replace(b"/ws", b"/\xff%zz"),
        UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: h2c\r\nHTTP2-Settings: !!!"),
        UPGRADE + b"\xff" * 300,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: " + b"x" * 20_000,
    ],
)
async def test_a_bad_request_harms_nobody_else(endpoint: Endpoint, request_: bytes) -> None:
    """A websocket that was open stays open, and the next request is answered."""
    errors: list[BaseException] = []
    async with serving(a_server(hello, endpoint, on_error=errors.append)), websocket(endpoint) as bystander:
        async with await connect(endpoint) as bad:
            await bad.send_all(request_)
            with trio.move_on_after(0.1):
                await everything(bad)
        await bystander.send_message("well")
        assert await bystander.get_message() == "well"
        assert "hello" in await get(endpoint)


async def test_a_request_head_has_a_limit(tcp: Endpoint) -> None:
    """A head that never ends is refused, not collected."""
    async with serving(a_server(hello, tcp, limits=Limits(head=1000))), await connect(tcp) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: " + b"x" * 2000)
        assert (await everything(stream)).startswith(b"HTTP/1.1 431")


async def test_a_websocket_message_has_a_limit(tcp: Endpoint) -> None:
    """A message above the limit closes its websocket with the code that says so."""
    async with serving(a_server(hello, tcp, limits=Limits(message=1000))), websocket(tcp) as client:
        await client.send_message("x" * 1000)
        assert await client.get_message() == "x" * 1000
        await client.send_message("x" * 1001)
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()

    assert closed.value.reason is not None
    assert closed.value.reason.code == 1009


KEPT = b"GET / HTTP/1.1\r\nHost: hive\r\n\r\n"
"""A request after which the connection may be used again."""


async def ask_again(stream: trio.SocketStream) -> None:
    """Ask on a connection that is kept, and read the whole answer."""
    await stream.send_all(KEPT)
    answered = b""
    while not answered.endswith(b"hello"):
        piece = await stream.receive_some()
        assert piece, "the connection was closed"
        answered += piece


async def test_a_connection_that_asks_nothing_is_closed(tcp: Endpoint) -> None:
    """Not a whole head in time is as good as nothing."""
    limits = Limits(first_request=0.1)
    for begun in (b"", KEPT[:-2]):
        async with serving(a_server(hello, tcp, limits=limits)), await connect(tcp) as idle:
            await idle.send_all(begun)
            with trio.fail_after(0.1 + SLACK):
                assert await everything(idle) == b""


async def test_idle_connections_are_closed(tcp: Endpoint) -> None:
    """Whoever has asked once may wait longer before asking again, and not for ever."""
    async with serving(a_server(hello, tcp, limits=Limits(keep_alive=0.1))), await connect(tcp) as idle:
        await ask_again(idle)
        with trio.fail_after(0.1 + SLACK):
            assert await everything(idle) == b""


async def test_a_kept_connection_is_answered_again(endpoint: Endpoint) -> None:
    """The time for a first request says nothing about the later ones."""
    limits = Limits(first_request=0.1)
    async with serving(a_server(hello, endpoint, limits=limits)), await connect(endpoint) as kept:
        await ask_again(kept)
        await trio.sleep(0.3)
        await ask_again(kept)


async def test_the_dead_take_no_seats(endpoint: Endpoint) -> None:
    """However many have connected and left, the next request is answered at once."""
    async with serving(a_server(hello, endpoint)):
        for _ in range(Limits().connections + 44):
            await (await connect(endpoint)).aclose()
        with trio.fail_after(SLACK):
            assert "hello" in await get(endpoint)


@pytest.mark.parametrize("request_", [b"", KEPT[:-2], KEPT, KEPT * 3, b"\r\nno request\r\n\r\n", UPGRADE])
async def test_a_connection_ends_with_its_client(endpoint: Endpoint, request_: bytes) -> None:
    """The only seat is free again, whatever was said before, and whether or not an answer was read."""
    async with serving(a_server(hello, endpoint, limits=Limits(connections=1))):
        for reads in (True, False):
            async with await connect(endpoint) as leaving:
                await leaving.send_all(request_)
                if reads and request_.endswith(b"\r\n\r\n"):
                    await leaving.receive_some()
            with trio.fail_after(SLACK):
                assert "hello" in await get(endpoint)


async def test_a_kept_connection_ends_with_its_client(endpoint: Endpoint) -> None:
    """The only seat is free again at once, not when the keep-alive is over."""
    async with serving(a_server(hello, endpoint, limits=Limits(connections=1))):
        async with await connect(endpoint) as kept:
            await ask_again(kept)
            await trio.testing.wait_all_tasks_blocked(0.01)
        with trio.fail_after(SLACK):
            assert "hello" in await get(endpoint)


class Held:
    """Greets as soon as it may, whether or not the client is still there."""

    def __init__(self) -> None:
        self.asked, self.may_answer = trio.Event(), trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hold an answer back."""
        if scope["type"] == "http":
            self.asked.set()
            await self.may_answer.wait()
        await hello(scope, receive, send)


async def test_a_client_that_closes_its_half_gets_its_answer(endpoint: Endpoint) -> None:
    """Nothing more to ask is not nothing more to read; the seat is free once it is answered."""
    app = Held()
    async with serving(a_server(app, endpoint, limits=Limits(connections=1))):
        async with await connect(endpoint) as half:
            await half.send_all(KEPT)
            await app.asked.wait()
            await half.send_eof()
            await trio.testing.wait_all_tasks_blocked()
            app.may_answer.set()
            with trio.fail_after(SLACK):
                assert (await everything(half)).endswith(b"hello")
        with trio.fail_after(SLACK):
            assert "hello" in await get(endpoint)


async def test_a_client_that_is_reset_takes_no_seat(tcp: Endpoint) -> None:
    """An answer to nobody does not make its connection wait for the next request."""
    app = Held()
    async with serving(a_server(app, tcp, limits=Limits(connections=1))):
        gone = await connect(tcp)
        await gone.send_all(KEPT)
        await app.asked.wait()
        gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await gone.aclose()
        await trio.testing.wait_all_tasks_blocked()
        app.may_answer.set()
        with trio.fail_after(SLACK):
            assert "hello" in await get(tcp)


@pytest.mark.parametrize("said", [b"", b"\0\0\0\4\0\0\0\0\0", b"\0\0\x08\6\0\0\0\0\0pingping"])
async def test_a_client_of_http_2_that_asks_nothing_is_closed(tcp: Endpoint, said: bytes) -> None:
    """Neither the preface, nor settings, nor a ping is a request."""
    limits = Limits(first_request=0.1)
    async with serving(a_server(hello, tcp, limits=limits)), await connect(tcp) as idle:
        await idle.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + said)
        with trio.fail_after(0.1 + SLACK):
            await everything(idle)


async def test_a_closing_that_gets_stuck_holds_up_nobody(
    tcp: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shield in which hypercorn closes idle connections has no end; ours has one."""

    async def stuck(self: H11Protocol, event: Event) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(H11Protocol, "handle", stuck)
    async with serving(a_server(hello, tcp, limits=Limits(first_request=0.0))), await connect(tcp) as idle:
        with trio.fail_after(SEND_TIMEOUT + SLACK):
            assert await everything(idle) == b""


async def test_connections_above_the_limit_wait(tcp: Endpoint) -> None:
    """They stay in the backlog until there is room, and are answered then."""
    async with serving(a_server(hello, tcp, limits=Limits(connections=2))):
        async with websocket(tcp), websocket(tcp):
            with trio.move_on_after(0.1) as too_many:
                await get(tcp)
        assert "hello" in await get(tcp)

    assert too_many.cancelled_caught


async def test_an_application_that_fails_answers_500_and_is_reported(tcp: Endpoint) -> None:
    """The error goes to the hook as its leaf, and the server serves on."""
    errors: list[BaseException] = []

    async def faulty(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/faulty":
            async with trio.open_nursery():
                raise LookupError
        await hello(scope, receive, send)

    async with serving(a_server(faulty, tcp, on_error=errors.append)):
        assert (await get(tcp, "/faulty")).startswith("HTTP/1.1 500")
        assert "hello" in await get(tcp)

    assert [LookupError] == [type(error) for error in errors]


async def test_an_answer_begun_is_finished_even_by_a_cancelled_handler(endpoint: Endpoint) -> None:
    """A framework may cancel its handler while hypercorn closes; the client still sees the end."""

    async def cancelled(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        with trio.CancelScope() as scope_:
            scope_.cancel()
            await answer(send)

    async with serving(a_server(cancelled, endpoint)):
        with trio.fail_after(SLACK):
            assert "hello" in await get(endpoint)


async def test_running_out_of_descriptors_is_survived(tcp: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop takes a breath and accepts again."""
    errors: list[BaseException] = []
    accept = trio.SocketListener.accept

    async def exhausted_once(self: trio.SocketListener) -> trio.SocketStream:
        if not errors:
            raise OSError(errno.EMFILE, "too many open files")
        return await accept(self)

    monkeypatch.setattr(trio.SocketListener, "accept", exhausted_once)
    async with serving(a_server(hello, tcp, on_error=errors.append)):
        assert "hello" in await get(tcp)

    assert [error.errno for error in errors if isinstance(error, OSError)] == [errno.EMFILE]


async def test_a_listener_that_breaks_is_the_servers_failure(
    tcp: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the loop cannot explain is for the supervisor, as itself and not in a group."""

    async def broken(self: trio.SocketListener) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        raise OSError(errno.ENOTSOCK, "no socket")

    monkeypatch.setattr(trio.SocketListener, "accept", broken)
    with pytest.raises(OSError, match="no socket"), trio.fail_after(GRACE + SLACK):
        async with a_server(hello, tcp).serving():
            await trio.sleep_forever()


# Stopping.


async def test_a_websocket_is_closed_with_a_code_that_says_come_back(endpoint: Endpoint) -> None:
    """On a stop an open websocket is told, rather than cut off."""
    async with serving(a_server(hello, endpoint)) as stop, websocket(endpoint) as client:
        await client.send_message("x")
        await client.get_message()
        stop.set()
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()

    assert closed.value.reason is not None
    assert closed.value.reason.code == SERVICE_RESTART


async def test_a_websocket_that_was_never_accepted_is_refused_on_a_stop(tcp: Endpoint) -> None:
    """A handshake that is still pending gets an answer as well."""
    pending = trio.Event()

    async def undecided(scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "websocket" and (await receive())["type"] == "websocket.connect":
            pending.set()

    async with serving(a_server(undecided, tcp)) as stop, await connect(tcp) as client:
        await client.send_all(UPGRADE)
        await pending.wait()
        stop.set()
        assert (await everything(client)).startswith(b"HTTP/1.1 403")


async def test_a_websocket_application_may_say_goodbye_itself(tcp: Endpoint) -> None:
    """It sees the stop before it is told to leave, and closes with a code of its own."""

    async def polite(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await receive()
        await send({"type": "websocket.accept"})
        await scope["hive.stopping"].wait()
        await send({"type": "websocket.send", "text": "bye"})
        await send({"type": "websocket.close", "code": 4408})

    async with serving(a_server(polite, tcp)) as stop, websocket(tcp) as client:
        stop.set()
        assert await client.get_message() == "bye"
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()

    assert closed.value.reason is not None
    assert closed.value.reason.code == 4408


async def test_a_websocket_application_that_asks_late_is_told_all_the_same(tcp: Endpoint) -> None:
    """Even one that receives nothing until the server leaves learns that it is to go."""
    received = []

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await receive()
        await send({"type": "websocket.accept"})
        await scope["hive.stopping"].wait()
        received.append(await receive())

    async with serving(a_server(busy, tcp)) as stop, websocket(tcp) as client:
        stop.set()
        with pytest.raises(ConnectionClosed):
            await client.get_message()

    assert received == [{"type": "websocket.disconnect", "code": SERVICE_RESTART}]


async def test_a_websocket_application_may_refuse_while_the_server_leaves(tcp: Endpoint) -> None:
    """Its refusal is the answer; the server adds nothing of its own."""
    waiting = trio.Event()

    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        waiting.set()
        await scope["hive.stopping"].wait()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    async with serving(a_server(refusing, tcp)) as stop, await connect(tcp) as client:
        await client.send_all(UPGRADE)
        await waiting.wait()
        stop.set()
        assert (await everything(client)).startswith(b"HTTP/1.1 401")


async def test_a_websocket_application_that_does_not_listen_is_cancelled(tcp: Endpoint) -> None:
    """Whatever ignores the goodbye, even in a busy loop, ends with the grace."""

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await receive()

    async with serving(a_server(deaf, tcp)) as stop, websocket(tcp) as client:
        stop.set()
        with pytest.raises(ConnectionClosed):
            await client.get_message()


class Slow:
    """An application whose requests take until they are released, or until the server stops."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.release = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Wait for either, and answer with which it was."""
        if scope["type"] == "lifespan":
            raise NotImplementedError
        self.begun.set()
        awaited = scope["hive.stopping"] if scope["path"] == "/poll" else self.release
        await awaited.wait()
        await answer(send, b"done")


async def test_a_request_under_way_is_answered_within_the_grace_even_when_cancelled(
    endpoint: Endpoint,
) -> None:
    """A cancellation from above is a stop like any other, and its goodbyes are not skipped."""
    app = Slow()
    answers = []
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                answers.append(await get(endpoint))

            with trio.CancelScope() as scope:
                async with a_server(app, endpoint, grace=2.0).serving():
                    nursery.start_soon(ask)
                    await app.begun.wait()
                    scope.cancel()
                    app.release.set()

    assert "done" in answers[0]


async def test_a_long_poll_sees_the_stop_and_answers(endpoint: Endpoint) -> None:
    """Whoever waits in `hive.stopping` loses no client to a stop."""
    app = Slow()
    answers = []
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            answers.append(await get(endpoint, "/poll"))

        async with serving(a_server(app, endpoint)):
            nursery.start_soon(ask)
            await app.begun.wait()

    assert "done" in answers[0]


async def test_idle_connections_do_not_hold_up_a_stop(endpoint: Endpoint) -> None:
    """A browser's kept connection is closed at once, however long the grace."""
    async with serving(a_server(hello, endpoint, grace=60.0), SLACK) as stop, await connect(endpoint) as idle:
        await idle.send_all(b"GET / HTTP/1.1\r\nHost: hive\r\n\r\n")
        assert (await idle.receive_some()).startswith(b"HTTP/1.1 200")
        stop.set()
        assert (await everything(idle)).removeprefix(b"hello") == b""


async def test_a_request_that_outlasts_the_grace_is_cut_off(endpoint: Endpoint) -> None:
    """The grace is the bound, whatever the handler waits for."""
    app = Slow()
    async with serving(a_server(app, endpoint)) as stop, await connect(endpoint) as client:
        await client.send_all(b"GET / HTTP/1.1\r\nHost: hive\r\n\r\n")
        await app.begun.wait()
        stop.set()
        assert await everything(client) == b""


# The application's lifespan.


class WithLifespan:
    """An application that notes its lifespan, and may fail or hang in a stage of it."""

    def __init__(self, *, fails: str = "", hangs: str = "", refuses: str = "") -> None:
        self.fails, self.hangs, self.refuses = fails, hangs, refuses
        self.noted: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve, or live."""
        if scope["type"] != "lifespan":
            self.noted.append("request")
            return await hello(scope, receive, send)
        for _ in range(2):
            stage = (await receive())["type"].removeprefix("lifespan.")
            self.noted.append(stage)
            if stage == self.hangs:
                await trio.sleep_forever()
            if stage == self.fails:
                raise LookupError(stage)
            how = "failed" if stage == self.refuses else "complete"
            await send({"type": f"lifespan.{stage}.{how}", "message": "not today"})
        return None


async def test_the_lifespan_encloses_the_requests(tcp: Endpoint) -> None:
    """Started before the first connection is accepted, shut down after the last has ended; anew each time."""
    app = WithLifespan()
    server = a_server(app, tcp)
    for _ in range(2):
        async with serving(server):
            await get(tcp)

    assert app.noted == ["startup", "request", "shutdown"] * 2


@pytest.mark.parametrize("how", ["fails", "refuses"])
@pytest.mark.parametrize("stage", ["startup", "shutdown"])
async def test_an_application_that_fails_in_its_lifespan_fails_the_server(
    tcp: Endpoint, how: str, stage: str
) -> None:
    """The supervisor hears of it, as one plain error."""
    said = "not today" if how == "refuses" else stage
    with pytest.raises(LifespanFailureError, match=said), trio.fail_after(SLACK):
        async with a_server(WithLifespan(**{how: stage}), tcp).serving():
            pass


async def test_a_lifespan_that_hangs_at_the_end_is_cut_off_and_reported(tcp: Endpoint) -> None:
    """The grace and the time for the lifespan bound every stop."""
    errors: list[BaseException] = []
    async with serving(
        a_server(WithLifespan(hangs="shutdown"), tcp, on_error=errors.append),
        GRACE + LIFESPAN_SHUTDOWN + SLACK,
    ):
        pass

    assert [trio.TooSlowError] == [type(error) for error in errors]


async def test_a_quart_application_is_served_and_leaves_nothing_open(endpoint: Endpoint) -> None:
    """The dashboard's framework cancels its own handlers; answers and sockets end properly all the same."""
    app = QuartTrio("dashboard")

    @app.get("/")
    async def index() -> str:
        await trio.lowlevel.checkpoint()
        return "hello"

    @app.websocket("/ws")
    async def pump() -> None:
        await quart_websocket.accept()
        while True:
            await quart_websocket.send(await quart_websocket.receive())

    async with serving(a_server(app, endpoint)) as stop, websocket(endpoint) as client:
        for _ in range(5):
            with trio.fail_after(SLACK):
                assert (await get(endpoint)).endswith("hello")
        await client.send_message("x")
        assert await client.get_message() == "x"
        stop.set()
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()

    assert closed.value.reason is not None
    assert closed.value.reason.code == SERVICE_RESTART


async def test_a_start_that_hangs_can_be_cancelled_at_once(tcp: Endpoint) -> None:
    """Before it is ready a server feels its starter's deadline."""
    app = WithLifespan(hangs="startup")
    with trio.fail_after(SLACK), trio.move_on_after(0.05) as impatient:
        async with a_server(app, tcp, grace=60.0).serving():
            pass

    assert impatient.cancelled_caught


# Under supervision.


async def test_a_supervised_server_is_asked_to_stop_and_not_cancelled(endpoint: Endpoint) -> None:
    """In the hive's tree it is a child like any other, and leaves politely."""
    server = a_server(hello, endpoint)
    web = ChildSpec("web", lambda: server, grace=Grace(shutdown=10.0))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            async with open_hive(web):
                stream = await connect(endpoint)
                client = await wrap_client_stream(nursery, stream, "hive", "/ws")
                await client.send_message("x")
                assert await client.get_message() == "x"
            with pytest.raises(ConnectionClosed) as closed:
                await client.get_message()
            await client.aclose()
            await stream.aclose()

    assert closed.value.reason is not None
    assert closed.value.reason.code == SERVICE_RESTART
