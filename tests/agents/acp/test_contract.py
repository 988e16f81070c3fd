"""Agents that speak ACP keep the contract of backends, and what is their own, with one in memory."""

import json
import signal
from collections.abc import Sequence

import pytest
import trio
from attrs import evolve

from hive.agents.cli import acp_words as words
from hive.agents.cli.json_lines import JsonObject
from hive.agents.events import (
    ErrorClass,
    Noted,
    PromptAccepted,
    Result,
    Said,
    SessionOpened,
    ToolCalled,
    ToolReturned,
    TurnEvent,
)
from hive.agents.presets import built_in
from hive.protocol.commands import Settings, Usage
from hive.protocol.presets import Leaves, Model, ModelWay, Preset, Start, WithoutShell
from hive.testing.acp_world import (
    PLAYS,
    PRESET,
    AcpWorld,
    called,
    chunk,
    error,
    returned,
    stopped,
    update,
)
from hive.testing.backend_world import Behaviour, one_turn, the_result
from hive.testing.contracts import BackendContract
from hive.testing.fake_clis import STEP_SECONDS
from hive.testing.simulate import simulate

LIMIT_SECONDS = 600.0
"""Of virtual time: no turn here takes longer, however an agent behaves."""


class TestAcp(BackendContract):
    """The suite, with a well-behaved agent."""

    steps_cancelled = 46

    def make(self) -> AcpWorld:
        """See `BackendContract`."""
        return AcpWorld()


def turn(
    world: AcpWorld, behaviour: Behaviour = Behaviour.WORK, *, cancelled_at: type | None = None
) -> Sequence[TurnEvent]:
    """All events of a turn."""

    async def story(_sim: object) -> list[TurnEvent]:
        events: list[TurnEvent] = []
        with trio.fail_after(LIMIT_SECONDS):
            async with one_turn(world, world.prompt(behaviour, 3)) as run:
                async for event in run:
                    events.append(event)
                    if cancelled_at is not None and isinstance(event, cancelled_at):
                        await run.cancel()
        return events

    events = simulate(story, 0)
    assert world.left() == []
    return events


def playing(*steps: JsonObject | int, preset: Preset = PRESET, settings: Settings | None = None) -> AcpWorld:
    """A world whose agent does this when it is to work."""
    world = AcpWorld(preset, settings or Settings(backend="fake"))
    world.agents.plays[Behaviour.WORK.name] = steps
    return world


def test_a_turn_is_told_in_order_and_its_words_whole() -> None:
    """However many pieces they came in."""
    assert turn(AcpWorld()) == [
        SessionOpened("ses_1"),
        PromptAccepted((3,)),
        ToolCalled("call-1", "hive/send", {"to": "juno"}),
        ToolReturned("call-1", ok=True, text="sent"),
        Said("done"),
        Result("done", usage=Usage(1, 2)),
    ]


def test_a_session_is_gone_on_with_and_its_history_is_not_told_again() -> None:
    """Whether hive was restarted in between or not."""
    world = AcpWorld(evolve(PRESET, mode=""))
    first, second = turn(world), turn(world)
    assert first == second
    assert [method for method in world.agents.methods() if method in ("session/new", "session/load")] == [
        "session/new",
        "session/load",
    ]
    assert world.agents.asked("session/load")[0]["sessionId"] == "ses_1"


def test_a_session_is_resumed_where_it_can_be() -> None:
    """Which spares the history."""
    world = AcpWorld()
    world.agents.capable["sessionCapabilities"] = {"resume": {}}
    turn(world)
    turn(world)
    assert world.agents.asked("session/resume")
    assert not world.agents.asked("session/load")


