"""The wire of Gemini.  Pure."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from hive.testing.model.context import heard
from hive.testing.model.conversation import (
    Asked,
    Block,
    Failure,
    Item,
    Reply,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from hive.testing.model.wire import Json, Wire, an_object, encoded, joined, objects, sent, string, total

STOPS: Mapping[str, str] = {
    "end_turn": "STOP",
    "tool_use": "STOP",
    "max_tokens": "MAX_TOKENS",
    "refusal": "SAFETY",
}
"""Why an answer ends, in this wire's words."""


def read(body: Json) -> Asked:
    """What a request asks; `model` comes from the path."""
    declared = [
        one for group in objects(body.get("tools")) for one in objects(group.get("functionDeclarations"))
    ]
    return Asked(
        wire="gemini",
        model=string(body.get("model")),
        system=joined(an_object(body.get("systemInstruction")).get("parts")),
        items=tuple(item for content in objects(body.get("contents")) for item in _items(content)),
        tools=tuple(Tool(string(one.get("name"))) for one in declared),
        structured=an_object(body.get("generationConfig")).get("responseMimeType") == "application/json",
    )


def _items(content: Json) -> Iterator[Item]:
    for part in objects(content.get("parts")):
        if call := an_object(part.get("functionCall")):
            yield ToolCall(string(call.get("name")), an_object(call.get("args")), string(call.get("id")))
        elif answer := an_object(part.get("functionResponse")):
            response = an_object(answer.get("response"))
            yield ToolResult(string(answer.get("id")), _told(response), "error" in response)
        elif "text" in part and part.get("thought") is not True:
            text = string(part["text"])
            yield from (Text(text),) if content.get("role") == "model" else heard(text)


def _told(response: Json) -> str:
    """The text of what came of a call, which is worded by whoever made it."""
    output = response.get("output", response.get("error", response))
    return output if isinstance(output, str) else encoded(output)


def frames(reply: Reply) -> Iterator[bytes]:
    """An answer as a stream of chunks."""
    for block in reply.blocks:
        yield sent({**_head(reply), "candidates": [_candidate([_part(block)])]})
    if not reply.unfinished:
        last = {**_candidate([{"text": ""}]), "finishReason": STOPS.get(reply.ended, reply.ended)}
        yield sent({**_head(reply), "candidates": [last], "usageMetadata": _usage(reply)})


def whole(reply: Reply) -> Json:
    """An answer in one piece."""
    candidate = _candidate([_part(block) for block in reply.blocks])
    stop = STOPS.get(reply.ended, reply.ended)
    return {
        **_head(reply),
        "candidates": [{**candidate, "finishReason": stop}],
        "usageMetadata": _usage(reply),
    }


def _head(reply: Reply) -> Json:
    return {"responseId": reply.id, "modelVersion": reply.model}


def _candidate(parts: list[Json]) -> Json:
    return {"index": 0, "content": {"role": "model", "parts": parts}}


def _part(block: Block) -> Json:
    match block:
        case Text(text):
            return {"text": text}
        case Thinking(text):
            return {"text": text, "thought": True}
        case ToolCall():
            call = {"id": block.id, "name": block.name, "args": block.arguments}
            return {"functionCall": call, "thoughtSignature": "c2NyaXB0ZWQ="}
        case _:
            assert_never(block)


def _usage(reply: Reply) -> Json:
    usage = reply.usage
    return {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens,
        "totalTokenCount": total(usage),
    }


def failure(failed: Failure) -> Json:
    """The body of an error."""
    return {"error": {"code": failed.status, "message": failed.text, "status": failed.type}}


def count(tokens: int) -> Json:
    """How many tokens a request has."""
    return {"totalTokens": tokens}


WIRE = Wire("gemini", read, frames, whole, failure, count)
