"""The tools without sockets: one story over both implementations, in virtual time."""

from contextlib import AsyncExitStack
from itertools import count
from typing import TYPE_CHECKING

import pytest
import trio

from hive.agents.tools import ToolsDown
from hive.mcp.app import EndpointApp
from hive.mcp.inprocess import asgi_tools, direct_tools, running
from hive.protocol.commands import EndTurn
from hive.protocol.outcome import Outcome

if TYPE_CHECKING:
    from hive.agents.tools import OpenTools
    from tests.mcp.conftest import House


@pytest.mark.parametrize("way", ["direct", "asgi"])
async def test_a_turn_sends_waits_and_receives(
    autojump_clock: object, quiet_house: "House", way: str
) -> None:
    """The same answers, whichever way: mail, a wait in no time, refusals, and evidence that mail was seen."""
    house, numbers = quiet_house, count()
    async with AsyncExitStack() as stack:
        app = EndpointApp(house.parts)
        await stack.enter_async_context(running(app))
        ways: dict[str, OpenTools] = {
            "direct": direct_tools(house.parts),
            "asgi": asgi_tools(app, lambda: f"use-{next(numbers)}"),
        }
        session = await house.begin_with("iris", "go")
        async with ways[way](session) as tools:
            sent = await tools.call("send", {"to": "rose", "body": "hello"})
            twice = await tools.call("send", {"to": "rose", "body": "hello"})
            nothing = await tools.call("recv", {"wait_seconds": 20})
            await house.mail("iris", "for you", sender="rose")
            got = await tools.call("recv", {})
            wrong = await tools.call("send", {})
            unknown = await tools.call("fly", {})

    assert sent.ok
    assert twice.ok
    assert house.states("rose") == ["ready", "ready"], "two calls are two messages"
    assert nothing.text == "No mail is waiting."
    assert "for you" in got.text
    assert not wrong.ok
    assert "$.to: required" in wrong.text
    assert not unknown.ok
    assert "no tool 'fly'" in unknown.text
    assert session.turn is not None
    await house.store.submit(EndTurn(session.turn, Outcome.OK)).outcome()
    assert house.states("iris") == ["done", "done"]


async def test_an_endpoint_that_is_down_is_down(autojump_clock: object, quiet_house: "House") -> None:
    """Without its lifespan nothing answers."""
    open_tools = asgi_tools(EndpointApp(quiet_house.parts), "use".__str__)
    async with open_tools(quiet_house.parts.sessions.mint("iris")) as tools:
        with pytest.raises(ToolsDown):
            await tools.call("whoami", {})


async def test_a_session_that_ended_is_refused(autojump_clock: object, quiet_house: "House") -> None:
    """Over HTTP its token opens nothing any more."""
    app = EndpointApp(quiet_house.parts)
    session = quiet_house.parts.sessions.mint("iris")
    quiet_house.parts.sessions.end(session)
    async with running(app), asgi_tools(app, "use".__str__)(session) as tools:
        with pytest.raises(ToolsDown):
            await tools.call("whoami", {})


async def test_a_call_given_up_in_process_takes_nothing(autojump_clock: object, quiet_house: "House") -> None:
    """As over HTTP."""
    session = await quiet_house.begin_with("iris", "go")
    await quiet_house.mail("iris", "keep me")
    async with direct_tools(quiet_house.parts)(session) as tools:
        with trio.CancelScope() as scope:
            scope.cancel()
            await tools.call("recv", {})
    await quiet_house.until(lambda: quiet_house.states("iris")[-1] == "ready")

    assert scope.cancelled_caught
