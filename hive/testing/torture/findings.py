"""What is found of letters in a hive's file, and what is wrong with it, one question at a time.  Pure.

The rule kept here: only the book says what must be there; the file says what is.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from attrs import frozen

from hive.testing.torture.book import Book

DONE: Final = "done"
SHOWN: Final = 20
"""How many of one kind of problem are told."""


@frozen
class Found:
    """A message as the file has it."""

    key: str
    id: str
    state: str
    why: str | None = None
    """Why it is dead, or what its recipient is parked for: what a person is shown."""


@frozen
class Kill:
    """What was there at the instant of one kill, and what it took."""

    in_flight: Mapping[str, str] = {}
    """The ways of the sends whose request was written whole and whose answer had not been read, by key."""

    awaiting_commit: Mapping[str, str] = {}
    """Of these the ones that were not in the file, by key, with their way."""

    committed: Mapping[str, str] = {}
    """The others, by key, with the id of their message: they must be there from now on."""

    claimed: int = 0
    children: int = 0
    """Processes of agents' commands that ran."""

    starting: bool = False
    """It did not serve yet."""

    cut: bool = False
    """The log was cut, and whatever ran was killed too."""

    bytes_cut: int = 0
    """Of committed frames."""

    events_cut: int = 0
    """Journal rows that went with them."""

    @property
    def hit_everything(self) -> bool:
        """Whether sends awaited their commit, calls of MCP were in flight, mail was claimed, children ran."""
        by_mcp = any(way != "hive.1" for way in self.in_flight.values())
        return bool(self.awaiting_commit and by_mcp and self.claimed and self.children)

    def __str__(self) -> str:
        """In one line."""
        ways = ", ".join(f"{often} {way}" for way, often in sorted(Counter(self.in_flight.values()).items()))
        return (
            f"{len(self.in_flight)} sends in flight ({ways or 'none'}), {len(self.awaiting_commit)} awaiting"
            f" commit; {self.claimed} claimed, {self.children} children alive"
            + (f"; log cut by {self.bytes_cut} bytes, {self.events_cut} events" if self.cut else "")
            + ("; while starting" if self.starting else "")
        )


@frozen
class End:
    """What was found when it was over."""

    found: Sequence[Found]
    traces: Mapping[str, int]
    """How often each letter that leaves a trace has left it."""

    settled_twice: Sequence[str]
    violations: Sequence[str]
    worked_off: bool = True
    """Whether the hive was given the time to handle everything."""


def lost(acknowledged: Mapping[str, str], found: Iterable[Found]) -> list[str]:
    """The keys of what was acknowledged and is not there as the very message that was named."""
    ids = {(one.key, one.id) for one in found}
    return [key for key, id_ in acknowledged.items() if (key, id_) not in ids]


def doubled(found: Iterable[Found]) -> list[str]:
    """The keys of letters that became more than one message."""
    return [key for key, often in Counter(one.key for one in found).items() if often > 1]


def unheard(book: Book, end: End) -> list[str]:
    """The keys of what is neither handled nor shown, and of what is done though its trace is missing."""
    keys = []
    for one in end.found:
        letter = book.offered.get(one.key)
        without_trace = letter is not None and letter.leaves_trace and not end.traces.get(one.key)
        waits = end.worked_off and one.state != DONE and not one.why
        if waits or (one.state == DONE and without_trace):
            keys.append(one.key)
    return keys


def vanished(kills: Iterable[Kill], found: Iterable[Found]) -> list[str]:
    """The keys of what was in the file after a kill, though nobody was told, and is there no more."""
    seen = {key: id_ for kill in kills for key, id_ in kill.committed.items()}
    return lost(seen, found)


def sentences(title: str, ones: Collection[str]) -> Iterator[str]:
    """A sentence for each, with an end to it."""
    for number, one in enumerate(ones):
        if number == SHOWN:
            yield f"{title}: and {len(ones) - SHOWN} more"
            return
        yield f"{title}: {one}"
