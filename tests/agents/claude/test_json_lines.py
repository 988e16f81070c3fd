"""Bytes of a CLI, cut into lines, and lines into objects."""

import json
from typing import Final

import pytest
from hypothesis import given, strategies as some

from hive.agents.cli.json_lines import JsonObject, Splitter, TooLong, parse

DEEP: Final = 200_000


@given(some.lists(some.binary(max_size=8).filter(lambda line: b"\n" not in line)), some.integers(1, 9))
def test_lines_are_the_same_however_they_come(lines: list[bytes], size: int) -> None:
    """In one piece or in many; what has no end yet is kept."""
    sent = b"".join(line + b"\n" for line in lines) + b"rest"
    splitter = Splitter()
    found = [line for at in range(0, len(sent), size) for line in splitter.feed(sent[at : at + size])]
    assert found == lines
    assert splitter.last() == b"rest"


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_line_may_be_as_long_as_the_limit_and_not_longer(size: int) -> None:
    """Whether its end has come or not."""
    splitter = Splitter(limit=10)
    sent = b"x" * 10 + b"\n" + b"y" * 10
    assert [line for at in range(0, len(sent), size) for line in splitter.feed(sent[at : at + size])] == [
        b"x" * 10
    ]
    with pytest.raises(TooLong):
        splitter.feed(b"y")
    with pytest.raises(TooLong):
        Splitter(limit=10).feed(b"z" * 11 + b"\n")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"warning",
        b"[1]",
        b"7",
        b"null",
        b'{"a": ',
        b"\xff",
        b'{"a": "\xed\xa0\x80"}',
        b"[" * DEEP,
        b'{"a": ' + b"7" * 5000 + b"}",
    ],
    ids=range(10),
)
def test_what_is_no_object_is_none(line: bytes) -> None:
    """However it is not: nothing of it is an error."""
    assert parse(line) is None


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (rb'{"a": "\ud83d"}', {"a": "?"}),
        (rb'{"\uD83D": ["\udc00x"]}', {"?": ["?x"]}),
        (rb'{"a": "\ud83d\ude00"}', {"a": "\U0001f600"}),
        (rb'{"a": "\\ud83d"}', {"a": "\\ud83d"}),
    ],
)
def test_half_a_character_is_replaced(line: bytes, value: JsonObject) -> None:
    """No store would take it; a whole one stays."""
    assert parse(line) == value
    assert json.dumps(value, ensure_ascii=False).encode()
