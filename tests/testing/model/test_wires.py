"""The four wires: one conversation read from each, one answer written to each."""

import json
from typing import Any

import pytest
from attrs import evolve

from hive.protocol.commands import Usage
from hive.testing.model import (
    Context,
    Failure,
    Reply,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    UserText,
    chat,
    gemini,
    messages,
    responses,
)
from hive.testing.model.wire import Wire

WIRES = {one.WIRE.name: one.WIRE for one in (messages, responses, chat, gemini)}

ASKED: dict[str, dict[str, Any]] = {
    "anthropic": {
        "model": "m",
        "system": [{"type": "text", "text": "be brief"}],
        "tools": [{"name": "mcp__hive__send", "input_schema": {}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>!say no</system-reminder>"},
                    {"type": "text", "text": "go", "cache_control": {"type": "ephemeral"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "going"},
                    {"type": "tool_use", "id": "c1", "name": "mcp__hive__send", "input": {"to": "juno"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": [{"type": "text", "text": "sent"}],
                    }
                ],
            },
            {"role": "assistant", "content": "done"},
            {"role": "user", "content": "again"},
        ],
    },
    "responses": {
        "model": "m",
        "instructions": "be brief",
        "tools": [
            {"type": "namespace", "name": "mcp__hive", "tools": [{"type": "function", "name": "send"}]}
        ],
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "<system-reminder>!say no</system-reminder>"},
                    {"type": "input_text", "text": "go"},
                ],
            },
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "going"}]},
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "send",
                "namespace": "mcp__hive",
                "arguments": '{"to":"juno"}',
            },
            {"type": "function_call_output", "call_id": "c1", "output": "sent"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "done"}]},
            {"role": "user", "content": "again"},
        ],
    },
    "chat": {
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "hive_send"}}],
        "messages": [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>!say no</system-reminder>"},
                    {"type": "text", "text": "go"},
                ],
            },
            {
                "role": "assistant",
                "content": "going",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "hive_send", "arguments": '{"to":"juno"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sent"},
            {"role": "assistant", "content": "done"},
            {"role": "user", "content": "again"},
        ],
    },
    "gemini": {
        "model": "m",
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "tools": [{"functionDeclarations": [{"name": "mcp_hive_send"}]}],
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "<system-reminder>!say no</system-reminder>"}, {"text": "go"}],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"text": "going"},
                    {"functionCall": {"id": "c1", "name": "mcp_hive_send", "args": {"to": "juno"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "id": "c1",
                            "name": "mcp_hive_send",
                            "response": {"output": "sent"},
                        }
                    }
                ],
            },
            {"role": "model", "parts": [{"text": "done"}]},
            {"role": "user", "parts": [{"text": "again"}]},
        ],
    },
}

TOOLS = {
    "anthropic": Tool("mcp__hive__send"),
    "responses": Tool("send", "mcp__hive"),
    "chat": Tool("hive_send"),
    "gemini": Tool("mcp_hive_send"),
}

REPLY = Reply(
    (
        Thinking("hm"),
        Text("good morning"),
        ToolCall("send", {"to": "juno"}, "c1", "mcp__hive"),
        ToolCall("inbox", {}, "c2"),
    ),
    usage=Usage(input_tokens=7, output_tokens=5),
    id="msg_1",
    model="m",
)

each_wire = pytest.mark.parametrize("name", WIRES)


