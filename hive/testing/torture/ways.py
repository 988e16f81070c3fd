"""The three ways by which letters reach a hive: commands, MCP over TCP, MCP over an agent's own socket.

The rule kept here: each tells its sender the instant from which the request is written whole.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx2
from attrs import define

from hive.agents.http_tools import HttpTools
from hive.cli.client import connected
from hive.cli.places import Place
from hive.cli.status import Failed, Status
from hive.directory import Directory
from hive.testing.torture.book import Letter
from hive.testing.torture.senders import Connect, Post, Sender

CALL_SECONDS: Final = 10.0

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
                await client._send(  # noqa: SLF001
                    "cmd", id=letter.key, name="message.send", args=arguments, expect={}
                )
                sender.written = True
                try:
                    ack = await client._answer("ack", letter.key)  # noqa: SLF001
                except Failed as failed:
                    if failed.status is Status.REFUSED:
                        return str(failed)  # its mailbox may be full
                    raise
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
