"""hive's tools through the SDK's client: an answer, a refusal, or `ToolsDown`, and nothing else."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx2
import pytest
import trio
from attrs import define, field
from mcp import MCPError, types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Message, Receive, Scope, Send

from hive.agents.http_tools import TOOL_USE, http_tools
from hive.agents.tokens import CliSession
from hive.agents.tools import ToolAnswer, Tools, ToolsDown

URL = "http://127.0.0.1/mcp/iris"
IRIS = CliSession("iris", "a token of iris")


@define(eq=False)
class Endpoint:
    """A real endpoint without a socket, which notes what reached it and can fail on demand."""

    calls: list[tuple[str, dict[str, Any], str]] = field(factory=list)
    tokens: set[str] = field(factory=set)
    failures: deque[int] = field(factory=deque)
    """HTTP status for each of the next requests, in place of an answer."""

    manager: StreamableHTTPSessionManager | None = None

    async def tool(self, _context: object, asked: types.CallToolRequestParams) -> types.CallToolResult:
        """Answer any tool but two."""
        match asked.name:
            case "nothing":
                raise MCPError(types.INVALID_PARAMS, "there is no tool 'nothing'")
            case "hang":
                await trio.sleep_forever()
        self.calls.append((asked.name, asked.arguments or {}, str(dict(asked.meta or {}).get(TOOL_USE))))
        said = [types.TextContent(type="text", text=line) for line in ("one", "two")]
        return types.CallToolResult(content=list(said), is_error=asked.name == "refused")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or fail as told."""
        self.tokens.add(dict(scope["headers"])[b"authorization"].decode())
        if self.failures:
            await fail(send, self.failures.popleft())
            return
        assert self.manager is not None
        await self.manager.handle_request(scope, receive, send)


async def fail(send: Send, status: int) -> None:
    """Answer with a status and no sense."""
    start: Message = {"type": "http.response.start", "status": status, "headers": []}
    await send(start)
    await send({"type": "http.response.body", "body": b"no"})


@asynccontextmanager
async def an_endpoint(*failures: int) -> AsyncIterator[tuple[Endpoint, Tools]]:
    """An endpoint and the tools of iris on it."""
    endpoint = Endpoint(failures=deque(failures))
    endpoint.manager = StreamableHTTPSessionManager(Server("hive", on_call_tool=endpoint.tool))
    ids = count(1)
    opened = http_tools(
        lambda agent: f"http://127.0.0.1/mcp/{agent}",
        lambda: f"use-{next(ids)}",
        seconds=5,
        transport=httpx2.ASGITransport(app=endpoint),
    )
    async with endpoint.manager.run(), opened(IRIS) as tools:
        yield endpoint, tools


async def test_a_call_carries_token_arguments_and_an_id_of_its_own(autojump_clock: object) -> None:
    """The id is what makes a repeated send one message."""
    async with an_endpoint() as (endpoint, tools):
        assert await tools.call("send", {"to": "juno"}) == ToolAnswer("one\ntwo")
        await tools.call("send", {"to": "kai"})
    assert endpoint.calls == [("send", {"to": "juno"}, "use-1"), ("send", {"to": "kai"}, "use-2")]
    assert endpoint.tokens == {"Bearer a token of iris"}


@pytest.mark.parametrize(
    ("tool", "answer"),
    [
        ("refused", ToolAnswer("one\ntwo", ok=False)),
        ("nothing", ToolAnswer("there is no tool 'nothing'", ok=False)),
    ],
)
async def test_a_refusal_is_an_answer(tool: str, answer: ToolAnswer, autojump_clock: object) -> None:
    """The model reads it and goes on; the turn does not end."""
    async with an_endpoint() as (_, tools):
        assert await tools.call(tool, {}) == answer


@pytest.mark.parametrize("status", [200, 401, 404, 500, 503])
async def test_whatever_else_comes_back_means_the_tools_are_down(status: int, autojump_clock: object) -> None:
    """One error, naming the endpoint and never the token; the tools work again when the endpoint does."""
    async with an_endpoint(status) as (endpoint, tools):
        with pytest.raises(ToolsDown) as caught:
            await tools.call("recv", {})
        assert URL in str(caught.value)
        assert IRIS.token not in str(caught.value)
        assert endpoint.calls == []
        assert (await tools.call("recv", {})).ok


async def test_a_send_that_failed_is_repeated_once_under_its_id(autojump_clock: object) -> None:
    """The endpoint knows the id, so it stays one message even where the first try got through."""
    async with an_endpoint(503) as (endpoint, tools):
        assert (await tools.call("send", {"to": "juno"})).ok
        assert [use for _, _, use in endpoint.calls] == ["use-1"]
        endpoint.failures.extend([503, 503])
        with pytest.raises(ToolsDown):
            await tools.call("send", {"to": "juno"})


async def test_an_endpoint_that_does_not_answer_is_down(autojump_clock: object) -> None:
    """Every call has a deadline."""
    async with an_endpoint() as (_, tools):
        before = trio.current_time()
        with pytest.raises(ToolsDown, match=r"did not answer within 5"):
            await tools.call("hang", {})
        assert trio.current_time() - before == 5


async def test_a_cancelled_call_is_cancelled_and_leaves_the_tools_usable(autojump_clock: object) -> None:
    """No other error comes out of it."""
    async with an_endpoint() as (_, tools):
        with trio.move_on_after(1) as scope:
            await tools.call("hang", {})
        assert scope.cancelled_caught
        assert (await tools.call("whoami", {})).ok


class Sore(httpx2.AsyncBaseTransport):
    """A network that breaks when a request to it is given up."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Never answer."""
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("the connection broke")


async def test_a_call_that_breaks_while_it_is_cancelled_is_cancelled(autojump_clock: object) -> None:
    """Whoever gave up hears of nothing else."""
    async with http_tools(lambda _: URL, lambda: "use", transport=Sore())(IRIS) as tools:
        with trio.move_on_after(1) as scope:
            await tools.call("recv", {})
        assert scope.cancelled_caught


async def test_nobody_listening_is_tools_down() -> None:
    """Over a real socket, refused."""
    with trio.socket.socket() as free:
        await free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        async with http_tools(lambda _: f"http://127.0.0.1:{port}/mcp/iris", lambda: "use")(IRIS) as tools:
            with pytest.raises(ToolsDown, match="cannot be used: ConnectError"):
                await tools.call("recv", {})


@pytest.mark.parametrize(
    "words", [b"", b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"]
)
async def test_a_connection_that_breaks_off_is_tools_down(words: bytes) -> None:
    """Before the first byte of the answer or in the middle of it."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        if words:
            await stream.send_all(words)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        port = listeners[0].socket.getsockname()[1]
        async with http_tools(lambda _: f"http://127.0.0.1:{port}/mcp/iris", lambda: "use")(IRIS) as tools:
            with pytest.raises(ToolsDown):
                await tools.call("recv", {})
        nursery.cancel_scope.cancel()
