"""The least client of `hive.1` that remembers: mail and turns by id, over any number of connections.

It speaks with the real other end of the protocol, frame by frame, without a socket.  Its rule is the page's:
only the next event is applied, and a snapshot replaces everything.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, NoReturn, cast

from attrs import define, field

from hive.actors.protocol import Performs
from hive.protocol.grammar import Role
from hive.store.sqlite import SqliteStore
from hive.testing.mirror import Journal, Json
from hive.web import wire
from hive.web.connection import Connection
from hive.web.lanes import Lane, Lanes
from hive.web.login import Codes
from hive.web.parts import Login, Powers, Via, WebParts

OPERATOR: Final = Login("operator", Role.OWNER, Via.PAGE)


class Nobody:
    """Stands where a client that only looks never asks."""

    def __getattr__(self, name: str) -> NoReturn:
        """There is nothing here."""
        raise AssertionError(f"nobody was to be asked for {name}")


class Onlooker(Nobody):
    """Powers of a client that only looks: of all of them it sees whether chaos is on, and it is not."""

    @property
    def chaos(self) -> "Onlooker":
        """Its switch."""
        return self

    def said(self) -> None:
        """It was never on."""


def looking_parts(store: SqliteStore, wall: Callable[[], float]) -> WebParts:
    """What a page is served with that only looks; its lanes hear of every commit from now on."""
    lanes = Lanes(Lane(store.reader.head().seq))
    store.subscribe(lanes.on_commit)
    chance = random.Random(0)
    return WebParts(
        store=store,
        lanes=lanes,
        broker=cast("Performs", Nobody()),
        powers=cast("Powers", Onlooker()),
        codes=Codes(lambda: f"{chance.getrandbits(256):064x}", wall),
        wall=wall,
        new_secret=lambda: f"{chance.getrandbits(256):064x}",
        version="simulated",
        operator="the operator",
        origins=tuple,
        check_settings=lambda _: None,
    )


@define(eq=False)
class Page:
    """What one client knows, and the event it has come to."""

    journal: Journal = field(factory=Journal, init=False)
    log_id: str | None = field(default=None, init=False)
    at: tuple[int, int] | None = field(default=None, init=False)
    """The last event applied, and the boot that wrote it."""

    whole: bool = field(default=False, init=False)
    """Nothing of a snapshot is still to come."""

    how: str = field(default="", init=False)
    """How the last connection opened: `resumed` or `snapshot`."""

    _connection: Connection | None = field(default=None, init=False)
    _staged: list[tuple[str, Sequence[Any]]] = field(factory=list, init=False)
    """The rows of a snapshot on its way in."""

    def connect(self, parts: WebParts) -> None:
        """Open a connection, after what is remembered, and read what it has to say at once."""
        self._connection = Connection(OPERATOR, parts)
        self.said(self._connection.receive(wire.frame("hello", **self.hello())))
        self.read()

    def remembered(self) -> "Page":
        """What a client that loses its connection now will come back with."""
        memory = Page()
        memory.log_id, memory.at = self.log_id, self.at
        memory.journal = deepcopy(self.journal)
        return memory

    @staticmethod
    def said(deed: object) -> None:
        """Looking on asks for nothing, and is not sent away."""
        assert deed is None, deed

    def hello(self) -> Mapping[str, object]:
        """The fields of the greeting."""
        at = {} if self.at is None else {wire.JOURNAL: list(self.at)}
        return {"v": wire.VERSION, "log_id": self.log_id, "at": at, "want": [wire.JOURNAL]}

    def read(self) -> None:
        """Take every frame there is."""
        assert self._connection is not None, "it is not connected"
        while (text := self._connection.next()) is not None:
            self.take(json.loads(text))

    def take(self, frame: Json) -> None:
        """Take one frame."""
        match frame:
            case {"op": "welcome"}:
                self.log_id, self.how = frame["log_id"], frame["lanes"][wire.JOURNAL]
                self.whole = self.how == "resumed"
            case {"op": "snap", "part": "begin"}:
                self._staged, self.at = [], (frame["n"], frame["boot"])
            case {"op": "snap", "part": "rows"}:
                self._staged.append((frame["kind"], frame["rows"]))
            case {"op": "snap", "part": "end"}:
                self.journal, self.whole = Journal.of(self._staged), True
            case {"op": "ev"}:
                for event in frame["e"]:
                    assert self.at is not None
                    assert event[0] == self.at[0] + 1, f"event {event[0]} after {self.at[0]}"
                    self.at = event[0], event[3]["boot"]
                    self.journal.apply(event)
            case _:
                pass

    def knows(self) -> Mapping[str, object]:
        """All of its mail and turns, in an order that does not depend on how it was learnt."""
        said = self.journal.said(0.0)
        return {"messages": said["messages"], "turns": said["turns"]}

    def holders(self, message: str) -> list[int]:
        """The turns that hold or held a message, by what is known here."""
        return [number for number, turn in self.journal.turns.items() if message in turn["messages"]]
