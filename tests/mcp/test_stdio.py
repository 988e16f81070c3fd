"""The stdio bridge: a program's two streams on one side, an endpoint that may go away on the other."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import trio
from attrs import define, field
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock, memory_stream_one_way_pair

from hive.mcp.relay import PATIENCE_SECONDS, REFUSED, UNREACHABLE
from hive.mcp.stdio import PARSE_ERROR, bridge, marked

if TYPE_CHECKING:
    from tests.mcp.conftest import House

Json = dict[str, Any]

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@define(eq=False)
class Program:
    """A client that started the bridge."""

    stdin: MemorySendStream
    stdout: MemoryReceiveStream
    era: str
    told: list[str] = field(factory=list)
    heard: list[Json] = field(factory=list)
    _rest: bytearray = field(factory=bytearray)
    _ids: "count[int]" = field(factory=lambda: count(1))

    async def say(self, method: str, params: Json | None = None, **top: object) -> None:
        """Write a message."""
        meta = ENVELOPE if self.era != "legacy" else {}
        given = {**(params or {}), "_meta": {**meta, **(params or {}).get("_meta", {})}}
        await self.stdin.send_all(
            orjson.dumps({"jsonrpc": "2.0", "method": method, "params": given, **top}) + b"\n"
        )

    async def hear(self) -> Json:
        """Read a message."""
        while b"\n" not in self._rest:
            chunk = await self.stdout.receive_some()
            assert chunk, "the bridge has left"
            self._rest += chunk
        line, _, rest = self._rest.partition(b"\n")
        self._rest = bytearray(rest)
        message: Json = orjson.loads(line)
        self.heard.append(message)
        return message

    async def ask(self, method: str, params: Json | None = None) -> Json:
        """Make a request and wait for its answer."""
        number = next(self._ids)
        await self.say(method, params, id=number)
        while True:
            answer = await self.hear()
            if answer.get("id") == number and "method" not in answer:
                return answer

    async def call(self, name: str, **arguments: object) -> str:
        """Use a tool."""
        answer = await self.ask("tools/call", {"name": name, "arguments": arguments})
        text: str = answer["result"]["content"][0]["text"]
        return text


@asynccontextmanager
async def bridged(endpoint: str, token: str | None, era: str) -> AsyncIterator[Program]:
    """Run the bridge between a program and an endpoint; it must leave when the program closes its side."""
    to_bridge, stdin = memory_stream_one_way_pair()
    stdout, from_bridge = memory_stream_one_way_pair()
    program, numbers = Program(to_bridge, from_bridge, era), count()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await bridge(
                endpoint,
                token,
                stdin,
                stdout,
                new_id=lambda: f"{id(program)}-{next(numbers)}",
                tell=program.told.append,
            )

        nursery.start_soon(run)
        yield program
        await to_bridge.aclose()


@asynccontextmanager
async def opened(endpoint: str, token: str | None, era: str) -> AsyncIterator[Program]:
    """The same with the handshake done, where the era has one."""
    async with bridged(endpoint, token, era) as program:
        if era == "legacy":
            opening = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            }
            assert "result" in await program.ask("initialize", opening)
            await program.say("notifications/initialized")
        yield program


@pytest.mark.parametrize("way", ["port", "socket"])
async def test_a_program_works_through_the_bridge(house: "House", era: str, way: str) -> None:
    """Tools, mail and resources, over the port with a token and over the agent's own socket without."""
    endpoint, token = (
        (house.url("iris"), "iris-token") if way == "port" else (str(house.socket("iris")), None)
    )
    await house.mail("iris", "for you")
    async with opened(endpoint, token, era) as program:
        listed = await program.ask("tools/list")
        got = await program.call("recv")
        sent = await program.call("send", to="rose", body="hello")
        read = await program.ask("resources/read", {"uri": "hive://inbox"})

    assert "send" in {tool["name"] for tool in listed["result"]["tools"]}
    assert "for you" in got
    assert "accepted" in sent
    assert "contents" in read["result"]
    assert program.told == []


async def test_a_real_program_starts_it_and_speaks_with_it(house: "House", era: str) -> None:
    """With the SDK's own client over a real process's pipes."""
    script = (
        "import sys, trio, uuid\n"
        "from hive.mcp.stdio import bridge\n"
        "async def main():\n"
        "    stdin, stdout = trio.lowlevel.FdStream(0), trio.lowlevel.FdStream(1)\n"
        "    await bridge(sys.argv[1], None, stdin, stdout, new_id=lambda: uuid.uuid4().hex)\n"
        "trio.run(main)\n"
    )
    program = StdioServerParameters(command=sys.executable, args=["-c", script, str(house.socket("iris"))])
    async with Client(stdio_client(program), mode=era) as client:
        assert "You are iris" in house.said(await client.call_tool("whoami", {}))


