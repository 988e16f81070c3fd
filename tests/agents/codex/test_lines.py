"""Lines of the real Codex 0.169.0, as they were recorded, in hive's vocabulary.

Each recording is played to the conversation that asked for it: answers are part of it.
"""

import json
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
import trio
import trio.testing
from attrs import define, evolve

from hive.agents.backend import Prompt
from hive.agents.cli.codex_lines import CONNECTIONS, Reading, error_of
from hive.agents.cli.codex_talk import Conversation, Opening, Ways
from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.process import Heard, Ladder
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
    Used,
)
from hive.protocol.commands import Usage

VERSION: Final = "0.169.0"
THREAD: Final = "22222222-2222-4222-8222-000000000001"
TURN: Final = "33333333-3333-4333-8333-000000000001"
WARNED: Final = Noted(
    "warning",
    "Model metadata for `scripted` not found. Defaulting to fallback metadata; this can degrade performance"
    " and cause issues.",
)
NEW: Final = Opening({}, None, needs_login=False)
OLD: Final = evolve(NEW, kept=THREAD)
RECORDINGS: Final = sorted(Path(__file__).parent.glob("*.jsonl"))


def recorded(name: str) -> list[JsonObject]:
    """The lines of a recording."""
    path = Path(__file__).parent / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@define(eq=False)
class Played:
    """A `Cli` that says what is recorded."""

    lines: list[JsonObject]
    said: list[Mapping[str, object]]
    stop: trio.Event
    stop_at: str
    status: int | None = 0
    complaint: str = ""

    def __aiter__(self) -> AsyncIterator[Heard]:
        """What it says."""
        return self

    async def __anext__(self) -> Heard:
        """The next line, once everybody has taken in the last one."""
        await trio.testing.wait_all_tasks_blocked()
        if not self.lines:
            raise StopAsyncIteration
        return self.lines.pop(0)

    def say(self, line: Mapping[str, object]) -> None:
        """It does not listen; at one request the turn is asked to stop."""
        self.said.append(line)
        if line["method"] == self.stop_at:
            self.stop.set()

    async def hang_up(self) -> None:
        """It has nothing more to say."""
        await trio.lowlevel.checkpoint()

    def signal(self, number: signal.Signals) -> None:
        """It is no process."""

    async def kill(self) -> None:
        """It is no process."""
        await trio.lowlevel.checkpoint()


def told(
    lines: list[JsonObject],
    opening: Opening = NEW,
    *,
    folded: Prompt | None = None,
    said: list[Mapping[str, object]] | None = None,
    stop_at: str = "",
) -> list[TurnEvent]:
    """What a turn makes of them; mail to fold in is given to it when it calls a tool."""

    async def story() -> list[TurnEvent]:
        events: list[TurnEvent] = []

        async def emit(event: TurnEvent) -> None:
            await trio.lowlevel.checkpoint()
            events.append(event)
            if isinstance(event, ToolCalled) and folded is not None:
                talk.show(folded)

        stop = trio.Event()
        ways = Ways(emit, events.append, lambda _: None, stop)
        cli = Played([*lines], [] if said is None else said, stop, stop_at)
        talk = Conversation(cli, ways, Ladder(), opening, Prompt("hello", (3, 4)))
        await talk.hold()
        return events if talk.result is None else [*events, talk.result]

    return trio.run(story)


def result_of(events: Sequence[TurnEvent]) -> Result:
    """How the turn ended."""
    *before, result = events
    assert isinstance(result, Result)
    assert not [event for event in before if isinstance(event, Result)]
    return result


def reading() -> Reading:
    """Of a turn that runs."""
    return Reading(THREAD, TURN)


def test_the_recordings_are_of_one_version() -> None:
    """Of this one; whoever records anew writes down of which."""
    for path in RECORDINGS:
        (agent,) = [line["result"]["userAgent"] for line in recorded(path.stem) if line.get("id") == 1]  # type: ignore[index]
        assert str(agent).startswith(f"hive/{VERSION} ")


