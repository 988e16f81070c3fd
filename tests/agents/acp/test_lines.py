"""Lines of the real OpenCode and Gemini, as they were recorded, in hive's vocabulary."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from hive.agents.cli.acp_lines import Failure, Reading, ended, failure, hive_tool, usage_of
from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.shapes import LARGEST
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
)
from hive.agents.presets import built_in
from hive.protocol.commands import Usage
from hive.protocol.presets import ErrorRule

RECORDINGS: Final = sorted(Path(__file__).parent.glob("*.jsonl"))
VERSIONS: Final = {"opencode": "1.18.33", "gemini": "0.61.0"}
WALL: Final = 1000.0


def recorded(name: str) -> list[JsonObject]:
    """The lines of a recording."""
    path = Path(__file__).parent / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answers(lines: list[JsonObject]) -> list[JsonObject]:
    """What was answered to requests of ours, in order."""
    return [line for line in lines if "method" not in line]


def of_the_prompt(lines: list[JsonObject]) -> list[JsonObject]:
    """The lines from the answer before a prompt's to the prompt's, which is the last."""
    before = answers(lines)[-2]
    return lines[lines.index(before) + 1 :]


def events_of(name: str, *, allowed: bool = True) -> list[TurnEvent]:
    """What a turn makes of a recording."""
    preset = built_in()[name.partition("_")[0]]
    reading = Reading(preset, "session-1", (3, 4), 0.0)
    events: list[TurnEvent] = []
    for line in of_the_prompt(recorded(name)):
        match line:
            case {"method": "session/update", "params": dict(parameters)}:
                events += reading.read(parameters)
            case {"method": "session/request_permission", "params": {"toolCall": dict(call)}}:
                assert reading.allowed(call, others=False)
                events += reading.asked(call, allowed=allowed)
            case {"result": dict(result)}:
                events += reading.answered(result)
            case {"error": dict(error)}:
                events.append(ended(*reading.failed(error), WALL))
    return events


def test_the_recordings_are_of_one_version() -> None:
    """Of the one that the presets name; whoever records anew writes down of which."""
    found: dict[str, set[str]] = {}
    for path in RECORDINGS:
        known = answers(recorded(path.stem))[0]["result"]
        assert isinstance(known, dict)
        found.setdefault(path.stem.partition("_")[0], set()).add(known["agentInfo"]["version"])
    assert found == {name: {version} for name, version in VERSIONS.items()}
    assert {name: built_in()[name].driven for name in VERSIONS} == VERSIONS


@pytest.mark.parametrize(
    ("cli", "call", "thought", "usage"),
    [
        ("opencode", "call_", "hm", Usage(12, 7)),
        ("gemini", "mcp_hive_send__call_", "****\nhm", Usage(22, 17)),
    ],
)
@pytest.mark.parametrize("scenario", ["work", "permission"])
def test_a_turn_that_works_is_told_in_order(
    cli: str, call: str, thought: str, usage: Usage, scenario: str
) -> None:
    """Receipt, thought, words, call, answer, words, result: whether it asked for permission or not."""
    accepted, thinks, says, calls, returns, says_more, result = events_of(f"{cli}_{scenario}")
    assert accepted == PromptAccepted((3, 4))
    assert thinks == Thought(thought)
    assert says == Said("I will write to juno.")
    assert isinstance(calls, ToolCalled)
    assert calls.id.startswith(call)
    assert (calls.tool, calls.arguments) == (
        "hive/send",
        {"to": "juno", "body": "hi"} if scenario == "work" or cli == "gemini" else {},
    )
    assert returns == ToolReturned(calls.id, ok=True, text="sent as m-9")
    assert says_more == Said("done")
    assert result == Result("done", usage=usage)


def test_a_call_that_was_refused_has_failed() -> None:
    """Gemini says nothing of it, so hive does."""
    events = events_of("gemini_denied", allowed=False)
    (returned,) = [event for event in events if isinstance(event, ToolReturned)]
    assert not returned.ok
    assert Noted("permission", "refused: send (hive MCP Server)") in events
    assert isinstance(events[-1], Result)
    assert events[-1].error is None


@pytest.mark.parametrize(
    ("cli", "tool", "text", "arguments"),
    [
        ("opencode", "bash", "hi\n", {"command": "echo hi", "description": "say hi", "cwd": "/home/iris"}),
        ("gemini", "execute", "", {"title": "echo hi"}),
    ],
)
def test_a_tool_of_the_agent_s_own_keeps_its_name(
    cli: str, tool: str, text: str, arguments: Mapping[str, object]
) -> None:
    """Where it has one: Gemini titles a command with the command."""
    events = events_of(f"{cli}_shell")
    (called,) = [event for event in events if isinstance(event, ToolCalled)]
    (returned,) = [event for event in events if isinstance(event, ToolReturned)]
    assert (called.tool, called.arguments) == (tool, arguments)
    assert returned == ToolReturned(called.id, ok=True, text=text)


@pytest.mark.parametrize(
    ("name", "error", "accepted"),
    [
        ("opencode_bad_key", ErrorClass.AUTH, False),
        ("gemini_bad_key", ErrorClass.AUTH, False),
        ("gemini_no_login", ErrorClass.AUTH, False),
        ("gemini_rate_limit", ErrorClass.RATE_LIMIT, False),
        # It says no more than what the provider's text says, after 80 s of trying by itself.
        ("opencode_rate_limit", ErrorClass.CRASH, False),
        ("gemini_overflow", ErrorClass.OVERFLOW, False),
        ("opencode_cancel", ErrorClass.CANCELLED, True),
        ("gemini_cancel", ErrorClass.CANCELLED, True),
        ("opencode_no_session", ErrorClass.PROTOCOL, False),
        ("gemini_no_session", ErrorClass.PROTOCOL, False),
    ],
)
def test_each_way_to_fail_has_its_class(name: str, error: ErrorClass, accepted: bool) -> None:
    """And shows the prompt only where something came of it."""
    *events, result = events_of(name)
    assert isinstance(result, Result)
    assert result.error is error
    assert result.detail
    assert not result.text
    assert (PromptAccepted((3, 4)) in events) is accepted


def test_an_overflow_that_the_agent_mends_by_itself_is_none() -> None:
    """OpenCode compacts its conversation and goes on."""
    events = events_of("opencode_overflow")
    assert [event.text for event in events if isinstance(event, Said)] == ["ok", "ok"]
    assert events[-1] == Result("ok", usage=Usage(10, 10))


def test_gemini_tells_the_history_of_a_session_after_it_has_answered() -> None:
    """So the answer alone does not end it."""
    lines = recorded("gemini_load")
    told = [line for line in of_the_prompt(lines) if "first done" in json.dumps(line)]
    assert told


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (-32000, "rate limit", ErrorClass.AUTH),
        (402, "", ErrorClass.BILLING),
        (403, "", ErrorClass.AUTH),
        (404, "", ErrorClass.MODEL),
        (429, "", ErrorClass.RATE_LIMIT),
        (500, "", ErrorClass.OVERLOADED),
        (529, "", ErrorClass.OVERLOADED),
        (-32602, "", ErrorClass.PROTOCOL),
        (-32603, "", ErrorClass.CRASH),
        (-32603, "getaddrinfo ENOTFOUND host", ErrorClass.NETWORK),
        (-32603, "Overloaded", ErrorClass.OVERLOADED),
        (-32603, "known words", ErrorClass.BUDGET),
        (None, "", ErrorClass.PROTOCOL),
        ("401", "", ErrorClass.PROTOCOL),
    ],
)
def test_an_error_is_told_by_the_preset_s_words_and_by_its_code(
    code: object, message: str, expected: ErrorClass
) -> None:
    """A login that is asked for is always one."""
    rules = (ErrorRule("known words", ErrorClass.BUDGET),)
    assert failure(rules, {"code": code, "message": message}).error is expected


def test_an_error_is_told_by_its_details_too() -> None:
    """Some agents hide there what they mean."""
    rules = (ErrorRule("too much", ErrorClass.RATE_LIMIT),)
    found = failure(rules, {"code": -32603, "message": "Internal error", "data": {"details": "too much"}})
    assert found == Failure(ErrorClass.RATE_LIMIT, "Internal error")
    assert failure((), {"code": -32603, "data": {"details": "it hurts"}}).detail == '{"details": "it hurts"}'


@pytest.mark.parametrize(
    ("message", "until"), [("retry in 34.5s", WALL + 34.5), ("retry in ...s", None), ("retry later", None)]
)
def test_a_limit_says_when_it_ends_where_the_agent_did(message: str, until: float | None) -> None:
    """In the words that its preset knows."""
    rules = (
        ErrorRule(r"retry in (?P<seconds>[0-9.]+)s", ErrorClass.RATE_LIMIT),
        ErrorRule("retry", ErrorClass.RATE_LIMIT),
    )
    result = ended(failure(rules, {"code": 1, "message": message}), Usage(), WALL)
    assert (result.error, result.until) == (ErrorClass.RATE_LIMIT, until)


@pytest.mark.parametrize(
    ("stop", "error"),
    [
        ("end_turn", None),
        ("max_tokens", ErrorClass.STEP_LIMIT),
        ("max_turn_requests", ErrorClass.STEP_LIMIT),
        ("refusal", ErrorClass.REFUSED),
        ("cancelled", ErrorClass.CANCELLED),
        ("something new", ErrorClass.PROTOCOL),
        (None, ErrorClass.PROTOCOL),
    ],
)
def test_a_turn_has_ended_as_its_answer_says(stop: object, error: ErrorClass | None) -> None:
    """A reason that hive does not know is no good one."""
    reading = Reading(built_in()["opencode"], "s", (3,))
    said = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "hi"}}
    list(reading.read({"sessionId": "s", "update": said}))
    result = list(reading.answered({"stopReason": stop}))[-1]
    assert isinstance(result, Result)
    assert (result.error, result.text) == (error, "hi" if error is None else "")


def test_words_of_one_message_are_one_and_those_of_two_are_two() -> None:
    """By the message's id where there is one, by what comes between where there is none."""
    reading = Reading(built_in()["opencode"], "s")
    events: list[TurnEvent] = []
    for message, text in (("a", "he"), ("a", "llo"), ("b", "you")):
        said = {"content": {"type": "text", "text": text}, "messageId": message}
        events += reading.read({"sessionId": "s", "update": {"sessionUpdate": "agent_message_chunk", **said}})
    events += reading.answered({"stopReason": "end_turn"})
    assert [event for event in events if isinstance(event, Said)] == [Said("hello"), Said("you")]


