"""A house to test the endpoint in: the real store, the real broker, and the endpoint on real sockets."""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar, cast

import httpx2
import pytest
import trio
from attrs import define, field
from hypercorn.typing import ASGIFramework
from mcp import Client
from mcp.client.session import MessageHandlerFnT
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from hive.actors import ROOT, ChildSpec, Grace, Hive, RestartChild, StopChild, open_hive
from hive.actors.broker import Broker
from hive.actors.protocol import BROKER, Perform
from hive.actors.writer import Writer
from hive.agents.tokens import CliSession, Sessions
from hive.asgi import Endpoint, HttpServer
from hive.mcp.app import EndpointApp
from hive.mcp.identity import token_hash
from hive.mcp.parts import McpParts
from hive.mcp.server import Incarnation
from hive.mcp.serving import CHILD, endpoint_server
from hive.mcp.tools import TOOLS, ToolSpec
from hive.protocol.commands import (
    AddAgent,
    BeginTurn,
    Command,
    MarkSeen,
    Send,
    SetClientToken,
    Settings,
    TurnBegun,
)
from hive.protocol.mail import Provenance, SendAnswer
from hive.sockets import open_tcp
from hive.store.hints import ANY
from hive.store.sqlite import SqliteStore, open_store

T = TypeVar("T")

ERAS = ("legacy", "2026-07-28")


# The SDK's client leaves its HTTP library's generators to the garbage collector, which Trio reports.
CLIENT_LEAKS = "ignore:Async generator '(httpx2|httpcore2|mcp)[.]:ResourceWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hold the tests here responsible for hive's leaks, not for the client's."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings(CLIENT_LEAKS))


