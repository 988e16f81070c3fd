"""The HTTP side of the stdio bridge, against an endpoint that answers as it is told."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import orjson
import pytest
from attrs import define, field
from trio.testing import MockClock

from hive.mcp.relay import OUR_REQUEST, REFUSED, UNREACHABLE, Relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Json = dict[str, Any]
Reply = Callable[[Json], httpx2.Response]


def ok(message: Json) -> httpx2.Response:
    """Answer well; an initialize opens the session `new`."""
    opening = message.get("method") == "initialize"
    result = {"protocolVersion": "2025-11-25"} if opening else {}
    headers = {"mcp-session-id": "new"} if opening else {}
    return httpx2.Response(
        200, json={"jsonrpc": "2.0", "id": message.get("id"), "result": result}, headers=headers
    )


def gone(_: Json) -> httpx2.Response:
    """Know no such session."""
    error = {"code": -32600, "message": "Session not found"}
    return httpx2.Response(404, json={"jsonrpc": "2.0", "id": None, "error": error})


def lost(_: Json) -> httpx2.Response:
    """Be away."""
    raise httpx2.ConnectError("away")


def busy(_: Json) -> httpx2.Response:
    """Be starting."""
    return httpx2.Response(503, json={"error": "starting"})


def cut_off(_: Json) -> httpx2.Response:
    """Begin a stream that ends before the answer."""
    return httpx2.Response(200, content=b": ping\n\n", headers={"content-type": "text/event-stream"})


def nonsense(_: Json) -> httpx2.Response:
    """Be something else altogether."""
    return httpx2.Response(200, content=b"<html>")


@define(eq=False)
class Endpoint:
    """An endpoint that answers one message after the other as it is told, and well afterwards."""

    replies: list[Reply]
    asked: list[tuple[str, object, str | None]] = field(factory=list)
    said: list[Json] = field(factory=list)
    told: list[str] = field(factory=list)

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        message = orjson.loads(request.content)
        self.asked.append((message["method"], message.get("id"), request.headers.get("mcp-session-id")))
        if "id" not in message:
            return httpx2.Response(202)
        return (self.replies.pop(0) if self.replies else ok)(message)

    async def say(self, message: Json) -> None:
        """Take what is for the client."""
        self.said.append(message)


@asynccontextmanager
async def relaying(*replies: Reply) -> "AsyncIterator[tuple[Relay, Endpoint]]":
    """A relay whose session `old` is open and watches the inbox."""
    endpoint = Endpoint([])
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(endpoint)) as http:
        relay = Relay(http, "http://localhost/mcp/iris", endpoint.say, endpoint.told.append)
        await relay.request({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}})
        await relay.request(
            {"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": "x"}}
        )
        relay.session = "old"
        endpoint.asked.clear()
        endpoint.said.clear()
        endpoint.replies = list(replies)
        yield relay, endpoint


ASK = {"jsonrpc": "2.0", "id": 7, "method": "tools/list"}
OPENED = [
    ("initialize", OUR_REQUEST, None),
    ("notifications/initialized", None, "new"),
    ("resources/subscribe", OUR_REQUEST, "new"),
]


async def test_a_session_that_is_gone_is_opened_again_as_the_client_opened_it() -> None:
    """With what it watched; then the message is sent again, and only its answer reaches the client."""
    async with relaying(gone) as (relay, endpoint):
        await relay.request(ASK)

    assert endpoint.asked == [("tools/list", 7, "old"), *OPENED, ("tools/list", 7, "new")]
    assert endpoint.said == [{"jsonrpc": "2.0", "id": 7, "result": {}}]


@pytest.mark.parametrize("fails", [lost, busy, cut_off])
@pytest.mark.parametrize("well", [0, 1])
async def test_a_session_half_opened_is_opened_anew(
    autojump_clock: MockClock, fails: Reply, well: int
) -> None:
    """Whether the handshake or a subscription fails, nothing of it is left out the next time."""
    async with relaying(gone, *[ok] * well, fails, gone) as (relay, endpoint):
        await relay.request(ASK)

    assert endpoint.asked[-4:] == [*OPENED, ("tools/list", 7, "new")]
    assert endpoint.said == [{"jsonrpc": "2.0", "id": 7, "result": {}}]
    assert [line.split(" (")[0] for line in endpoint.told] == [
        "hive cannot be reached",
        "hive answers again.",
    ]


@pytest.mark.parametrize("fails", [lost, busy, cut_off])
async def test_a_message_is_sent_until_it_is_answered(autojump_clock: MockClock, fails: Reply) -> None:
    """A person is told once that it is lost and once that it is back."""
    async with relaying(fails, fails, fails) as (relay, endpoint):
        await relay.request(ASK)

    assert [method for method, _, _ in endpoint.asked] == ["tools/list"] * 4
    assert endpoint.said == [{"jsonrpc": "2.0", "id": 7, "result": {}}]
    assert len(endpoint.told) == 2


async def test_what_stays_unanswered_becomes_an_error(autojump_clock: MockClock) -> None:
    """After a minute."""
    async with relaying(*[busy] * 100) as (relay, endpoint):
        await relay.request(ASK)

    assert endpoint.said[0]["error"]["code"] == UNREACHABLE
    assert "status 503" in endpoint.said[0]["error"]["message"]


async def test_something_that_is_no_endpoint_is_not_asked_again() -> None:
    """The client is told at once."""
    async with relaying(nonsense) as (relay, endpoint):
        await relay.request(ASK)

    assert endpoint.said[0]["error"] == {"code": REFUSED, "message": "the endpoint answered with status 200"}


async def test_a_notification_is_not_repeated() -> None:
    """It is lost where the endpoint is."""
    async with relaying() as (relay, endpoint):
        relay.http = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: lost({})))
        await relay.notify({"jsonrpc": "2.0", "method": "notifications/progress"})
        await relay.leave()

    assert len(endpoint.told) == 1


async def test_what_is_not_watched_any_more_is_not_watched_again() -> None:
    """Unsubscribing is remembered."""
    async with relaying(ok, gone) as (relay, endpoint):
        await relay.request({**ASK, "method": "resources/unsubscribe", "params": {"uri": "x"}})
        await relay.request(ASK)

    assert ("resources/subscribe", OUR_REQUEST, "new") not in endpoint.asked
