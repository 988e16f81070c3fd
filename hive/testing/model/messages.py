"""The wire of Anthropic's Messages.  Pure."""

from collections.abc import Iterator
from typing import assert_never

from hive.testing.model.context import heard
from hive.testing.model.conversation import (
    Asked,
    Block,
    Context,
    Failure,
    Item,
    Reply,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from hive.testing.model.wire import Json, Wire, an_object, encoded, joined, objects, sent, string, texts


def read(body: Json) -> Asked:
    """What a request asks."""
    return Asked(
        wire="anthropic",
        model=string(body.get("model")),
        system=joined(body.get("system")),
        items=tuple(item for message in objects(body.get("messages")) for item in _items(message)),
        tools=tuple(Tool(string(tool.get("name"))) for tool in objects(body.get("tools"))),
        structured=bool(body.get("output_format") or an_object(body.get("output_config")).get("format")),
    )


def _items(message: Json) -> Iterator[Item]:
    content, role = message.get("content"), message.get("role")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else objects(content)
    for block in blocks:
        match block.get("type"), role:
            case "text", "user":
                yield from heard(string(block.get("text")))
            case "text", "assistant":
                yield Text(string(block.get("text")))
            case "text", _:
                yield Context(string(block.get("text")))
            case "tool_use", _:
                arguments = an_object(block.get("input"))
                yield ToolCall(string(block.get("name")), arguments, string(block.get("id")))
            case "tool_result", _:
                failed = block.get("is_error") is True
                yield ToolResult(
                    string(block.get("tool_use_id")), "\n".join(texts(block.get("content"))), failed
                )
            case _:
                pass


def frames(reply: Reply) -> Iterator[bytes]:
    """An answer as a stream of events."""
    yield _event("message_start", message={**_message(reply), "content": [], "stop_reason": None})
    for index, block in enumerate(reply.blocks):
        yield from _block_frames(index, block)
    if not reply.unfinished:
        ended = {"stop_reason": reply.ended, "stop_sequence": None}
        yield _event("message_delta", delta=ended, usage={"output_tokens": reply.usage.output_tokens})
        yield _event("message_stop")


def _block_frames(index: int, block: Block) -> Iterator[bytes]:
    yield _event("content_block_start", index=index, content_block=_empty(block))
    for delta in _deltas(block):
        yield _event("content_block_delta", index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _empty(block: Block) -> Json:
    match block:
        case Text():
            return {"type": "text", "text": ""}
        case Thinking():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case ToolCall():
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
        case _:
            assert_never(block)


def _deltas(block: Block) -> tuple[Json, ...]:
    match block:
        case Text(text):
            return ({"type": "text_delta", "text": text},)
        case Thinking(text):
            return (
                {"type": "thinking_delta", "thinking": text},
                {"type": "signature_delta", "signature": "scripted"},
            )
        case ToolCall():
            return ({"type": "input_json_delta", "partial_json": encoded(block.arguments)},)
        case _:
            assert_never(block)


def _event(kind: str, **data: object) -> bytes:
    return sent({"type": kind, **data}, kind)


def whole(reply: Reply) -> Json:
    """An answer in one piece."""
    return {**_message(reply), "content": [_full(block) for block in reply.blocks]}


def _message(reply: Reply) -> Json:
    return {
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "stop_reason": reply.ended,
        "stop_sequence": None,
        "usage": {
            "input_tokens": reply.usage.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": reply.usage.output_tokens,
        },
    }


def _full(block: Block) -> Json:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Thinking(text):
            return {"type": "thinking", "thinking": text, "signature": "scripted"}
        case ToolCall():
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": block.arguments}
        case _:
            assert_never(block)


def failure(failed: Failure) -> Json:
    """The body of an error."""
    return {"type": "error", "error": {"type": failed.type, "message": failed.text}}


def count(tokens: int) -> Json:
    """How many tokens a request has."""
    return {"input_tokens": tokens}


WIRE = Wire("anthropic", read, frames, whole, failure, count)