def test_a_turn_that_works_is_told_in_order() -> None:
    """Session, receipt, thought, words, call, answer, words, result; not as the thread's first turn."""
    used = Usage(10, 10), Usage(40, 14)
    events = told(recorded("work"), OLD)
    assert [event for event in events if event != WARNED] == [
        SessionOpened(THREAD, "scripted"),
        PromptAccepted((3, 4)),
        Thought("hm"),
        Said("I will write to juno."),
        ToolCalled("call_1", "hive/send", {"to": "juno", "body": "hi"}),
        ToolReturned("call_1", ok=True, text="sent as m-9"),
        Used(used[0]),
        Said("done"),
        Used(used[1]),
        Result("done", usage=used[1]),
    ]


def test_a_command_is_a_tool_and_fails_by_its_status() -> None:
    """As the model is told."""
    events = told(recorded("command"))
    calls = [event for event in events if isinstance(event, ToolCalled | ToolReturned)]
    assert calls == [
        ToolCalled("call_1", "shell", {"command": "/bin/bash -c 'sleep 0.5; echo hello; exit 3'"}),
        ToolReturned("call_1", ok=False, text="hello\n"),
    ]


def test_a_tool_of_hive_that_refuses_has_failed() -> None:
    """With its words."""
    events = told(recorded("denied"))
    assert ToolReturned("call_1", ok=False, text="no such agent") in events


def test_mail_folded_in_is_accepted_once_the_model_is_given_it_and_not_before() -> None:
    """The model is shown it after the tool that runs, and answers it."""
    events = told(recorded("steer"), folded=Prompt("more", (5,)))
    order = [event for event in events if isinstance(event, PromptAccepted | ToolCalled | ToolReturned)]
    assert [type(event) for event in order] == [PromptAccepted, ToolCalled, ToolReturned, PromptAccepted]
    assert order[3] == PromptAccepted((5,))
    assert result_of(events).text == "and that too"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("bad_key", ErrorClass.AUTH),
        ("rate_limit", ErrorClass.RATE_LIMIT),
        ("retry_after", ErrorClass.RATE_LIMIT),
        ("limit_reached", ErrorClass.RATE_LIMIT),
        ("overloaded", ErrorClass.OVERLOADED),
        ("at_capacity", ErrorClass.OVERLOADED),
        ("unreachable", ErrorClass.NETWORK),
        ("dropped", ErrorClass.NETWORK),
        ("too_long", ErrorClass.OVERFLOW),
        ("model_unknown", ErrorClass.NO_START),
        ("tools_down", ErrorClass.TOOLS),
        ("wrong_token", ErrorClass.TOOLS),
        ("interrupt", ErrorClass.CANCELLED),
        ("silent", ErrorClass.CANCELLED),
    ],
)
def test_each_way_to_fail_has_its_class(name: str, error: ErrorClass) -> None:
    """By what is typed."""
    result = result_of(told(recorded(name)))
    assert result.error is error
    assert result.detail
    assert not result.text


def test_a_server_without_a_login_says_so() -> None:
    """Before any thread is opened."""
    assert result_of(told(recorded("no_login"), evolve(NEW, needs_login=True))).error is ErrorClass.AUTH


def test_a_thread_that_is_unknown_gives_way_to_a_new_one() -> None:
    """In the same process."""
    events = told(recorded("no_thread"), evolve(NEW, kept="55555555-5555-4555-8555-000000000001"))
    (note,) = [event for event in events if isinstance(event, Noted) and event.what == "session"]
    assert note.text.startswith("a new one, without the old: ")
    assert result_of(events) == Result("new", usage=Usage(10, 10))


def test_a_limit_says_when_it_ends_where_the_service_did() -> None:
    """And only then, and only where it is reached, and only for a limit."""
    reached, bare = recorded("limit_reached"), recorded("rate_limit")
    assert result_of(told(reached)).until == 1_800_000_000
    assert result_of(told(bare)).until is None
    limits = {"primary": {"usedPercent": 40, "resetsAt": 9}, "secondary": None}
    update: JsonObject = {"method": "account/rateLimits/updated", "params": {"rateLimits": limits}}
    assert result_of(told([*bare[:-1], update, bare[-1]])).until is None
    *_, last = recorded("too_long")
    assert result_of(told([*reached[:-1], last])).until is None


def test_a_wait_that_the_service_asks_for_is_not_sat_out_in_a_turn() -> None:
    """The turn is stopped at the first word of it: the server would wait an hour, if it is told to."""
    said: list[Mapping[str, object]] = []
    result = result_of(told(recorded("retry_after"), said=said))
    assert result.error is ErrorClass.RATE_LIMIT
    assert said[-1]["method"] == "turn/interrupt"