def test_a_session_that_is_unknown_gives_way_to_a_new_one() -> None:
    """Its mail is shown all the same, and what was lost is said."""
    world = AcpWorld()
    world.memory.kept = "lost"
    events = turn(world)
    assert Noted("session", "a new one, without the old: no such session") in events
    assert the_result(events).error is None
    assert world.memory.kept == "ses_1"


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (-32000, "login first", ErrorClass.AUTH),
        (429, "slow down", ErrorClass.RATE_LIMIT),
        (503, "busy", ErrorClass.OVERLOADED),
        (-32603, "fetch failed: ECONNREFUSED", ErrorClass.NETWORK),
    ],
)
def test_a_session_that_cannot_be_opened_for_now_is_not_forgotten(
    code: int, message: str, kind: ErrorClass
) -> None:
    """It will be there another time."""
    world = AcpWorld()
    world.memory.kept = "dear"
    world.agents.answers["session/load"] = error(code, message)
    assert the_result(turn(world)).error is kind
    assert world.memory.kept == "dear"
    assert not world.agents.asked("session/prompt")


def test_a_session_whose_prompt_was_not_shown_is_not_kept() -> None:
    """Some agents cannot load what nothing was said in."""
    world = playing(error(-32603, "no"))
    turn(world)
    assert world.memory.kept is None


def test_a_prompt_that_was_only_written_is_not_shown() -> None:
    """Its mail goes back, unshown."""
    events = turn(playing(error(-32603, "no")))
    assert PromptAccepted((3,)) not in events
    assert the_result(events).error is ErrorClass.CRASH


def test_a_good_answer_shows_the_prompt_too() -> None:
    """Where it comes without an update before it; but a turn without a word has not ended well."""
    events = turn(playing(stopped("end_turn")))
    assert PromptAccepted((3,)) in events
    assert the_result(events).error is ErrorClass.PROTOCOL


def test_what_an_agent_says_of_itself_shows_no_prompt() -> None:
    """Its list of commands comes at any time."""
    events = turn(playing(update("available_commands_update", availableCommands=[]), error(-32603, "no")))
    assert PromptAccepted((3,)) not in events


def test_updates_of_another_session_are_not_ours() -> None:
    """An agent may hold several."""
    other = {"sessionId": "other", "update": chunk("not for us")}
    events = turn(playing({"method": "session/update", "params": other}, chunk("done"), stopped("end_turn")))
    assert [event for event in events if isinstance(event, Said)] == [Said("done")]


def test_a_turn_cancelled_before_its_prompt_is_through_shows_nothing() -> None:
    """There is nothing to interrupt yet: the agent is not even given it."""
    world = AcpWorld()

    async def story(_sim: object) -> list[TurnEvent]:
        async with one_turn(world, world.prompt(Behaviour.WORK, 3)) as run:
            await run.cancel()
            return [event async for event in run]

    assert simulate(story, 0) == [Result(error=ErrorClass.CANCELLED, detail="asked to stop")]
    assert not world.agents.asked("session/prompt")


def test_an_agent_that_is_asked_to_stop_is_stopped_by_ever_harder_means() -> None:
    """One that listens is not signalled."""
    world = AcpWorld()
    assert the_result(turn(world, Behaviour.HANG, cancelled_at=PromptAccepted)).error is ErrorClass.CANCELLED
    assert world.agents.signals == []
    world.agents.stubborn = True
    assert the_result(turn(world, Behaviour.HANG, cancelled_at=PromptAccepted)).error is ErrorClass.CANCELLED
    assert world.agents.signals == [signal.SIGINT]


@pytest.mark.parametrize(
    ("leaves", "signals"),
    [(Leaves.EOF, []), (Leaves.TERM, [signal.SIGTERM]), (Leaves.KILL, [signal.SIGKILL])],
)
def test_an_agent_leaves_as_its_preset_says(leaves: Leaves, signals: list[signal.Signals]) -> None:
    """So that no turn waits in vain for one that does not listen."""
    world = AcpWorld(evolve(PRESET, leaves=leaves))
    assert the_result(turn(world)).error is None
    assert world.agents.signals == signals


def test_a_turn_without_tools_lets_the_model_do_nothing() -> None:
    """It is stopped at the first sign of work."""
    world = AcpWorld()
    world.take_tools_down()
    events = turn(world)
    assert not [event for event in events if isinstance(event, Said | ToolCalled)]
    assert world.agents.methods()[-1] == "session/cancel"


