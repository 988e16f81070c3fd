"""Directives: what they mean, what is wrong with bad ones, and what is never one."""

import pytest
from hypothesis import given, strategies as st

from hive.agents.directives import READERS, directives
from hive.agents.events import ErrorClass
from hive.agents.steps import (
    Call,
    Crash,
    Fail,
    Hang,
    IgnoreFoldIn,
    Note,
    Say,
    Shell,
    Step,
    Think,
    Use,
    Wait,
    Wrong,
)
from hive.protocol.commands import Usage


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ('!call hive/send {"to": "iris", "n": [1]}', Call("send", {"to": "iris", "n": [1]})),
        ("!call hive/whoami", Call("whoami", {})),
        ("!sh ls -l | wc", Shell("ls -l | wc")),
        ("!say hello  there ", Say("hello  there")),
        ("!say", Say("")),
        ("!think hm", Think("hm")),
        ("!note a line", Note("a line")),
        ("!wait 2.5", Wait(2.5)),
        ("!usage 1200 80", Use(Usage(1200, 80))),
        ("!usage 1 2 0.25", Use(Usage(1, 2, 0.25))),
        ("!error auth", Fail(ErrorClass.AUTH)),
        ("!error rate_limit slow down", Fail(ErrorClass.RATE_LIMIT, "slow down")),
        ("!error rate_limit in 60 slow down", Fail(ErrorClass.RATE_LIMIT, "slow down", 60.0)),
        ("!error rate_limit in 60", Fail(ErrorClass.RATE_LIMIT, "", 60.0)),
        ("!crash", Crash()),
        ("!hang", Hang()),
        ("!ignore-fold-in", IgnoreFoldIn()),
    ],
)
def test_each_directive_is_one_step(line: str, step: Step) -> None:
    """The whole language, a row each."""
    assert directives(line, allow_shell=True) == (step,)


def test_every_directive_is_in_the_table_above() -> None:
    """A new word needs a row."""
    rows = next(
        mark.args[1]
        for mark in test_each_directive_is_one_step.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    )
    assert {row[0][1:].split()[0] for row in rows} == set(READERS)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("!", "'!' is not a directive; there are !call, !sh"),
        ("!rm -rf /", "'!rm' is not a directive"),
        ("!call send {}", "name a tool as hive/TOOL"),
        ("!call hive/ {}", "name a tool as hive/TOOL"),
        ("!call hive/send {to: iris}", "not JSON on one line"),
        ("!call hive/send [1]", "must be one JSON object"),
        ("!call hive/send " + "[" * 3000, "not JSON on one line"),
        ('!call hive/send {"to": ' + "[" * 300 + "]" * 300 + "}", "not JSON on one line"),
        ('!call hive/send {"to": "\\ud800"}', "not JSON on one line"),
        ('!call hive/send {"n": NaN}', "not JSON on one line"),
        ('!call hive/send {"n": ' + "1" * 5000 + "}", "not JSON on one line"),
        ("!sh", "give a command"),
        ("!wait", "give the seconds"),
        ("!wait soon", "give the seconds to wait, not 'soon'"),
        ("!wait -1", "not '-1'"),
        ("!wait nan", "not 'nan'"),
        ("!wait 1e99", "not '1e99'"),
        ("!usage 1", "give tokens in"),
        ("!usage a 1", "input tokens are a number"),
        ("!error", "give a class"),
        ("!error teapot", "'teapot' is no class of error; there are auth,"),
        ("!error rate_limit in a minute", "give the seconds until the limit ends"),
        ("!crash now", "stands alone"),
    ],
)
def test_a_bad_directive_says_what_to_write_instead(line: str, words: str) -> None:
    """And nothing of the script is carried out, neither what stands before it nor what stands after."""
    wrong = directives(f"!say one\n{line}\n!say two", allow_shell=True)
    assert isinstance(wrong, Wrong)
    (fault,) = wrong.faults
    assert words in fault


def test_every_fault_of_a_script_is_named_at_once() -> None:
    """So that one repair is enough."""
    wrong = directives("!frobnicate\n!say on\n!error teapot\nthe rest\n!text", allow_shell=True)
    assert isinstance(wrong, Wrong)
    assert [fault.split()[0] for fault in wrong.faults] == ["'!frobnicate'", "!error:"]


def test_an_unknown_class_of_error_is_told_all_there_are() -> None:
    """Nobody should have to look them up."""
    wrong = directives("!error teapot", allow_shell=True)
    assert isinstance(wrong, Wrong)
    assert {known for known in ErrorClass if known in wrong.faults[0]} == set(ErrorClass)


def test_a_shell_must_be_allowed() -> None:
    """Otherwise the directive is wrong, and says how to allow it."""
    wrong = directives("!sh id", allow_shell=False)
    assert wrong == Wrong(("!sh is not allowed to this agent; spawn it with --allow-shell.",))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello\n!sh id",
        "> !sh id",
        "```\n!sh id\n```",
        " !sh id",
        "\t!sh id",
        "Forwarded:\n\n!sh id",
        "\N{FULLWIDTH EXCLAMATION MARK}sh id",
    ],
)
def test_nothing_quoted_fenced_or_forwarded_is_a_directive(body: str) -> None:
    """Only lines that open the body count."""
    assert directives(body, allow_shell=True) == ()


def test_the_first_other_line_ends_the_script() -> None:
    """Blank lines do not."""
    body = "!say one\n\n!say two\nthe rest is text\n!say three\n> !say four"
    assert directives(body, allow_shell=True) == (Say("one"), Say("two"))


@given(st.text(alphabet=st.sampled_from('!cal sh/e{}"[]1-.\n'), max_size=80))
def test_no_body_breaks_the_reader(body: str) -> None:
    """Whatever it is, it is steps or nothing, and nothing unless it opens with a mark."""
    steps = directives(body, allow_shell=False)
    assert not steps or body.lstrip().startswith("!")
    assert isinstance(steps, Wrong) or not any(isinstance(step, Shell) for step in steps)
