"""Rows of a stream, as values."""

from typing import get_args

import pytest
from attrs import asdict

from hive.actors.lines import ARGUMENTS, KINDS, NAME_CHARACTERS, TEXT_CHARACTERS, cut, header, row
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
from hive.protocol.mail import ClaimedMail, Mail, Provenance


@pytest.mark.parametrize(
    ("event", "kind", "data"),
    [
        (SessionOpened("s", "m"), "opened", {"session": "s", "model": "m", "tools": True}),
        (PromptAccepted((1, 2)), "shown", {"messages": [1, 2]}),
        (Said("hi"), "say", {"text": "hi"}),
        (Thought("hm"), "think", {"text": "hm"}),
        (
            ToolCalled("c", "hive/send", {"to": "otto", "n": 3, "list": [1]}),
            "tool",
            {"id": "c", "tool": "hive/send", "arguments": {"to": "otto", "n": 3, "list": "[1]"}},
        ),
        (ToolReturned("c", ok=False, text="no"), "output", {"id": "c", "ok": False, "text": "no"}),
        (Noted("retry", "again"), "note", {"what": "retry", "text": "again"}),
        (Used(Usage(1, 2, 0.5)), "usage", asdict(Usage(1, 2, 0.5))),
        (Result("bye"), "result", {"text": "bye", "error": None, "detail": ""}),
        (Result(error=ErrorClass.AUTH), "result", {"text": "", "error": "auth", "detail": ""}),
    ],
)
def test_every_event_is_a_row(event: TurnEvent, kind: str, data: dict[str, object]) -> None:
    """The page and `hive tail` know nothing but these rows."""
    assert (row(event).kind, row(event).data) == (kind, data)


def test_no_event_is_without_a_word() -> None:
    """A new event needs one."""
    assert set(KINDS) == set(get_args(TurnEvent))


def test_a_long_text_is_cut_and_says_so() -> None:
    """Whatever a tool prints, a row stays small."""
    assert cut("x" * TEXT_CHARACTERS) == "x" * TEXT_CHARACTERS
    long = row(ToolReturned("c", ok=True, text="x" * (TEXT_CHARACTERS + 5))).data["text"]
    assert isinstance(long, str)
    assert long.endswith("… (5 more characters)")


def test_a_call_with_too_much_of_everything_is_a_small_row() -> None:
    """Names, ids and how many arguments there are: a model may write what it likes."""
    many: dict[str, object] = {f"{n}" + "n" * 500: n for n in range(1_000)}
    data = row(ToolCalled("i" * 500, "t" * 500, many)).data
    assert len(str(data)) < 10_000
    assert data["id"] == "i" * NAME_CHARACTERS
    assert row(ToolReturned("i" * 500, ok=True)).data["id"] == data["id"]
    arguments = data["arguments"]
    assert isinstance(arguments, dict)
    assert len(arguments) == ARGUMENTS


def test_a_turn_begins_with_its_mail() -> None:
    """Identity and label stay apart, and the body is only hinted at."""
    mail = Mail(1, "m-1", "otto", "iris", "b" * 500, "m-1", Provenance.AGENT, 0.0, label="Boss")
    turn, shown = header(7, (ClaimedMail(mail, claim=1),))
    assert turn.data == {"turn": 7, "messages": ["m-1"]}
    assert shown.data == {"id": "m-1", "from": "otto", "label": "Boss", "head": "b" * 160}
