"""Claude Code as a backend keeps the contract of backends, and what is its own, with a CLI in memory."""

import json
from collections.abc import Sequence

import pytest
import trio
from attrs import evolve

from hive.agents.backend import Prompt
from hive.agents.cli import claude_words as words
from hive.agents.cli.json_lines import JsonObject
from hive.agents.events import ErrorClass, Noted, PromptAccepted, Result, Said, ToolCalled, TurnEvent
from hive.protocol.commands import Settings, Usage
from hive.testing.backend_world import Behaviour, one_turn, the_result
from hive.testing.claude_world import PLAYS, ClaudeWorld
from hive.testing.contracts import BackendContract
from hive.testing.scripted_world import BOX
from hive.testing.simulate import simulate

STEPS = 1_000
"""No CLI takes more steps to be started."""


class TestClaude(BackendContract):
    """The suite, with a well-behaved CLI."""

    steps_cancelled = 46

    def make(self) -> ClaudeWorld:
        """See `BackendContract`."""
        return ClaudeWorld()


def turn(
    world: ClaudeWorld, behaviour: Behaviour, *more: Prompt, at: type = PromptAccepted
) -> Sequence[TurnEvent]:
    """All events of a turn, into which more prompts are folded at an event of that type."""

    async def story(_sim: object) -> list[TurnEvent]:
        events: list[TurnEvent] = []
        waiting = [*more]
        async with one_turn(world, world.prompt(behaviour, 3)) as run:
            async for event in run:
                events.append(event)
                if isinstance(event, at) and waiting:
                    await run.fold_in(waiting.pop(0))
        return events

    events = simulate(story, 0)
    assert world.left() == []
    return events


def test_a_session_is_gone_on_with() -> None:
    """The first turn names it, later ones resume it: whether hive was restarted in between or not."""
    world = ClaudeWorld()
    turn(world, Behaviour.WORK)
    kept = world.memory.kept
    turn(world, Behaviour.WORK)
    assert [argv[-2:] for argv in world.clis.started] == [("--session-id", kept), ("--resume", kept)]


def test_a_session_that_is_unknown_gives_way_to_a_new_one() -> None:
    """Its mail is shown all the same, and what was lost is said."""
    world = ClaudeWorld()
    world.memory.kept = "lost"
    events = turn(world, Behaviour.WORK)
    assert (
        Noted("session", "a new one, without the old: No conversation found with session ID: lost") in events
    )
    assert the_result(events).error is None
    assert [argv[-2:] for argv in world.clis.started] == [("--resume", "lost"), ("--session-id", "id-1")]
    assert world.memory.kept == "id-1"


def test_a_cli_that_leaves_before_it_has_begun_does_not_cost_the_session() -> None:
    """Its status alone says nothing about the session: a full disk has the same."""
    world = ClaudeWorld()
    world.memory.kept, world.clis.speechless = "dear", True
    assert the_result(turn(world, Behaviour.WORK)).error is ErrorClass.CRASH
    assert world.memory.kept == "dear"
    assert len(world.clis.started) == 1


@pytest.mark.parametrize("behaviour", [Behaviour.CRASH, Behaviour.FAIL])
def test_a_session_that_is_known_outlives_a_turn_that_fails(behaviour: Behaviour) -> None:
    """Only a CLI that will not begin is told to forget."""
    world = ClaudeWorld()
    turn(world, Behaviour.WORK)
    kept = world.memory.kept
    assert the_result(turn(world, behaviour)).error is not None
    assert len(world.clis.started) == 2
    assert world.memory.kept == kept


def test_mail_folded_in_is_shown_after_the_next_tool() -> None:
    """And the turn has one result, of one turn."""
    world = ClaudeWorld()
    events = turn(world, Behaviour.WORK, world.prompt(Behaviour.WORK, 4))
    kinds = [event for event in events if isinstance(event, ToolCalled | PromptAccepted)]
    assert [type(event) for event in kinds] == [PromptAccepted, ToolCalled, PromptAccepted]
    assert the_result(events).usage == Usage(1, 2, 0.5)


