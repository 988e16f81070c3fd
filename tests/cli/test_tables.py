"""Text for people, as values."""

import pytest

from hive.cli.tables import age, cut, flat, table


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (7199, "1 h"),
        (90000, "1 d"),
        (3600, "1 h"),
        (86399, "23 h"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    """And rounded down, except below a second."""
    assert age(seconds) == words


def test_a_line_is_cut_only_where_there_is_a_width() -> None:
    """A pipe gets everything."""
    assert cut("abcdef", None) == "abcdef"
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 4) == "abc…"
    assert flat(" a\n  b ") == "a b"


def test_every_line_of_a_table_fits_the_terminal() -> None:
    """The last column gives way; the others align."""
    text = table(["name", "text"], [["a", "x" * 100], ["longer", "y\nz"]], 40)
    lines = text.splitlines()
    assert [line.index(word) for line, word in zip(lines, ("text", "xx", "y z"), strict=True)] == [8, 8, 8]
    assert max(map(len, lines)) == 40


def test_in_a_pipe_a_table_keeps_every_character() -> None:
    """Programs that read columns lose nothing."""
    assert "x" * 300 in table(["a", "b"], [["1", "x" * 300]], None)