def test_what_a_session_cost_before_is_not_paid_again() -> None:
    """Agents sum it up over the session; where what was before is not known, the first figure is."""
    for before, costs, paid in ((0.0, [0.5, 0.75], 0.75), (0.5, [0.75], 0.25), (None, [9.0, 9.5], 0.5)):
        reading = Reading(built_in()["opencode"], "s", (), before)
        for cost in costs:
            used = {"sessionUpdate": "usage_update", "cost": {"amount": cost, "currency": "USD"}}
            list(reading.read({"sessionId": "s", "update": used}))
        result = list(reading.answered({"stopReason": "end_turn"}))[-1]
        assert isinstance(result, Result)
        assert result.usage.cost_usd == paid


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"usage": None},
        {"usage": {"inputTokens": "many", "outputTokens": True}},
        {"usage": {"inputTokens": -1, "outputTokens": 10 * LARGEST}},
        {"_meta": {"quota": {"token_count": []}}},
    ],
)
def test_usage_that_makes_no_sense_is_none(result: JsonObject) -> None:
    """It is added up and stored."""
    assert usage_of(result) == Usage()


@pytest.mark.parametrize(
    "update",
    [
        {},
        {"sessionUpdate": 3},
        {"sessionUpdate": "agent_message_chunk"},
        {"sessionUpdate": "agent_message_chunk", "content": {"type": "image"}},
        {"sessionUpdate": "tool_call"},
        {"sessionUpdate": "tool_call_update", "status": 3, "content": [None, {"content": 3}]},
        {"sessionUpdate": "usage_update", "cost": "much"},
        {"sessionUpdate": "something_new"},
    ],
)
def test_updates_that_make_no_sense_are_skipped(update: JsonObject) -> None:
    """Agents grow new ones."""
    reading = Reading(built_in()["gemini"], "s")
    events = list(reading.read({"sessionId": "s", "update": update}))
    assert not [event for event in events if isinstance(event, Said | ToolReturned)]
    assert not list(reading.read({"sessionId": "s", "update": "nonsense"}))
    assert not list(reading.read({"sessionId": "other", "update": update}))


@pytest.mark.parametrize(
    ("title", "tool"),
    [
        ("hive_send", "send"),
        ("hive/send", "send"),
        ("mcp__hive__request_next_turn", "request_next_turn"),
        ("send (hive MCP Server)", "send"),
        ("send (other MCP Server)", None),
        ("hive_send; rm", None),
        ("beehive_send", None),
    ],
)
def test_hive_s_tools_are_known_by_their_titles(title: str, tool: str | None) -> None:
    """As the agents that were driven write them."""
    assert hive_tool(built_in()["opencode"].tools, {"title": title, "kind": "other"}) == tool
