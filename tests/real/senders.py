"""Clients of a real daemon that send all the time, and know at any instant what they have in flight.

In flight is a send whose request was written whole and whose answer has not been read.  Each is repeated
under its key, over a new connection, until it is answered; its key is in its body, so that the message can be
found in the file whether or not its sender ever heard of it.
"""

import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx2
import trio
from attrs import define, field, frozen

from hive.agents.http_tools import HttpTools
from hive.agents.tools import ToolsDown
from hive.cli.client import connected
from hive.cli.places import Place
from hive.cli.status import Failed
from hive.directory import Directory

PAUSE_SECONDS: Final = 0.02
CALL_SECONDS: Final = 10.0
SHELL_SHARE: Final = 0.05
"""So many of the messages start a program that runs for a while."""

ACCEPTED: Final = re.compile(r"accepted as #\d+ \((?P<id>[^)]+)\)")


@frozen
class Letter:
    """One send, however often it is tried."""

    key: str
    to: str
    body: str


Post = Callable[[Letter], Awaitable[str]]
"""Sends a letter and returns the answer's words.  Raises `GONE` where the daemon went away."""

GONE = (Failed, OSError, ToolsDown, trio.TooSlowError)


@define(eq=False)
class Sender:
    """One who sends one letter after the other."""

    way: str
    connect: "Connect"
    recipients: Sequence[str]
    chance: random.Random
    answers: dict[str, str] = field(factory=dict, init=False)
    """By key, what every answered send was told."""

    last: Letter | None = field(default=None, init=False)
    """The letter that was answered last."""

    trying: Letter | None = field(default=None, init=False)
    written: bool = field(default=False, init=False)
    """The request of the letter being tried was written whole, and its answer has not been read."""

    @property
    def in_flight(self) -> Letter | None:
        """What is in flight now."""
        return self.trying if self.written else None

    async def run(self, stopping: trio.Event) -> None:
        """Send until told to stop."""
        self.trying = self._next()
        while not stopping.is_set():
            try:
                async with self.connect(self) as post:
                    while not stopping.is_set():
                        await self._try(post)
                        await trio.sleep(PAUSE_SECONDS)
            except GONE:
                await trio.sleep(PAUSE_SECONDS)

    async def _try(self, post: Post) -> None:
        assert self.trying is not None
        try:
            said = await post(self.trying)
        finally:
            self.written = False
        # What was not accepted is "hive cannot say": it is asked again.
        if ACCEPTED.match(said):
            self.answers[self.trying.key], self.last = said, self.trying
            self.trying = self._next()

    def _next(self) -> Letter:
        key = f"{self.chance.getrandbits(128):032x}"
        work = "!sh sleep 0.2\n" if self.chance.random() < SHELL_SHARE else ""
        return Letter(key, self.chance.choice(self.recipients), f"{work}!note {key}")


Connect = Callable[[Sender], AbstractAsyncContextManager[Post]]
"""Opens a way for a sender's letters."""


def id_in(said: str) -> str:
    """The message that an answer is about."""
    found = ACCEPTED.match(said)
    assert found is not None, said
    return found["id"]


# --- hive.1 on the operator's socket ---------------------------------------------------------------


def by_command(place: Place) -> Connect:
    """Send as the operator's page and command line do."""

    @asynccontextmanager
    async def connect(sender: Sender) -> AsyncIterator[Post]:
        async with connected((place,)) as client:
            await client.greet()

            async def post(letter: Letter) -> str:
                arguments = {"to": letter.to, "body": letter.body}
                # Two halves of `Client.command`, to know the instant between them.
                await client._send("cmd", id=letter.key, name="message.send", args=arguments, expect={})
                sender.written = True
                ack = await client._answer("ack", letter.key)
                (one,) = ack["result"]["accepted"]
                return f"accepted as #{one['number']} ({one['id']})"

            yield post

    return connect


# --- MCP, over TCP and over the agent's own socket -------------------------------------------------


@define
class Watched(httpx2.AsyncBaseTransport):
    """A connection that tells its sender when a request is written and when its answer has been read."""

    _inner: httpx2.AsyncHTTPTransport
    _sender: Sender

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass it on."""

        async def trace(event: str, _about: object) -> None:
            if event == "http11.send_request_body.complete":
                self._sender.written = True
            elif event.startswith("http11.receive_response_body") and not event.endswith("started"):
                self._sender.written = False

        request.extensions = {**request.extensions, "trace": trace}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Pass it on."""
        await self._inner.aclose()


def by_tcp(place: Place, agent: str, token: str) -> Connect:
    """Send as a person's own MCP client does, with the agent's client token; the letter's key is `key`."""

    @asynccontextmanager
    async def connect(sender: Sender) -> AsyncIterator[Post]:
        async with connected((place,)) as client:
            url = (await client.get("endpoint", agent=agent))["url"]
        headers = {"Authorization": f"Bearer {token}"}
        async with http_client(sender, headers, uds=None) as http:

            async def post(letter: Letter) -> str:
                tools = HttpTools(url, http, lambda: f"{sender.chance.getrandbits(64):016x}", CALL_SECONDS)
                arguments = {"to": letter.to, "body": letter.body, "key": letter.key}
                return (await tools.call("send", arguments)).text

            yield post

    return connect


def by_unix(place: Place, agent: str) -> Connect:
    """Send through the agent's own socket, without a token; the letter's key is the tool use's id."""

    @asynccontextmanager
    async def connect(sender: Sender) -> AsyncIterator[Post]:
        path = Directory(place.directory).agent_socket(agent)
        async with http_client(sender, {}, uds=path) as http:

            async def post(letter: Letter) -> str:
                tools = HttpTools("http://localhost/mcp", http, lambda: letter.key, CALL_SECONDS)
                return (await tools.call("send", {"to": letter.to, "body": letter.body})).text

            yield post

    return connect


@asynccontextmanager
async def http_client(
    sender: Sender, headers: dict[str, str], uds: Path | None
) -> AsyncIterator[httpx2.AsyncClient]:
    """The HTTP side of an MCP client."""
    async with AsyncExitStack() as stack:
        inner = httpx2.AsyncHTTPTransport(uds=None if uds is None else str(uds), verify=False)
        yield await stack.enter_async_context(
            httpx2.AsyncClient(headers=headers, transport=Watched(inner, sender), timeout=CALL_SECONDS)
        )
