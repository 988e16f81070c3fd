"""An incarnation of the endpoint ends: those who wait are told, and nothing holds it up."""

from typing import TYPE_CHECKING

import pytest
import trio

if TYPE_CHECKING:
    from tests.mcp.conftest import House

SOON = 1.5
"""Seconds; well below the grace, after which connections would be cut off."""


async def test_an_endpoint_leaves_at_once_while_clients_wait_and_listen(house: "House") -> None:
    """A waiting `recv` is answered, listening streams of both wires end; the next incarnation serves."""
    answers: list[str] = []
    async with house.client("iris") as newer, house.client("rose", era="legacy") as older:

        async def wait() -> None:
            answers.append(house.said(await newer.call_tool("recv", {"wait_seconds": 20})))

        async with (
            trio.open_nursery() as nursery,
            newer.listen(resource_subscriptions=["hive://inbox"]) as told,
        ):
            nursery.start_soon(wait)
            await older.call_tool("whoami", {})
            await trio.sleep(0.2)
            before = trio.current_time()
            await house.stop_endpoint()
            took = trio.current_time() - before
            assert [event async for event in told] == []
            # The client goes on to list the tools, which waits for somebody to accept it.
            await house.start_endpoint()
        assert "You are iris" in house.said(await newer.call_tool("whoami", {}))

    assert "restarting" in answers[0]
    assert took < SOON


async def test_a_session_of_an_earlier_incarnation_is_unknown(house: "House") -> None:
    """404, after which a client of the handshake era begins anew."""
    initialize = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    headers = {"accept": "application/json, text/event-stream"}
    async with house.http("iris-token") as http:
        opened = await http.post(house.url("iris"), json=initialize, headers=headers)
        await house.stop_endpoint()
        await house.start_endpoint()
        headers["mcp-session-id"] = opened.headers["mcp-session-id"]
        answer = await http.post(
            house.url("iris"), json={"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, headers=headers
        )

    assert answer.status_code == 404


@pytest.mark.parametrize("own_socket", [False, True])
async def test_requests_between_two_incarnations_are_answered_by_the_next(
    house: "House", *, own_socket: bool
) -> None:
    """The sockets stay open, so nobody is refused."""
    await house.stop_endpoint()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.start_endpoint)
        async with house.client("iris", own_socket=own_socket) as iris:
            assert "You are iris" in house.said(await iris.call_tool("whoami", {}))