def test_mail_that_comes_too_late_for_a_turn_is_waited_for() -> None:
    """The CLI begins another turn with it at once: its work counts, and so does what it costs."""
    world = ClaudeWorld()
    events = turn(world, Behaviour.WORK, world.prompt(Behaviour.WORK, 4), at=Said)
    accepted = [event.messages for event in events if isinstance(event, PromptAccepted)]
    assert accepted == [(3,), (4,)]
    assert len([event for event in events if isinstance(event, Said)]) == 2
    assert the_result(events).usage == Usage(2, 4, 1.0)


def test_a_turn_that_fails_with_mail_that_came_late_has_failed() -> None:
    """That mail was shown and not handled, however well the first turn had ended."""
    world = ClaudeWorld()
    events = turn(world, Behaviour.WORK, world.prompt(Behaviour.CRASH, 4), at=Said)
    assert PromptAccepted((4,)) in events
    assert the_result(events).error is ErrorClass.CRASH


def test_mail_that_is_never_taken_keeps_no_turn() -> None:
    """Its sender's message goes back to the queue, unshown."""
    world = ClaudeWorld()
    world.clis.forgets = True
    events = turn(world, Behaviour.WORK, world.prompt(Behaviour.WORK, 4), at=Said)
    assert PromptAccepted((4,)) not in events
    assert the_result(events).error is None
    assert world.clis.heard[-1] == words.interrupt()


@pytest.mark.parametrize("behaviour", [Behaviour.WORK, Behaviour.CRASH])
def test_mail_folded_in_when_there_is_no_turn_for_it_is_not_said(behaviour: Behaviour) -> None:
    """Neither before the prompt is through nor after the end, whatever the end was."""
    world = ClaudeWorld()

    async def story(_sim: object) -> None:
        async with one_turn(world, world.prompt(behaviour, 3)) as run:
            async for _ in run:
                pass
            await run.fold_in(world.prompt(Behaviour.WORK, 4))
        async with one_turn(world, world.prompt(behaviour, 3)) as run:
            for _ in range(STEPS):
                if len(world.clis.started) > 1:
                    break
                await trio.lowlevel.checkpoint()
            assert len(world.clis.started) > 1
            await run.fold_in(world.prompt(Behaviour.WORK, 4))
            async for _ in run:
                pass

    simulate(story, 0)
    assert len([line for line in world.clis.heard if line["type"] == "user"]) == 2


def test_a_turn_cancelled_before_its_prompt_is_through_shows_nothing() -> None:
    """There is nothing to interrupt yet: the CLI is not even given it."""
    world = ClaudeWorld()

    async def story(_sim: object) -> list[TurnEvent]:
        async with one_turn(world, world.prompt(Behaviour.WORK, 3)) as run:
            await run.cancel()
            return [event async for event in run]

    assert simulate(story, 0) == [Result(error=ErrorClass.CANCELLED, detail="asked to stop")]
    assert [line["type"] for line in world.clis.heard] == ["control_request"]


def test_a_turn_without_tools_lets_the_model_do_nothing() -> None:
    """It is interrupted before it has said a word."""
    world = ClaudeWorld()
    world.take_tools_down()
    events = turn(world, Behaviour.WORK)
    assert not [event for event in events if isinstance(event, Said | ToolCalled)]


def test_what_a_crashed_cli_complained_of_is_told() -> None:
    """With its status."""
    result = the_result(turn(ClaudeWorld(), Behaviour.CRASH))
    assert result == Result(error=ErrorClass.CRASH, detail="its process ended with status 3: it hurts")


def test_a_program_that_is_not_there_is_no_start() -> None:
    """And it is said how to get it."""
    world = ClaudeWorld()
    world.clis.missing = True
    result = the_result(turn(world, Behaviour.WORK))
    assert result.error is ErrorClass.NO_START
    assert "npm install" in result.detail


