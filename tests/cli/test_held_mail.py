"""Two scripted agents talk to each other until the loop guard stops them, and a person decides."""

import json
from typing import Any

import pytest

from hive.config import FILE
from tests.cli.person import Person, until

pytestmark = pytest.mark.slow

PAIR = ("ada", "ben")


def chain(length: int, last: str) -> str:
    """A script by which mail goes to and fro so many times; the last message of it is `last`."""
    body = last
    for step in reversed(range(length)):
        call = json.dumps({"to": PAIR[(step + 1) % 2], "body": body})
        body = f"!call hive/send {call}"
    return body


def held(person: Person) -> Any:
    """The one message that waits for a person, as soon as there is one."""

    def look() -> Any:
        boxes = [person.asks("mail", agent)["mail"] for agent in PAIR]
        return [mail for mail in boxes[0] + boxes[1] if mail["state"] == "blocked"]

    (found,) = until(look)
    return found


def settled(person: Person, message: str) -> Any:
    """A message with its story, once it is done or dead."""

    def look() -> Any:
        found = person.asks("message", message)
        return found if found["mail"]["state"] in ("done", "dead") else None

    return until(look)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("hops = 3", "3 hops without input from outside"),
        ("pair_messages = 2", "2 messages between ada and ben"),
    ],
)
def test_mail_that_the_loop_guard_holds_goes_or_is_buried_as_a_person_says(
    person: Person, limit: str, words: str
) -> None:
    """It is seen to be held and why; released it is handled, buried its sender is told."""
    person.root.mkdir()
    (person.root / FILE).write_text(f"[limits]\n{limit}\n")
    person.types("up", "--detach")
    try:
        for agent, other in (PAIR, PAIR[::-1]):
            person.types("spawn", agent, "--backend", "scripted", "--directives-from", "operator", other)

        person.types("send", "ada", chain(3, "!say enough"))
        first = held(person)
        assert (first["from"], first["to"]) == PAIR
        assert f"now blocked: {words}" in person.types("message", first["id"])
        assert "blocked" in person.types("mail", "ben")
        assert person.asks("status")["counts"]["blocked"] == 1
        person.types("release", first["id"])
        handled = settled(person, first["id"])
        assert handled["mail"]["state"] == "done"
        assert [turn["final_text"] for turn in handled["turns"]] == ["enough"]
        assert "let pass: released by operator" in person.types("message", first["id"])
        assert "only blocked mail" in person.types("release", first["id"], expect=4)

        person.types("send", "ada", chain(3, "!say never"))
        second = held(person)
        person.types("bury", second["id"])
        assert settled(person, second["id"])["mail"]["state"] == "dead"
        assert second["id"] in [mail["id"] for mail in person.asks("dead")]
        (told,) = [mail for mail in person.asks("mail", "ada")["mail"] if mail["from"] == "system"]
        notice = settled(person, told["id"])
        assert (notice["mail"]["kind"], notice["mail"]["state"]) == ("undelivered", "done")
        assert second["id"] in notice["body"]
        assert person.asks("status")["counts"]["blocked"] == 0
        assert person.asks("status")["violations"] == []
    finally:
        person.types("down")
