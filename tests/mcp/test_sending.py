"""One call is one message, however often it is made; and two calls are two."""

from typing import TYPE_CHECKING, cast

import pytest
import trio
from trio.testing import MockClock

from hive.mcp.delivery import Delivery
from hive.mcp.desk import REPEAT_SECONDS, Call, Desk
from hive.mcp.identity import Caller
from hive.mcp.sending import NotifyArguments, SendArguments, fingerprint, notify, once_for, send
from hive.protocol.commands import Once

if TYPE_CHECKING:
    from mcp.types import RequestParamsMeta

    from hive.agents.tokens import CliSession
    from hive.mcp.parts import McpParts
    from tests.mcp.conftest import House

MAIL = {"to": "rose", "body": "only once"}


def meta(**ids: str) -> "RequestParamsMeta":
    """What a client puts into `_meta`."""
    return cast("RequestParamsMeta", {f"{name}/toolUseId": value for name, value in ids.items()})


async def test_two_clients_with_equal_request_ids_make_two_messages(house: "House", era: str) -> None:
    """Ids of requests restart in every client, so they say nothing by themselves."""
    for _ in range(2):
        async with house.client("iris", era=era) as iris:
            house.said(await iris.call_tool("send", MAIL))

    assert house.states("rose") == ["ready", "ready"]


@pytest.mark.parametrize("who", ["hive", "claudecode"])
async def test_a_tool_use_repeated_by_its_client_is_one_message(house: "House", era: str, who: str) -> None:
    """Also from another connection and another MCP session; the answer is repeated word for word."""
    answers = []
    for _ in range(2):
        async with house.client("iris", era=era) as iris:
            answers.append(house.said(await iris.call_tool("send", MAIL, meta=meta(**{who: "use-1"}))))

    assert answers[0] == answers[1]
    assert house.states("rose") == ["ready"]


async def test_the_argument_key_is_stronger_than_the_clients_id(house: "House", era: str) -> None:
    """A model that chose a key means one message, whatever its client numbers."""
    async with house.client("iris", era=era) as iris:
        for use in ("use-1", "use-2"):
            house.said(await iris.call_tool("send", {**MAIL, "key": "k"}, meta=meta(hive=use)))

    assert house.states("rose") == ["ready"]


async def test_a_key_with_another_content_is_an_error(house: "House", era: str) -> None:
    """It tells the model so, and nothing is sent."""
    async with house.client("iris", era=era) as iris:
        house.said(await iris.call_tool("send", {**MAIL, "key": "k"}))
        text, ok = house.answered(await iris.call_tool("send", {**MAIL, "body": "different", "key": "k"}))

    assert not ok
    assert "key" in text
    assert house.states("rose") == ["ready"]


async def test_a_broadcast_repeated_answers_the_same(house: "House") -> None:
    """Every recipient's line is repeated, and nobody gets it twice."""
    await house.add("third")
    async with house.client("iris") as iris:
        first, again = [
            house.said(await iris.call_tool("send", {"to": "*", "body": "all", "key": "k"})) for _ in range(2)
        ]

    assert first == again
    assert "third" in first
    assert house.states("rose") == house.states("third") == ["ready"]


async def test_the_same_key_of_another_agent_is_another_key(house: "House") -> None:
    """Keys belong to an identity."""
    await house.add("third")
    for name in ("iris", "third"):
        async with house.client(name) as client:
            house.said(await client.call_tool("send", {**MAIL, "key": "k"}))

    assert house.states("rose") == ["ready", "ready"]