def test_an_agent_that_cannot_use_hive_s_tools_is_not_given_the_prompt() -> None:
    """It says so before anything is asked of it."""
    world = AcpWorld()
    world.agents.capable["mcpCapabilities"] = {"http": False}
    assert the_result(turn(world)).error is ErrorClass.TOOLS
    assert world.agents.methods() == ["initialize"]


def test_an_agent_of_another_version_is_not_talked_to() -> None:
    """Both versions are named."""
    world = AcpWorld()
    world.agents.version = 2
    detail = "it speaks version 2 of the protocol, hive speaks 1"
    assert the_result(turn(world)) == Result(error=ErrorClass.PROTOCOL, detail=detail)


def test_a_session_without_an_id_is_told_from_a_crash() -> None:
    """What cannot be kept cannot be gone on with."""
    world = AcpWorld()
    world.agents.answers["session/new"] = {"result": {"sessionId": "../../etc"}}
    assert the_result(turn(world)).error is ErrorClass.PROTOCOL


def test_an_answer_with_nothing_in_it_is_told_from_a_crash() -> None:
    """Whatever was asked."""
    assert the_result(turn(playing({}))).error is ErrorClass.PROTOCOL
    world = AcpWorld()
    world.agents.answers["session/set_mode"] = {}
    assert the_result(turn(world)).error is ErrorClass.PROTOCOL


def asking(**call: object) -> JsonObject:
    """A request for permission."""
    options = [
        {"optionId": "always", "kind": "allow_always"},
        {"optionId": "once", "kind": "allow_once"},
        {"optionId": "no", "kind": "reject_once"},
    ]
    asked = {"sessionId": "ses_1", "toolCall": {"toolCallId": "call-1", **call}, "options": options}
    return {"id": 9, "method": "session/request_permission", "params": asked}


@pytest.mark.parametrize(
    ("call", "allow_shell", "chosen"),
    [
        ({"title": "hive_send", "kind": "other"}, False, "once"),
        ({"title": "send (hive MCP Server)"}, False, "once"),
        ({"title": "mcp__hive__send", "kind": "other"}, False, "once"),
        ({"title": "rm -rf /", "kind": "execute"}, False, "no"),
        ({"title": "rm -rf /", "kind": "execute"}, True, "once"),
        ({"title": "hive_send", "kind": "execute"}, False, "no"),
        ({"title": "rm (hive MCP Server)", "kind": "execute"}, False, "no"),
        ({"title": "rm -rf / (hive MCP Server)"}, False, "no"),
        ({}, False, "no"),
    ],
)
def test_hive_s_own_tools_are_permitted_and_others_where_commands_are(
    call: dict[str, object], allow_shell: bool, chosen: str
) -> None:
    """Once, and never for always; a command's title may read like anything."""
    settings = Settings(backend="fake", allow_shell=allow_shell)
    world = playing(asking(**call), returned("sent"), chunk("done"), stopped("end_turn"), settings=settings)
    events = turn(world)
    assert the_result(events).error is None
    outcome = {"outcome": {"outcome": "selected", "optionId": chosen}}
    assert {"jsonrpc": "2.0", "id": 9, "result": outcome} in world.agents.heard
    (answer,) = [event for event in events if isinstance(event, ToolReturned)]
    assert answer.ok is (chosen == "once")


def test_a_call_that_was_told_as_another_is_not_taken_for_hive_s() -> None:
    """Neither by what it is called later nor by what it was called before."""
    first = called("pending", title="bash", kind="execute")
    world = playing(first, asking(title="hive_send", kind="other"), chunk("done"), stopped("end_turn"))
    turn(world)
    assert world.agents.heard[-1]["result"] == {"outcome": {"outcome": "selected", "optionId": "no"}}


def test_a_permission_that_can_only_be_given_for_always_is_not_given() -> None:
    """It would outlive the turn."""
    answer = words.decision(9, [{"optionId": "always", "kind": "allow_always"}], allowed=True)
    assert answer["result"] == {"outcome": {"outcome": "cancelled"}}
    assert words.decision(9, "nonsense", allowed=True)["result"] == {"outcome": {"outcome": "cancelled"}}


