"""The page's server as its clients meet it: a real hive, real sockets, a client we did not write."""

import gc
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    connect_websocket,
    open_websocket_url,
    wrap_client_stream,
)

from hive import config
from hive.app.compose import run_hive
from hive.app.running import Running
from hive.directory import Directory, locked
from hive.web import files, vendor

# The client's library leaves the socket of a conversation that the server ended to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PATIENCE_SECONDS = 20.0
STOPPING_SECONDS = 15.0
FLOODED_SECONDS = 10.0
"""The page's own bound is a third of it; the supervisor's, which is the backstop, is beyond it."""
FRAME_BYTES = 256 * 1024

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a test leaves to the collector is collected before the next test, which would be blamed for it."""
    yield
    gc.collect()


@asynccontextmanager
async def a_hive(root: Path) -> AsyncIterator[Running]:
    """A hive on free ports."""
    directory = Directory(root)
    directory.create()
    settings = config.Config(web=config.Listen(port=0), mcp=config.Listen(port=0))
    with locked(directory):
        try:
            async with run_hive(directory, settings) as running:
                yield running
        finally:
            directory.clear()


def story(root: Path, tell: Callable[[Running], Any]) -> None:
    """Run a story on a hive, within a deadline."""

    async def main() -> None:
        with trio.fail_after(PATIENCE_SECONDS + STOPPING_SECONDS):
            async with a_hive(root) as running:
                with trio.fail_after(PATIENCE_SECONDS):
                    await tell(running)

    trio.run(main)


async def cookie(running: Running) -> str:
    """Log in as a browser does."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.get(running.login_link())
    assert answer.status_code == 303
    return str(answer.headers["set-cookie"]).partition(";")[0]


@asynccontextmanager
async def page(running: Running, **headers: str) -> AsyncIterator[WebSocketConnection]:
    """A websocket as the page opens it."""
    origin = running.listeners.origin
    sent = {"Origin": origin, "Cookie": await cookie(running)}
    name = sent["Cookie"].partition("=")[0]
    sent |= {header: value.format(name=name) for header, value in headers.items()}
    url = origin.replace("http:", "ws:") + "/ws"
    extra = [(name.encode(), value.encode()) for name, value in sent.items() if value]
    async with open_websocket_url(url, subprotocols=["hive.1"], extra_headers=extra) as websocket:
        yield websocket


async def say(websocket: WebSocketConnection, op: str, **fields: object) -> None:
    """Send one frame."""
    await websocket.send_message(json.dumps({"op": op, **fields}))


async def hear(websocket: WebSocketConnection, op: str) -> Json:
    """The next frame of that kind; others are passed over."""
    while True:
        received: Json = json.loads(await websocket.get_message())
        if received["op"] == op:
            return received


async def closing(websocket: WebSocketConnection) -> int:
    """The code with which the server says goodbye."""
    bye = await hear(websocket, "bye")
    with pytest.raises(ConnectionClosed):
        while True:
            await websocket.get_message()
    return int(bye["code"])


