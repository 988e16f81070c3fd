"""How many MCP sessions an agent has, and whose goes when there are too many, on both wires."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import trio
import trio.testing
from attrs import define, field, frozen
from mcp import MCPError
from mcp.client.subscriptions import ResourcesListChanged

from hive.mcp.app import EndpointApp
from hive.mcp.desk import REPEATS, TOUCH_SECONDS, Call, Desk
from hive.mcp.identity import Caller, token_hash
from hive.mcp.parts import McpParts
from hive.mcp.server import Incarnation
from hive.mcp.sessions import SESSIONS
from hive.mcp.subscriptions import LISTENERS
from hive.mcp.tools import ToolSpec
from hive.protocol.commands import SetClientToken
from tests.mcp.test_bad_input import ENVELOPE, HEADERS, INITIALIZE, MODERN
from tests.mcp.test_stdio import opened

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.mcp.conftest import House

LISTING = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


@define(eq=False)
class Opener:
    """A client that opens sessions at one agent's endpoint and says no goodbye."""

    http: httpx2.AsyncClient
    url: str

    async def open(self) -> str:
        """Open a session; its id."""
        answer = await self.http.post(self.url, json=INITIALIZE, headers=HEADERS)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["mcp-session-id"])

    async def ask(self, session: str | None, message: dict[str, Any] = LISTING) -> int:
        """Make a request in a session, or on the newer wire without one; the status of its answer."""
        headers = HEADERS | {"mcp-session-id": session} if session else MODERN | {"mcp-method": "tools/list"}
        asked = message if session else {**message, "params": {"_meta": ENVELOPE}}
        answer = await self.http.post(self.url, json=asked, headers=headers)
        return answer.status_code


@asynccontextmanager
async def opener(house: "House", agent: str) -> AsyncIterator[Opener]:
    """Such a client with the agent's client token."""
    async with house.http(f"{agent}-token") as http:
        yield Opener(http, house.url(agent))


async def tasks() -> int:
    """How many tasks are alive once nothing moves any more: a session is a dozen."""
    await trio.testing.wait_all_tasks_blocked(0.05)
    return trio.lowlevel.current_statistics().tasks_living


@pytest.mark.parametrize("openings", [3 * SESSIONS, pytest.param(1000, marks=pytest.mark.slow)])
async def test_who_opens_sessions_without_end_loses_only_its_own(house: "House", openings: int) -> None:
    """Afterwards as many are open as after the first few, and another agent's first still answers."""
    async with opener(house, "iris") as iris, opener(house, "rose") as rose:
        theirs = await rose.open()
        first, *_ = [await iris.open() for _ in range(SESSIONS)]
        alive = await tasks()
        *_, last = [await iris.open() for _ in range(openings - SESSIONS)]

        assert abs(await tasks() - alive) < SESSIONS
        assert [await iris.ask(first), await iris.ask(last), await rose.ask(theirs)] == [404, 200, 200]
        assert await rose.ask(await rose.open()) == 200


async def test_the_session_that_goes_is_the_one_idle_for_longest(house: "House") -> None:
    """Not the one opened first; and so many stay."""
    async with opener(house, "iris") as iris:
        oldest, *others = [await iris.open() for _ in range(SESSIONS)]
        assert await iris.ask(oldest) == 200
        newest = await iris.open()
        answers = [await iris.ask(session) for session in (oldest, *others, newest)]

    assert answers == [200, 404, *[200] * (SESSIONS - 2), 200]


@pytest.mark.parametrize(
    "message", [LISTING, {"jsonrpc": "2.0", "method": "notifications/initialized"}, {"x": 1}]
)
async def test_what_opens_no_session_takes_none_away(house: "House", message: dict[str, Any]) -> None:
    """A request that forgot its session is refused, and all that are open stay."""
    async with opener(house, "iris") as iris:
        sessions = [await iris.open() for _ in range(SESSIONS)]
        refused = await iris.http.post(iris.url, json=message, headers=HEADERS)
        answers = [await iris.ask(session) for session in sessions]

    assert 400 <= refused.status_code < 500
    assert answers == [200] * SESSIONS


