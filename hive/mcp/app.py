"""The endpoint as an ASGI application: who calls is decided here, before anything is read.

The rule kept here: the SDK sees a request only together with its caller, and a session of the handshake era
answers nobody but the credential that opened it.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import anyio
import orjson
import trio
from attrs import define, field
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from hive.mcp.delivery import Delivery
from hive.mcp.hooks import receive_wake
from hive.mcp.identity import Caller, Knock, Refusal, Service, identify
from hive.mcp.parts import McpParts
from hive.mcp.server import CALLER_ENTRY, DELIVERY_ENTRY, STOPPING_ENTRY, Incarnation
from hive.mcp.sessions import SessionManager
from hive.mcp.waiting import first_of

Background = Callable[[], Awaitable[None]]


@define(eq=False)
class EndpointApp:
    """The endpoints of all agents: one application, whose lifespan is one incarnation.

    `background` runs beside each incarnation and is cancelled with it.
    """

    parts: McpParts
    background: Sequence[Background] = ()
    incarnate: Callable[[McpParts], Incarnation] = Incarnation
    _living: tuple[Incarnation, SessionManager] | None = field(default=None, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        match scope["type"]:
            case "lifespan":
                await self._live(receive, send)
            case "http":
                await self._answer(scope, receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1008})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        incarnation = self.incarnate(self.parts)
        manager = incarnation.manager()
        unsubscribe = self.parts.store.subscribe(incarnation.notifier.on_commit)
        try:
            async with trio.open_nursery() as nursery, manager.run():
                for run in (incarnation.notifier.deliver, *self.background):
                    nursery.start_soon(run)
                self._living = incarnation, manager
                await send({"type": "lifespan.startup.complete"})
                await receive()
                nursery.cancel_scope.cancel()
        finally:
            self._living = None
            unsubscribe()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        knock = Knock.of(scope)
        caller = identify(knock, self.parts.store.reader, self.parts.sessions)
        if isinstance(caller, Refusal):
            await refuse(caller, send)
            return
        if self._living is None:
            await refuse(Refusal(503, "This endpoint is starting or leaving; try again in a moment."), send)
            return
        incarnation, manager = self._living
        scope = let_in(scope, caller)
        delivery = scope[DELIVERY_ENTRY]
        hear, say = _watched(scope, receive, send)
        try:
            if knock.target and knock.target[1] is Service.WAKE:
                await receive_wake(incarnation.desk, scope, hear, say)
            else:
                # A session that ends under a late notification: the SDK has answered it and fails afterwards.
                # A client that leaves in the middle of its request: there is nobody to answer.
                with suppress(anyio.ClosedResourceError, ClientDisconnect):
                    await manager.handle_request(scope, hear, say)
        finally:
            delivery.lose()


def let_in(scope: Scope, caller: Caller) -> dict[str, Any]:
    """A request's scope with who calls, the way back, and what binds an MCP session to its credential."""
    token = AccessToken(token="-", client_id=caller.agent, scopes=[caller.role], subject=caller.credential)  # noqa: S106
    return {
        STOPPING_ENTRY: trio.Event(),
        **scope,
        "user": AuthenticatedUser(token),
        CALLER_ENTRY: caller,
        DELIVERY_ENTRY: Delivery(),
    }


async def refuse(refusal: Refusal, send: Send) -> None:
    """Answer a request that is not let in."""
    headers = [(b"content-type", b"application/json")]
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Bearer realm="hive"'))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps({"error": refusal.text})})


def _watched(scope: Scope, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """The two ways of a request, watched for whether its answer arrives."""
    delivery: Delivery = scope[DELIVERY_ENTRY]
    stopping: trio.Event = scope[STOPPING_ENTRY]

    async def hear() -> Message:
        heard: list[Message] = []

        async def listen() -> None:
            heard.append(await receive())

        # A standing stream has no end of its own: it ends when its listener leaves.
        await (first_of(listen, stopping.wait) if scope["method"] == "GET" else listen())
        message = heard[0] if heard else {"type": "http.disconnect"}
        if message["type"] == "http.disconnect":
            delivery.left()
        return message

    over = False

    async def say(message: Message) -> None:
        nonlocal over
        if over:  # the SDK answers a second time where a session ends under a notification
            return
        over = message["type"] == "http.response.body" and not message.get("more_body", False)
        await send(message)
        if over or _holds_answer(message.get("body", b"")):
            delivery.arrived()

    return hear, say


def _holds_answer(piece: bytes) -> bool:
    """Whether this piece of an event stream holds what was asked for, and not only what was said meanwhile.

    Clients hang up as soon as they have it, and do not wait for the stream to end.
    """
    lines = (line.removeprefix(b"data:").strip() for line in piece.splitlines() if line.startswith(b"data:"))
    return any(line and "method" not in orjson.loads(line) for line in lines)