def test_who_is_let_in(tmp_path: Path) -> None:
    """Host, Origin and login are checked before anything is shown, on pages and on the websocket."""

    async def tell(running: Running) -> None:
        origin = running.listeners.origin
        host = urlsplit(origin).netloc
        key = await cookie(running)
        cases: tuple[tuple[Mapping[str, str], str, int], ...] = (
            ({}, "/", 401),
            ({"Cookie": key}, "/", 200),
            ({"Cookie": key.partition("=")[0] + "=made-up"}, "/", 401),
            ({"Cookie": "/=;"}, "/", 401),
            ({"Cookie": key, "Host": "evil.example"}, "/", 403),
            ({}, "/login?code=wrong", 403),
            ({}, "/static/0000/app/main.js", 404),
            ({}, "/favicon.ico", 200),
        )
        async with httpx2.AsyncClient(trust_env=False, base_url=origin) as http:
            for headers, path, status in cases:
                answer = await http.get(path, headers={"Host": host} | dict(headers))
                assert (path, answer.status_code) == (path, status)
                assert "script-src 'self'" in answer.headers["content-security-policy"]
                assert answer.headers["x-content-type-options"] == "nosniff"
            used = running.login_link()
            assert (await http.get(used)).status_code == 303
            assert (await http.get(used)).status_code == 403
            assert (await http.post("/logout", headers={"Cookie": key})).status_code == 403
            answer = await http.post("/logout", headers={"Cookie": key, "Origin": origin})
            assert answer.status_code == 303
            assert (await http.get("/", headers={"Cookie": key})).status_code == 401

    story(tmp_path, tell)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Cookie": ""}, 401),
        ({"Cookie": "{name}=made-up"}, 401),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": ""}, 403),
    ],
)
def test_a_websocket_of_somebody_else_is_refused(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    """As an HTTP answer, before anything is accepted."""

    async def tell(running: Running) -> None:
        with pytest.raises(ConnectionRejected) as refused:
            async with page(running, **headers):
                pass
        assert refused.value.status_code == status

    story(tmp_path, tell)


def test_two_hives_on_one_host_do_not_log_each_other_out(tmp_path: Path) -> None:
    """Cookies ignore ports: a browser sends each hive both, and each finds its own."""

    async def tell(running: Running) -> None:
        async with a_hive(tmp_path / "second") as second, httpx2.AsyncClient(trust_env=False) as browser:
            for hive in (running, second):
                assert (await browser.get(hive.login_link())).status_code == 303
            for hive in (running, second):
                assert (await browser.get(hive.listeners.origin)).status_code == 200
            origin = second.listeners.origin
            assert (await browser.post(f"{origin}/logout", headers={"Origin": origin})).status_code == 303
            assert (await browser.get(origin)).status_code == 401
            assert (await browser.get(running.listeners.origin)).status_code == 200

    story(tmp_path / "first", tell)


def test_a_hive_that_cannot_write_says_so_at_login_and_logout(tmp_path: Path) -> None:
    """Nobody is told that he is in, or out, who is not."""

    async def tell(running: Running) -> None:
        origin, key = running.listeners.origin, await cookie(running)
        async with httpx2.AsyncClient(trust_env=False, base_url=origin) as http:
            running.store._writer.refusing = "the disk is full"
            assert (await http.get(running.login_link())).status_code == 503
            left = await http.post("/logout", headers={"Cookie": key, "Origin": origin})
            assert (left.status_code, "set-cookie" in left.headers) == (503, False)
            assert (await http.get("/", headers={"Cookie": key})).status_code == 200

    story(tmp_path, tell)


def test_files_are_served_under_their_hash_for_ever_and_under_no_other(tmp_path: Path) -> None:
    """The shell names them and is never kept, because it comes with the login."""

    async def tell(running: Running) -> None:
        async with httpx2.AsyncClient(trust_env=False, base_url=running.listeners.origin) as http:
            shell = await http.get("/", headers={"Cookie": await cookie(running)})
            assert shell.headers["cache-control"] == "no-store"
            address = f"/static/{files.load(vendor.location()).digest}/app/main.js"
            file = await http.get(address)
            assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert file.headers["content-type"] == "text/javascript; charset=utf-8"
            for other in (address.replace("/static/", "/static/0"), address + "x", "/static/x/../shell.html"):
                assert (await http.get(other)).status_code == 404
            assert (await http.post("/")).status_code == 405

    story(tmp_path, tell)


def test_a_websocket_without_the_subprotocol_is_refused(tmp_path: Path) -> None:
    """Whoever speaks something else is told so before anything is accepted; on the person's socket too."""

    async def tell(running: Running) -> None:
        url = running.listeners.origin.replace("http:", "ws:") + "/ws"
        with pytest.raises(ConnectionRejected) as refused:
            async with open_websocket_url(url, subprotocols=["hive.99"]):
                pass
        assert refused.value.status_code == 400

    story(tmp_path, tell)


def test_guessing_codes_makes_every_code_worthless(tmp_path: Path) -> None:
    """Five wrong ones are enough."""

    async def tell(running: Running) -> None:
        link = running.login_link()
        async with httpx2.AsyncClient(trust_env=False, base_url=running.listeners.origin) as http:
            for guess in range(5):
                assert (await http.get(f"/login?code={guess}")).status_code == 403
            assert (await http.get(link)).status_code == 403

    story(tmp_path, tell)


def test_a_command_repeated_after_a_lost_connection_changes_nothing_twice(tmp_path: Path) -> None:
    """The stored answer comes again, word for word."""

    async def tell(running: Running) -> None:
        key = secrets.token_hex(16)
        spawn = {"name": "iris", "settings": {"backend": "external"}}
        acks: list[object] = []
        for _ in range(2):
            async with page(running) as websocket:
                await say(websocket, "hello", v=1, want=["j"])
                await hear(websocket, "welcome")
                if not acks:
                    await say(websocket, "cmd", id="spawn", name="agent.spawn", args=spawn)
                    assert (await hear(websocket, "ack"))["ok"]
                await say(websocket, "cmd", id=key, name="message.send", args={"to": "iris", "body": "once"})
                acks.append((await hear(websocket, "ack"))["result"])
        assert acks[0] == acks[1]
        assert running.store.reader.counts().accepted == 1

    story(tmp_path, tell)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not JSON", 4400),
        ("[1, 2]", 4400),
        ('{"op": "get", "id": "1", "what": "status"}', 4400),
        ('{"op": "hello", "v": 99, "want": []}', 4406),
        (json.dumps({"op": "hello", "v": 1, "want": [], "pad": "x" * FRAME_BYTES}), 4413),
    ],
)
def test_a_frame_that_cannot_be_is_the_end_of_its_connection_alone(
    tmp_path: Path, frame: str, code: int
) -> None:
    """It is told why, and others do not notice."""

    async def tell(running: Running) -> None:
        async with page(running) as other:
            await say(other, "hello", v=1, want=["j"])
            async with page(running) as websocket:
                await websocket.send_message(frame)
                try:
                    assert await closing(websocket) == code
                except ConnectionClosed:
                    # A frame beyond the limit may be cut off by the layer below, without a word.
                    assert code == 4413
            await say(other, "get", id="1", what="status", args={})
            assert (await hear(other, "got"))["ok"]

    story(tmp_path, tell)


