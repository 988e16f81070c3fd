"""What reaches the person's terminal."""

import io
import json

import pytest

from hive.cli.output import Output


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b]0;gotcha\x07\x1b[2J", "\\x1b]0;gotcha\\x07\\x1b[2J"),
        ("over\rwritten\b", "over\\x0dwritten\\x08"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("safe\u202efas", "safe\\u202efas"),
        ("two\nlines\tand a tab, gr\u00fcn \U0001f41d", "two\nlines\tand a tab, gr\u00fcn \U0001f41d"),
    ],
)
def test_nothing_that_was_said_steers_the_terminal(
    said: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An agent that was talked into it, or a command it ran, must not drive what a person looks at."""
    stream = io.StringIO()
    out = Output(as_json=False, stream=stream)
    out.line(said)
    out.show({}, lambda _data, _width: said)
    out.remark(said)
    assert stream.getvalue() == f"{shown}\n" * 2
    assert capsys.readouterr().err == f"hive: {shown}\n"


def test_json_says_it_all_and_steers_nothing_either() -> None:
    """Escaped as JSON escapes it, so a program reads what was said."""
    stream = io.StringIO()
    Output(as_json=True, stream=stream).show({"said": "\x1b[2J\u202e"}, lambda _data, _width: "")
    assert json.loads(stream.getvalue()) == {"said": "\x1b[2J\u202e"}
    assert "\x1b" not in stream.getvalue()