@pytest.mark.parametrize(
    ("key", "call", "expected"),
    [
        ("k", {"tool_use": "u", "mcp_session": "s", "request": "1"}, Once("mcp/iris/client/key", "k", "d")),
        (
            None,
            {"tool_use": "u", "mcp_session": "s", "request": "1"},
            Once("mcp/iris/client/tool-use", fingerprint("u"), "d"),
        ),
        (
            None,
            {"mcp_session": "s", "request": '"1"'},
            Once("mcp/iris/client/request", fingerprint("s", '"1"'), "d"),
        ),
        (None, {"tool_use": "u" * 10_000}, Once("mcp/iris/client/tool-use", fingerprint("u" * 10_000), "d")),
        (None, {"tool_use": ""}, None),
        (None, {"request": "1"}, None),
        (None, {}, None),
    ],
)
def test_what_identifies_a_call_comes_in_this_order(
    key: str | None, call: dict[str, str], expected: Once | None
) -> None:
    """Key, tool use, request within its session; never the bare request."""
    made = Call(Caller("iris", "agent"), cast("Desk", None), Delivery(), trio.Event(), **call)

    assert once_for(made, key, "d") == expected


# --- without any key -------------------------------------------------------------------------------


def keyless(house: "House", desk: Desk, session: "CliSession | None" = None) -> Call:
    """A call that nothing identifies."""
    return Call(Caller("iris", "agent", session), desk, Delivery(), trio.Event())


async def test_an_answer_that_was_lost_is_given_to_the_same_send_again(house: "House") -> None:
    """Within the turn; once it was handed over, the same words are a new message."""
    desk = Desk(house.parts)
    lost = keyless(house, desk)
    first = await send(lost, SendArguments(**MAIL))
    lost.delivery.lose()

    again = keyless(house, desk)
    second = await send(again, SendArguments(**MAIL))
    again.delivery.arrived()
    third = await send(keyless(house, desk), SendArguments(**MAIL))

    assert first == second
    assert "#2" in third
    assert house.states("rose") == ["ready", "ready"]


async def test_an_answer_lost_twice_is_given_again(house: "House") -> None:
    """The repeat may be lost as well."""
    desk = Desk(house.parts)
    for _ in range(3):
        call = keyless(house, desk)
        await send(call, SendArguments(**MAIL))
        call.delivery.lose()

    assert house.states("rose") == ["ready"]


async def test_a_lost_answer_is_no_other_contents_turns_or_callers(house: "House") -> None:
    """Another body, another turn and another credential are other messages."""
    desk = Desk(house.parts)
    session = await house.begin_with("iris", "go")
    lost = keyless(house, desk, session)
    await send(lost, SendArguments(**MAIL))
    lost.delivery.lose()

    await send(keyless(house, desk, session), SendArguments("rose", "something else"))
    await send(keyless(house, desk), SendArguments(**MAIL))
    await notify(keyless(house, desk, session), NotifyArguments("only once", "rose"))

    assert house.states("rose") == ["ready"] * 3


async def test_a_cancelled_send_is_sent_and_its_repetition_is_the_same(house: "House") -> None:
    """Cancelled while the store works: the commit is waited for, and the answer kept."""
    desk, call = Desk(house.parts), None
    with trio.CancelScope() as scope:
        scope.cancel()
        call = keyless(house, desk)
        await send(call, SendArguments(**MAIL))

    assert scope.cancelled_caught
    assert house.states("rose") == ["ready"]
    assert "#1" in await send(keyless(house, desk), SendArguments(**MAIL))
    assert house.states("rose") == ["ready"]


async def test_only_the_latest_lost_answers_are_kept(house: "House") -> None:
    """Memory has a bound."""
    desk, caller = Desk(house.parts), Caller("iris", "agent")
    for number in range(100):
        desk.keep_unread(caller, str(number), "answer")

    assert desk.take_unread(caller, "0") is None
    assert desk.take_unread(caller, "99") == "answer"


def test_a_client_that_says_the_same_again_much_later_means_it() -> None:
    """A repetition of what nobody read comes soon; a client has no turn that would end."""

    async def story() -> None:
        desk, caller = Desk(cast("McpParts", None)), Caller("iris", "agent")
        desk.keep_unread(caller, "a", "answer")
        await trio.sleep(REPEAT_SECONDS)
        assert desk.take_unread(caller, "a") == "answer"
        desk.keep_unread(caller, "a", "answer")
        await trio.sleep(REPEAT_SECONDS + 1)
        assert desk.take_unread(caller, "a") is None

    trio.run(story, clock=MockClock(autojump_threshold=0))
