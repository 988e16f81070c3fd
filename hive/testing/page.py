"""The least client of `hive.1` that remembers: mail and turns by id, over any number of connections.

It speaks with the real other end of the protocol, frame by frame, without a socket.  Its rule is the page's:
only the next event is applied, and a snapshot replaces everything.
"""

import json
import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Final, NoReturn, cast

from attrs import define, field

from hive.actors import Ref
from hive.protocol.events import MESSAGE_FIELDS, SENT_FIELDS
from hive.protocol.verbs import Role
from hive.store.sqlite import SqliteStore
from hive.web import wire
from hive.web.connection import Connection
from hive.web.lanes import Lane, Lanes
from hive.web.login import Codes
from hive.web.parts import Login, Powers, Via, WebParts

Json = dict[str, Any]

OPERATOR: Final = Login("operator", Role.OWNER, Via.PAGE)


class Nobody:
    """Stands where a client that only looks never asks."""

    def __getattr__(self, name: str) -> NoReturn:
        """There is nothing here."""
        raise AssertionError(f"nobody was to be asked for {name}")


def looking_parts(store: SqliteStore, wall: Callable[[], float]) -> WebParts:
    """What a page is served with that only looks; its lanes hear of every commit from now on."""
    lanes = Lanes(Lane(store.reader.head().seq))
    store.subscribe(lanes.on_commit)
    chance = random.Random(0)
    return WebParts(
        store=store,
        lanes=lanes,
        broker=cast("Ref", Nobody()),
        powers=cast("Powers", Nobody()),
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

    messages: dict[str, Json] = field(factory=dict, init=False)
    turns: dict[int, Json] = field(factory=dict, init=False)
    log_id: str | None = field(default=None, init=False)
    at: tuple[int, int] | None = field(default=None, init=False)
    """The last event applied, and the boot that wrote it."""

    whole: bool = field(default=False, init=False)
    """Nothing of a snapshot is still to come."""

    how: str = field(default="", init=False)
    """How the last connection opened: `resumed` or `snapshot`."""

    _connection: Connection | None = field(default=None, init=False)

    def connect(self, parts: WebParts) -> None:
        """Open a connection, after what is remembered, and read what it has to say at once."""
        self._connection = Connection(OPERATOR, parts)
        self.said(self._connection.receive(wire.frame("hello", **self.hello())))
        self.read()

    def remembered(self) -> "Page":
        """What a client that loses its connection now will come back with."""
        memory = Page()
        memory.log_id, memory.at = self.log_id, self.at
        memory.messages, memory.turns = deepcopy(self.messages), deepcopy(self.turns)
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
                self.messages, self.turns, self.at = {}, {}, (frame["n"], frame["boot"])
            case {"op": "snap", "part": "rows", "kind": "messages"}:
                self.messages.update((row["id"], row) for row in frame["rows"])
            case {"op": "snap", "part": "rows", "kind": "turns"}:
                self.turns.update((row["number"], row) for row in frame["rows"])
            case {"op": "snap", "part": "end"}:
                self.whole = True
            case {"op": "ev"}:
                for n, at, type_, data, *_ in frame["e"]:
                    assert self.at is not None
                    assert n == self.at[0] + 1, f"event {n} after {self.at[0]}"
                    self.at = n, data["boot"]
                    self._apply(at, type_, data)
            case _:
                pass

    def knows(self) -> Mapping[str, object]:
        """All of it, in an order that does not depend on how it was learnt."""
        turns = [{**turn, "messages": sorted(turn["messages"])} for _, turn in sorted(self.turns.items())]
        return {"messages": sorted(self.messages.items()), "turns": turns}

    def holders(self, message: str) -> list[int]:
        """The turns that hold or held a message, by what is known here."""
        return [number for number, turn in self.turns.items() if message in turn["messages"]]

    def _apply(self, at: float, type_: str, data: Json) -> None:
        match type_.partition(".")[0]:
            case "turn":
                self._apply_turn(at, type_, data)
            case "msg":
                self._apply_message(at, type_, data)
            case _:
                pass

    def _apply_turn(self, at: float, type_: str, data: Json) -> None:
        number = int(data["subject"])
        if type_ == "turn.started":
            fresh: Json = {"ended_at": None, "outcome": None, "error": "", "text": "", "stop": None}
            given = {"agent": data["agent"], "messages": list(data["messages"])}
            self.turns[number] = {"number": number, "started_at": at, **given, **fresh}
        elif type_ == "turn.stop":
            self.turns[number] |= {"stop": data["how"]}
        elif type_ == "turn.ended":
            self.turns[number] |= {"ended_at": at, **{key: data[key] for key in ("outcome", "error", "text")}}

    def _apply_message(self, at: float, type_: str, data: Json) -> None:
        key, change = data["subject"], {name: data[name] for name in MESSAGE_FIELDS}
        if type_ == "msg.sent":
            # A note that nobody has taken yet is renewed under its id, and keeps its age.
            kept = self.messages.get(key, {"at": at, "read": False})
            sent = {name: data[name] for name in SENT_FIELDS}
            self.messages[key] = {"id": key, **change, **sent, "at": kept["at"], "read": kept["read"]}
            return
        self.messages[key] |= change
        if type_ == "msg.claimed" and data["turn"] is not None:
            held = self.turns[data["turn"]]["messages"]
            held += [] if key in held else [key]
