"""The agents' endpoint without sockets: the real application, served by a child that can be killed.

The rule kept here: what stands in for the network is no kinder than one.  A request is served in a task of
the child and dies with it; its client then hears of a broken connection and of nothing else.  Whoever
connects while nobody serves waits, as in a socket's backlog.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import httpx2
import orjson
import trio
from attrs import define, field, frozen
from starlette.types import Message

from hive.actors import Cell
from hive.agents.http_tools import REPEATABLE, http_tools
from hive.agents.tools import OpenTools
from hive.mcp.app import EndpointApp
from hive.mcp.inprocess import running
from hive.mcp.server import STOPPING_ENTRY
from hive.testing.trouble import Trouble

URL: Final = "http://localhost/mcp/{}"
"""Where an agent's endpoint is; nobody looks the name up."""

OnError = Callable[[BaseException], None]


@define(eq=False)
class Exchange:
    """One request and its answer, on a connection of its own."""

    request: httpx2.Request
    trouble: Trouble
    body: list[bytes]
    """What the application has yet to hear."""

    status: int = field(default=0, init=False)
    headers: list[tuple[bytes, bytes]] = field(factory=list, init=False)
    said: list[bytes] = field(factory=list, init=False)
    over: trio.Event = field(factory=trio.Event, init=False)
    """Its client need not wait any longer."""

    answered: bool = field(default=False, init=False)
    _cut: trio.Event = field(factory=trio.Event, init=False)

    def scope(self) -> dict[str, object]:
        """What the application is called with."""
        request = self.request
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path,
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": ("localhost", None),
            "client": ("localhost", 1),
        }

    def cut(self) -> None:
        """Break the connection: from here on nothing gets through, either way.  Idempotent."""
        self._cut.set()
        self.over.set()

    async def hear(self) -> Message:
        """What the client says next, to the application."""
        await trio.lowlevel.checkpoint()
        if self.body and not self._cut.is_set():
            return {"type": "http.request", "body": self.body.pop(), "more_body": bool(self.body)}
        await self._cut.wait()
        return {"type": "http.disconnect"}

    async def say(self, message: Message) -> None:
        """Pass on what the application says.  Like hypercorn, says nothing of a client that has left."""
        await trio.lowlevel.checkpoint()
        if self._cut.is_set():
            return
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
            return
        self.said.append(message.get("body", b""))
        if not message.get("more_body", False):
            self.answered = not self.trouble.loses_this_answer()
            self.over.set()


@frozen
class Serving:
    """One incarnation of the endpoint that takes requests."""

    app: EndpointApp
    connections: trio.Nursery
    on_error: OnError
    stopping: trio.Event = field(factory=trio.Event)

    def take(self, exchange: Exchange) -> None:
        """Have a request answered in a task of this incarnation's."""
        self.connections.start_soon(self._answer, exchange)

    async def _answer(self, exchange: Exchange) -> None:
        scope = {**exchange.scope(), STOPPING_ENTRY: self.stopping}
        try:
            await self.app(scope, exchange.hear, exchange.say)
        except Exception as error:  # noqa: BLE001 - one connection never ends the server
            self.on_error(error)
        finally:
            exchange.over.set()


@define(eq=False)
class Network(httpx2.AsyncBaseTransport):
    """What lies between the agents' clients and their endpoint; it outlives both."""

    trouble: Trouble
    _serving: Serving | None = field(default=None, init=False)
    _serves: trio.Event = field(factory=trio.Event, init=False)
    calls_cut: int = field(default=0, init=False)
    """How many calls were under way when their connection broke."""

    # A dict for its order: sets of objects have none that repeats.
    _exchanges: dict[Exchange, None] = field(factory=dict, init=False)

    @property
    def calls_under_way(self) -> int:
        """How many clients wait for an answer."""
        return len(self._exchanges)

    def tools(self, new_id: Callable[[], str]) -> OpenTools:
        """Open tools through the client of production; `new_id` is as for that."""
        return http_tools(URL.format, new_id, transport=self)

    def cut(self) -> None:
        """Break every connection there is."""
        for exchange in self._exchanges:
            exchange.cut()

    @contextmanager
    def served_by(self, serving: Serving) -> Iterator[None]:
        """Have requests taken by this incarnation.  When the block is left every connection breaks."""
        self._serving = serving
        self._serves.set()
        try:
            yield
        finally:
            self._serving, self._serves = None, trio.Event()
            self.cut()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Have a request answered, in the task of its client.  Raises what a broken network raises."""
        body = await request.aread()
        if delay := self.trouble.delay():
            await trio.sleep(delay)
        if trio.current_time() < self.trouble.tools_back_at:
            raise httpx2.ConnectError("the endpoint was cut off by its test")
        if _may_be_repeated(body) and self.trouble.repeats():
            await self._exchange(request, body)
        return await self._exchange(request, body)

    async def _exchange(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        while (serving := self._serving) is None:
            await self._serves.wait()
        exchange = Exchange(request, self.trouble, [body])
        self._exchanges[exchange] = None
        serving.take(exchange)
        try:
            await exchange.over.wait()
        finally:
            del self._exchanges[exchange]
            exchange.cut()
        if not exchange.answered:
            self.calls_cut += 1
            raise httpx2.ReadError("the connection broke before the answer was whole")
        return httpx2.Response(exchange.status, headers=exchange.headers, content=b"".join(exchange.said))


@frozen(eq=False)
class Endpoint:
    """The child `mcp`: serves again and again, one incarnation at a time, like the server of production."""

    app: EndpointApp
    network: Network
    on_error: OnError

    async def serve(self, cell: Cell, *, task_status: trio.TaskStatus[None]) -> None:
        """Live in a supervisor's cell.  However it leaves, it breaks at once what is under way."""
        async with running(self.app), trio.open_nursery() as connections:
            serving = Serving(self.app, connections, self.on_error)
            with self.network.served_by(serving):
                try:
                    task_status.started()
                    await cell.wait_stopping()
                finally:
                    serving.stopping.set()
            connections.cancel_scope.cancel(reason="the endpoint leaves")


def _may_be_repeated(body: bytes) -> bool:
    """Whether this calls a tool that the agents' client itself calls again where an answer is lost."""
    asked = orjson.loads(body) if body else {}
    if not isinstance(asked, dict) or asked.get("method") != "tools/call":
        return False
    return asked["params"]["name"] in REPEATABLE
