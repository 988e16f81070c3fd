"""What anybody may throw at an endpoint: a clear answer, and everybody else is served."""

import json
import socket
from typing import TYPE_CHECKING

import httpx2
import pytest
import trio
from attrs import define, frozen
from mcp import MCPError, types

from hive.mcp.app import EndpointApp
from hive.mcp.desk import Call
from hive.mcp.tools import ToolSpec

if TYPE_CHECKING:
    from tests.mcp.conftest import House

HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
MODERN = {**HEADERS, "mcp-protocol-version": "2026-07-28"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


async def still_works(house: "House") -> None:
    """Somebody else is served."""
    async with house.client("rose") as rose:
        house.said(await rose.call_tool("whoami", {}))


@pytest.mark.parametrize("headers", [HEADERS, MODERN])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"null",
        b"[]",
        b"{}",
        b'{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":7}',
        b'{"jsonrpc":"2.0","id":1,"method":"no/such"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":5,"arguments":"x"}}',
    ],
)
async def test_garbage_is_refused_and_harms_nobody(
    house: "House", headers: dict[str, str], body: bytes
) -> None:
    """A status of the 400s, or an error of the protocol; no trace of our code."""
    async with house.http("iris-token") as http:
        answer = await http.post(house.url("iris"), content=body, headers=headers)

    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text
    assert "hive/" not in answer.text
    await still_works(house)


@define(eq=False)
class Pieces:
    """A body whose length is not announced."""

    body: bytes

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        """The next half megabyte."""
        await trio.lowlevel.checkpoint()
        piece, self.body = self.body[:500_000], self.body[500_000:]
        if not piece:
            raise StopAsyncIteration
        return piece


async def test_ten_megabytes_are_refused(house: "House", era: str) -> None:
    """Before they are parsed, also where their length was not announced."""
    huge = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send","arguments":{"body":"%s"}}}'
    )
    body = huge % (b"x" * 10_000_000)

    headers = HEADERS if era == "legacy" else MODERN
    async with house.http("iris-token") as http:
        for content in (body, Pieces(body)):
            answer = await http.post(house.url("iris"), content=content, headers=headers)
            assert answer.status_code == 413

    await still_works(house)


async def test_a_body_beyond_the_longest_is_refused_in_words(house: "House", era: str) -> None:
    """A megabyte is a message; more is not."""
    async with house.client("iris", era=era) as iris:
        longest = house.said(await iris.call_tool("send", {"to": "rose", "body": "é" * 500_000}))
        text, ok = house.answered(await iris.call_tool("send", {"to": "rose", "body": "x" * 1_100_000}))

    assert "accepted" in longest
    assert not ok
    assert "at most" in text


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("read", {"message": "\ud800"}, "$.message: contains half"),
        ("inbox", {"text": "\ud800"}, "$.text: contains half"),
        ("send", {"to": "rose", "body": "x", "key": "\ud800"}, "$.key: contains half"),
    ],
)
async def test_half_a_surrogate_pair_is_no_text(
    house: "House", tool: str, arguments: dict[str, object], words: str
) -> None:
    """JSON can spell it and nothing can store it: the model is told, and it is no error of ours."""
    params = {"name": tool, "arguments": arguments, "_meta": ENVELOPE}
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    headers = {**MODERN, "mcp-method": "tools/call", "mcp-name": tool}
    async with house.http("iris-token") as http:
        answer = await http.post(house.url("iris"), content=request, headers=headers)

    assert words in answer.json()["result"]["content"][0]["text"]
    assert house.errors == []


@pytest.mark.parametrize("odd", ["\ud800", "x" * 100_000, {"of": ["any", 1]}])
async def test_a_clients_own_ids_may_be_anything_json_can_spell(house: "House", odd: object) -> None:
    """They make repetitions one message, and neither break the store nor are kept at their length."""
    body = {"name": "send", "arguments": {"to": "rose", "body": "hello"}}
    params = {**body, "_meta": {**ENVELOPE, "hive/toolUseId": odd}}
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    headers = {**MODERN, "mcp-method": "tools/call", "mcp-name": "send"}
    async with house.http("iris-token") as http:
        said = [
            (await http.post(house.url("iris"), content=request, headers=headers)).json()["result"]
            for _ in range(2)
        ]

    assert said[0] == said[1]
    assert len(house.store.reader.mailbox("rose").mail) == 1
    assert house.errors == []


async def test_a_wrong_token_is_told_how_to_get_a_right_one(house: "House") -> None:
    """401 with the scheme to use; the same for a missing one."""
    async with house.http("wrong") as wrong, house.http() as missing:
        answers = [
            await http.post(house.url("iris"), json=INITIALIZE, headers=HEADERS) for http in (wrong, missing)
        ]

    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="hive"'
        assert "hive endpoint iris --rotate" in answer.json()["error"]
        assert "wrong" not in answer.text


