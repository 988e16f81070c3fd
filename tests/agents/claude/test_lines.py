"""Lines of the real Claude Code 2.1.330, as they were recorded, in hive's vocabulary."""

import json
from pathlib import Path
from typing import Final

import pytest

from hive.agents.cli.claude_lines import Reading, tool_name, usage_of
from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.shapes import LARGEST
from hive.agents.events import (
    ErrorClass,
    Noted,
    PromptAccepted,
    Result,
    Said,
    SessionOpened,
    Thought,
    ToolCalled,
    ToolReturned,
    TurnEvent,
)
from hive.protocol.commands import Usage

VERSION: Final = "2.1.330"
PROMPT: Final = "11111111-1111-4111-8111-111111111111"
FOLDED: Final = "11111111-1111-4111-8111-111111111112"
COST: Final = 0.00038999999999999994
RECORDINGS: Final = sorted(Path(__file__).parent.glob("*.jsonl"))


def recorded(name: str) -> list[JsonObject]:
    """The lines of a recording."""
    path = Path(__file__).parent / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def events_of(lines: list[JsonObject]) -> list[TurnEvent]:
    """What a turn makes of them, up to and including its result."""
    reading = Reading({PROMPT: (3, 4), FOLDED: (5,)})
    events: list[TurnEvent] = []
    for line in lines:
        for event in reading.read(line):
            events.append(event)
            if isinstance(event, Result):
                return events
    return events


def result_of(lines: list[JsonObject]) -> Result:
    """How the turn ended."""
    *before, result = events_of(lines)
    assert isinstance(result, Result)
    assert not [event for event in before if isinstance(event, Result)]
    return result


def test_the_recordings_are_of_one_version() -> None:
    """Of this one; whoever records anew writes down of which."""
    versions = {
        line["claude_code_version"]
        for path in RECORDINGS
        for line in recorded(path.stem)
        if line.get("subtype") == "init"
    }
    assert versions == {VERSION}


def test_a_turn_that_works_is_told_in_order() -> None:
    """Receipt, session, thought, words, call, answer, words, result."""
    assert events_of(recorded("work")) == [
        PromptAccepted((3, 4)),
        SessionOpened("22222222-2222-4222-8222-000000000001", "claude-opus-5-5"),
        Thought("hm"),
        Said("I will write to juno."),
        ToolCalled("toolu_1", "hive/send", {"to": "juno", "body": "hi"}),
        ToolReturned("toolu_1", ok=True, text="sent as m-9"),
        Said("done"),
        Result("done", usage=Usage(36, 14, COST)),
    ]


def test_mail_folded_in_is_accepted_with_its_receipt_and_not_before() -> None:
    """Having it in its queue is not having shown it."""
    events = events_of(recorded("fold_in"))
    accepted = [event for event in events if isinstance(event, PromptAccepted)]
    assert accepted == [PromptAccepted((3, 4)), PromptAccepted((5,))]
    returned = next(event for event in events if isinstance(event, ToolReturned))
    assert events.index(accepted[1]) == events.index(returned) + 1


def test_a_result_is_a_receipt_too() -> None:
    """Should the one before it have been lost."""
    lines = [line for line in recorded("fold_in") if line["type"] != "command_lifecycle"]
    accepted = [event for event in events_of(lines) if isinstance(event, PromptAccepted)]
    assert accepted == [PromptAccepted((3, 4)), PromptAccepted((5,))]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("no_login", ErrorClass.AUTH),
        ("bad_key", ErrorClass.AUTH),
        ("credit", ErrorClass.BILLING),
        ("rate_limit", ErrorClass.RATE_LIMIT),
        ("limit_reached", ErrorClass.RATE_LIMIT),
        ("overloaded", ErrorClass.OVERLOADED),
        ("unreachable", ErrorClass.NETWORK),
        ("too_long", ErrorClass.OVERFLOW),
        ("model_unknown", ErrorClass.NO_START),
        ("step_limit", ErrorClass.STEP_LIMIT),
        ("interrupt", ErrorClass.CANCELLED),
        ("refusal", ErrorClass.REFUSED),
        ("no_session", ErrorClass.CRASH),
    ],
)
def test_each_way_to_fail_has_its_class(name: str, error: ErrorClass) -> None:
    """Most of them call themselves a success in `subtype`."""
    result = result_of(recorded(name))
    assert result.error is error
    assert result.detail
    assert not result.text


def test_a_limit_says_when_it_ends_where_the_service_did() -> None:
    """And only then, and only for a limit."""
    assert result_of(recorded("limit_reached")).until == 1_800_000_000
    assert result_of(recorded("rate_limit")).until is None
    assert result_of([limit("allowed"), *recorded("rate_limit")]).until is None
    assert result_of([limit("rejected"), *recorded("bad_key")]).until is None


def limit(status: str) -> JsonObject:
    """What the service says of a limit."""
    return {"type": "rate_limit_event", "rate_limit_info": {"status": status, "resetsAt": 9}}


def test_the_cli_s_own_words_are_not_the_model_s() -> None:
    """A made-up answer with an error text is a note."""
    events = events_of(recorded("bad_key"))
    assert not [event for event in events if isinstance(event, Said)]
    assert [event.what for event in events if isinstance(event, Noted)] == ["api_retry", "error"]


def test_a_tool_that_is_refused_has_failed() -> None:
    """And there is a note of why."""
    events = events_of(recorded("denied"))
    returned = next(event for event in events if isinstance(event, ToolReturned))
    assert not returned.ok
    assert "don't ask mode" in returned.text
    assert Noted("permission_denied", "tool_name Bash, decision_reason_type mode") in events