async def test_a_session_that_was_ended_makes_room(house: "House") -> None:
    """By its client's goodbye."""
    async with opener(house, "iris") as iris:
        first, second, *_ = [await iris.open() for _ in range(SESSIONS)]
        await iris.http.delete(iris.url, headers={**HEADERS, "mcp-session-id": second})
        await iris.open()
        assert [await iris.ask(first), await iris.ask(second)] == [200, 404]


async def test_a_session_taken_away_ends_its_standing_stream(house: "House") -> None:
    """A client that only listens is idle, and learns at once that it has to open another session."""
    async with opener(house, "iris") as iris:
        session = await iris.open()
        headers = {"accept": "text/event-stream", "mcp-session-id": session}
        with trio.fail_after(10):
            async with iris.http.stream("GET", iris.url, headers=headers) as stream:
                assert stream.status_code == 200
                for _ in range(SESSIONS):
                    await iris.open()
                await stream.aread()

        assert await iris.ask(session) == 404


async def test_who_was_taken_away_is_told_of_nothing_more(house: "House") -> None:
    """The notifications of the sessions that are open are all that is kept ready."""
    incarnations: list[Incarnation] = []

    def incarnate(parts: McpParts) -> Incarnation:
        incarnations.append(Incarnation(parts))
        return incarnations[-1]

    usual = house.port
    app = EndpointApp(house.parts, incarnate=incarnate)
    async with house.serving(app) as house.port, opener(house, "iris") as iris:
        sessions = [await iris.open() for _ in range(SESSIONS)]
        assert [await iris.ask(session) for session in sessions] == [200] * SESSIONS
        await iris.open()
        still_open = sessions[1:]
    house.port = usual

    assert set(incarnations[0].notifier.audience("iris").clients) == set(still_open)


@frozen
class Nothing:
    """No arguments."""


@define(eq=False)
class Slow:
    """A tool that takes as long as it is told."""

    begun: int = 0
    done: trio.Event = field(factory=trio.Event)

    async def __call__(self, _call: Call, _arguments: Nothing) -> str:
        """Wait."""
        self.begun += 1
        await self.done.wait()
        return "done"


@asynccontextmanager
async def at_work(slow: Slow, client: Opener, sessions: Sequence[str]) -> AsyncIterator[list[int]]:
    """Have a slow tool called in each of these sessions until the block is left; the calls' statuses."""
    work = {**LISTING, "method": "tools/call", "params": {"name": "slow", "arguments": {}}}
    answers: list[int] = []

    async def call(session: str) -> None:
        answers.append(await client.ask(session, work))

    async with trio.open_nursery() as nursery:
        for session in sessions:
            nursery.start_soon(call, session)
        with trio.fail_after(10):
            while slow.begun < len(sessions):  # noqa: ASYNC110 - a tool has no event for its caller
                await trio.sleep(0.01)
        yield answers
        slow.done.set()


async def test_a_session_at_work_is_not_taken_away(house: "House") -> None:
    """However long ago it was asked: the idle ones go."""
    slow = Slow()
    async with house.with_tools(ToolSpec("slow", Nothing, slow, "Slow")), opener(house, "iris") as iris:
        sessions = [await iris.open() for _ in range(SESSIONS)]
        async with at_work(slow, iris, sessions[:1]) as answers:
            for _ in range(SESSIONS):
                await iris.open()
        assert [*answers, await iris.ask(sessions[0]), await iris.ask(sessions[1])] == [200, 200, 404]


async def test_where_all_sessions_are_at_work_their_agent_waits(house: "House") -> None:
    """And nobody else does."""
    slow = Slow()
    async with (
        house.with_tools(ToolSpec("slow", Nothing, slow, "Slow")),
        opener(house, "iris") as iris,
        opener(house, "rose") as rose,
    ):
        sessions = [await iris.open() for _ in range(SESSIONS)]
        async with at_work(slow, iris, sessions) as answers:
            refused = await iris.http.post(iris.url, json=INITIALIZE, headers=HEADERS)
            assert await rose.ask(await rose.open()) == 200

        assert answers == [200] * SESSIONS
        assert refused.status_code == 503
        assert refused.json() == {
            "error": f"Agent iris has {SESSIONS} MCP sessions at work; end one, or try again later."
        }
        assert await iris.ask(await iris.open()) == 200


