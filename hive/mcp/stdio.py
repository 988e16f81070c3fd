"""The stdio bridge: for clients that start a program and speak MCP with it over its standard streams.

The rule kept here: every tool call that passes gets an id of its own, so that repeating it is safe; standard
output carries the protocol and nothing else.
"""

import sys
from collections.abc import Callable
from typing import Any

import httpx2
import orjson
import trio
from attrs import define, field
from trio.abc import ReceiveStream, SendStream

from hive.mcp.relay import Relay, era_of, failure
from hive.mcp.server import TOOL_USE_KEYS
from hive.mcp.sessions import REQUEST_BYTES

PARSE_ERROR = -32700
CALL_SECONDS = 60.0
"""How long the endpoint may be silent: it sends something at least every 15 s."""

Json = dict[str, Any]


def to_stderr(line: str) -> None:
    """Write a line for whoever reads the client's log."""
    sys.stderr.write(f"hive mcp-stdio: {line}\n")
    sys.stderr.flush()


async def bridge(  # noqa: PLR0913 - one end, the other end, and what is injected
    endpoint: str,
    token: str | None,
    stdin: ReceiveStream,
    stdout: SendStream,
    *,
    new_id: Callable[[], str],
    tell: Callable[[str], None] = to_stderr,
) -> None:
    """Connect the client on these streams with the endpoint at a URL or at the path of an agent's socket.

    Returns when the client closes its side.  `new_id` makes a word for each tool call that no other call
    bears; `tell` gets one line when the endpoint is lost and one when it is back.
    """
    url, transport = (endpoint, None) if "://" in endpoint else _over_socket(endpoint)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    writing = trio.Lock()

    async def say(message: Json) -> None:
        async with writing:
            await stdout.send_all(orjson.dumps(message) + b"\n")

    async with httpx2.AsyncClient(
        headers=headers, transport=transport, timeout=CALL_SECONDS, trust_env=False
    ) as http:
        relay = Relay(http, url, say, tell)
        await _Conversation(relay, new_id).run(stdin)
        await relay.leave()


def _over_socket(path: str) -> tuple[str, httpx2.AsyncBaseTransport]:
    return "http://localhost/mcp", httpx2.AsyncHTTPTransport(uds=path)


@define(eq=False)
class _Conversation:
    """What a client says, line by line."""

    relay: Relay
    new_id: Callable[[], str]
    _in_flight: dict[object, trio.CancelScope] = field(factory=dict)

    async def run(self, stdin: ReceiveStream) -> None:
        async with trio.open_nursery() as nursery:
            lines = _Lines(stdin)
            while (line := await lines.next()) is not None:
                if line.strip():
                    await self._take(line, nursery)
            nursery.cancel_scope.cancel()

    async def _take(self, line: bytes, nursery: trio.Nursery) -> None:
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            await self.relay.say(failure(None, PARSE_ERROR, f"This is not JSON: {error}"))
            return
        match message:
            case {"method": "notifications/cancelled", "params": {"requestId": request}} if self._cancel(
                request
            ):
                pass
            case {"method": "initialize", "id": _}:
                # What follows it needs the session it opens.
                await self.relay.request(message)
                nursery.start_soon(self.relay.listen)
            case {"method": str(), "id": _}:
                nursery.start_soon(self._request, marked(message, self.new_id))
            case {"method": str()} | {"id": _}:
                await self.relay.notify(message)
            case _:
                await self.relay.say(failure(None, PARSE_ERROR, "This is not a message of JSON-RPC."))

    async def _request(self, message: Json) -> None:
        with trio.CancelScope() as scope:
            if era_of(message):
                self._in_flight[message["id"]] = scope
            await self.relay.request(message)
        self._in_flight.pop(message["id"], None)

    def _cancel(self, request: object) -> bool:
        """On the newer wire, close the connection of a request; the older one has words for it."""
        scope = self._in_flight.get(request)
        if scope:
            scope.cancel()
        return scope is not None


def marked(message: Json, new_id: Callable[[], str]) -> Json:
    """The message with an id of its use, if it is a tool call whose client gave it none."""
    params = message.get("params")
    if message["method"] != "tools/call" or not isinstance(params, dict):
        return message
    meta = params.get("_meta") or {}
    if any(key in meta for key in TOOL_USE_KEYS):
        return message
    return {**message, "params": {**params, "_meta": {**meta, TOOL_USE_KEYS[0]: new_id()}}}


@define(eq=False)
class _Lines:
    """A stream, line by line."""

    stream: ReceiveStream
    _rest: bytearray = field(factory=bytearray)

    async def next(self) -> bytes | None:
        """The next line, or None at the end.

        A line longer than a request may be comes in pieces, none of which is a message.
        """
        while b"\n" not in self._rest and len(self._rest) <= REQUEST_BYTES:
            chunk = await self.stream.receive_some()
            if not chunk:
                return None
            self._rest += chunk
        line, _, rest = self._rest.partition(b"\n")
        self._rest = rest
        return bytes(line)
