"""The HTTP side of the stdio bridge: one client's messages to an endpoint, and what comes back.

The rule kept here: a message that was not answered is sent again, unchanged, for as long as patience lasts;
the id a tool call bears makes it one call.  A session that is gone is opened again as the client opened it.
"""

from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Any, cast

import httpx2
import orjson
import trio
from attrs import define, field
from mcp.shared.inbound import NAME_BEARING_METHODS, encode_header_value
from mcp.types import PROTOCOL_VERSION_META_KEY

from hive.mcp.sessions import MCP_SESSION_HEADER, REQUEST_BYTES

PATIENCE_SECONDS = 60.0
"""How long an endpoint that does not answer is tried."""

FIRST_DELAY, LAST_DELAY = 0.1, 2.0
"""Seconds between two attempts, doubling."""

FAREWELL_SECONDS = 2.0
"""How long saying goodbye to the endpoint may take."""

UNREACHABLE = -32000
REFUSED = -32001

OUR_REQUEST = "hive-bridge"
"""Id of what we ask by ourselves."""

NO_REQUEST = object()
"""No answer is an answer to it."""

EVENT_STREAM = "text/event-stream"

Json = dict[str, Any]
Say = Callable[[Json], Awaitable[None]]


class Unanswered(Exception):
    """The endpoint did not answer this message; sending it again is safe."""


class SessionGone(Exception):
    """The endpoint does not know the session any more: it was restarted, or the session was idle for long."""


class Denied(Exception):
    """The endpoint refuses whoever asks; asking again will not help.  The text is its own."""


