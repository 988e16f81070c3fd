"""The tools without sockets, for simulations and tests: two implementations of `OpenTools`.

The rule kept here: both go through the same table as a real client's calls, the first also through the same
HTTP, identity and wire.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count

import httpx2
import trio
from attrs import define, field

from hive.agents.http_tools import http_tools
from hive.agents.tokens import CliSession
from hive.agents.tools import OpenTools, ToolAnswer, Tools
from hive.mcp.app import EndpointApp
from hive.mcp.delivery import Delivery
from hive.mcp.desk import Call, Desk
from hive.mcp.identity import Caller
from hive.mcp.parts import McpParts
from hive.mcp.tools import Said, Toolbox, UnknownTool, builtin_and_installed

# --- through the table -----------------------------------------------------------------------------


def direct_tools(parts: McpParts) -> OpenTools:
    """Open tools that call the table itself: no wire, no copies, one memory for all sessions."""
    desk, toolbox = Desk(parts), Toolbox(builtin_and_installed())

    @asynccontextmanager
    async def open_tools(session: CliSession) -> AsyncIterator[Tools]:
        yield _Direct(desk, toolbox, session)

    return open_tools


@define(eq=False)
class _Direct:
    desk: Desk
    toolbox: Toolbox
    session: CliSession
    _calls: "count[int]" = field(factory=count, init=False)

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolAnswer:
        known = self.desk.reader.identity(self.session.agent)
        role = known.role if known else ""
        caller, delivery = Caller(self.session.agent, role, self.session), Delivery()
        call = Call(caller, self.desk, delivery, trio.Event(), tool_use=_tool_use(self.session, self._calls))
        try:
            said = await self.toolbox.call(call, name, arguments)
        except UnknownTool as unknown:
            return ToolAnswer(str(unknown), ok=False)
        except BaseException:
            delivery.lose()
            raise
        delivery.arrived()
        return _answer(said)


def _answer(said: Said) -> ToolAnswer:
    if isinstance(said.result, str):
        return ToolAnswer(said.result, said.ok)
    return ToolAnswer(said.result.model_dump_json(), said.ok)


def _tool_use(session: CliSession, calls: "count[int]") -> str:
    """An id no other call has, in any boot: tokens do not repeat."""
    return f"{Caller(session.agent, '', session).credential}-{next(calls)}"


# --- through HTTP without a network ----------------------------------------------------------------


@asynccontextmanager
async def running(app: EndpointApp) -> AsyncIterator[None]:
    """Run an endpoint's lifespan, as a server would."""
    to_app, events = trio.open_memory_channel[dict[str, object]](2)
    ready, over = trio.Event(), trio.Event()

    async def send(message: Mapping[str, object]) -> None:
        (ready if message["type"] == "lifespan.startup.complete" else over).set()
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, {"type": "lifespan"}, events.receive, send)
        to_app.send_nowait({"type": "lifespan.startup"})
        await ready.wait()
        try:
            yield
        finally:
            to_app.send_nowait({"type": "lifespan.shutdown"})


def asgi_tools(app: EndpointApp, new_id: Callable[[], str]) -> OpenTools:
    """Open tools that go through the SDK's client, HTTP, identity and the whole application, without sockets.

    The application's lifespan must be running: see `running`.  `new_id` is as for `http_tools`.
    """
    return http_tools("http://localhost/mcp/{}".format, new_id, transport=httpx2.ASGITransport(app=app))
