"""The application as ASGI sees it: what becomes of answers that cannot be written."""

from typing import TYPE_CHECKING

import orjson
import pytest
import trio

from hive.mcp.app import EndpointApp
from hive.mcp.inprocess import running

if TYPE_CHECKING:
    from starlette.types import Message, Scope

    from tests.mcp.conftest import House


def calling(agent: str, tool: str, **arguments: object) -> "tuple[Scope, bytes]":
    """A call of a tool on the newer wire, without anything that identifies it."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    headers = {
        "host": "localhost",
        "authorization": f"Bearer {agent}-token",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": tool,
    }
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/mcp/{agent}",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return scope, orjson.dumps(body)


async def unwritable(app: EndpointApp, call: "tuple[Scope, bytes]") -> None:
    """Make a call whose answer fails to be written."""
    scope, body = call
    requests = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> "Message":
        if not requests:
            await trio.sleep_forever()
        return requests.pop()

    async def send(_: "Message") -> None:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError

    with pytest.RaisesGroup(trio.BrokenResourceError, flatten_subgroups=True):
        await app(scope, receive, send)


async def test_mail_in_an_answer_that_cannot_be_written_waits_again(quiet_house: "House") -> None:
    """What was claimed for it is released."""
    await quiet_house.mail("iris", "keep me")
    app = EndpointApp(quiet_house.parts)
    async with running(app):
        await unwritable(app, calling("iris", "recv"))
        await quiet_house.until(lambda: quiet_house.states("iris") == ["ready"])


async def test_a_send_whose_answer_cannot_be_written_is_repeated_without_a_second_message(
    quiet_house: "House",
) -> None:
    """The same call again finds the answer that was lost."""
    app = EndpointApp(quiet_house.parts)
    async with running(app):
        for _ in range(2):
            await unwritable(app, calling("iris", "send", to="rose", body="once"))

    assert quiet_house.states("rose") == ["ready"]