def events(stream: bytes) -> list[tuple[str, Any]]:
    """The events of a stream: their names and data."""
    found = []
    for event in stream.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in event.split("\n"))
        data = lines["data"]
        found.append((lines.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return found


def streamed(wire: Wire, reply: Reply) -> list[tuple[str, Any]]:
    """The events of an answer."""
    return events(b"".join(wire.frames(reply)))


def whole(wire: Wire, reply: Reply) -> Any:
    """An answer in one piece, as it arrives."""
    return json.loads(json.dumps(wire.whole(reply)))


@each_wire
def test_one_conversation_reads_the_same_from_every_wire(name: str) -> None:
    """Who said what, what was called and what came of it; thoughts are left out."""
    asked = WIRES[name].read(ASKED[name])
    tool = TOOLS[name]
    assert (asked.wire, asked.model, asked.system, asked.tools) == (name, "m", "be brief", (tool,))
    assert asked.items == (
        Context("<system-reminder>!say no</system-reminder>"),
        UserText("go"),
        Text("going"),
        ToolCall(tool.name, {"to": "juno"}, "c1", tool.namespace),
        ToolResult("c1", "sent"),
        Text("done"),
        UserText("again"),
    )


@each_wire
@pytest.mark.parametrize("body", [{}, {"messages": 1, "input": None, "contents": [3], "tools": {"a": 1}}])
def test_what_makes_no_sense_reads_as_an_empty_conversation(name: str, body: dict[str, Any]) -> None:
    """Nothing a client sends breaks the server."""
    asked = WIRES[name].read(body)
    assert (asked.items, asked.tools, asked.system) == ((), (), "")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("anthropic", {"output_format": {"type": "json_schema"}}),
        ("anthropic", {"output_config": {"format": {"type": "json_schema"}}}),
        ("responses", {"text": {"format": {"type": "json_schema"}}}),
        ("chat", {"response_format": {"type": "json_object"}}),
        ("gemini", {"generationConfig": {"responseMimeType": "application/json"}}),
    ],
)
def test_a_request_may_want_its_answer_in_json(name: str, more: dict[str, Any]) -> None:
    """As side calls do that sort or check something."""
    assert WIRES[name].read({**ASKED[name], **more}).structured
    assert not WIRES[name].read(ASKED[name]).structured


def test_a_failed_result_is_known_as_one() -> None:
    """Where the wire says so."""
    block = {"type": "tool_result", "tool_use_id": "c", "content": "no", "is_error": True}
    assert messages.read({"messages": [{"role": "user", "content": [block]}]}).items == (
        ToolResult("c", "no", failed=True),
    )
    part = {"functionResponse": {"id": "c", "response": {"error": "no"}}}
    assert gemini.read({"contents": [{"role": "user", "parts": [part]}]}).items == (
        ToolResult("c", "no", failed=True),
    )


def test_what_comes_in_the_systems_role_later_is_context() -> None:
    """Mail that a CLI folds in and a developer's remarks begin no script anew."""
    later = {"role": "system", "content": "!say no"}
    assert messages.read({"messages": [later]}).items == (Context("!say no"),)
    assert responses.read({"input": [{**later, "role": "developer"}]}).items == (Context("!say no"),)
    after = [{"role": "user", "content": "go"}, later]
    assert chat.read({"messages": after}).items == (UserText("go"), Context("!say no"))


def test_the_messages_wire_streams_each_block_between_its_start_and_stop() -> None:
    """With the names of events, without which Claude asks again without a stream."""
    told = streamed(messages.WIRE, REPLY)
    assert all(name == data["type"] for name, data in told)
    names = [name.removeprefix("content_block_") for name, _ in told]
    block = ["start", "delta", "stop"]
    thought = ["start", "delta", "delta", "stop"]
    assert names == ["message_start", *thought, *block, *block, *block, "message_delta", "message_stop"]
    starts = [data["content_block"] for name, data in told if name == "content_block_start"]
    assert starts[2] == {"type": "tool_use", "id": "c1", "name": "send", "input": {}}
    deltas = [data["delta"] for name, data in told if name == "content_block_delta"]
    assert [delta["type"] for delta in deltas] == [
        "thinking_delta",
        "signature_delta",
        "text_delta",
        "input_json_delta",
        "input_json_delta",
    ]
    assert json.loads(deltas[3]["partial_json"]) == {"to": "juno"}
    assert told[0][1]["message"]["usage"]["input_tokens"] == 7
    assert told[-2][1]["delta"]["stop_reason"] == "tool_use"
    assert told[-2][1]["usage"]["output_tokens"] == 5


