"""The application as ASGI sees it: what becomes of answers that cannot be written."""

from typing import TYPE_CHECKING

import orjson
import pytest
import trio
import trio.testing

from hive.mcp.app import EndpointApp
from hive.mcp.inprocess import running
from tests.mcp.test_bad_input import INITIALIZE

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


def in_session(session: str | None, method: str, **params: object) -> "tuple[Scope, bytes]":
    """A request of iris's client on the older wire, which is answered by an event stream."""
    scope, _ = calling("iris", "")
    headers = [(name, value) for name, value in scope["headers"] if not name.startswith(b"mcp-")]
    if session:
        headers += [(b"mcp-session-id", session.encode()), (b"mcp-protocol-version", b"2025-11-25")]
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return {**scope, "headers": headers}, orjson.dumps(body)


async def hanging_up(app: EndpointApp, call: "tuple[Scope, bytes]", *, at: bytes) -> "list[Message]":
    """Make a call and hang up as soon as one piece of its answer is there; what was written."""
    scope, body = call
    requests = [{"type": "http.request", "body": body, "more_body": False}]
    enough = trio.Event()
    written: list[Message] = []

    async def receive() -> "Message":
        if requests:
            return requests.pop()
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: "Message") -> None:
        if enough.is_set():
            await trio.sleep_forever()
        written.append(message)
        if at in message.get("body", b"") and message["type"] == "http.response.body":
            enough.set()

    with trio.fail_after(10):
        await app(scope, receive, send)
    return written


@pytest.mark.parametrize(("at", "state"), [(b'"result"', "claimed"), (b"retry:", "ready")])
async def test_a_client_that_hangs_up_once_it_has_its_answer_keeps_what_was_in_it(
    quiet_house: "House", at: bytes, state: str
) -> None:
    """Clients do not wait for an event stream's end; one that leaves at its first event has got nothing."""
    await quiet_house.mail("iris", "mine")
    app = EndpointApp(quiet_house.parts)
    opening: dict[str, object] = INITIALIZE["params"]  # type: ignore[assignment]
    async with running(app):
        head, *_ = await hanging_up(app, in_session(None, "initialize", **opening), at=b'"result"')
        session = dict(head["headers"])[b"mcp-session-id"].decode()
        await hanging_up(app, in_session(session, "tools/call", name="recv", arguments={}), at=at)
        await trio.testing.wait_all_tasks_blocked()
        # What was given back is, before this is stored: commands keep their order.
        await quiet_house.mail("iris", "later")

    assert quiet_house.states("iris") == [state, "ready"]


async def test_a_send_whose_answer_cannot_be_written_is_repeated_without_a_second_message(
    quiet_house: "House",
) -> None:
    """The same call again finds the answer that was lost."""
    app = EndpointApp(quiet_house.parts)
    async with running(app):
        for _ in range(2):
            await unwritable(app, calling("iris", "send", to="rose", body="once"))

    assert quiet_house.states("rose") == ["ready"]