def test_a_turn_that_has_no_name_yet_is_interrupted_as_soon_as_it_has_one() -> None:
    """It was asked for, and the server would carry it out."""
    said: list[Mapping[str, object]] = []
    events = told(recorded("silent"), said=said, stop_at="turn/start")
    assert [line["method"] for line in said][-2:] == ["turn/start", "turn/interrupt"]
    assert [event.text for event in events if isinstance(event, Noted) and event.what == "stop"] == [
        "asked it to stop"
    ]


def test_tools_that_come_and_go_during_a_turn_begin_no_other() -> None:
    """Their first word decides."""
    said: list[Mapping[str, object]] = []
    *before, last = recorded("work")
    again: list[JsonObject] = [
        {"method": "mcpServer/startupStatus/updated", "params": {"name": "hive", "status": status}}
        for status in ("failed", "ready")
    ]
    assert result_of(told([*before, *again, last], OLD, said=said)).error is None
    assert [line["method"] for line in said].count("turn/start") == 1


@pytest.mark.parametrize("name", ["overloaded", "unreachable", "dropped", "bad_key"])
def test_what_is_tried_again_is_a_note(name: str) -> None:
    """And not yet how the turn ended."""
    notes = [event.what for event in told(recorded(name)) if isinstance(event, Noted)]
    assert [note for note in notes if note != "warning"] == ["retry", "error"]


@pytest.mark.parametrize(
    ("info", "error"),
    [
        ("contextWindowExceeded", ErrorClass.OVERFLOW),
        ("sessionBudgetExceeded", ErrorClass.BUDGET),
        ("usageLimitExceeded", ErrorClass.RATE_LIMIT),
        ("unauthorized", ErrorClass.AUTH),
        ("badRequest", ErrorClass.MODEL),
        ("cyberPolicy", ErrorClass.REFUSED),
        ("sandboxError", ErrorClass.CRASH),
        ("other", ErrorClass.CRASH),
        ("tomorrow", ErrorClass.CRASH),
        ({"tomorrow": {"httpStatusCode": 401}}, ErrorClass.CRASH),
        ({"responseStreamDisconnected": None}, ErrorClass.NETWORK),
        (None, ErrorClass.CRASH),
        (7, ErrorClass.CRASH),
    ],
)
def test_the_typed_field_decides(info: object, error: ErrorClass) -> None:
    """What is not known has failed all the same."""
    assert error_of(info) is error
    ended: JsonObject = {
        "method": "turn/completed",
        "params": {
            "threadId": THREAD,
            "turn": {"id": TURN, "status": "failed", "error": {"codexErrorInfo": info}},
        },
    }
    (result,) = reading().read(ended)
    assert isinstance(result, Result)
    assert (result.error, result.detail) == (error, "it failed")


@pytest.mark.parametrize("kind", sorted(CONNECTIONS))
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, ErrorClass.AUTH),
        (402, ErrorClass.BILLING),
        (403, ErrorClass.AUTH),
        (404, ErrorClass.NO_START),
        (422, ErrorClass.MODEL),
        (429, ErrorClass.RATE_LIMIT),
        (500, ErrorClass.OVERLOADED),
        (529, ErrorClass.OVERLOADED),
        (None, ErrorClass.NETWORK),
        ("500", ErrorClass.NETWORK),
    ],
)
def test_a_connection_that_failed_is_judged_by_its_status(
    kind: str, status: object, error: ErrorClass
) -> None:
    """And is the network's fault where there is none."""
    assert error_of({kind: {"httpStatusCode": status}}) is error


@pytest.mark.parametrize("status", ["inProgress", "tomorrow", None])
def test_a_turn_that_ended_otherwise_than_known_has_not_ended_well(status: object) -> None:
    """Nor one of which it is not said why it failed."""
    for more in ({"status": status}, {"status": "failed", "error": None}):
        ended: JsonObject = {"method": "turn/completed", "params": {"turn": {"id": TURN, **more}}}
        (result,) = reading().read(ended)
        assert isinstance(result, Result)
        assert result.error is ErrorClass.CRASH


def usage(total: object, last: object, *, turn: str = TURN) -> JsonObject:
    """What is told of tokens."""
    params = {"threadId": THREAD, "turnId": turn, "tokenUsage": {"total": total, "last": last}}
    return {"method": "thread/tokenUsage/updated", "params": params}