async def test_what_is_no_message_is_answered_as_such(house: "House") -> None:
    """And the conversation goes on."""
    async with opened(house.url("iris"), "iris-token", "2026-07-28") as program:
        for line in (b"garbage\n", b"[]\n", b'{"jsonrpc":"2.0"}\n', b"\n", b"x" * 9_000_000):
            await program.stdin.send_all(line)
        errors = [(await program.hear())["error"]["code"] for _ in range(4)]
        await program.stdin.send_all(b"\n")
        assert "You are iris" in await program.call("whoami")

    assert errors == [PARSE_ERROR] * 4


async def test_a_wrong_token_is_told_to_the_program(house: "House", era: str) -> None:
    """As an error in answer to its first request, in the endpoint's words."""
    opening = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    async with bridged(house.url("iris"), "wrong", era) as program:
        answer = await program.ask("initialize" if era == "legacy" else "tools/list", opening)

    assert answer["error"]["code"] == REFUSED
    assert "endpoint of agent iris" in answer["error"]["message"]


async def test_an_error_of_the_protocol_passes_as_it_is(house: "House", era: str) -> None:
    """With the id of the request, also where HTTP says it with a status."""
    async with opened(house.url("iris"), "iris-token", era) as program:
        answer = await program.ask("tools/call", {"name": "nonsense", "arguments": {}})
        unknown = await program.ask("no/such")

    assert "no tool 'nonsense'" in answer["error"]["message"]
    assert unknown["error"]["code"] == -32601


async def test_a_restarted_endpoint_is_hardly_noticed(house: "House", era: str) -> None:
    """Requests wait and are answered; the session is opened again; a person is told in one line each way."""
    async with opened(house.url("iris"), "iris-token", era) as program:
        if era == "legacy":
            assert "result" in await program.ask("resources/subscribe", {"uri": "hive://inbox"})
        await house.stop_endpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.start_endpoint)
            assert "accepted" in await program.call("send", to="rose", body="across the restart")
        assert "You are iris" in await program.call("whoami")
        if era == "legacy":
            with trio.fail_after(5):
                # It may have come before one of the answers above.
                while not any(
                    told.get("method") == "notifications/resources/updated" for told in program.heard
                ):
                    await program.hear()

    assert house.states("rose") == ["ready"]
    assert len(program.told) in {0, 2}, program.told
    house.errors.clear()


async def test_a_call_cut_off_by_a_restart_is_made_again_and_is_one(house: "House", era: str) -> None:
    """The endpoint dies while a tool works: the same id is sent again."""
    async with opened(house.url("iris"), "iris-token", era) as program:
        async with trio.open_nursery() as nursery:
            answers: list[str] = []

            async def wait_for_mail() -> None:
                answers.append(await program.call("recv", wait_seconds=20))

            nursery.start_soon(wait_for_mail)
            await trio.sleep(0.2)
            await house.stop_endpoint()
            await house.mail("iris", "meanwhile")
            await house.start_endpoint()
        while "meanwhile" not in answers[-1]:
            answers.append(await program.call("recv"))

    assert house.states("iris") == ["claimed"]
    house.errors.clear()


async def test_a_request_the_program_gives_up_is_cancelled(house: "House", era: str) -> None:
    """The waiting `recv` takes nothing any more."""
    async with opened(house.url("iris"), "iris-token", era) as program:
        await program.say("tools/call", {"name": "recv", "arguments": {"wait_seconds": 20}}, id="slow")
        await trio.sleep(0.2)
        await program.say("notifications/cancelled", {"requestId": "slow"})
        await program.call("whoami")
        await house.mail("iris", "stays")
        await program.call("whoami")

    assert house.states("iris") == ["ready"]


async def test_an_endpoint_that_stays_away_is_given_up_after_a_minute(autojump_clock: MockClock) -> None:
    """Told in one line at once, and to the program as an error at last."""
    before = trio.current_time()
    async with bridged("http://127.0.0.1:1/mcp/iris", "t", "2026-07-28") as program:
        answer = await program.ask("tools/list")

    assert answer["error"]["code"] == UNREACHABLE
    assert trio.current_time() - before == pytest.approx(PATIENCE_SECONDS, abs=3)
    assert len(program.told) == 1
    assert "trying again for 60 s" in program.told[0]


@pytest.mark.parametrize(
    ("message", "meta"),
    [
        ({"method": "tools/call", "params": {"name": "send"}}, {"hive/toolUseId": "new"}),
        ({"method": "tools/call", "params": {"_meta": {"a": 1}}}, {"a": 1, "hive/toolUseId": "new"}),
        ({"method": "tools/call", "params": {"_meta": {"hive/toolUseId": "own"}}}, {"hive/toolUseId": "own"}),
        (
            {"method": "tools/call", "params": {"_meta": {"claudecode/toolUseId": "c"}}},
            {"claudecode/toolUseId": "c"},
        ),
        ({"method": "tools/list", "params": {}}, None),
        ({"method": "tools/call", "params": []}, None),
    ],
)
def test_a_tool_call_gets_an_id_unless_its_client_gave_it_one(message: Json, meta: Json | None) -> None:
    """Nothing else is touched."""
    params = marked(message, lambda: "new")["params"]

    assert (params.get("_meta") if isinstance(params, dict) else None) == meta
