"""The agents' own sockets: whose they are, when they are there, and that they serve."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from hive.asgi import Endpoint, HttpServer
from hive.mcp.identity import AGENT_ENTRY, OWNER_ENTRY
from hive.mcp.serving import endpoint_server
from hive.mcp.sockets import LOOK_SECONDS, AgentSockets, admit
from hive.protocol.commands import AddAgent, RemoveAgent
from hive.sockets import Credentials, open_tcp

if TYPE_CHECKING:
    from tests.mcp.conftest import House


async def test_an_agents_own_client_needs_no_token_on_its_socket(house: "House", era: str) -> None:
    """It is that agent's client, from outside, with leases."""
    await house.mail("iris", "to do")
    async with house.client("iris", era=era, own_socket=True) as iris:
        got = house.said(await iris.call_tool("recv", {}))
        house.said(await iris.call_tool("send", {"to": "rose", "body": "from the socket"}))

    assert "Held for you" in got
    (mail,) = house.store.reader.mailbox("rose").mail
    assert (mail.sender, mail.provenance) == ("iris", "outside")


async def test_a_session_token_is_the_session_on_the_socket_too(house: "House") -> None:
    """What the socket gives without a token is less than a token gives."""
    session = await house.begin_with("iris", "go")
    async with house.client("iris", session.token, own_socket=True) as iris:
        names = {tool.name for tool in (await iris.list_tools()).tools}

    assert "ack" not in names


async def test_a_socket_comes_and_goes_with_its_agent(house: "House") -> None:
    """At once, in a directory of its own, while the others are served."""
    await house.add("late")
    await house.until(house.socket("late").exists)
    async with house.client("late", own_socket=True) as late:
        assert "You are late" in house.said(await late.call_tool("whoami", {}))
    mode = house.socket("late").parent.stat().st_mode
    await house.perform(RemoveAgent("late"))
    await house.until(lambda: not house.socket("late").exists())
    async with house.client("iris", own_socket=True) as iris:
        house.said(await iris.call_tool("whoami", {}))

    assert stat.S_IMODE(mode) == 0o700


async def test_an_agent_that_comes_back_is_served_again(house: "House") -> None:
    """Its old socket is no obstacle."""
    await house.perform(RemoveAgent("rose"))
    await house.until(lambda: not house.socket("rose").exists())
    await house.perform(AddAgent("rose"))
    await house.until(house.socket("rose").exists)
    async with house.client("rose", own_socket=True) as rose:
        house.said(await rose.call_tool("whoami", {}))


async def test_one_agents_trouble_is_not_the_others(house: "House") -> None:
    """Something is in the way of its socket: it is reported, and tried again at the next look."""
    blocked = house.socket("blocked")
    blocked.parent.mkdir(mode=0o700)
    blocked.write_text("no socket")
    await house.add("blocked", "fine")
    await house.until(house.socket("fine").exists)
    assert "no socket is in the way" in str(house.errors[0])
    blocked.unlink()
    await house.add("another")
    await house.until(blocked.exists)
    house.errors.clear()


async def test_the_agents_are_looked_at_when_nobody_announces_them(
    autojump_clock: object, quiet_house: "House"
) -> None:
    """Half a minute at most."""
    server = HttpServer(None, [])  # type: ignore[arg-type]
    sockets = AgentSockets(quiet_house.run, quiet_house.store, server, quiet_house.errors.append)
    sockets.reconcile()
    assert len(server.listeners) == 2
    await quiet_house.add("late")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sockets.keep)
        await trio.testing.wait_all_tasks_blocked()
        sockets._on_commit((), ())
        late = server.listeners[-1]
        sockets._close("late")
        await trio.sleep(LOOK_SECONDS + 1)
        assert late not in server.listeners
        assert len(server.listeners) == 3
        nursery.cancel_scope.cancel()
    sockets.close()

    assert server.listeners == []
    assert not quiet_house.socket("late").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_the_socket_of_an_agent_with_a_user_of_its_own_is_that_users(
    quiet_house: "House",
) -> None:
    """Directory and socket; root and that user may connect."""
    with (
        open_tcp("127.0.0.1", 0) as tcp,
        endpoint_server(quiet_house.parts, [tcp], quiet_house.run, owner=lambda _: 4242) as server,
    ):
        path = quiet_house.socket("iris")
        owners = {path.stat().st_uid, path.parent.stat().st_uid}
        endpoint = next(one for one in server.listeners if one.scope.get(AGENT_ENTRY) == "iris")
        admitted = [admit(endpoint, Credentials(1, uid, uid)) for uid in (0, 4242, 4243)]

    assert owners == {4242}
    assert admitted == [True, True, False]


async def test_without_a_run_directory_there_are_no_sockets(quiet_house: "House") -> None:
    """Only the port."""
    with open_tcp("127.0.0.1", 0) as tcp, endpoint_server(quiet_house.parts, [tcp], None) as server:
        assert len(server.listeners) == 1


def test_who_may_connect_to_a_socket(tmp_path: Path) -> None:
    """Its owner and root; everybody may knock at the port, where a token is asked for."""
    with open_tcp("127.0.0.1", 0) as tcp:
        port = Endpoint(tcp)
        own = Endpoint(tcp, {AGENT_ENTRY: "iris", OWNER_ENTRY: 1000})
        unknown = Endpoint(tcp, {AGENT_ENTRY: "iris"})

        assert admit(port, None)
        assert admit(own, Credentials(1, 1000, 1000))
        assert admit(own, Credentials(1, 0, 0))
        assert not admit(own, Credentials(1, 1001, 1001))
        assert not admit(own, None)
        assert not admit(unknown, Credentials(1, 1000, 1000))
