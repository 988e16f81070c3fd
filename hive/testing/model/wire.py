"""What a wire is: how a provider's API words a request and an answer.  Pure.

The rule kept here: a wire reads leniently, since CLIs send more than the documents say, and writes all that
the real service writes, since CLIs rely on more than they need.
"""

from collections.abc import Callable, Iterator, Mapping

import orjson
from attrs import frozen

from hive.protocol.commands import Usage
from hive.testing.model.conversation import Asked, Failure, Reply

Json = Mapping[str, object]

JSON_FORMATS = frozenset({"json_object", "json_schema"})
"""What OpenAI's APIs call an answer in JSON."""


@frozen
class Wire:
    """One provider's API."""

    name: str
    read: Callable[[Json], Asked]
    """A request's body; a model that stands in the path is put into it as `model`."""

    frames: Callable[[Reply], Iterator[bytes]]
    """An answer as server-sent events.  An unfinished one lacks its end."""

    whole: Callable[[Reply], Json]
    """An answer in one piece."""

    failure: Callable[[Failure], Json]
    """The body of an error."""

    count: Callable[[int], Json]
    """The answer to how many tokens a request has."""


def sent(data: Json, event: str = "") -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + orjson.dumps(data) + b"\n\n"


def string(value: object) -> str:
    """A text, empty where it is none."""
    return value if isinstance(value, str) else ""


def an_object(value: object) -> Json:
    """An object, empty where it is none."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Json]:
    """The objects of a list, none where it is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def texts(content: object) -> list[str]:
    """The texts of a content, which is one text or a list of parts with a text each."""
    if isinstance(content, str):
        return [content]
    return [string(part["text"]) for part in objects(content) if "text" in part]


def joined(content: object) -> str:
    """All the text of a content."""
    return "\n".join(texts(content))


def decoded(arguments: object) -> Json:
    """The arguments of a call from their text, none where it is no object."""
    try:
        return an_object(orjson.loads(string(arguments)))
    except orjson.JSONDecodeError:
        return {}


def encoded(value: object) -> str:
    """A value as JSON text."""
    return orjson.dumps(value).decode()


def total(usage: Usage) -> int:
    """Tokens in and out."""
    return usage.input_tokens + usage.output_tokens


def openai_failure(failure: Failure) -> Json:
    """The body of an error as both of OpenAI's APIs word it."""
    return {"error": {"message": failure.text, "type": failure.type, "param": None, "code": failure.type}}
