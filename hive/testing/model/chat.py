"""The wire of OpenAI's Chat Completions, which many providers speak.  Pure."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from hive.testing.model.context import heard
from hive.testing.model.conversation import (
    Asked,
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

STOPS: Mapping[str, str] = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
}
"""Why an answer ends, in this wire's words."""

SYSTEM = frozenset({"system", "developer"})


def read(body: Json) -> Asked:
    """What a request asks.  System messages at the beginning are the system text, later ones are context."""
    messages = objects(body.get("messages"))
    opening = 0
    while opening < len(messages) and messages[opening].get("role") in SYSTEM:
        opening += 1
    return Asked(
        wire="chat",
        model=string(body.get("model")),
        system="\n".join(joined(message.get("content")) for message in messages[:opening]),
        items=tuple(item for message in messages[opening:] for item in _items(message)),
        tools=tuple(
            Tool(string(an_object(tool.get("function")).get("name"))) for tool in objects(body.get("tools"))
        ),
        structured=an_object(body.get("response_format")).get("type") in JSON_FORMATS,
    )


def _items(message: Json) -> Iterator[Item]:
    content = message.get("content")
    match message.get("role"):
        case "user":
            for text in texts(content):
                yield from heard(text)
        case "assistant":
            if said := joined(content):
                yield Text(said)
            for call in objects(message.get("tool_calls")):
                function = an_object(call.get("function"))
                arguments = decoded(function.get("arguments"))
                yield ToolCall(string(function.get("name")), arguments, string(call.get("id")))
        case "tool":
            yield ToolResult(string(message.get("tool_call_id")), joined(content))
        case _:
            yield Context(joined(content))


def frames(reply: Reply) -> Iterator[bytes]:
    """An answer as a stream of chunks."""
    yield _chunk(reply, {"role": "assistant", "content": ""})
    calls = 0
    for block in reply.blocks:
        match block:
            case Text(text):
                yield _chunk(reply, {"content": text})
            case Thinking(text):
                yield _chunk(reply, {"reasoning_content": text})
            case ToolCall():
                yield _chunk(reply, {"tool_calls": [{"index": calls, **_call(block)}]})
                calls += 1
            case _:
                assert_never(block)
    if not reply.unfinished:
        yield _chunk(reply, {}, _stop(reply))
        yield sent({**_head(reply, "chat.completion.chunk"), "choices": [], "usage": _usage(reply)})
        yield b"data: [DONE]\n\n"


def _chunk(reply: Reply, delta: Json, stop: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": stop}
    return sent({**_head(reply, "chat.completion.chunk"), "choices": [choice]})


def whole(reply: Reply) -> Json:
    """An answer in one piece."""
    said = [block.text for block in reply.blocks if isinstance(block, Text)]
    thought = [block.text for block in reply.blocks if isinstance(block, Thinking)]
    calls = [_call(block) for block in reply.blocks if isinstance(block, ToolCall)]
    message = {
        "role": "assistant",
        "content": "\n".join(said) or None,
        **({"reasoning_content": "\n".join(thought)} if thought else {}),
        **({"tool_calls": calls} if calls else {}),
    }
    choice = {"index": 0, "message": message, "finish_reason": _stop(reply)}
    return {**_head(reply, "chat.completion"), "choices": [choice], "usage": _usage(reply)}


def _head(reply: Reply, kind: str) -> Json:
    return {"id": reply.id, "object": kind, "created": 0, "model": reply.model}


def _call(block: ToolCall) -> Json:
    function = {"name": block.name, "arguments": encoded(block.arguments)}
    return {"id": block.id, "type": "function", "function": function}


def _stop(reply: Reply) -> str:
    return STOPS.get(reply.ended, reply.ended)


def _usage(reply: Reply) -> Json:
    usage = reply.usage
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": total(usage),
    }


def count(tokens: int) -> Json:
    """How many tokens a request has.  Nobody asks: this wire has no such question."""
    return {"prompt_tokens": tokens}


WIRE = Wire("chat", read, frames, whole, openai_failure, count)
