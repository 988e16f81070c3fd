"""What a turn leaves in its agent's stream, one row an event.

The rule kept here: a row is bounded, whatever a model or a tool says.  Pure.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import assert_never

from attrs import asdict

from hive.agents.events import (
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
from hive.protocol.commands import StreamRow
from hive.protocol.mail import ClaimedMail

NAME_CHARACTERS = 200
ARGUMENTS = 32
"""What is kept of the names and the arguments of a tool's call."""

TEXT_CHARACTERS = 8_000
"""The longest text in a row; what is cut off is said."""

HEAD_CHARACTERS = 160
"""How much of a message is shown where it enters the stream."""


KINDS: Mapping[type[TurnEvent], str] = {
    SessionOpened: "opened",
    PromptAccepted: "shown",
    Said: "say",
    Thought: "think",
    ToolCalled: "tool",
    ToolReturned: "output",
    Noted: "note",
    Used: "usage",
    Result: "result",
}
"""The words of the stream for what a backend reports; `turn` and `mail` are hive's own."""


def header(turn: int, mail: Sequence[ClaimedMail]) -> tuple[StreamRow, ...]:
    """The rows a turn begins with: itself, and the mail it holds."""
    messages = tuple(claimed.mail for claimed in mail)
    return (
        StreamRow("turn", {"turn": turn, "messages": [message.id for message in messages]}),
        *incoming(mail),
    )


def incoming(mail: Sequence[ClaimedMail]) -> tuple[StreamRow, ...]:
    """Mail on its way into the model."""
    return tuple(
        StreamRow(
            "mail",
            {
                "id": claimed.mail.id,
                "from": claimed.mail.sender,
                "label": claimed.mail.label,
                "head": claimed.mail.body[:HEAD_CHARACTERS],
            },
        )
        for claimed in mail
    )


def row(event: TurnEvent) -> StreamRow:
    """One event as a row."""
    data: dict[str, object]
    match event:
        case SessionOpened():
            data = {"session": event.session, "model": event.model, "tools": event.tools_ok}
        case PromptAccepted():
            data = {"messages": list(event.messages)}
        case Said() | Thought():
            data = {"text": cut(event.text)}
        case ToolCalled():
            data = {
                "id": _name(event.id),
                "tool": _name(event.tool),
                "arguments": _arguments(event.arguments),
            }
        case ToolReturned():
            data = {"id": _name(event.id), "ok": event.ok, "text": cut(event.text)}
        case Noted():
            data = {"what": event.what, "text": cut(event.text)}
        case Used():
            data = dict(asdict(event.usage))
        case Result():
            error = None if event.error is None else event.error.value
            data = {"text": cut(event.text), "error": error, "detail": cut(event.detail)}
        case _:
            assert_never(event)
    return StreamRow(KINDS[type(event)], data)


def cut(text: str) -> str:
    """Text short enough for a row."""
    lost = len(text) - TEXT_CHARACTERS
    return text if lost <= 0 else f"{text[:TEXT_CHARACTERS]}… ({lost} more characters)"


def _name(text: str) -> str:
    return text[:NAME_CHARACTERS]


def _arguments(given: Mapping[str, object]) -> Mapping[str, object]:
    return {_name(name): _cut_value(value) for name, value in islice(given.items(), ARGUMENTS)}


def _cut_value(value: object) -> object:
    match value:
        case str():
            return cut(value)
        case bool() | int() | float() | None:
            return value
        case _:
            return cut(repr(value))