async def test_the_bridge_opens_another_session_when_its_own_was_taken_away(house: "House") -> None:
    """Its program notices nothing."""
    async with opened(house.url("iris"), "iris-token", "legacy") as program, opener(house, "iris") as iris:
        for _ in range(SESSIONS):
            await iris.open()
        assert "You are iris" in await program.call("whoami")

    assert program.told in ([], ["hive answers again."]) or len(program.told) == 2


@pytest.mark.parametrize("wire", ["legacy", "2026-07-28"])
async def test_a_token_that_was_rotated_opens_nothing_any_more(house: "House", wire: str) -> None:
    """Not even a session that was opened with it, which goes on under the new one."""
    async with opener(house, "iris") as old, house.http("new-token") as http:
        new = Opener(http, old.url)
        session = await old.open() if wire == "legacy" else None
        before = await old.ask(session)
        await house.perform(SetClientToken("iris", token_hash("new-token")))
        after = [await old.ask(session), await new.ask(session)]

    assert [before, *after] == [200, 401, 200]


async def test_a_token_dies_with_its_process_in_its_open_sessions_too(house: "House") -> None:
    """Nothing is left behind that could act for the turn."""
    cli = await house.begin_with("iris", "go")
    async with house.http(cli.token) as http:
        its = Opener(http, house.url("iris"))
        session = await its.open()
        before = await its.ask(session)
        house.parts.sessions.end(cli)
        after = [await its.ask(session), await its.ask(None)]
    async with opener(house, "iris") as client:
        stolen = await client.ask(session)

    assert [before, *after, stolen] == [200, 401, 401, 404]


# --- the newer wire, which knows no sessions ---------------------------------------------------------


async def test_on_the_newer_wire_a_call_leaves_nothing_behind(house: "House") -> None:
    """However many there were."""
    async with house.client("iris") as iris:
        await iris.call_tool("whoami", {})
        alive = await tasks()
        for _ in range(50):
            await iris.call_tool("whoami", {})

        assert await tasks() == alive


async def test_streams_that_listen_are_bounded_for_each_agent(house: "House") -> None:
    """Whoever opens too many is refused one more, and another agent listens."""
    async with AsyncExitStack() as stack:
        iris, rose = [await stack.enter_async_context(house.client(name)) for name in ("iris", "rose")]
        for _ in range(LISTENERS):
            await stack.enter_async_context(iris.listen(resources_list_changed=True))
        with pytest.raises(MCPError, match="limit reached"):
            await stack.enter_async_context(iris.listen(resources_list_changed=True))
        told = await stack.enter_async_context(rose.listen(resources_list_changed=True))
        await house.mail("rose", "news")
        with trio.fail_after(5):
            assert ResourcesListChanged() == await anext(aiter(told))


# --- what is remembered beside them --------------------------------------------------------------------


async def test_what_is_remembered_of_holders_and_of_unread_answers_has_a_bound(
    autojump_clock: "MockClock", quiet_house: "House"
) -> None:
    """Of who was heard within a moment, and of an agent's latest turn."""
    desk, caller = Desk(quiet_house.parts), Caller("iris", "agent")
    for number in range(10 * REPEATS):
        caller = Caller("iris", "agent", quiet_house.parts.sessions.mint("iris"))
        assert desk.take_unread(caller, "question") is None, "another turn's"
        desk.keep_unread(caller, "question", f"answer {number}")
        desk.heard_from(Caller("iris", "agent"), f"client:{number}")
        await trio.sleep(TOUCH_SECONDS / 4)

    assert desk.take_unread(caller, "question") == f"answer {10 * REPEATS - 1}"
    assert len(desk._touched) <= 5
    assert len(desk._unread) == 1
