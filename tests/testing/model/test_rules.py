"""Rules as data: which fits, how often, and whose script goes on."""

import pytest

from hive.testing.model import (
    Asked,
    Failure,
    Reply,
    Rule,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    UserText,
    WrongScriptError,
)
from hive.testing.model.conversation import Item
from hive.testing.model.rules import Ruled

OTHERWISE = Reply((Text("otherwise"),))
BUSY = Reply(error=Failure(529, "overloaded_error"))
RESULT = (ToolCall("x", {}, "c"), ToolResult("c", "no such agent"))


def asked(text: str, *more: Item, tools: tuple[Tool, ...] = (Tool("x"),), key: str = "iris") -> Asked:
    """A request with this text and what followed it."""
    return Asked("chat", "m-1", "be brief", (UserText(text), *more), tools, key)


def ruled(*rules: Rule) -> Ruled:
    """A brain of these rules."""
    return Ruled(rules, lambda _asked: OTHERWISE)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Rule(BUSY), True),
        (Rule(BUSY, user="w.nd"), True),
        (Rule(BUSY, user="rain"), False),
        (Rule(BUSY, system="^be brief$"), True),
        (Rule(BUSY, system="verbose"), False),
        (Rule(BUSY, result="no such"), True),
        (Rule(BUSY, result="sent"), False),
        (Rule(BUSY, key="iris"), True),
        (Rule(BUSY, key="boss"), False),
        (Rule(BUSY, model="m-2"), False),
        (Rule(BUSY, user="wind", model="m-2"), False),
    ],
)
def test_a_rule_fits_where_all_its_patterns_are_found(rule: Rule, fits: bool) -> None:
    """Anywhere in what they are about."""
    assert (ruled(rule)(asked("the wind", *RESULT)) is BUSY) is fits


def test_no_result_fits_no_pattern() -> None:
    """Not even an empty one; a result of an older turn is none."""
    assert ruled(Rule(BUSY, result=""))(asked("go")) is OTHERWISE
    assert ruled(Rule(BUSY, result=""))(asked("go", *RESULT, UserText("next"))) is OTHERWISE


def test_the_first_that_fits_answers() -> None:
    """In the order they are given."""
    brain = ruled(Rule(BUSY, user="rain"), Rule("!say dry", user="wind"), Rule("!say last"))
    assert brain(asked("wind")).blocks == (Text("dry"),)


def test_after_its_times_a_rule_is_passed_over() -> None:
    """So a service is busy twice, and then it is not."""
    brain = ruled(Rule(BUSY, times=2))
    assert [brain(asked("go")) for _ in range(3)] == [BUSY, BUSY, OTHERWISE]


def test_the_script_of_a_rule_goes_on_within_its_turn_and_counts_once() -> None:
    """Another agent's turn, and the same one asked again from its beginning, are other times."""
    brain = ruled(Rule("!call x\n!say after", times=1))
    assert brain(asked("go")).blocks == (ToolCall("x"),)
    assert brain(asked("go", *RESULT)).blocks == (Text("after"),)
    assert brain(asked("go", *RESULT, key="boss")) is OTHERWISE
    assert brain(asked("go")) is OTHERWISE


def test_a_script_that_answers_a_result_begins_with_each() -> None:
    """It is about that result, not about the turn."""
    brain = ruled(Rule("!say asking again", result="no such"))
    assert brain(asked("go", *RESULT, *RESULT)).blocks == (Text("asking again"),)


def test_side_calls_spend_no_rule_unless_it_is_for_them() -> None:
    """A title is asked for with the user's text in it."""
    assert ruled(Rule(BUSY))(asked("go", tools=())) is OTHERWISE
    assert ruled(Rule(BUSY, without_tools=True))(asked("go", tools=())) is BUSY


def test_a_script_that_cannot_be_read_is_refused_where_it_is_written() -> None:
    """Not in the middle of a CLI's turn."""
    with pytest.raises(WrongScriptError, match="not a directive"):
        Rule("!dance")