def test_what_else_the_agent_asks_is_refused() -> None:
    """It would wait for ever."""
    ask: JsonObject = {"id": "f", "method": "fs/read_text_file", "params": {"path": "/etc/passwd"}}
    world = playing(ask, chunk("done"), stopped("end_turn"))
    assert the_result(turn(world)).error is None
    assert words.refusal("f") in world.agents.heard


def test_the_token_is_told_with_the_session_alone() -> None:
    """Arguments and environment are there for everybody to read."""
    world = AcpWorld()
    turn(world)
    assert "token" not in str(world.agents.started) + str(world.agents.environments)
    (line,) = [line for line in world.agents.heard if "Bearer token" in json.dumps(line)]
    assert line["method"] == "session/new"


def test_a_model_and_a_mode_are_set_again_in_every_process() -> None:
    """No agent remembers them."""
    preset = evolve(PRESET, model=Model(ModelWay.OPTION, option="llm"))
    world = AcpWorld(preset, Settings(backend="fake", model="opus"))
    turn(world)
    turn(world)
    chosen = {"sessionId": "ses_1", "configId": "llm", "value": "opus"}
    assert world.agents.asked("session/set_config_option") == [chosen, chosen]
    assert world.agents.asked("session/set_mode") == [{"sessionId": "ses_1", "modeId": "build"}] * 2


@pytest.mark.parametrize(
    ("allow_shell", "mode", "otherwise", "set_to"),
    [
        (True, "edit", "ask", ["edit"]),
        (False, "edit", "ask", ["ask"]),
        (False, "edit", "", ["edit"]),
        (True, "", "", []),
        (False, "", "ask", ["ask"]),
    ],
)
def test_an_agent_without_a_shell_may_have_a_mode_of_its_own(
    allow_shell: bool, mode: str, otherwise: str, set_to: list[str]
) -> None:
    """In which it asks before it acts."""
    preset = evolve(PRESET, mode=mode, without_shell=WithoutShell(mode=otherwise))
    world = AcpWorld(preset, Settings(backend="fake", allow_shell=allow_shell))
    assert the_result(turn(world)).error is None
    assert [parameters["modeId"] for parameters in world.agents.asked("session/set_mode")] == set_to


@pytest.mark.parametrize("last", [error(-32603, "no"), 3])
def test_what_was_said_before_a_failure_is_told(last: JsonObject | int) -> None:
    """Its reader wants to know how it came to that."""
    events = turn(playing(chunk("look"), last))
    assert Said("look") in events
    assert the_result(events).error is ErrorClass.CRASH


def test_an_agent_that_is_never_silent_cannot_hold_a_turn_up() -> None:
    """While its history is waited for."""
    world = AcpWorld(evolve(PRESET, mode=""))
    turn(world)
    world.agents.chatters = True
    assert the_result(turn(world)).error is None


def test_a_model_that_is_not_there_is_told_from_a_crash() -> None:
    """The mail is not to blame."""
    world = AcpWorld(
        evolve(PRESET, model=Model(ModelWay.METHOD)), Settings(backend="fake", model="no-such-model")
    )
    world.agents.answers["session/set_model"] = error(-32602, "unknown model")
    result = the_result(turn(world))
    assert result == Result(error=ErrorClass.MODEL, detail="session/set_model: unknown model")


def test_arguments_and_environment_are_filled_in() -> None:
    """With the agent's model and its own directory; commands are only forbidden where they are."""
    preset = evolve(
        PRESET,
        arguments=("acp", "--home={home}"),
        environment={"STATE": "{home}/state"},
        without_shell=WithoutShell(("--no-shell",), {"SHELL": "no"}),
        model=Model(ModelWay.START, arguments=("--model", "{model}"), environment={"MODEL": "{model}"}),
    )
    start = words.start(("fake",), preset, model="opus", allow_shell=False, home="/h")
    assert start.arguments == ("fake", "acp", "--home=/h", "--no-shell", "--model", "opus")
    assert start.environment == {"STATE": "/h/state", "SHELL": "no", "MODEL": "opus"}
    plain = words.start(("fake",), preset, model="", allow_shell=True, home="/h")
    assert plain == Start(("fake", "acp", "--home=/h"), {"STATE": "/h/state"})


