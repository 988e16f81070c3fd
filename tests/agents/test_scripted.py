"""The scripted backend: the contract of all backends, and what is particular to scripts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import evolve

from hive.agents.events import (
    ErrorClass,
    Noted,
    PromptAccepted,
    Result,
    Said,
    Thought,
    ToolCalled,
    ToolReturned,
    TurnEvent,
    Used,
)
from hive.agents.rules import ANSWER
from hive.agents.scripted import ScriptedBackend
from hive.agents.shell import ShellAnswer
from hive.agents.tokens import CliSession
from hive.agents.tools import ToolAnswer, Tools
from hive.containers.port import Box, BoxDown
from hive.protocol.commands import Settings, Usage
from hive.protocol.mail import INLINE_BYTES
from hive.testing.backend_world import one_turn, the_result
from hive.testing.contracts import BackendContract
from hive.testing.fake_tools import FakeShell, FakeTools
from hive.testing.scripted_world import WALL, ScriptedWorld, mail, prompt
from hive.testing.simulate import simulate


class TestTheContract(BackendContract):
    """The scripted backend keeps the contract."""

    steps_cancelled = 30

    def make(self) -> ScriptedWorld:
        """See `BackendContract`."""
        return ScriptedWorld()


def test_a_script_is_carried_out_step_by_step() -> None:
    """One event or two for each line, in order."""
    script = '!call hive/send {"to": "juno"}\n!sh ls\n!think hm\n!note a line\n'
    script += "!usage 10 5 0.5\n!usage 1 1\n!say bye"
    world = ScriptedWorld()
    events = world.run(mail(7, script))
    usage = Usage(11, 6, 0.5)
    assert events == [
        PromptAccepted((7,)),
        ToolCalled("call-1", "hive/send", {"to": "juno"}),
        ToolReturned("call-1", ok=True, text="send: done"),
        ToolCalled("call-2", "sh", {"command": "ls"}),
        ToolReturned("call-2", ok=True, text="done"),
        Thought("hm"),
        Noted("note", "a line"),
        Used(Usage(10, 5, 0.5)),
        Used(usage),
        Said("bye"),
        Result("bye", usage=usage),
    ]
    assert world.tools.calls == [("iris", "send", {"to": "juno"})]


@pytest.mark.parametrize(
    "bad",
    ["!error teapot", "!frobnicate", "!call hive/send {to: juno}", "!call hive/send " + "[" * 3000, "!sh"],
)
def test_a_script_that_is_wrong_is_refused_whole_and_its_sender_told(bad: str) -> None:
    """Nothing of it is done, the turn ends well, and so the mail is neither lost nor tried again."""
    world = ScriptedWorld()
    one = mail(7, f"!call hive/whoami\n{bad}\n!crash")
    *_, result = world.run(one)
    ((agent, tool, sent),) = world.tools.calls
    assert (agent, tool, sent["to"], sent["in_reply_to"]) == ("iris", "send", one.sender, one.id)
    assert bad.split(maxsplit=1)[0] in str(sent["body"])
    assert result == Result(str(sent["body"]))


def test_a_script_too_long_to_come_whole_is_refused_whole_and_its_sender_told() -> None:
    """What comes with an attachment is its beginning, cut anywhere: it is never carried out."""
    world = ScriptedWorld()
    script = "!call hive/whoami\n" * 500
    whole = mail(7, script)
    cut = evolve(whole, body=script[:600], size=len(script), attachment="ab" * 32)
    *_, result = world.run(cut)
    ((_, tool, sent),) = world.tools.calls
    assert (tool, sent["to"], sent["in_reply_to"]) == ("send", whole.sender, whole.id)
    for words in (f"{len(script)} bytes", f"{INLINE_BYTES}", "Split it", "!sh sh FILE"):
        assert words in str(sent["body"])
    assert result == Result(str(sent["body"]))


def test_a_long_text_that_is_no_script_is_mail_like_any_other() -> None:
    """Only its beginning is at hand, which the rules are content with."""
    world = ScriptedWorld()
    world.run(evolve(mail(7, "are you there? " * 40), size=6000, attachment="ab" * 32))
    assert [sent["body"] for _, _, sent in world.tools.calls] == [ANSWER]


def test_one_wrong_script_does_not_keep_others_from_being_carried_out() -> None:
    """They were written by somebody else, or at another time."""
    world = ScriptedWorld()
    world.run(mail(7, "!frobnicate"), mail(8, "!call hive/whoami"))
    assert [tool for _, tool, _ in world.tools.calls] == ["send", "whoami"]


def test_an_error_keeps_what_was_said_and_used_before_it() -> None:
    """And says when the limit ends, by the wall clock."""
    *_, result = ScriptedWorld().run(
        mail(7, "!say half\n!usage 3 4\n!error rate_limit in 60 slow down\n!say never")
    )
    assert result == Result("half", ErrorClass.RATE_LIMIT, "slow down", WALL + 60, Usage(3, 4))


def test_a_crash_is_told_with_its_error() -> None:
    """By the driver, since the script is in no state to."""
    *_, result = ScriptedWorld().run(mail(7, "!crash"))
    assert result == Result(error=ErrorClass.CRASH, detail="RuntimeError: told to crash")


def test_a_refused_tool_call_is_only_an_answer() -> None:
    """The script goes on."""
    world = ScriptedWorld(tools=FakeTools(lambda *_: ToolAnswer("juno is full", ok=False)))
    events = world.run(mail(7, "!call hive/send {}\n!say on"))
    assert ToolReturned("call-1", ok=False, text="juno is full") in events
    assert the_result(events).error is None


def test_a_command_that_fails_says_its_status() -> None:
    """As a shell's user would want to know."""
    world = ScriptedWorld(shell=FakeShell(answer=ShellAnswer("oops\n", 2)))
    assert ToolReturned("call-1", ok=False, text="oops\n\n(exit status 2)") in world.run(mail(7, "!sh false"))