def test_usage_is_the_turn_s_though_the_same_is_told_twice_or_of_another_turn() -> None:
    """The totals are since the thread was opened."""
    first, second = {"inputTokens": 110, "outputTokens": 7}, {"inputTokens": 150, "outputTokens": 9}
    last, after = {"inputTokens": 10, "outputTokens": 2}, {"inputTokens": 40, "outputTokens": 2}
    ours = reading()
    lines = (usage(second, first, turn="old"), usage(first, last), usage(first, last), usage(second, after))
    told_of = [event for line in lines for event in ours.read(line)]
    assert told_of == [Used(Usage(10, 2)), Used(Usage(10, 2)), Used(Usage(50, 4))]


@pytest.mark.parametrize("odd", ["7", True, None, -1, float("nan"), float("inf"), LARGEST * 10, 10**400])
def test_what_is_no_number_counts_as_nothing(odd: object) -> None:
    """Else one odd line spoils the sums of a store."""
    counts = {"inputTokens": odd, "outputTokens": 3}
    assert list(reading().read(usage(counts, {}))) == [Used(Usage())]
    assert list(reading().read(usage(counts, counts))) == [Used(Usage(0, 3))]


def item(state: str, fields: JsonObject, *, thread: str = THREAD) -> JsonObject:
    """The beginning or end of a part of a turn."""
    return {"method": f"item/{state}", "params": {"threadId": thread, "turnId": TURN, "item": fields}}


@pytest.mark.parametrize(
    ("fields", "called"),
    [
        (
            {"type": "fileChange", "changes": [{"path": "/a"}, 7]},
            ToolCalled("i", "apply_patch", {"paths": ["/a", ""]}),
        ),
        ({"type": "dynamicToolCall", "tool": "t", "arguments": {"a": 1}}, ToolCalled("i", "t", {"a": 1})),
        ({"type": "collabAgentToolCall", "tool": "spawnAgent"}, ToolCalled("i", "spawnAgent")),
        ({"type": "mcpToolCall", "server": "s", "tool": "t", "arguments": "x"}, ToolCalled("i", "s/t")),
    ],
)
def test_what_else_is_a_tool(fields: JsonObject, called: ToolCalled) -> None:
    """Each is called and comes back."""
    assert list(reading().read(item("started", {"id": "i", **fields}))) == [called]
    assert list(reading().read(item("completed", {"id": "i", "status": "completed", **fields}))) == [
        ToolReturned("i", ok=True)
    ]


def test_a_tool_that_could_not_be_reached_says_why() -> None:
    """There is no result then."""
    failed: JsonObject = {"type": "mcpToolCall", "server": "hive", "tool": "send", "id": "i"}
    failed |= {"status": "failed", "error": {"message": "gone"}}
    assert list(reading().read(item("completed", failed))) == [ToolReturned("i", ok=False, text="gone")]


def test_what_happens_in_other_threads_and_turns_is_not_told() -> None:
    """They are none of ours."""
    said: JsonObject = {"type": "agentMessage", "id": "i", "text": "psst"}
    assert list(reading().read(item("completed", said, thread="other"))) == []
    other: JsonObject = {"method": "turn/completed", "params": {"threadId": THREAD, "turn": {"id": "other"}}}
    assert list(reading().read(other)) == []


def test_lines_of_no_known_method_or_shape_are_skipped() -> None:
    """The CLI grows new ones, and old ones new shapes."""
    odd: list[JsonObject] = [
        {},
        {"method": 7},
        {"id": 99, "result": {}},
        {"method": "tomorrow", "params": {}},
        {"method": "item/started"},
        {"method": "item/started", "params": {"item": 7}},
        item("started", {}),
        item("started", {"type": "mcpToolCall", "id": "i"}),
        item("completed", {"type": "tomorrow", "id": "i", "status": "completed"}),
        item("completed", {"type": "agentMessage"}),
        item("completed", {"type": "reasoning", "summary": 7}),
        {"method": "account/rateLimits/updated", "params": {"rateLimits": {"primary": 7}}},
        {"method": "turn/completed", "params": {"turn": 7}},
        {"method": "mcpServer/startupStatus/updated", "params": {"name": "another", "status": "failed"}},
    ]
    assert [event for line in odd for event in reading().read(line)] == []
    assert result_of(told([*odd, *recorded("work")], OLD)).text == "done"
