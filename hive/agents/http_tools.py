"""hive's tools over real HTTP, with the official SDK's client and the session's own token.

The rule kept here: whatever breaks between here and the endpoint is `ToolsDown`, nothing else; a refusal
of the endpoint is an answer.  A call is repeated only where the endpoint can tell the repetition.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from hive.agents.tokens import CliSession
from hive.agents.tools import ToolAnswer, Tools, ToolsDown

if TYPE_CHECKING:
    import httpx2

CALL_SECONDS = 30.0
"""How long a call may take: longer than the longest `recv`, shorter than anybody's patience."""

ERROR_CHARACTERS = 300

PROTOCOL = "2026-07-28"
"""Spoken without a handshake, so a call needs no session and a restarted endpoint is not noticed."""

TOOL_USE = "hive/toolUseId"
"""Field of a call's `_meta` by which the endpoint tells a repeated `send`."""

REPEATABLE = frozenset({"send", "agents", "whoami", "inbox", "read", "set_status"})
"""Calls that change nothing when made twice under one tool-use id."""


def http_tools(
    url_of: Callable[[str], str],
    new_id: Callable[[], str],
    *,
    seconds: float = CALL_SECONDS,
    transport: "httpx2.AsyncBaseTransport | None" = None,
) -> Callable[[CliSession], AbstractAsyncContextManager[Tools]]:
    """Make the `OpenTools` of a hive whose agents' endpoints are at `url_of(agent)`.

    `new_id` makes a word for each call that no other call bears; `transport` replaces the network in tests.
    """
    # The endpoint speaks plain HTTP on this machine; reading whom to trust elsewhere costs 25 ms a turn.
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    @asynccontextmanager
    async def open_tools(session: CliSession) -> AsyncIterator[Tools]:
        # The SDK takes half a second to import, which only who serves should pay.
        import httpx2  # noqa: PLC0415

        async with httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {session.token}"},
            verify=nobody,
            timeout=seconds,
            transport=transport,
            trust_env=False,  # a proxy of the person's has no business between an agent and its hive
        ) as client:
            yield HttpTools(url_of(session.agent), client, new_id, seconds)

    return open_tools


@frozen
class HttpTools:
    """One agent's endpoint, reached over connections that are kept for the session."""

    url: str
    client: "httpx2.AsyncClient"
    new_id: Callable[[], str]
    seconds: float

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolAnswer:
        """Call a tool.  Raises `ToolsDown`; a repeatable call is tried twice before that."""
        use = self.new_id()
        try:
            return await self._call(name, arguments, use)
        except ToolsDown:
            if name not in REPEATABLE:
                raise
        return await self._call(name, arguments, use)

    async def _call(self, name: str, arguments: Mapping[str, object], use: str) -> ToolAnswer:
        try:
            with trio.fail_after(self.seconds):
                return await self._ask(name, arguments, use)
        except trio.TooSlowError:
            raise ToolsDown(f"{self.url} did not answer within {self.seconds} s") from None
        except Exception as error:
            raise ToolsDown(f"{self.url} cannot be used: {_first(error)}") from error
        except BaseExceptionGroup as group:
            # Whoever gave the call up is owed a cancellation, without the noise of tearing it down.
            _, owed = group.split(Exception)
            assert owed is not None, "it would be an ExceptionGroup"
            raise owed from None

    async def _ask(self, name: str, arguments: Mapping[str, object], use: str) -> ToolAnswer:
        from mcp import Client, MCPError, types  # noqa: PLC0415 - see open_tools
        from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

        # `Client.call_tool` would first list all tools, to check structured results; ours are plain text.
        asked = types.CallToolRequest(
            params=types.CallToolRequestParams.model_validate(
                {"name": name, "arguments": dict(arguments), "_meta": {TOOL_USE: use}}
            )
        )
        # A client for each call: without a handshake it costs a millisecond, and what breaks inside it
        # breaks this call alone.
        async with Client(streamable_http_client(self.url, http_client=self.client), mode=PROTOCOL) as mcp:
            try:
                answer = await mcp.session.send_request(asked, types.CallToolResult)
            except MCPError as error:
                if error.code == types.INVALID_PARAMS:
                    return ToolAnswer(error.message, ok=False)
                raise
            text = "\n".join(part.text for part in answer.content if part.type == "text")
            return ToolAnswer(text, ok=not answer.is_error)


def _first(error: BaseException) -> str:
    """The first leaf of a group, in words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