@pytest.mark.parametrize(
    ("script", "error"),
    [("!call hive/whoami", ErrorClass.TOOLS), ("!crash", ErrorClass.CRASH), ("!say bye", None)],
)
def test_tools_that_wrap_errors_or_fail_to_close_change_no_result(
    script: str, error: ErrorClass | None
) -> None:
    """A client with tasks of its own raises groups; trouble with closing it comes after the end."""

    @asynccontextmanager
    async def clumsy(session: CliSession) -> AsyncIterator[Tools]:
        async with trio.open_nursery(), world.tools.open(session) as tools:
            yield tools
            raise OSError("the connection would not close")

    world = ScriptedWorld()
    world.take_tools_down()
    world.backend = ScriptedBackend(clumsy, world.shell, lambda: WALL)
    assert the_result(world.run(mail(7, script))).error is error


def test_a_box_that_is_down_is_told_as_such() -> None:
    """What ran in it is not to blame."""

    class NoBox(FakeShell):
        async def run(self, box: Box, command: str) -> ShellAnswer:
            raise BoxDown("iris's box is not running")

    *_, result = ScriptedWorld(shell=NoBox()).run(mail(7, "!sh ls"))
    assert result == Result(error=ErrorClass.BOX_GONE, detail="iris's box is not running")


def test_settings_that_name_no_rules_keep_the_agent_from_starting() -> None:
    """The mail is released uncharged, and the error lists the tables there are."""
    world = ScriptedWorld(Settings(rules="plane"))
    (result,) = world.run(mail(7, "hello"))
    assert isinstance(result, Result)
    assert result.error is ErrorClass.NO_START
    assert "choose one of demo-manager" in result.detail


def test_rules_fill_in_what_their_commands_found() -> None:
    """The surveyor's report holds the outputs of its own commands."""
    world = ScriptedWorld(Settings(rules="demo-surveyor"), shell=FakeShell(answer=ShellAnswer("42\n", 0)))
    world.run(mail(7, "Please survey /tree."))
    body = "Finding: /tree holds 42 files, 42 lines, 42 KiB."
    assert ("iris", "send", {"to": "operator", "body": body, "in_reply_to": "m-7"}) in world.tools.calls


def test_a_rules_command_that_takes_too_long_is_given_up() -> None:
    """And said so; a directive's has all the time the turn has."""
    world = ScriptedWorld(Settings(rules="demo-surveyor", allow_shell=True), shell=FakeShell(seconds=500))
    assert ToolReturned("call-2", ok=False, text="stopped after 20.0 s") in world.run(
        mail(7, "Please survey /tree.")
    )
    assert ToolReturned("call-1", ok=True, text="done") in world.run(mail(8, "!sh sleep 500"))


def test_messages_are_handled_in_the_order_of_the_prompt() -> None:
    """One script after the other."""
    events = ScriptedWorld().run(mail(7, "!say one"), mail(8, "thanks", sender="juno"), mail(9, "!say two"))
    assert [event.text for event in events if isinstance(event, Said)] == ["one", "two"]


def fold_in(script: str, *, after: float) -> list[TurnEvent]:
    """Events of a turn into which message 8 is folded so many seconds later."""
    world = ScriptedWorld()

    events: list[TurnEvent] = []

    async def story(_sim: object) -> None:
        async with one_turn(world, prompt(mail(7, script))) as run, trio.open_nursery() as nursery:

            async def more() -> None:
                await trio.sleep(after)
                await run.fold_in(prompt(mail(8, "!say folded in")))

            nursery.start_soon(more)
            events.extend([event async for event in run])

    simulate(story, 0)
    return events


def test_mail_folded_in_is_shown_with_a_receipt_and_acted_upon() -> None:
    """At the next step, after what was under way."""
    events = fold_in("!wait 10\n!say first", after=5)
    assert events[1:] == [
        PromptAccepted((7,)),
        PromptAccepted((8,)),
        Said("first"),
        Said("folded in"),
        Result("folded in"),
    ]


@pytest.mark.parametrize(("script", "after"), [("!ignore-fold-in\n!wait 10", 5), ("!wait 10", 15)])
def test_mail_folded_in_without_receipt_has_no_effect(script: str, after: float) -> None:
    """It may have been ignored or have come too late: it was not shown, so the harness withdraws it."""
    assert fold_in(script, after=after)[1:] == [PromptAccepted((7,)), Result()]


@pytest.mark.seeds(10)
def test_a_pace_rests_before_each_step(seed: int) -> None:
    """By the clock alone, so that a run under a seed is the same run again."""
    world = ScriptedWorld()
    world.backend = ScriptedBackend(world.tools.open, world.shell, lambda: WALL, pace=lambda: 3.0)

    async def story(_sim: object) -> float:
        async with one_turn(world, prompt(mail(7, "!say one\n!say two"))) as run:
            async for _ in run:
                pass
        return trio.current_time()

    assert simulate(story, seed) == 6.0