def test_an_agent_that_is_not_logged_in_says_by_what_it_would_be() -> None:
    """In the words of its preset."""
    world = AcpWorld()
    world.agents.answers["session/new"] = error(-32000, "Authentication required")
    detail = "session/new: Authentication required (it takes FAKE_API_KEY)"
    assert the_result(turn(world)) == Result(error=ErrorClass.AUTH, detail=detail)


def test_an_agent_is_told_how_it_is_logged_in_where_it_offers_that() -> None:
    """And not where it does not know the way."""
    for method, asked in (("key", [{"methodId": "key"}]), ("oauth", [])):
        world = AcpWorld(evolve(PRESET, authenticate=method))
        assert the_result(turn(world)).error is None
        assert world.agents.asked("authenticate") == asked
    world = AcpWorld(evolve(PRESET, authenticate="key"))
    world.agents.answers["authenticate"] = error(-32603, "no browser")
    assert the_result(turn(world)).error is ErrorClass.AUTH


def test_what_a_crashed_agent_complained_of_is_told() -> None:
    """With its status."""
    result = the_result(turn(AcpWorld(), Behaviour.CRASH))
    assert result == Result(error=ErrorClass.CRASH, detail="its process ended with status 3: it hurts")


def test_a_program_that_is_not_there_is_no_start() -> None:
    """And it is said how to get it."""
    world = AcpWorld()
    world.agents.missing = True
    result = the_result(turn(world))
    assert result.error is ErrorClass.NO_START
    assert result.detail == (
        "there is no `fake` to run: it is not to be had, and start hive where `fake` is on the PATH"
    )


def test_a_session_that_cannot_be_kept_is_told() -> None:
    """The turn goes on; the next one will have forgotten it."""
    world = AcpWorld()
    world.memory.broken = True
    events = turn(world)
    assert Noted("session", "it will be forgotten: the disk is full") in events
    assert the_result(events).error is None


def test_an_agent_that_writes_but_tells_nothing_is_alive() -> None:
    """Whoever watches for silence must not take it for dead."""
    rest = [update("plan")] * round(100 / STEP_SECONDS)
    events = turn(playing(*rest, chunk("done"), stopped("end_turn")))
    assert len([event for event in events if event == Noted("heartbeat", "")]) == 3


def test_mail_is_not_folded_in() -> None:
    """No two agents take a second prompt alike."""
    world = AcpWorld()

    async def story(_sim: object) -> None:
        async with one_turn(world, world.prompt(Behaviour.WORK, 3)) as run:
            await run.fold_in(world.prompt(Behaviour.WORK, 4))
            async for _ in run:
                await trio.lowlevel.checkpoint()

    simulate(story, 0)
    assert len(world.agents.asked("session/prompt")) == 1


def test_every_behaviour_is_played() -> None:
    """The agent in memory knows them all."""
    assert set(PLAYS) == {behaviour.name for behaviour in Behaviour}


@pytest.mark.parametrize("name", sorted(built_in()))
def test_every_preset_drives_a_turn(name: str) -> None:
    """Against an agent with the differences that are known of it."""
    preset = built_in()[name]
    world = AcpWorld(preset, Settings(backend=name, model="some/model"))
    events = turn(world)
    assert the_result(events).error is None
    assert ToolCalled("call-1", "hive/send", {"to": "juno"}) in events
    (argv,) = world.agents.started
    assert argv[: 1 + len(preset.arguments)] == (preset.program, *preset.arguments)
    told = json.dumps([world.agents.heard, argv, dict(world.agents.environments[0])])
    assert ("some/model" in told) is (preset.model.way is not ModelWay.NONE)
    assert "{home}" not in told
