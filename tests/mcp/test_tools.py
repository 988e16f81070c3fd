"""The tools over real HTTP, with the SDK's own client, on both wires."""

from typing import TYPE_CHECKING

import pytest
from attrs import frozen
from mcp import MCPError

from hive.mcp import tools
from hive.mcp.arguments import argument, read
from hive.mcp.desk import Call
from hive.mcp.tools import ToolSpec, builtin_and_installed
from hive.protocol.commands import Pause, Resume
from hive.protocol.mail import Kind, Provenance

if TYPE_CHECKING:
    from tests.mcp.conftest import House

CLIENTS_ONLY = {"ack", "release"}
EVERYBODYS = {
    "send", "recv", "inbox", "read", "agents", "whoami", "set_status", "notify", "request_next_turn"
}  # fmt: skip


async def test_mail_goes_from_one_agents_client_to_anothers(house: "House", era: str) -> None:
    """What `send` accepted, the recipient's `recv` gets, with the sender's checked name."""
    async with house.client("iris", era=era) as iris, house.client("rose", era=era) as rose:
        sent = await iris.call_tool("send", {"to": "rose", "body": "hello rose", "label": "the boss"})
        got = await rose.call_tool("recv", {})

    assert "accepted as #1" in house.said(sent)
    assert "from iris, labelled 'the boss', from outside hive" in house.said(got)
    assert "hello rose" in house.said(got)
    (mail,) = house.store.reader.mailbox("rose").mail
    assert mail.provenance is Provenance.OUTSIDE
    assert mail.cause == "client:iris"


async def test_mail_of_a_running_cli_is_its_agents_and_belongs_to_its_turn(house: "House", era: str) -> None:
    """A session token makes the sender the agent itself; hops go on from the turn's."""
    session = await house.begin_with("iris", "go")
    async with house.client("iris", session.token, era=era) as iris:
        await iris.call_tool("send", {"to": "rose", "body": "from my turn"})

    (mail,) = house.store.reader.mailbox("rose").mail
    assert (mail.provenance, mail.cause, mail.hops) == (Provenance.AGENT, f"turn:{session.turn}", 1)


async def test_what_a_client_sends_counts_the_hops_of_what_it_holds(house: "House") -> None:
    """From outside or not: a chain of mail through an agent's own client is a chain."""
    session = await house.begin_with("iris", "go")
    async with house.client("iris", session.token) as iris, house.client("rose") as rose:
        house.said(await iris.call_tool("send", {"to": "rose", "body": "one"}))
        house.said(await rose.call_tool("recv", {}))
        house.said(await rose.call_tool("send", {"to": "iris", "body": "two"}))

    assert house.store.reader.mailbox("iris").mail[0].hops == 2


async def test_each_credential_sees_its_own_tools(house: "House", era: str) -> None:
    """Tools that end leases are for those who hold leases."""
    session = await house.begin_with("iris", "go")
    async with house.client("iris", era=era) as client, house.client("iris", session.token, era=era) as cli:
        seen = [{tool.name for tool in (await one.list_tools()).tools} for one in (client, cli)]

    assert seen == [EVERYBODYS | CLIENTS_ONLY, EVERYBODYS]


async def test_a_tool_one_does_not_have_does_not_exist(house: "House", era: str) -> None:
    """An unknown tool and one of somebody else's get the same answer, which names those there are."""
    session = await house.begin_with("iris", "go")
    async with house.client("iris", session.token, era=era) as cli:
        for name in ("ack", "nonsense"):
            with pytest.raises(MCPError, match=f"no tool '{name}' here. The tools are: send, recv"):
                await cli.call_tool(name, {"message": "1"})


async def test_a_tools_role_is_checked_in_the_list_and_in_the_call(house: "House") -> None:
    """A row of the table that names roles is for these only."""

    @frozen
    class Nothing:
        pass

    async def secret(_call: Call, _arguments: Nothing) -> str:
        return "done"

    await house.add("boss", role="manager")
    row = ToolSpec("secret", Nothing, secret, "For managers", roles=frozenset({"manager"}))
    async with house.with_tools(row):
        async with house.client("boss") as boss:
            assert "secret" in {tool.name for tool in (await boss.list_tools()).tools}
            assert house.said(await boss.call_tool("secret", {})) == "done"
        async with house.client("iris") as iris:
            assert "secret" not in {tool.name for tool in (await iris.list_tools()).tools}
            with pytest.raises(MCPError, match="no tool 'secret'"):
                await iris.call_tool("secret", {})


async def test_wrong_arguments_come_back_with_every_problem_and_a_right_call(
    house: "House", era: str
) -> None:
    """A model can repair its call from the answer alone; nothing was sent."""
    async with house.client("iris", era=era) as iris:
        text, ok = house.answered(await iris.call_tool("send", {"body": 5, "colour": "red"}))

    assert not ok
    assert "$.to: required" in text
    assert "$.body: expected text" in text
    assert "unknown: colour" in text
    assert 'A right call: send({"to":' in text
    assert house.states("rose") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"to": "ros", "body": "x"}, "rose"),
        ({"to": "system", "body": "x"}, "system"),
        ({"to": "rose", "body": "x", "in_reply_to": "m-nowhere"}, "m-nowhere"),
        ({"to": "rose", "body": "\x00"}, "NUL"),
    ],
)
async def test_what_the_store_refuses_comes_back_as_its_sentence(
    house: "House", arguments: dict[str, object], words: str
) -> None:
    """A refusal is an answer to the model, not an error of the protocol."""
    async with house.client("iris") as iris:
        text, ok = house.answered(await iris.call_tool("send", arguments))

    assert not ok
    assert words in text