def test_the_messages_wire_answers_in_one_piece_too() -> None:
    """Claude falls back to it after a broken stream."""
    said = whole(messages.WIRE, REPLY)
    assert [block["type"] for block in said["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert said["content"][2]["input"] == {"to": "juno"}
    assert (said["stop_reason"], said["id"], said["role"]) == ("tool_use", "msg_1", "assistant")


def test_the_responses_wire_ends_each_item_and_the_response() -> None:
    """A tool of an MCP server is called by its namespace and its short name."""
    told = streamed(responses.WIRE, REPLY)
    assert all(name == data["type"] for name, data in told)
    assert [data["sequence_number"] for _, data in told] == list(range(len(told)))
    items = [data["item"] for name, data in told if name == "response.output_item.done"]
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call", "function_call"]
    assert (items[2]["namespace"], items[2]["name"], items[2]["call_id"]) == ("mcp__hive", "send", "c1")
    assert "namespace" not in items[3]
    ended = told[-1]
    assert ended[0] == "response.completed"
    assert ended[1]["response"]["output"] == items
    assert ended[1]["response"]["usage"]["total_tokens"] == 12


def test_a_response_that_is_cut_short_is_incomplete() -> None:
    """In the words of its wire."""
    told = streamed(responses.WIRE, Reply((Text("so"),), stop="max_tokens"))
    assert told[-1][0] == "response.incomplete"
    assert told[-1][1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_the_chat_wire_numbers_calls_and_ends_with_done() -> None:
    """Usage comes in a chunk of its own, before the end."""
    told = [data for _, data in streamed(chat.WIRE, REPLY)]
    assert told[-1] == "[DONE]"
    assert told[-2]["usage"]["total_tokens"] == 12
    choices = [chunk["choices"][0] for chunk in told[:-2]]
    assert [choice["finish_reason"] for choice in choices] == [None] * 5 + ["tool_calls"]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    assert [(call["index"], call["id"]) for call in calls] == [(0, "c1"), (1, "c2")]
    assert json.loads(calls[0]["function"]["arguments"]) == {"to": "juno"}
    said = whole(chat.WIRE, REPLY)["choices"][0]
    assert (said["message"]["content"], said["finish_reason"]) == ("good morning", "tool_calls")
    assert [call["id"] for call in said["message"]["tool_calls"]] == ["c1", "c2"]


def test_the_gemini_wire_gives_each_part_a_chunk() -> None:
    """Calls have ids and signatures; the last chunk says why it ends and what was used."""
    told = [data for _, data in streamed(gemini.WIRE, REPLY)]
    parts = [chunk["candidates"][0]["content"]["parts"][0] for chunk in told]
    assert parts[0] == {"text": "hm", "thought": True}
    assert parts[2]["functionCall"] == {"id": "c1", "name": "send", "args": {"to": "juno"}}
    assert parts[2]["thoughtSignature"]
    assert told[-1]["candidates"][0]["finishReason"] == "STOP"
    assert told[-1]["usageMetadata"]["totalTokenCount"] == 12
    assert len(whole(gemini.WIRE, REPLY)["candidates"][0]["content"]["parts"]) == 4


@each_wire
def test_an_unfinished_answer_has_its_blocks_and_no_end(name: str) -> None:
    """Whoever hangs or drops has said what stands before."""
    finished = list(WIRES[name].frames(REPLY))
    cut = list(WIRES[name].frames(evolve(REPLY, drop=True)))
    assert cut == list(WIRES[name].frames(evolve(REPLY, hang=True)))
    assert cut == finished[: len(cut)]
    assert b"good morning" in b"".join(cut)
    ends = (b"message_stop", b"response.completed", b"[DONE]", b"finishReason")
    assert not any(end in b"".join(cut) for end in ends)
    assert any(end in b"".join(finished[len(cut) :]) for end in ends)


@each_wire
def test_an_error_is_worded_as_its_provider_does(name: str) -> None:
    """Type and text stand where its clients look."""
    error = json.loads(json.dumps(WIRES[name].failure(Failure(529, "overloaded_error", "Busy"))))["error"]
    assert error["message"] == "Busy"
    assert error["status" if name == "gemini" else "type"] == "overloaded_error"


@each_wire
def test_tokens_are_counted_under_the_name_the_wire_has_for_them(name: str) -> None:
    """A count is one number."""
    assert 41 in WIRES[name].count(41).values()