@pytest.mark.parametrize("status", ["failed", "pending", "needs-auth", "disabled"])
def test_tools_that_are_not_connected_are_missing(status: str) -> None:
    """Whatever they will be later: the model works without them now."""
    assert opened([{"name": "hive", "status": status}]).tools_ok is False


def test_the_tools_of_others_are_not_ours() -> None:
    """Nor is no list at all."""
    assert opened([{"name": "other", "status": "connected"}]).tools_ok is False
    assert opened(None).tools_ok is False
    assert opened([7, {"name": "hive", "status": "connected"}]).tools_ok is True


def opened(servers: object) -> SessionOpened:
    """What an `init` with these servers means."""
    (event,) = events_of([{"type": "system", "subtype": "init", "mcp_servers": servers}])
    assert isinstance(event, SessionOpened)
    return event


SPOKE: Final[JsonObject] = {"type": "assistant", "message": {"content": [{"type": "text", "text": "hi"}]}}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"is_error": False, "terminal_reason": "completed"}, None),
        ({"is_error": False}, None),
        ({"is_error": False, "terminal_reason": "aborted_tools"}, ErrorClass.CANCELLED),
        ({"is_error": False, "terminal_reason": "prompt_too_long"}, ErrorClass.OVERFLOW),
        ({"is_error": True, "terminal_reason": "completed"}, ErrorClass.CRASH),
        ({"is_error": True, "terminal_reason": "budget_exhausted"}, ErrorClass.BUDGET),
        ({"is_error": True, "api_error_status": 500}, ErrorClass.OVERLOADED),
        ({"is_error": True, "api_error_status": 402}, ErrorClass.BILLING),
        ({"is_error": True, "api_error_status": 422}, ErrorClass.MODEL),
        ({"is_error": "no"}, ErrorClass.CRASH),
        ({}, ErrorClass.CRASH),
    ],
)
def test_success_is_read_from_two_fields(fields: JsonObject, error: ErrorClass | None) -> None:
    """Whatever `subtype` and the text say; what is not said is no success."""
    line = {"type": "result", "subtype": "success", "result": "all done", **fields}
    assert result_of([SPOKE, line]).error is error


def test_a_success_without_a_word_is_none() -> None:
    """A stream that breaks off inside the answer is reported so."""
    line: JsonObject = {"type": "result", "subtype": "success", "is_error": False, "result": ""}
    assert result_of([line]).error is ErrorClass.NETWORK


def test_what_a_helper_of_the_model_says_is_not_said_by_it() -> None:
    """Its tools are used for real, though."""
    inner: JsonObject = {
        "type": "assistant",
        "parent_tool_use_id": "t",
        "message": {
            "content": [
                {"type": "text", "text": "psst"},
                {"type": "tool_use", "id": "u", "name": "Read", "input": {}},
            ]
        },
    }
    assert events_of([inner]) == [ToolCalled("u", "Read")]


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("mcp__hive__send", "hive/send"),
        ("mcp__a__b__c", "a/b__c"),
        ("Bash", "Bash"),
        ("mcp__odd", "mcp__odd"),
    ],
)
def test_a_tool_s_name_says_whose_it_is(name: str, tool: str) -> None:
    """Its own tools have no server."""
    assert tool_name(name) == tool


@pytest.mark.parametrize("number", ["7", True, None, -1, float("nan"), float("inf"), LARGEST * 10, 10**400])
def test_what_is_no_number_counts_as_nothing(number: object) -> None:
    """Else one odd line spoils the sums of a store."""
    models = {"m": {"inputTokens": number, "outputTokens": 3, "costUSD": number}, "n": 7}
    assert usage_of({"model_usage_since_last_result": models}) == Usage(0, 3, 0.0)


def test_lines_of_no_known_type_or_shape_are_skipped() -> None:
    """The CLI grows new ones, and old ones new shapes."""
    odd: list[JsonObject] = [
        {},
        {"type": 7},
        {"type": "tomorrow", "message": {}},
        {"type": "system"},
        {"type": "system", "subtype": "tomorrow"},
        {"type": "assistant", "message": "text"},
        {"type": "assistant", "message": {"content": "text"}},
        {"type": "assistant", "message": {"content": [7, {"type": "image"}, {"type": "tool_use"}]}},
        {"type": "user", "message": {"content": "text"}},
        {"type": "rate_limit_event"},
        {"type": "command_lifecycle", "command_uuid": "not ours", "state": "started"},
    ]
    assert events_of(odd) == []


def test_mail_that_came_too_late_has_a_turn_and_a_result_of_its_own() -> None:
    """In the same process, and without having been asked for."""
    reading = Reading({PROMPT: (3, 4), FOLDED: (5,)})
    events = [event for line in recorded("late") for event in reading.read(line)]
    told = [event for event in events if isinstance(event, PromptAccepted | Result)]
    assert told == [
        PromptAccepted((3, 4)),
        Result("done", usage=Usage(36, 14, COST)),
        PromptAccepted((5,)),
        Result("and that too", usage=Usage(18, 7, COST / 2)),
    ]


def test_a_second_turn_is_not_judged_by_the_first() -> None:
    """An answer that breaks off without a word is none, though the turn before had spoken or failed."""
    spoke = [line for line in recorded("work") if line["type"] == "assistant"]
    silent: JsonObject = {"type": "result", "is_error": False, "result": ""}
    reading = Reading()
    told = [event for line in [*spoke, silent, silent] for event in reading.read(line)]
    assert [one.error for one in told if isinstance(one, Result)] == [None, ErrorClass.NETWORK]
    failed = [line for line in recorded("bad_key") if line["type"] in {"assistant", "result"}]
    told = [event for line in [*failed, silent] for event in reading.read(line)]
    assert [one.error for one in told if isinstance(one, Result)] == [ErrorClass.AUTH, ErrorClass.NETWORK]
