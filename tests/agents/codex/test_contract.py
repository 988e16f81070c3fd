"""Codex as a backend keeps the contract of backends, and what is its own, with an app server in memory."""

import json
from collections.abc import Sequence

import pytest
import trio
from attrs import evolve

from hive.agents.backend import Prompt
from hive.agents.cli import codex_words as words
from hive.agents.cli.json_lines import JsonObject
from hive.agents.events import ErrorClass, Noted, PromptAccepted, Result, Said, ToolCalled, TurnEvent
from hive.protocol.commands import Settings, Usage
from hive.testing.backend_world import Behaviour, one_turn, the_result
from hive.testing.codex_world import PLAYS, USED, CodexWorld
from hive.testing.contracts import BackendContract
from hive.testing.scripted_world import BOX
from hive.testing.simulate import simulate

STEPS = 1_000
"""No CLI takes more steps to be started."""


class TestCodex(BackendContract):
    """The suite, with a well-behaved CLI."""

    steps_cancelled = 56

    def make(self) -> CodexWorld:
        """See `BackendContract`."""
        return CodexWorld()


def turn(
    world: CodexWorld, behaviour: Behaviour, *more: Prompt, at: type = PromptAccepted
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


def said(world: CodexWorld, method: str) -> list[JsonObject]:
    """What the requests of this method said."""
    return [line["params"] for line in world.clis.heard if line.get("method") == method]  # type: ignore[misc]


def test_a_thread_is_gone_on_with() -> None:
    """The first turn opens it, later ones resume it: whether hive was restarted in between or not."""
    world = CodexWorld()
    turn(world, Behaviour.WORK)
    assert world.memory.kept == "thread-1"
    turn(world, Behaviour.WORK)
    assert len(said(world, "thread/start")) == 1
    assert [params["threadId"] for params in said(world, "thread/resume")] == ["thread-1"]


def test_a_thread_that_is_unknown_gives_way_to_a_new_one() -> None:
    """Its mail is shown all the same, and what was lost is said."""
    world = CodexWorld()
    world.memory.kept = "lost"
    events = turn(world, Behaviour.WORK)
    assert Noted("session", "a new one, without the old: no rollout found for thread id lost") in events
    assert the_result(events).error is None
    assert world.memory.kept == "thread-1"


def test_a_server_that_cannot_resume_a_thread_does_not_cost_it() -> None:
    """Only that it does not know the thread is a reason to forget it: a full disk is none."""
    world = CodexWorld()
    world.memory.kept = "dear"
    world.clis.unwilling["thread/resume"] = "the disk is full"
    result = the_result(turn(world, Behaviour.WORK))
    assert result == Result(error=ErrorClass.PROTOCOL, detail="it refused thread/resume: the disk is full")
    assert world.memory.kept == "dear"


@pytest.mark.parametrize("behaviour", [Behaviour.CRASH, Behaviour.FAIL])
def test_a_thread_that_is_known_outlives_a_turn_that_fails(behaviour: Behaviour) -> None:
    """The next turn goes on with what was said."""
    world = CodexWorld()
    turn(world, Behaviour.WORK)
    assert the_result(turn(world, behaviour)).error is not None
    assert the_result(turn(world, Behaviour.WORK)).error is None
    assert world.memory.kept == "thread-1"


def test_mail_folded_in_is_shown_once_the_model_was_given_it() -> None:
    """Into the turn that runs, by its name; and it stays one turn."""
    world = CodexWorld()
    events = turn(world, Behaviour.WORK, world.prompt(Behaviour.WORK, 4))
    accepted = [event.messages for event in events if isinstance(event, PromptAccepted)]
    assert accepted == [(3,), (4,)]
    assert said(world, "turn/steer") == [words.steer("thread-1", "thread-1-1", "WORK")]
    assert len([event for event in events if isinstance(event, Said)]) == 1


def test_mail_the_server_has_taken_and_its_model_never_got_is_not_shown() -> None:
    """The turn was over before the model's next word; the mail is of the next turn."""
    world = CodexWorld()
    events = turn(world, Behaviour.WORK, world.prompt(Behaviour.WORK, 4), at=Said)
    assert len(said(world, "turn/steer")) == 1
    assert PromptAccepted((4,)) not in events
    assert the_result(events).error is None


def test_mail_the_server_does_not_take_is_not_shown() -> None:
    """Its sender's message goes back to the queue; the turn goes on, and says why."""
    world = CodexWorld()
    world.clis.forgets = True
    events = turn(world, Behaviour.WORK, world.prompt(Behaviour.WORK, 4))
    assert PromptAccepted((4,)) not in events
    assert Noted("refused", "turn/steer: no active turn to steer") in events
    assert the_result(events).error is None


@pytest.mark.parametrize("behaviour", [Behaviour.WORK, Behaviour.CRASH])
def test_mail_folded_in_when_there_is_no_turn_for_it_is_not_said(behaviour: Behaviour) -> None:
    """Neither before the prompt is through nor after the end, whatever the end was."""
    world = CodexWorld()

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
    assert said(world, "turn/steer") == []


def test_usage_is_of_the_turn_though_the_server_counts_for_the_thread() -> None:
    """Each turn is booked once."""
    world = CodexWorld()
    for _ in range(3):
        used = the_result(turn(world, Behaviour.WORK)).usage
        assert used == Usage(USED["inputTokens"], USED["outputTokens"])


def test_a_turn_that_is_cancelled_is_interrupted_by_its_name() -> None:
    """Nothing harder is needed where the server listens."""
    world = CodexWorld()

    async def story(_sim: object) -> list[TurnEvent]:
        events = []
        async with one_turn(world, world.prompt(Behaviour.HANG, 3)) as run:
            async for event in run:
                events.append(event)
                if isinstance(event, PromptAccepted):
                    await run.cancel()
        return events

    events = simulate(story, 0)
    assert [event.text for event in events if isinstance(event, Noted)] == ["asked it to stop"]
    assert said(world, "turn/interrupt") == [words.interrupt("thread-1", "thread-1-1")]


def test_a_turn_cancelled_before_its_prompt_is_through_shows_nothing() -> None:
    """There is nothing to interrupt yet: the server is not even given it."""
    world = CodexWorld()

    async def story(_sim: object) -> list[TurnEvent]:
        async with one_turn(world, world.prompt(Behaviour.WORK, 3)) as run:
            await run.cancel()
            return [event async for event in run]

    assert simulate(story, 0) == [Result(error=ErrorClass.CANCELLED, detail="asked to stop")]
    assert [line["method"] for line in world.clis.heard] == ["initialize"]


def test_a_turn_without_tools_lets_the_model_do_nothing() -> None:
    """It is not given the prompt, and its thread is not kept."""
    world = CodexWorld()
    world.take_tools_down()
    events = turn(world, Behaviour.WORK)
    assert not [event for event in events if isinstance(event, Said | ToolCalled | PromptAccepted)]
    assert said(world, "turn/start") == []
    assert world.memory.kept is None


def test_a_server_without_a_login_is_given_no_thread() -> None:
    """That is known before the model is asked."""
    world = CodexWorld()
    world.clis.logged_in = False
    result = the_result(turn(world, Behaviour.WORK))
    assert result.error is ErrorClass.AUTH
    assert said(world, "thread/start") == []


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_BASE_URL"])
def test_a_server_that_is_given_a_key_or_an_address_needs_no_login_of_its_own(name: str) -> None:
    """Its provider is one of hive's making."""
    world = CodexWorld(credentials={name: "given"})
    world.clis.logged_in = False
    assert the_result(turn(world, Behaviour.WORK)).error is None
    (opened,) = said(world, "thread/start")
    assert opened["modelProvider"] == words.PROVIDER


def test_what_a_crashed_cli_complained_of_is_told() -> None:
    """With its status."""
    result = the_result(turn(CodexWorld(), Behaviour.CRASH))
    assert result == Result(error=ErrorClass.CRASH, detail="its process ended with status 3: it hurts")


def test_a_program_that_is_not_there_is_no_start() -> None:
    """And it is said how to get it."""
    world = CodexWorld()
    world.clis.missing = True
    result = the_result(turn(world, Behaviour.WORK))
    assert result.error is ErrorClass.NO_START
    assert "npm install" in result.detail


@pytest.mark.parametrize("method", ["initialize", "account/read", "thread/start", "turn/start"])
def test_a_server_that_will_not_begin_ends_the_turn(method: str) -> None:
    """It speaks another protocol than ours, and has said so."""
    world = CodexWorld()
    world.clis.unwilling[method] = "unknown request"
    detail = f"it refused {method}: unknown request"
    events = turn(world, Behaviour.WORK)
    assert the_result(events) == Result(error=ErrorClass.PROTOCOL, detail=detail)
    assert not [event for event in events if isinstance(event, PromptAccepted)]


def test_what_the_server_asks_is_answered() -> None:
    """With a refusal, since it would wait for ever."""
    world = CodexWorld()
    world.clis.asks = ({"id": "9", "method": "item/commandExecution/requestApproval", "params": {}},)
    assert the_result(turn(world, Behaviour.WORK)).error is None
    assert words.refusal("9") in world.clis.heard


def test_a_thread_that_cannot_be_kept_is_told() -> None:
    """The turn goes on; the next one will have forgotten it."""
    world = CodexWorld()
    world.memory.broken = True
    events = turn(world, Behaviour.WORK)
    assert Noted("session", "it will be forgotten: the disk is full") in events
    assert the_result(events).error is None


def test_the_token_is_told_to_the_thread_alone() -> None:
    """Arguments and environment are there for everybody to read."""
    world = CodexWorld()
    turn(world, Behaviour.WORK)
    (argv,) = world.clis.started
    assert "token" not in " ".join(argv)
    assert "token" not in " ".join(words.environment(BOX, {}).values())
    lines = [json.dumps(line) for line in world.clis.heard]
    assert ["Bearer token" in line for line in lines].count(True) == 1
    (opened,) = said(world, "thread/start")
    assert "Bearer token" in json.dumps(opened["config"])


def test_credentials_are_in_the_environment_and_kept_from_commands() -> None:
    """Where the model is may be known to all; what opens it is said in no argument and no message."""
    given = {"OPENAI_API_KEY": "secret", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    opened = words.thread(Settings(), BOX, "http://hive", "token", given)
    assert words.environment(BOX, given)["OPENAI_API_KEY"] == "secret"
    assert "OPENAI_BASE_URL" not in words.environment(BOX, given)
    assert "secret" not in " ".join(words.command(("codex",), Settings())) + json.dumps(opened)
    assert "OPENAI_API_KEY" in json.dumps(opened["config"]["shell_environment_policy"])  # type: ignore[index]


@pytest.mark.parametrize("allow_shell", [True, False])
def test_an_agent_runs_commands_only_where_that_is_allowed(allow_shell: bool) -> None:
    """And may never start other agents, or work of its own, behind hive's back."""
    settings = evolve(Settings(), allow_shell=allow_shell)
    argv = words.command(("codex",), settings)
    opened = words.thread(settings, BOX, "http://hive", "token", {})
    for name in words.SHELL:
        assert (f"features.{name}=false" in argv) is not allow_shell
    assert opened["sandbox"] == ("workspace-write" if allow_shell else "read-only")
    assert opened["approvalPolicy"] == "never"
    assert {f"features.{name}=false" for name in ("multi_agent", "goals", "hooks", "plugins")} <= {*argv}


@pytest.mark.parametrize(("model", "named"), [("", None), ("gpt-5", "gpt-5")])
def test_an_agent_thinks_with_the_model_it_was_given(model: str, named: str | None) -> None:
    """Without one the CLI chooses, as its owner has told it to."""
    opened = words.thread(evolve(Settings(), model=model), BOX, "http://hive", "token", {})
    assert opened.get("model") == named


def test_mail_brings_no_skill_of_the_cli_with_it() -> None:
    """A `$name` in it would, of those that Codex has by itself."""
    assert "skills.bundled.enabled=false" in words.command(("codex",), Settings())


def test_every_behaviour_is_played() -> None:
    """The CLI in memory knows them all."""
    assert set(PLAYS) == {behaviour.name for behaviour in Behaviour}
