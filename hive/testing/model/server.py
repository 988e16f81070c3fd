"""A scripted model on a socket: real CLIs talk to it as they would to a provider.

The rule kept here: whatever goes wrong is answered at once and with its reason, since a CLI that is left
without one tries again for minutes; and whoever leaves, leaves at once, whichever side it is.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import cast

import orjson
import trio
from attrs import define, evolve, field
from hypercorn.typing import ASGIFramework
from starlette.types import Receive, Scope, Send

from hive.asgi import Endpoint, HttpServer
from hive.sockets import open_tcp
from hive.testing.model.conversation import Asked, Brain, Failure, Reply
from hive.testing.model.naming import finished
from hive.testing.model.routes import Route, called, key_of, routed
from hive.testing.model.rules import Rule, Ruled
from hive.testing.model.script import scripted
from hive.testing.model.wire import Json, openai_failure

HOST = "127.0.0.1"
GRACE = 0.5
"""Seconds for answers that are being written when the block is left."""

BYTES_PER_TOKEN = 4
"""So long is a token where somebody asks how many there are."""

UNKNOWN = Failure(HTTPStatus.NOT_FOUND, "not_found_error", "a scripted model has nothing at this address")
NO_JSON = Failure(HTTPStatus.BAD_REQUEST, "invalid_request_error", "the request's body is no JSON object")
WRONG_KEY = Failure(HTTPStatus.UNAUTHORIZED, "authentication_error", "this is not the key I was given")


def _new_id() -> str:
    return secrets.token_hex(12)


@define(eq=False)
class ScriptedModel:
    """A model that serves; made by `scripted_model`."""

    url: str
    """Where it is: `http://127.0.0.1:PORT`.  OpenAI's clients want `/v1` behind it."""

    requests: list[Asked] = field(factory=list, kw_only=True)
    """What it was asked to answer, in order."""

    _brain: Brain = field(repr=False)
    _key: str | None = field(repr=False)
    _names: Mapping[str, str] = field(repr=False)
    _new_id: Callable[[], str] = field(repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as an ASGI application."""
        if scope["type"] == "websocket":  # some clients try one first
            await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return
        body = await _body(receive)
        if body is None:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
            nursery.start_soon(_until_set, scope["hive.stopping"], nursery.cancel_scope)
            await self._respond(scope, body, send)
            nursery.cancel_scope.cancel()

    async def _respond(self, scope: Scope, body: bytes, send: Send) -> None:
        route = routed(scope["path"]) if scope["method"] == "POST" else None
        if route is None:
            await _send_json(send, UNKNOWN.status, openai_failure(UNKNOWN))
            return
        request = _decoded(body)
        if request is None:
            await _send_json(send, NO_JSON.status, route.wire.failure(NO_JSON))
        elif route.counts:
            await _send_json(send, HTTPStatus.OK, route.wire.count(len(body) // BYTES_PER_TOKEN))
        else:
            key = key_of(scope["headers"], scope["query_string"].decode("latin-1"))
            reply = self._answer(route, request, key)
            streams = request.get("stream") is True if route.streams is None else route.streams
            await _reply(send, route, reply, streams=streams)

    def _answer(self, route: Route, request: Json, key: str) -> Reply:
        named = {**request, "model": route.model} if route.model else request
        asked = evolve(route.wire.read(named), key=called(key, self._names))
        self.requests.append(asked)
        if self._key is not None and not secrets.compare_digest(key.encode(), self._key.encode()):
            return Reply(error=WRONG_KEY)
        try:
            return finished(self._brain(asked), asked, self._new_id)
        except Exception as error:  # noqa: BLE001 - whatever a brain raises, its CLI is told
            reason = f"{type(error).__name__}: {error}"
            return Reply(error=Failure(HTTPStatus.BAD_REQUEST, "invalid_request_error", reason))


@asynccontextmanager
async def scripted_model(
    rules: Iterable[Rule] = (),
    key: str | None = None,
    *,
    brain: Brain = scripted,
    names: Mapping[str, str] | None = None,
    new_id: Callable[[], str] = _new_id,
) -> AsyncIterator[ScriptedModel]:
    """Serve a model on a free port of 127.0.0.1 while the block runs.

    The first of the `rules` that fits a request answers, else the `brain`, which carries out the script in
    the prompt.  With a `key` any other is answered 401.  `names` says what keys are called in `requests`;
    others appear as fingerprints.  `new_id` draws ids, which must never repeat.

    Leaving the block, cancelled or not, ends all connections, also those that hang.
    """
    with open_tcp(HOST, 0) as listening:
        url = f"http://{HOST}:{listening.getsockname()[1]}"
        model = ScriptedModel(url, Ruled(tuple(rules), brain), key, names or {}, new_id)
        server = HttpServer(cast("ASGIFramework", model), [Endpoint(listening)], grace=GRACE)
        async with server.serving():
            yield model


async def _body(receive: Receive) -> bytes | None:
    """All of a request's body; None where its client has left."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _until_set(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _decoded(body: bytes) -> Json | None:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return request if isinstance(request, dict) else None


async def _reply(send: Send, route: Route, reply: Reply, *, streams: bool) -> None:
    await trio.sleep(reply.delay)
    if reply.error is not None:
        await _send_json(send, reply.error.status, route.wire.failure(reply.error), reply.headers)
        return
    if streams:
        await _send_head(send, HTTPStatus.OK, "text/event-stream", reply.headers)
        for frame in route.wire.frames(reply):
            await send({"type": "http.response.body", "body": frame, "more_body": True})
    elif not reply.unfinished:
        await _send_json(send, HTTPStatus.OK, route.wire.whole(reply), reply.headers)
    else:
        await _send_head(send, HTTPStatus.OK, "application/json", reply.headers)
    if reply.hang:
        await trio.sleep_forever()
    if streams and not reply.drop:  # an answer that is not ended is cut by the server
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_json(send: Send, status: int, data: Json, headers: Iterable[tuple[str, str]] = ()) -> None:
    body = orjson.dumps(data)
    await _send_head(send, status, "application/json", (*headers, ("content-length", str(len(body)))))
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _send_head(send: Send, status: int, kind: str, headers: Iterable[tuple[str, str]]) -> None:
    given = [("content-type", kind), *headers]
    encoded = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in given]
    await send({"type": "http.response.start", "status": int(status), "headers": encoded})