@define(eq=False)
class Relay:
    """One client's way to an endpoint."""

    http: httpx2.AsyncClient
    url: str
    say: Say
    """Give a message to the client."""

    tell: Callable[[str], None]
    """Give a line to whoever reads our standard error."""

    session: str | None = None
    version: str | None = None
    _opening: Json | None = None
    _subscriptions: dict[str, Json] = field(factory=dict)
    _lost: bool = False
    _reopening: trio.Lock = field(factory=trio.Lock)

    async def request(self, message: Json) -> None:
        """Send a request and give the client its answer, whatever becomes of it."""
        try:
            answer = await self._persist(message)
        except Denied as denied:
            answer = failure(message["id"], REFUSED, str(denied))
        except Unanswered as unanswered:
            answer = failure(message["id"], UNREACHABLE, f"hive cannot be reached: {unanswered}")
        await self.say(answer)

    async def notify(self, message: Json) -> None:
        """Send a notification, or the client's answer to a request; lost where the endpoint is."""
        try:
            await self.http.post(self.url, content=orjson.dumps(message), headers=self._headers(message))
        except httpx2.TransportError as error:
            self._note_loss(error)

    async def listen(self) -> None:
        """Give the client what the endpoint says unasked, in the handshake era, for ever.

        Does not open a lost session again: a request does, which is owed an answer.
        """
        delay, interrupted = FIRST_DELAY, False
        while True:
            try:
                headers = {**self._headers({}), "accept": EVENT_STREAM}
                async with self.http.stream("GET", self.url, headers=headers) as response:
                    if response.status_code == httpx2.codes.OK:
                        delay = FIRST_DELAY
                        if interrupted:
                            await self._catch_up()
                        await self._hear(response)
            except httpx2.TransportError:
                pass  # whoever makes a request says so
            interrupted = True
            await trio.sleep(delay)
            delay = min(2 * delay, LAST_DELAY)

    async def _hear(self, response: httpx2.Response, request: object = NO_REQUEST) -> Json | None:
        """Give the client what a stream says, up to the answer to a request, which is returned."""
        async for event in httpx2.EventSource(response, max_event_size=REQUEST_BYTES):
            message = _json(event.data)
            # An event without data only marks where a stream begins.
            if not message:
                continue
            self._note_return()
            if "method" not in message and message.get("id") == request:
                return message
            await self.say(message)
        return None

    async def _catch_up(self) -> None:
        """Nobody knows what the client missed: it is to read again whatever it watches."""
        for uri in self._subscriptions:
            await self.say(
                {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}}
            )

    async def leave(self) -> None:
        """End the session, if there is one."""
        with trio.move_on_after(FAREWELL_SECONDS, shield=True):
            if self.session:
                try:
                    await self.http.delete(self.url, headers=self._headers({}))
                except httpx2.TransportError as error:
                    self._note_loss(error)

    # --- one message, until it is answered ---------------------------------------------------------

    async def _persist(self, message: Json) -> Json:
        delay, deadline = FIRST_DELAY, inf
        while True:
            began = trio.current_time()
            try:
                answer = await self._attempt(message)
            except (httpx2.TransportError, Unanswered, SessionGone) as error:
                self._note_loss(error)
                now = trio.current_time()
                if deadline == inf or now - began > LAST_DELAY:  # it was connected for a while
                    delay, deadline = FIRST_DELAY, now + PATIENCE_SECONDS
                if now + delay > deadline:
                    raise Unanswered(str(error)) from error
                await trio.sleep(delay)
                delay = min(2 * delay, LAST_DELAY)
            else:
                self._remember(message, answer)
                return answer

    async def _attempt(self, message: Json) -> Json:
        session = self.session
        try:
            return await self._exchange(message)
        except SessionGone:
            await self._reopen(session)
        return await self._exchange(message)

    async def _exchange(self, message: Json) -> Json:
        """Send a request and return its answer; what comes before the answer goes to the client."""
        content, headers = orjson.dumps(message), self._headers(message)
        async with self.http.stream("POST", self.url, content=content, headers=headers) as response:
            if response.headers.get("content-type", "").startswith(EVENT_STREAM):
                self._meet(message, response)
                heard = await self._hear(response, message["id"])
                if heard is None:
                    raise Unanswered("the answer was cut off")
                return heard
            answer = _json(await response.aread())
            if "jsonrpc" not in answer or answer.get("id", message["id"]) is None:
                self._refused(response.status_code, answer)
            self._meet(message, response)
            self._note_return()
            return {**answer, "id": message["id"]}

    def _refused(self, status: int, answer: Json) -> None:
        """Raise what an HTTP answer means that is not an answer to our message."""
        if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
            raise Unanswered(f"status {status}")
        error = answer.get("error")
        if status == httpx2.codes.NOT_FOUND and self.session and not isinstance(error, str):
            raise SessionGone
        text = error if isinstance(error, str) else cast("Json", error or {}).get("message")
        raise Denied(text or f"the endpoint answered with status {status}")

    async def _reopen(self, gone: str | None) -> None:
        """Open the session again, once for everybody who found it gone, and watch again what was watched."""
        async with self._reopening:
            if self.session != gone or self._opening is None:
                return
            try:
                opening = {**self._opening, "id": OUR_REQUEST}
                self._remember(opening, await self._exchange(opening))
                await self.notify({"jsonrpc": "2.0", "method": "notifications/initialized"})
                for subscription in list(self._subscriptions.values()):
                    await self._exchange({**subscription, "id": OUR_REQUEST})
            except BaseException:
                # Half of it is nothing: the next attempt begins anew.
                self.session = gone
                raise

    # --- what is known of the conversation ---------------------------------------------------------

    def _headers(self, message: Json) -> dict[str, str]:
        headers = {"content-type": "application/json", "accept": f"application/json, {EVENT_STREAM}"}
        params = message.get("params") or {}
        modern = era_of(message)
        if modern is None:
            known = {MCP_SESSION_HEADER: self.session, "mcp-protocol-version": self.version}
            opening = message.get("method") == "initialize"
            return headers | ({} if opening else {name: value for name, value in known.items() if value})
        headers |= {"mcp-protocol-version": modern, "mcp-method": str(message["method"])}
        name = params.get(NAME_BEARING_METHODS.get(message["method"], ""))
        return headers | ({"mcp-name": encode_header_value(name)} if isinstance(name, str) else {})

    def _meet(self, message: Json, response: httpx2.Response) -> None:
        if message.get("method") == "initialize":
            self.session = response.headers.get(MCP_SESSION_HEADER, self.session)

    def _remember(self, message: Json, answer: Json) -> None:
        """Keep what opening the session again will need."""
        match message:
            case {"method": "initialize"}:
                self._opening = message
                self.version = answer.get("result", {}).get("protocolVersion", self.version)
            case {"method": "resources/subscribe", "params": {"uri": str(uri)}}:
                self._subscriptions[uri] = message
            case {"method": "resources/unsubscribe", "params": {"uri": str(uri)}}:
                self._subscriptions.pop(uri, None)

    def _note_return(self) -> None:
        if self._lost:
            self._lost = False
            self.tell("hive answers again.")

    def _note_loss(self, error: Exception) -> None:
        if not self._lost:
            self._lost = True
            self.tell(f"hive cannot be reached ({error}); trying again for {PATIENCE_SECONDS:g} s.")


def era_of(message: Mapping[str, Any]) -> str | None:
    """The protocol version a message of the newer wire names; None on the older one."""
    meta = (message.get("params") or {}).get("_meta") or {}
    version = meta.get(PROTOCOL_VERSION_META_KEY)
    return version if isinstance(version, str) else None


def failure(request: object, code: int, text: str) -> Json:
    """An error in answer to a request."""
    return {"jsonrpc": "2.0", "id": request, "error": {"code": code, "message": text}}


def _json(text: str | bytes) -> Json:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
