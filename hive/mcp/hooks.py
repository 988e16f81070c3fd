"""The other door of an endpoint: a plain POST with which something outside wakes the agent.

The rule kept here: whatever credential opens it, what comes through is from outside.
"""

from contextlib import aclosing

import orjson
from attrs import evolve
from mcp.server.transport_security import TransportSecurityMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hive.mcp.arguments import read
from hive.mcp.desk import Call, Desk
from hive.mcp.sending import WakeArguments, wake
from hive.mcp.server import CALLER_ENTRY, DELIVERY_ENTRY, STOPPING_ENTRY
from hive.mcp.sessions import REQUEST_BYTES, SECURITY
from hive.protocol.errors import HiveRefusal, Malformed

KEY_HEADER = "idempotency-key"

_STATUS = {"malformed": 400, "unavailable": 503}
_REFUSED = 409


async def receive_wake(desk: Desk, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request to wake the agent whose endpoint it came to."""
    request = Request(scope, receive)
    wrong = await TransportSecurityMiddleware(SECURITY).validate_request(request, is_post=True)
    try:
        response = wrong or await _wake(desk, request)
    except ClientDisconnect:
        return  # before it had said what it wanted: nothing was done, and nobody is left to be told
    await response(scope, receive, send)


async def _wake(desk: Desk, request: Request) -> Response:
    if request.method != "POST":
        return _json(405, error="Use POST with a JSON object of label and body.")
    call = Call(
        caller=evolve(request.scope[CALLER_ENTRY], session=None),
        desk=desk,
        delivery=request.scope[DELIVERY_ENTRY],
        stopping=request.scope[STOPPING_ENTRY],
        tool_use=request.headers.get(KEY_HEADER),
    )
    try:
        arguments = read(WakeArguments, await _object(request))
        return _json(200, text=await wake(call, arguments))
    except HiveRefusal as refusal:
        return _json(_STATUS.get(refusal.code, _REFUSED), error=refusal.text)


async def _object(request: Request) -> dict[str, object]:
    body = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > REQUEST_BYTES:
                raise Malformed("This is too long to be a message.")
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"This is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise Malformed("This is not a JSON object of label and body.")
    return given


def _json(status: int, **content: str) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")