async def test_another_agents_session_id_is_unknown(house: "House") -> None:
    """With a right token of another agent, and with another credential of the same one; its owner goes on."""
    session = await house.begin_with("iris", "go")
    async with house.http("iris-token") as iris, house.http("rose-token") as rose:
        opened = await iris.post(house.url("iris"), json=INITIALIZE, headers=HEADERS)
        stolen = {**HEADERS, "mcp-session-id": opened.headers["mcp-session-id"]}
        listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        theirs = await rose.post(house.url("rose"), json=listing, headers=stolen)
        async with house.http(session.token) as cli:
            other = await cli.post(house.url("iris"), json=listing, headers=stolen)
        own = await iris.post(house.url("iris"), json=listing, headers=stolen)

    assert [theirs.status_code, other.status_code, own.status_code] == [404, 404, 200]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:7700"}, 200),
        ({"content-type": "text/plain"}, 400),
        ({"accept": "text/html"}, 406),
        ({"mcp-protocol-version": "1999-01-01"}, 400),
    ],
)
async def test_a_browser_on_another_page_cannot_reach_an_endpoint(
    house: "House", headers: dict[str, str], status: int
) -> None:
    """Host and Origin are checked, and the rest of HTTP as the protocol demands."""
    async with house.http("iris-token") as http:
        answer = await http.post(house.url("iris"), json=INITIALIZE, headers={**HEADERS, **headers})

    assert answer.status_code == status


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS"])
async def test_other_methods_are_not_allowed(house: "House", method: str) -> None:
    """Nothing else is spoken here."""
    async with house.http("iris-token") as http:
        answer = await http.request(
            method, house.url("iris"), headers={**MODERN, "content-type": "application/json"}
        )

    assert answer.status_code == 405


async def test_a_websocket_is_closed(house: "House") -> None:
    """There are none here."""
    async with house.http("iris-token") as http:
        upgrade = {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-version": "13",
        }
        answer = await http.get(house.url("iris"), headers=upgrade)

    assert answer.status_code == 403


async def test_an_error_of_ours_tells_a_client_nothing(house: "House", era: str) -> None:
    """It is written down for us instead."""

    @frozen
    class Nothing:
        pass

    async def broken(_call: Call, _arguments: Nothing) -> str:
        raise RuntimeError("a secret of ours")

    row = ToolSpec("broken", Nothing, broken, "Breaks")
    async with house.with_tools(row), house.client("iris", era=era) as iris:
        with pytest.raises(MCPError) as refusal:
            await iris.call_tool("broken", {})

    assert refusal.value.code == types.INTERNAL_ERROR
    assert "secret" not in str(refusal.value)
    assert [str(error) for error in house.errors] == ["a secret of ours"]
    house.errors.clear()


@pytest.mark.parametrize("own_socket", [False, True])
async def test_a_client_that_never_reads_holds_up_nobody(house: "House", *, own_socket: bool) -> None:
    """It asks for more than any buffer takes and reads nothing; the others are served."""
    for _ in range(5):
        await house.mail("iris", "x" * 900_000)
    (mail, *_) = house.store.reader.mailbox("iris").mail
    read = (
        b'{"jsonrpc":"2.0","id":%d,"method":"resources/read","params":{"uri":"hive://attachment/'
        + str(mail.attachment).encode()
        + b'","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        b'"io.modelcontextprotocol/clientCapabilities":{}}}}'
    )
    head = (
        "POST /mcp/iris HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer iris-token\r\n"
        "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
        "mcp-protocol-version: 2026-07-28\r\nmcp-method: resources/read\r\n"
        f"mcp-name: hive://attachment/{mail.attachment}\r\ncontent-length: {{}}\r\n\r\n"
    )
    family = socket.AF_UNIX if own_socket else socket.AF_INET
    address = str(house.socket("iris")) if own_socket else ("127.0.0.1", house.port)
    with trio.socket.socket(family, socket.SOCK_STREAM) as mute:
        mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await mute.connect(address)
        for number in range(20):
            body = read % number
            await mute.send(head.format(len(body)).encode() + body)
        await trio.sleep(0.2)
        await still_works(house)


async def test_an_endpoint_that_is_not_running_says_so(house: "House") -> None:
    """Between two incarnations a request is answered, not dropped."""
    transport = httpx2.ASGITransport(app=EndpointApp(house.parts))
    async with httpx2.AsyncClient(
        transport=transport, headers={"authorization": "Bearer iris-token"}
    ) as http:
        answer = await http.post("http://localhost/mcp/iris", json=INITIALIZE, headers=HEADERS)

    assert answer.status_code == 503