def test_an_unknown_command_and_an_unknown_question_are_refused_with_what_there_is(tmp_path: Path) -> None:
    """And an op of a later version is passed over."""

    async def tell(running: Running) -> None:
        async with page(running) as websocket:
            await say(websocket, "hello", v=1, want=[])
            await say(websocket, "dance")
            await say(websocket, "cmd", id="1", name="agent.dance", args={})
            refused = (await hear(websocket, "ack"))["error"]
            assert refused["code"] == "not_found"
            assert "agent.pause" in refused["text"]
            await say(websocket, "get", id="2", what="dances", args={})
            assert "status" in (await hear(websocket, "got"))["error"]["text"]
            await say(
                websocket, "cmd", id="3", name="message.send", args={"to": "x", "body": "x", "sender": "me"}
            )
            assert "fills this in" in (await hear(websocket, "ack"))["error"]["text"]

    story(tmp_path, tell)


def frame(payload: bytes, opcode: int = 1, *, last: bool = True) -> bytes:
    """One frame of a websocket's client, masked with zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([(0x80 if last else 0) | opcode]) + length + bytes(4) + payload


GARBAGE: Mapping[str, tuple[bytes, bytes]] = {
    "texts that are not JSON": (b"", frame(b"garbage")),
    "operations nobody knows": (frame(b'{"op": "hello", "v": 1}'), frame(b'{"op": "dance"}')),
    "hellos": (b"", frame(b'{"op": "hello", "v": 1, "want": ["j"]}')),
    "questions": (frame(b'{"op": "hello", "v": 1}'), frame(b'{"op": "get", "id": "1", "what": "agents"}')),
    "parts of bodies": (
        frame(b'{"op": "hello", "v": 1}'),
        frame(b'{"op": "part", "id": "1", "n": 0, "text": "' + b"x" * 60_000 + b'"}'),
    ),
    "a message without an end": (frame(b"x", last=False), frame(b"x" * 60_000, 0, last=False)),
    "pings": (b"", frame(b"ping", 9)),
    "bytes that are no frames": (b"", b"\xff" * 1_000),
}
"""What comes first, and what then comes for ever."""


def test_clients_that_send_garbage_for_ever_hold_up_nobody(tmp_path: Path) -> None:
    """They read nothing either.  Others are served, and the hive stops in bounded time under the flood."""

    async def flood(origin: str, key: str, garbage: str, task_status: trio.TaskStatus[None]) -> None:
        (first, ever), host = GARBAGE[garbage], urlsplit(origin).netloc
        stream = await trio.open_tcp_stream("127.0.0.1", int(host.partition(":")[2]))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = (
            f"GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n"
            f"Cookie: {key}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: hive.1\r\n\r\n"
        )
        async with stream:
            await stream.send_all(head.encode())
            assert b" 101 " in await stream.receive_some(64)
            task_status.started()
            with suppress(trio.BrokenResourceError):
                await stream.send_all(first)
                while True:
                    await stream.send_all(ever * 20)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(PATIENCE_SECONDS + STOPPING_SECONDS):
                async with a_hive(tmp_path) as running:
                    origin, key = running.listeners.origin, await cookie(running)
                    for garbage in GARBAGE:
                        await nursery.start(flood, origin, key, garbage)
                    async with page(running) as other:
                        await say(other, "hello", v=1, want=["j"])
                        await hear(other, "welcome")
                    asked = trio.current_time()
            # Measured, because what holds up a stop may be deaf to a deadline.
            assert trio.current_time() - asked < FLOODED_SECONDS
            nursery.cancel_scope.cancel()

    trio.run(main)


@pytest.mark.parametrize("unix", [False, True])
def test_a_client_that_never_reads_holds_up_nobody(tmp_path: Path, *, unix: bool) -> None:
    """Others are served, and the hive stops in bounded time."""

    async def tell(running: Running) -> None:
        async with trio.open_nursery() as nursery:
            stuck = await _stuck(running, nursery, unix=unix)
            for number in range(200):
                await say(stuck, "get", id=f"{number}", what="tree", args={})
            async with page(running) as other:
                await say(other, "hello", v=1, want=["j"])
                await hear(other, "welcome")
            nursery.cancel_scope.cancel()

    story(tmp_path, tell)


async def _stuck(running: Running, nursery: trio.Nursery, *, unix: bool) -> WebSocketConnection:
    """A client whose socket takes next to nothing and whose messages nobody takes."""
    if unix:
        stream = await trio.open_unix_socket(str(running.directory.operator_socket))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        websocket = await wrap_client_stream(nursery, stream, "localhost", "/ws", subprotocols=["hive.1"])
    else:
        host, port = running.listeners.web.getsockname()[:2]
        extra = [
            (b"Origin", running.listeners.origin.encode()),
            (b"Cookie", (await cookie(running)).encode()),
        ]
        websocket = await connect_websocket(
            nursery, host, port, "/ws", use_ssl=False, subprotocols=["hive.1"], extra_headers=extra
        )
    await say(websocket, "hello", v=1, want=["j"])
    return websocket