async def test_looking_tells_and_takes_nothing(house: "House", era: str) -> None:
    """`inbox` finds mail in any state and leaves it there."""
    await house.mail("iris", "about the survey")
    await house.mail("iris", "about lunch")
    async with house.client("iris", era=era) as iris:
        everything = house.said(await iris.call_tool("inbox", {}))
        found = house.said(await iris.call_tool("inbox", {"text": "survey", "state": "ready", "limit": 1}))
        nothing = house.said(await iris.call_tool("inbox", {"state": "dead"}))

    assert everything.index("lunch") < everything.index("survey"), "newest first"
    assert "#1 " in found
    assert "lunch" not in found
    assert nothing == "Nothing found."
    assert house.states("iris") == ["ready", "ready"]


async def test_the_agents_are_listed_with_what_they_do_and_say(house: "House", era: str) -> None:
    """Names, roles, what each is doing, its own status with its age; removed agents are not there."""
    await house.perform(Pause("rose"))
    await house.begin_with("iris", "go")
    async with house.client("rose", era=era) as rose:
        house.said(await rose.call_tool("set_status", {"text": "reading"}))
        listed = house.said(await rose.call_tool("agents", {}))

    iris, mine, operator = listed.splitlines()
    assert iris == "iris: agent, at work on turn 1"
    assert mine.startswith('rose (you): agent, parked: paused by the operator; says "reading" (')
    assert operator.startswith("operator: ")


async def test_one_is_told_who_one_is_and_who_the_operator_is(house: "House", era: str) -> None:
    """Name, role, operator's name and pronouns, version."""
    async with house.client("iris", era=era) as iris:
        told = house.said(await iris.call_tool("whoami", {}))

    assert "You are iris, role agent, in hive test." in told
    assert "Ada (they/them)" in told


async def test_a_notice_reaches_the_operator_and_has_a_limit(house: "House") -> None:
    """It is mail to the operator; too many within a minute are refused in words."""
    async with house.client("iris") as iris:
        answers = [
            house.answered(await iris.call_tool("notify", {"title": f"note {n}", "body": "look"}))
            for n in range(25)
        ]
        long, ok = house.answered(await iris.call_tool("notify", {"title": "t" * 65, "body": "b" * 201}))

    assert answers[0][1]
    assert not answers[-1][1]
    newest, *_ = house.store.reader.mailbox("operator").mail
    assert newest.kind is Kind.NOTIFY
    assert not ok
    assert "at most 64 characters" in long
    assert "at most 200 characters" in long


async def test_requests_for_a_next_turn_are_one(house: "House", era: str) -> None:
    """They are mail to oneself, and while unclaimed they are one message."""
    session = await house.begin_with("iris", "go")
    async with house.client("iris", session.token, era=era) as iris:
        for _ in range(2):
            house.said(await iris.call_tool("request_next_turn", {"reason": "more files"}))

    waiting = [mail for mail in house.store.reader.mailbox("iris").mail if mail.kind is Kind.NEXT_TURN]
    assert len(waiting) == 1
    assert (waiting[0].sender, waiting[0].hops) == ("iris", 1)


async def test_a_paused_agent_is_told_why_recv_gives_it_nothing(house: "House") -> None:
    """Pause stops claims, also by `recv`, and says so."""
    await house.mail("iris", "waits")
    await house.perform(Pause("iris"))
    async with house.client("iris") as iris:
        paused = house.said(await iris.call_tool("recv", {}))
        await house.perform(Resume("iris"))
        resumed = house.said(await iris.call_tool("recv", {}))

    assert "paused by the operator" in paused
    assert "waits" in resumed


def test_installed_packages_add_tools_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row somebody else wrote stands in the table like our own; anything else is an error with its name."""

    @frozen
    class Arguments:
        x: int = argument("?", default=0)

    async def handler(_call: Call, _arguments: Arguments) -> str:
        return ""

    @frozen
    class Point:
        name: str
        value: object

        def load(self) -> object:
            return self.value

    row = ToolSpec("extra", Arguments, handler, "An extra tool")
    monkeypatch.setattr(
        tools, "entry_points", lambda group: [Point("a", row)] if group == "hive.tools" else []
    )
    assert builtin_and_installed()[-1] is row
    monkeypatch.setattr(tools, "entry_points", lambda group: [Point("a", "row")])
    with pytest.raises(TypeError, match="must name a ToolSpec"):
        builtin_and_installed()


def test_every_example_is_a_right_call() -> None:
    """What is shown as right passes its own check."""
    for spec in tools.TOOLS:
        read(spec.arguments, spec.example)


def test_every_description_says_when_to_use_a_tool() -> None:
    """A model chooses by it."""
    assert [spec.name for spec in tools.TOOLS if len(spec.description) < 60] == []


async def test_a_cli_that_has_asked_for_its_tools_is_known(house: "House", era: str) -> None:
    """Its backend stops one that has not; that another client of the agent's has asked says nothing."""
    session = await house.begin_with("iris", "go")
    async with house.client("iris", era=era) as client:
        await client.list_tools()
    assert not session.listed
    async with house.client("iris", session.token, era=era) as cli:
        await cli.list_tools()
    assert session.listed
