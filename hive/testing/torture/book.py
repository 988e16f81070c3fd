"""What was offered to a hive, and what it answered: kept by whoever tortures it, outside of the hive.  Pure.

The rule kept here: nothing in it comes from the hive's files, and every line is written down before anybody
goes on; where one cannot be, the book says so, and the torture is over.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from attrs import define, field, frozen

ACCEPTED: Final = re.compile(r"accepted as #\d+ \((?P<id>[^)]+)\)")


@frozen
class Letter:
    """One send, however often it is tried."""

    key: str
    """Drawn once; it is in the body too, so that the message is found whether or not anybody was told."""

    to: str
    body: str
    leaves_trace: bool = False
    """Whoever handles it writes its key into a file that is not hive's."""


@define(eq=False)
class Book:
    """Every letter, and what its sender heard."""

    write: Callable[[str], object] = field(default=lambda _line: None)
    """Takes each line of the book, for a plain file."""

    offered: dict[str, Letter] = field(factory=dict, init=False)
    answers: dict[str, str] = field(factory=dict, init=False)
    """By key, the words with which a letter was accepted first."""

    refusals: int = field(default=0, init=False)
    """Answers that accepted nothing; the letter is offered again."""

    unwritten: str = field(default="", init=False)
    """Why a line could not be written down, once one could not."""

    contradicted: dict[str, str] = field(factory=dict, init=False)
    """By key, the words of a later answer that were not those of the first."""

    def offer(self, letter: Letter) -> None:
        """Note a letter that is about to be sent for the first time."""
        self.offered[letter.key] = letter
        self.note("offered", key=letter.key, to=letter.to)

    def hear(self, letter: Letter, said: str) -> bool:
        """Note an answer; answers whether it accepted the letter."""
        if not ACCEPTED.match(said):
            self.refusals += 1
            self.note("refused", key=letter.key, said=said)
            return False
        if said != self.answers.setdefault(letter.key, said):
            self.contradicted[letter.key] = said
        self.note("answered", key=letter.key, said=said)
        return True

    def note(self, what: str, **about: object) -> None:
        """Write down something that happened."""
        try:
            self.write(json.dumps({"what": what, **about}) + "\n")
        except OSError as error:
            self.unwritten = self.unwritten or str(error)

    @property
    def acknowledged(self) -> Mapping[str, str]:
        """By key, the id of the message that each accepted letter became."""
        return {key: id_in(said) for key, said in self.answers.items()}


def id_in(said: str) -> str:
    """The message that an accepting answer is about."""
    found = ACCEPTED.match(said)
    assert found is not None, said
    return found["id"]
