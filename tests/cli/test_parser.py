"""The verb table: the one source of help, of parsing and of documentation."""

from pathlib import Path

import pytest

from hive.agents import registry
from hive.agents.scripted import RULES as RULE_TABLES
from hive.cli import docs
from hive.cli.local import ALONE, SPOKEN
from hive.cli.parser import SECTIONS, find, overview, parse, parser_of, spelled
from hive.cli.show import SHOWN
from hive.cli.status import Failed, Status
from hive.cli.verbs import COMMANDS
from hive.protocol.agent_verbs import BACKENDS, RULES
from hive.protocol.grammar import Argument, Verb
from hive.protocol.requests import GETS, PAGE_ONLY, WIRE_COMMANDS
from hive.protocol.verbs import VERBS

ROOT = Path(__file__).resolve().parents[2]
each_verb = pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)


@each_verb
def test_every_verb_has_help(verb: Verb) -> None:
    """In the overview and of its own, with every argument."""
    assert f"  {verb.name} " in overview()
    text = parser_of(verb).format_help()
    assert " ".join(verb.summary.split()) in " ".join(text.split())
    for argument in verb.arguments:
        assert argument.help
        assert (f"--{argument.name}" if argument.option else argument.name) in text
    assert "--json" in text
    assert "--dir" in text


@each_verb
def test_every_verb_is_carried_out_by_somebody(verb: Verb) -> None:
    """A name in the table without a function behind it would fail in a person's hands."""
    plain_look = verb.get in SHOWN
    assert verb.name in ALONE or verb.name in SPOKEN or plain_look or verb.name in COMMANDS


@each_verb
def test_every_verb_has_a_section(verb: Verb) -> None:
    """Or the overview would lack it."""
    assert verb.section in SECTIONS


def test_the_documentation_is_the_table() -> None:
    """docs/cli.md is made by `python -m hive.cli.docs`; whoever changes a verb makes it again."""
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == docs.page()
    assert all(f"### `hive {verb.name}" in docs.page() for verb in VERBS)


def test_everything_the_protocol_offers_has_a_verb_or_is_for_the_page() -> None:
    """Nothing can be done only by whoever writes frames by hand."""
    used = {name for verb in VERBS for name in (verb.wire, verb.get, *verb.also) if name}
    offered = {*WIRE_COMMANDS, *GETS}
    assert used <= offered
    assert used | PAGE_ONLY == offered
    assert not used & PAGE_ONLY


def test_choices_are_those_of_the_programs_behind_them() -> None:
    """The table knows no backend and no rules that hive lacks; presets are backends without being in it."""
    assert set(BACKENDS) == set(registry.BACKENDS)
    assert set(RULES) == set(RULE_TABLES)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["send", "iris", "hello", "--wait"], {"to": "iris", "text": "hello", "wait": True, "seconds": None}),
        (["events", "--from", "12"], {"from": 12}),
        (["tail", "iris", "boss"], {"agent": ["iris", "boss"]}),
        (["spawn", "iris", "--backend", "external"], {"name": "iris", "backend": "external", "rules": None}),
        (["pause", "--all", "--now"], {"agent": None, "all": True, "now": True}),
        (["send", "iris", "x", "--seconds", "0.5"], {"seconds": 0.5}),
        (["mail", "iris", "--before", "9"], {"agent": "iris", "before": 9}),
        (["mcp-stdio"], {"agent": None}),
        (["endpoint", "iris"], {"for": "generic", "rotate": False}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_typed_is_understood(typed: list[str], expected: dict[str, object]) -> None:
    """Each kind of argument once."""
    _, options = parse(typed)
    assert expected.items() <= vars(options).items()


@pytest.mark.parametrize(
    "typed",
    [
        ["send", "iris"],
        ["spawn"],
        ["spawn", "iris", "--backend", "scripted", "--rules", "x"],
        ["tail"],
        ["events", "--from", "x"],
        ["events", "--from", "-1"],
        ["mail", "iris", "--before", "9" * 30],
        *(["send", "iris", "x", "--seconds", seconds] for seconds in ("nan", "-1", "inf", "1e300")),
    ],
)
def test_wrong_usage_is_one_complaint_and_the_usage(typed: list[str]) -> None:
    """With a status of its own."""
    with pytest.raises(Failed) as failed:
        parse(typed)
    assert failed.value.status is Status.USAGE
    assert f"usage: hive {typed[0]}" in str(failed.value)


@pytest.mark.parametrize("typed", ["--rate nan", "--rate 1.5", "--rate -1", "--rate x", "--seconds x"])
def test_a_number_that_is_none_is_complained_of_in_words(typed: str) -> None:
    """Of a person, not of the program."""
    kind = "between 0 and 2678400 seconds" if "seconds" in typed else "a whole number between 0 and"
    with pytest.raises(Failed, match=f"argument {typed.replace(' ', ': ')} is not {kind}"):
        parse(["chaos", "on", *typed.split()])


def test_an_unknown_verb_names_near_ones() -> None:
    """And where nothing is near, the overview."""
    with pytest.raises(Failed, match="Did you mean status"):
        find("stauts")
    with pytest.raises(Failed, match="hive help"):
        find("qqq")


def test_an_argument_is_spelled_as_it_is_typed() -> None:
    """In usage lines of the documentation."""
    assert spelled(Argument("agent", "", many=True)) == "AGENT..."
    assert spelled(Argument("all", "", option=True, switch=True, required=False)) == "[--all]"
    assert spelled(Argument("for", "", option=True, required=False, choices=("a", "b"))) == "[--for a|b]"