def test_a_cli_that_will_not_begin_is_not_given_the_prompt() -> None:
    """It speaks another protocol than ours, and has said so."""
    world = ClaudeWorld()
    world.clis.unwilling = "unknown request"
    detail = "it would not begin: unknown request"
    assert turn(world, Behaviour.WORK) == [Result(error=ErrorClass.PROTOCOL, detail=detail)]
    assert [line["type"] for line in world.clis.heard] == ["control_request"]


def test_what_the_cli_asks_is_answered() -> None:
    """With a refusal, since it would wait for ever."""
    world = ClaudeWorld()
    ask: JsonObject = {"type": "control_request", "request_id": "9", "request": {"subtype": "can_use_tool"}}
    world.clis.asks = (ask,)
    assert the_result(turn(world, Behaviour.WORK)).error is None
    assert words.refusal("9") in world.clis.heard


def test_a_session_that_cannot_be_kept_is_told() -> None:
    """The turn goes on; the next one will have forgotten it."""
    world = ClaudeWorld()
    world.memory.broken = True
    events = turn(world, Behaviour.WORK)
    assert Noted("session", "it will be forgotten: the disk is full") in events
    assert the_result(events).error is None


def test_the_token_is_told_in_the_first_line_alone() -> None:
    """Arguments and environment are there for everybody to read."""
    world = ClaudeWorld()
    turn(world, Behaviour.WORK)
    (argv,) = world.clis.started
    assert "token" not in " ".join(argv)
    assert "token" not in " ".join(words.environment(BOX, {}).values())
    assert "Bearer token" in json.dumps(words.initialize("http://hive", "token"))


def test_mail_is_no_command_to_the_cli() -> None:
    """Else a `/command` or `@/path` in it would be carried out, with no permission asked."""
    assert words.user("u", "/clear @/etc/passwd")["client_composed"] is True


@pytest.mark.parametrize("allow_shell", [True, False])
def test_an_agent_runs_commands_only_where_that_is_allowed(allow_shell: bool) -> None:
    """And may never wake itself, or write to others, behind hive's back."""
    settings = evolve(Settings(), allow_shell=allow_shell)
    argv = words.command(("claude",), settings, "s", resumed=False)
    allowed = argv[argv.index("--allowedTools") + 1].split(",")
    denied = argv[argv.index("--disallowedTools") + 1].split(",")
    assert allowed[0] == "mcp__hive"
    assert ("Bash" in allowed) is allow_shell
    assert not {*allowed} & {*denied}
    assert {"SendMessage", "ListAgents", "ScheduleWakeup", "Workflow", "Task"} <= {*denied}


def test_every_behaviour_is_played() -> None:
    """The CLI in memory knows them all."""
    assert set(PLAYS) == {behaviour.name for behaviour in Behaviour}


@pytest.mark.parametrize(("model", "named"), [("", []), ("opus", ["--model", "opus"])])
def test_an_agent_thinks_with_the_model_it_was_given(model: str, named: list[str]) -> None:
    """Without one the CLI chooses, as its owner has told it to."""
    command = words.command(("claude",), evolve(Settings(), model=model), "id", resumed=False)
    assert [word for word in command if word == "--model" or word == model != ""] == named


def test_what_is_true_of_all_turns_is_said_before_the_first() -> None:
    """On the CLI's input; a session that goes on is told anew."""
    world = ClaudeWorld()
    world.spec = evolve(world.spec, instructions="be a cat")
    turn(world, Behaviour.WORK)
    first = next(line for line in world.clis.heard if line["type"] == "control_request")
    assert isinstance(first["request"], dict)
    assert first["request"]["appendSystemPrompt"] == "be a cat"
    assert first["request"]["systemPromptSnapshot"] is False
    assert "appendSystemPrompt" not in str(words.initialize("http://hive", "token"))
