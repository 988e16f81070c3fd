"""A house to test the endpoint in: the real store, the real broker, and the endpoint on real sockets."""

import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest
import trio
from attrs import define, field
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from hive.actors import ChildSpec, Grace, Hive, open_hive
from hive.actors.broker import Broker
from hive.actors.protocol import BROKER, Perform
from hive.actors.writer import Writer
from hive.agents.tokens import CliSession, Sessions
from hive.mcp.identity import token_hash
from hive.mcp.parts import McpParts
from hive.mcp.serving import CHILD, endpoint_server
from hive.protocol.commands import AddAgent, BeginTurn, Command, Send, SetClientToken, Settings, TurnBegun
from hive.protocol.mail import Provenance, SendAnswer
from hive.sockets import open_tcp
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
    port: int
    run: Path
    errors: list[BaseException] = field(factory=list)

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
        self, agent: str, token: str | None = None, *, era: str = "2026-07-28", own_socket: bool = False
    ) -> AsyncIterator[Client]:
        """The SDK's client at an agent's endpoint; without a token with the agent's client token."""
        shown = None if own_socket and token is None else token or f"{agent}-token"
        url = f"http://localhost/mcp/{agent}" if own_socket else self.url(agent)
        async with (
            self.http(shown, socket_of=agent if own_socket else None) as http,
            Client(streamable_http_client(url, http_client=http), mode=era) as client,
        ):
            yield client


def said(result: object) -> str:
    """The text of a tool's answer."""
    assert isinstance(result, CallToolResult)
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@asynccontextmanager
async def open_house(path: Path) -> AsyncIterator[House]:
    """Open a house in a directory."""
    run = path / "run"
    errors: list[BaseException] = []
    numbers = random.Random(1)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(path / "hive.sqlite3", inline=True))
        tcp = stack.enter_context(open_tcp("127.0.0.1", 0))
        store.recover("test")
        sessions = Sessions(lambda: f"session-{numbers.getrandbits(64):x}")
        children = (
            ChildSpec("writer", lambda: Writer(store.drain_forever)),
            ChildSpec(BROKER, lambda: Broker(store)),
        )
        async with open_hive(*children) as hive:
            parts = McpParts(
                store=store,
                broker=hive.ref(BROKER),
                sessions=sessions,
                hints=store.hints,
                wall=time.time,
                version="test",
                operator_name="Ada",
                on_error=errors.append,
            )
            server = stack.enter_context(endpoint_server(parts, [tcp], run))
            async with open_hive(ChildSpec(CHILD, lambda: server, grace=Grace(shutdown=8.0))):
                with trio.fail_after(60):
                    yield House(store, hive, parts, tcp.getsockname()[1], run, errors)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house with the agents iris and rose."""
    async with open_house(tmp_path) as opened:
        await opened.add("iris", "rose")
        yield opened
        for error in opened.errors:
            raise error
