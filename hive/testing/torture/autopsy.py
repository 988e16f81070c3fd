"""A look at the file that a dead daemon left.

The rule kept here: what is wrong is found at the kill that made it wrong.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from attrs import frozen

from hive.testing.torture import evidence
from hive.testing.torture.book import Book
from hive.testing.torture.findings import doubled, lost


@frozen
class Remains:
    """What such a file holds."""

    committed: Mapping[str, str]
    """Of the sends asked about those that are there, by key, with the id of their message."""

    claimed: int
    events: int
    """The number of the last row of its journal."""

    wrong: tuple[str, ...]
    """A sentence for everything that must be otherwise."""


def examine(store: Path, book: Book, in_flight: Collection[str]) -> Remains:
    """Read the file of a daemon that is dead, and hold it against the book."""
    with evidence.looked_into(store) as db:
        found = evidence.messages(db)
        committed, in_part = evidence.there(db, in_flight)
        claimed = evidence.counted(db, evidence.CLAIMED)
        events = evidence.counted(db, evidence.EVENTS)
    wrong = (
        *(f"send {key} was acknowledged and is gone" for key in lost(book.acknowledged, found)),
        *(f"send {key} is there more than once" for key in doubled(found)),
        *in_part,
        *evidence.violations(store),
    )
    return Remains(committed, claimed, events, wrong)
