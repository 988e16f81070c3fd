"""The wire of OpenAI's Responses.  Pure."""

from collections.abc import Iterator, Mapping
from itertools import count as counted
from typing import assert_never

from hive.testing.model.context import heard
from hive.testing.model.conversation import (
    Asked,
    Block,
    Context,
    Item,
    Reply,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from hive.testing.model.wire import (
    JSON_FORMATS,
    Json,
    Wire,
    an_object,
    decoded,
    encoded,
    joined,
    objects,
    openai_failure,
    sent,
    string,
    texts,
    total,
)

INCOMPLETE: Mapping[str, str] = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}
"""What an answer is called that did not come to its end."""


def read(body: Json) -> Asked:
    """What a request asks."""
    given = body.get("input")
    entries = [{"role": "user", "content": given}] if isinstance(given, str) else objects(given)
    return Asked(
        wire="responses",
        model=string(body.get("model")),
        system=string(body.get("instructions")),
        items=tuple(item for entry in entries for item in _items(entry)),
        tools=tuple(tool for entry in objects(body.get("tools")) for tool in _tools(entry)),
        structured=an_object(an_object(body.get("text")).get("format")).get("type") in JSON_FORMATS,
    )


def _tools(entry: Json) -> Iterator[Tool]:
    name = string(entry.get("name"))
    if entry.get("type") == "namespace":
        yield from (Tool(string(tool.get("name")), name) for tool in objects(entry.get("tools")))
    else:
        yield Tool(name or string(entry.get("type")))  # built in ones have a type and no name


def _items(entry: Json) -> Iterator[Item]:
    call_id, name = string(entry.get("call_id")), string(entry.get("name"))
    match entry.get("type", "message"), entry.get("role"):
        case "message", "user":
            for text in texts(entry.get("content")):
                yield from heard(text)
        case "message", "assistant":
            yield Text(joined(entry.get("content")))
        case "message", _:
            yield Context(joined(entry.get("content")))
        case "function_call", _:
            yield ToolCall(name, decoded(entry.get("arguments")), call_id, string(entry.get("namespace")))
        case "custom_tool_call", _:
            yield ToolCall(name, {"input": entry.get("input")}, call_id)
        case (("function_call_output" | "custom_tool_call_output"), _):
            yield ToolResult(call_id, joined(entry.get("output")))
        case _:
            pass


def frames(reply: Reply) -> Iterator[bytes]:
    """An answer as a stream of events."""
    numbers = counted()

    def event(kind: str, **data: object) -> bytes:
        return sent({"type": kind, "sequence_number": next(numbers), **data}, kind)

    begun = {**whole(reply), "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield event("response.created", response=begun)
    for index, block in enumerate(reply.blocks):
        item = _item(reply, index)
        yield event("response.output_item.added", output_index=index, item=_begun(item))
        for kind, data in _deltas(block):
            yield event(kind, output_index=index, item_id=item["id"], **data)
        yield event("response.output_item.done", output_index=index, item=item)
    if not reply.unfinished:
        yield event(f"response.{_status(reply)}", response=whole(reply))


def _deltas(block: Block) -> tuple[tuple[str, dict[str, object]], ...]:
    match block:
        case Text(text):
            empty, full = _spoken(""), _spoken(text)
            return (
                ("response.content_part.added", {"content_index": 0, "part": empty}),
                ("response.output_text.delta", {"content_index": 0, "delta": text}),
                ("response.output_text.done", {"content_index": 0, "text": text}),
                ("response.content_part.done", {"content_index": 0, "part": full}),
            )
        case Thinking(text):
            return (
                (
                    "response.reasoning_summary_part.added",
                    {"summary_index": 0, "part": {"type": "summary_text", "text": ""}},
                ),
                ("response.reasoning_summary_text.delta", {"summary_index": 0, "delta": text}),
                ("response.reasoning_summary_text.done", {"summary_index": 0, "text": text}),
            )
        case ToolCall():
            arguments = encoded(block.arguments)
            return (
                ("response.function_call_arguments.delta", {"delta": arguments}),
                ("response.function_call_arguments.done", {"arguments": arguments}),
            )
        case _:
            assert_never(block)


def _begun(item: Json) -> Json:
    """An item of which nothing is known but what it is."""
    empty = {"content": [], "summary": [], "arguments": "", "status": "in_progress"}
    return {**item, **{name: value for name, value in empty.items() if name in item}}


def _item(reply: Reply, index: int) -> Json:
    block, own_id = reply.blocks[index], f"{reply.id}_{index}"
    match block:
        case Text(text):
            return {
                "type": "message",
                "id": own_id,
                "role": "assistant",
                "status": "completed",
                "content": [_spoken(text)],
            }
        case Thinking(text):
            return {
                "type": "reasoning",
                "id": own_id,
                "summary": [{"type": "summary_text", "text": text}],
                "encrypted_content": None,
            }
        case ToolCall():
            return {
                "type": "function_call",
                "id": own_id,
                "call_id": block.id,
                "name": block.name,
                **({"namespace": block.namespace} if block.namespace else {}),
                "arguments": encoded(block.arguments),
                "status": "completed",
            }
        case _:
            assert_never(block)


def _spoken(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def _status(reply: Reply) -> str:
    return "completed" if reply.ended in {"end_turn", "tool_use"} else "incomplete"


def whole(reply: Reply) -> Json:
    """An answer in one piece."""
    status, usage = _status(reply), reply.usage
    why = {"reason": INCOMPLETE.get(reply.ended, reply.ended)} if status == "incomplete" else None
    return {
        "id": reply.id,
        "object": "response",
        "created_at": 0,
        "model": reply.model,
        "status": status,
        "incomplete_details": why,
        "error": None,
        "output": [_item(reply, index) for index in range(len(reply.blocks))],
        "usage": {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": total(usage),
        },
    }


def count(tokens: int) -> Json:
    """How many tokens a request has."""
    return {"object": "response.input_tokens", "input_tokens": tokens}


WIRE = Wire("responses", read, frames, whole, openai_failure, count)