@define(eq=False)
class House:
    """A small hive whose tools endpoint is served for real."""

    store: SqliteStore
    hive: Hive
    parts: McpParts
    wall: "WallClock"
    port: int
    run: Path
    errors: list[BaseException] = field(factory=list)
    endpoint: Hive | None = None

    async def perform(self, command: Command[T]) -> T:
        """Have the broker carry out a command."""
        return await self.hive.ref(BROKER).ask(Perform(command))

    async def add(self, *names: str, role: str = "agent") -> None:
        """Add agents, each with the client token `<name>-token`."""
        for name in names:
            await self.perform(AddAgent(name, Settings(role=role)))
            await self.perform(SetClientToken(name, token_hash(f"{name}-token")))

    async def mail(self, to: str, body: str, sender: str = "operator") -> SendAnswer:
        """Send mail past the endpoint."""
        provenance = Provenance.OPERATOR if sender == "operator" else Provenance.AGENT
        return await self.perform(Send(sender, to, body, provenance))

    async def begin(self, agent: str) -> CliSession:
        """Begin a turn of an agent and mint the token its CLI would carry."""
        begun = await self.perform(BeginTurn(agent, incarnation=1))
        assert isinstance(begun, TurnBegun), begun
        session = self.parts.sessions.mint(agent)
        session.turn = begun.turn
        return session

    async def begin_with(self, agent: str, body: str) -> CliSession:
        """Begin a turn of an agent that was woken by one message, which its prompt has shown."""
        await self.mail(agent, body)
        session = await self.begin(agent)
        assert session.turn is not None
        turn = self.store.reader.turn(session.turn)
        assert turn is not None
        await self.store.submit(
            MarkSeen(session.turn, tuple(self.number(id_) for id_ in turn.messages))
        ).outcome()
        return session

    def number(self, message: str) -> int:
        """A message's number."""
        mail = self.store.reader.mail(message)
        assert mail is not None
        return mail.number

    def states(self, agent: str) -> list[str]:
        """The states of an agent's mail, oldest first."""
        return [str(mail.state) for mail in reversed(self.store.reader.mailbox(agent).mail)]

    def url(self, agent: str) -> str:
        """Where an agent's endpoint is."""
        return f"http://127.0.0.1:{self.port}/mcp/{agent}"

    def http(self, token: str | None = None, *, socket_of: str | None = None) -> httpx2.AsyncClient:
        """An HTTP client with a token, over TCP or an agent's own socket."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx2.AsyncHTTPTransport(uds=str(self.socket(socket_of))) if socket_of else None
        return httpx2.AsyncClient(headers=headers, transport=transport, timeout=30)

    def socket(self, agent: str) -> Path:
        """Where an agent's own socket is."""
        return self.run / "agents" / agent / "mcp.sock"

    @asynccontextmanager
    async def client(
        self,
        agent: str,
        token: str | None = None,
        *,
        era: str = "2026-07-28",
        own_socket: bool = False,
        message_handler: MessageHandlerFnT | None = None,
    ) -> AsyncIterator[Client]:
        """The SDK's client at an agent's endpoint; without a token with the agent's client token."""
        shown = None if own_socket and token is None else token or f"{agent}-token"
        url = f"http://localhost/mcp/{agent}" if own_socket else self.url(agent)
        async with (
            self.http(shown, socket_of=agent if own_socket else None) as http,
            Client(
                streamable_http_client(url, http_client=http), mode=era, message_handler=message_handler
            ) as client,
        ):
            yield client

    async def stop_endpoint(self) -> None:
        """Stop the endpoint's child; its sockets stay."""
        assert self.endpoint is not None
        await self.endpoint.ref(ROOT).ask(StopChild(CHILD))

    async def start_endpoint(self) -> None:
        """Start another incarnation of it."""
        assert self.endpoint is not None
        await self.endpoint.ref(ROOT).ask(RestartChild(CHILD))

    @asynccontextmanager
    async def with_tools(self, *rows: ToolSpec) -> AsyncIterator[None]:
        """Serve the endpoint with more tools, on another port, for as long as the block lasts."""
        app = EndpointApp(self.parts, incarnate=lambda parts: Incarnation(parts, tools=(*TOOLS, *rows)))
        usual = self.port
        async with self.serving(app) as self.port:
            yield
        self.port = usual

    @asynccontextmanager
    async def serving(self, app: object) -> AsyncIterator[int]:
        """Serve an application on a port of its own, for as long as the block lasts."""
        with open_tcp("127.0.0.1", 0) as tcp:
            server = HttpServer(cast("ASGIFramework", app), [Endpoint(tcp)], on_error=self.errors.append)
            async with open_hive(ChildSpec(CHILD, lambda: server, grace=Grace(shutdown=8.0))):
                yield tcp.getsockname()[1]

    @staticmethod
    def said(result: object) -> str:
        """The text of a tool's answer that did what was asked."""
        text, ok = House.answered(result)
        assert ok, text
        return text

    @staticmethod
    def answered(result: object) -> tuple[str, bool]:
        """The text of a tool's answer, and whether it did what was asked."""
        assert isinstance(result, CallToolResult)
        (content,) = result.content
        assert isinstance(content, TextContent)
        return content.text, not result.is_error

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, which a change of the store may bring about."""
        while not holds():
            mark = self.store.hints.mark(ANY)
            with trio.move_on_after(0.05):
                await self.store.hints.wait(ANY, mark)


@define(eq=False)
class WallClock:
    """The time of day, which a test may turn."""

    turned: float = 0.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.turned


@asynccontextmanager
async def open_house(path: Path, *, served: bool = True) -> AsyncIterator[House]:
    """Open a house in a directory; one that is not served has no sockets, so that time may be virtual."""
    errors: list[BaseException] = []
    numbers, wall = random.Random(1), WallClock()
    with ExitStack() as stack:
        store = stack.enter_context(open_store(path / "hive.sqlite3", inline=True, wall=wall))
        store.recover("test")
        children = (
            ChildSpec("writer", lambda: Writer(store.drain_forever)),
            ChildSpec(BROKER, lambda: Broker(store)),
        )
        async with open_hive(*children) as hive:
            parts = McpParts(
                store=store,
                broker=hive.ref(BROKER),
                sessions=Sessions(lambda: f"session-{numbers.getrandbits(64):x}"),
                hints=store.hints,
                wall=wall,
                version="test",
                operator_name="Ada",
                on_error=errors.append,
            )
            house = House(store, hive, parts, wall, 0, path / "run", errors)
            if not served:
                yield house
                return
            tcp = stack.enter_context(open_tcp("127.0.0.1", 0))
            house.port = tcp.getsockname()[1]
            server = stack.enter_context(endpoint_server(parts, [tcp], house.run))
            child = ChildSpec(CHILD, lambda: server, grace=Grace(shutdown=8.0))
            async with open_hive(child) as house.endpoint:
                yield house


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    """Both wires of the protocol."""
    return str(request.param)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house with the agents iris and rose."""
    async with open_house(tmp_path) as opened:
        await opened.add("iris", "rose")
        yield opened
        for error in opened.errors:
            raise error


@pytest.fixture
async def quiet_house(tmp_path: Path) -> AsyncIterator[House]:
    """The same without sockets, for virtual time."""
    async with open_house(tmp_path, served=False) as opened:
        await opened.add("iris", "rose")
        yield opened
        for error in opened.errors:
            raise error
