"""JSON becomes a value or a sentence that says everything that is wrong with it."""

import pytest
from attrs import asdict
from hypothesis import given, strategies as st

from hive.protocol.commands import (
    AppendStream,
    BeginTurn,
    Command,
    EndTurn,
    Lease,
    NotBegun,
    NoteFact,
    Pause,
    Send,
    Settings,
    StreamRow,
    TurnBegun,
    Usage,
)
from hive.protocol.errors import Malformed
from hive.protocol.mail import Accepted, ClaimedMail, Mail, Priority, Provenance, Redelivery, SendAnswer
from hive.protocol.outcome import Outcome
from hive.store.codec import (
    COMMANDS,
    answer_type,
    command_from,
    decode,
    digest,
    encode,
    structure,
    unstructure,
)

MAIL = Mail(7, "m-7", "iris", "rosa", "hello", "m-7", Provenance.AGENT, 1.5, priority=Priority.URGENT)


@pytest.mark.parametrize(
    ("type_", "value", "problems"),
    [
        (Settings, {"role": 7}, ["$.role: expected text, got a whole number"]),
        (Settings, {"allow_shell": 1}, ["$.allow_shell: expected true or false, got a whole number"]),
        (Settings, {"directives_from": "iris"}, ["$.directives_from: expected a list, got text"]),
        (Settings, {"directives_from": ["a", None]}, ["$.directives_from[1]: expected text, got nothing"]),
        (Settings, ["manager"], ["$: expected an object, got a list"]),
        (Settings, {"colour": "red", "age": 1}, ["$: unknown: age, colour"]),
        (
            Lease,
            {"agent": "a", "holder": "b", "limit": 1.0},
            ["$.limit: expected a whole number, got a number"],
        ),
        (
            Lease,
            {"agent": "a", "holder": "b", "limit": True},
            ["$.limit: expected a whole number, got true or false"],
        ),
        (Lease, {"agent": "a", "holder": "b", "seconds": "9"}, ["$.seconds: expected a number, got text"]),
        (Lease, {}, ["$.agent: required, but missing", "$.holder: required, but missing"]),
        (NoteFact, {"type": "t", "agent": None, "data": []}, ["$.data: expected an object, got a list"]),
        (NoteFact, {"type": "t", "agent": None, "data": {"a": [1, None]}}, []),
        (EndTurn, {"turn": 1, "outcome": "fine"}, ["$.outcome: expected one of ok, step_limit,"]),
        (EndTurn, {"turn": 1, "outcome": "ok", "usage": {"x": 1}}, ["$.usage: unknown: x"]),
        (EndTurn, {"turn": 1, "outcome": "ok", "until": 3}, []),
        (type(None), 0, ["$: expected nothing, got a whole number"]),
        (int, {}, ["$: expected a whole number, got an object"]),
    ],
)
def test_every_problem_is_named_with_its_path(
    type_: type[object], value: object, problems: list[str]
) -> None:
    """Nothing is guessed: not a number from a text, not a list from a text, not a 1 from a True."""
    if not problems:
        structure(type_, value)
        return
    with pytest.raises(Malformed) as caught:
        structure(type_, value)
    assert all(problem in caught.value.text for problem in problems)


def test_all_problems_are_told_at_once() -> None:
    """Whoever wrote it repairs it in one go."""
    with pytest.raises(Malformed) as caught:
        structure(Send, {"sender": 1, "to": None, "provenance": "me", "extra": 0})
    paths = [problem.split(":")[0] for problem in caught.value.text.split("; ")]
    assert paths == ["$.sender", "$.to", "$.body", "$.provenance", "$"]


def test_what_is_not_json_is_said_to_be_none() -> None:
    """With where it goes wrong, and without the text itself."""
    with pytest.raises(Malformed, match="not JSON"):
        decode(Settings, b'{"role": ')


def test_an_unknown_command_is_told_the_known_ones() -> None:
    """Names on the wire are the names of the protocol."""
    assert command_from("Pause", {"agent": None}) == Pause(None)
    with pytest.raises(Malformed, match="Pause, RecordProcess"):
        command_from("Stop", {})


@pytest.mark.parametrize(
    "value",
    [
        Send("iris", "*", "hällo\n", Provenance.AGENT, priority=Priority.URGENT, not_before=3.5, turn=4),
        EndTurn(3, Outcome.RATE_LIMIT, until=9.0, usage=Usage(1, 2, 0.25), seen=(4, 5)),
        AppendStream("iris", None, (StreamRow("text", {"a": {"b": [1, None, "x", 0.5]}}),)),
        NoteFact("child.exited", "iris", {"reason": "crash"}),
    ],
)
def test_a_command_survives_the_wire(value: Command[object]) -> None:
    """What was structured is what was meant."""
    assert decode(type(value), encode(value)) == value
    assert command_from(type(value).__name__, unstructure(value)) == value


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (Send, SendAnswer((Accepted("rosa", 1, "m-1", blocked="loop"),))),
        (BeginTurn, TurnBegun(3, "iris", (ClaimedMail(MAIL, 4, (Redelivery(1, "failed", ("x",)),)),), 0, 2)),
        (BeginTurn, NotBegun("paused", 7.5)),
        (Lease, (ClaimedMail(MAIL, 4),)),
        (Pause, ("iris", "rosa")),
        (NoteFact, None),
    ],
)
def test_an_answer_survives_the_table_of_answers(command: type[Command[object]], answer: object) -> None:
    """The repeat of a keyed command gets an equal value, sum types included."""
    assert decode(answer_type(command), encode(answer)) == answer


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_names_an_answer_that_json_can_say(name: str) -> None:
    """Otherwise its answer could not be repeated."""
    assert answer_type(COMMANDS[name]) is not None
    with pytest.raises(Malformed):
        structure(answer_type(COMMANDS[name]), object)


def test_a_digest_tells_commands_apart_by_name_and_content() -> None:
    """The same content under another name is another request."""
    first = Send("iris", "rosa", "hello", Provenance.AGENT)
    assert digest(first) == digest(Send(**asdict(first)))
    assert digest(first) != digest(Send("iris", "rosa", "hello!", Provenance.AGENT))
    assert digest(Lease("iris", "h")) != digest(BeginTurn("iris", 1))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_garbage_is_malformed_and_nothing_else(garbage: object) -> None:
    """Whatever JSON can hold, the error is a refusal that can be shown."""
    with pytest.raises(Malformed):
        structure(EndTurn, garbage)
    with pytest.raises(Malformed):
        structure(EndTurn, {"turn": garbage, "outcome": garbage, "seen": garbage})
