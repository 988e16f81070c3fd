"""A tool's arguments: the schema a model sees is the check its call must pass."""

import math
from enum import StrEnum

import pytest
from attrs import frozen

from hive.mcp.arguments import PROBLEM_CHARACTERS, argument, read, schema_of
from hive.protocol.errors import Malformed


class Colour(StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@frozen
class Inner:
    """An argument that has arguments."""

    x: int = argument("Where", default=0)


@frozen
class Arguments:
    """One of everything."""

    to: str = argument("Who gets it", least=1, most=5)
    count: int = argument("How many", least=1, most=32, default=1)
    share: float | None = argument("How much", most=1, default=None)
    loud: bool = argument("Whether to shout", default=False)
    colour: Colour | None = argument("Which colour", default=None)
    words: tuple[str, ...] = argument("Some words", most=2, default=())
    inner: Inner | None = argument("", default=None)


def test_a_schema_says_types_bounds_choices_defaults_and_what_is_required() -> None:
    """Everything a model needs to make a right call is in the schema."""
    assert schema_of(Arguments) == {
        "type": "object",
        "properties": {
            "to": {"type": "string", "minLength": 1, "maxLength": 5, "description": "Who gets it"},
            "count": {
                "type": "integer",
                "minimum": 1,
                "maximum": 32,
                "description": "How many",
                "default": 1,
            },
            "share": {"type": "number", "maximum": 1, "description": "How much"},
            "loud": {"type": "boolean", "description": "Whether to shout", "default": False},
            "colour": {"type": "string", "enum": ["red", "blue"], "description": "Which colour"},
            "words": {
                "type": "array",
                "items": {"type": "string"},
                "maxItems": 2,
                "description": "Some words",
            },
            "inner": {
                "type": "object",
                "properties": {"x": {"type": "integer", "description": "Where", "default": 0}},
                "required": [],
                "additionalProperties": False,
            },
        },
        "required": ["to"],
        "additionalProperties": False,
    }


def test_an_argument_of_no_known_type_is_the_authors_mistake() -> None:
    """It is found when the table is made, not when a model calls."""

    @frozen
    class Odd:
        what: list[str] = argument("?")

    with pytest.raises(TypeError, match="cannot be a list"):
        schema_of(Odd)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"to": "iris"}, Arguments("iris")),
        ({"to": "iris", "share": None, "colour": None}, Arguments("iris")),
        ({"to": "iris", "share": 1, "words": ["a"]}, Arguments("iris", share=1.0, words=("a",))),
        (
            {"to": "iris", "colour": "blue", "inner": {"x": 3}},
            Arguments("iris", colour=Colour.BLUE, inner=Inner(3)),
        ),
    ],
)
def test_right_arguments_become_a_value(given: dict[str, object], expected: Arguments) -> None:
    """Null stands for an argument that was left out, as many clients send it."""
    assert read(Arguments, given) == expected


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({}, ["$.to: required, but missing"]),
        ({"to": None}, ["$.to: expected text, got nothing"]),
        (
            {"to": 5, "count": "x", "extra": 1},
            ["$.to: expected text", "$.count: expected a whole number", "extra"],
        ),
        (
            {"to": "toolong", "count": 99},
            ["$.to: must be at most 5 characters, not 7", "$.count: must be at most 32"],
        ),
        (
            {"to": "", "count": "x"},
            ["$.to: must be at least 1 characters", "$.count: expected a whole number"],
        ),
        ({"to": "a" * 1_048_577}, ["$.to: must be at most 5 characters, not 1048577"]),
        ({"to": "a", "share": 1.5}, ["$.share: must be at most 1, not 1.5"]),
        ({"to": "a", "share": math.inf}, ["$.share: must be at most 1, not more than can be counted"]),
        ({"to": "a", "count": 10**5000}, ["$.count: must be at most 32, not more than can be counted"]),
        ({"to": "a", "count": -(10**5000)}, ["$.count: must be at least 1, not less than can be counted"]),
        ({"to": "a", "words": ["a", "b", "c"]}, ["$.words: must be at most 2 items, not 3"]),
        ({"to": "a", "words": "abc"}, ["$.words: expected a list, got text"]),
        ({"to": "a", "words": ["a", 1]}, ["$.words[1]: expected text"]),
        ({"to": "a", "colour": "green"}, ["$.colour: expected one of red, blue"]),
        ({"to": "a", "inner": {"x": "1"}}, ["$.inner.x: expected a whole number"]),
        ({"to": "a", "count": True}, ["$.count: expected a whole number, got true or false"]),
    ],
)
def test_wrong_arguments_are_refused_with_every_problem_and_its_path(
    given: dict[str, object], problems: list[str]
) -> None:
    """Wrong types and broken bounds are named together, so that one repair is enough."""
    with pytest.raises(Malformed) as refusal:
        read(Arguments, given)

    assert [problem for problem in problems if problem not in refusal.value.text] == []


def test_a_mistake_of_any_length_gets_a_short_answer() -> None:
    """What a model sends is not sent back to it at length."""
    with pytest.raises(Malformed) as refusal:
        read(Arguments, {"x" * 100_000: 1})

    assert len(refusal.value.text) <= PROBLEM_CHARACTERS
