"""A client of `hive.1` that keeps a copy of its lanes: frames in, frames out.  No socket, and no clock.

What the page does in its browser, said again in Python, so that the server can be held against it.  The rule
kept here: an event is applied only as the next one after the last.  Anything else is a gap, answered by
asking again from the last good number; a snapshot is swapped in whole or not at all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from attrs import Factory, define, field

from hive.protocol.events import MESSAGE_FIELDS, SENT_FIELDS
from hive.protocol.parking import EXITS, Reason
from hive.web import wire

Json: TypeAlias = dict[str, Any]
Position: TypeAlias = tuple[int, int | None]
Parts: TypeAlias = Sequence[tuple[str, Sequence[Any]]]
"""The rows of a snapshot as they came, each run with its kind."""

UNREACHED_SECONDS: Final = 3.0
"""For so long a number that a beat named may stay unreached."""

ASK_AGAIN_SECONDS: Final = 10.0
"""A lane that stays silent after `sub` is asked for again."""

UNFINISHED: Final = frozenset({"ready", "claimed", "blocked"})
REPEATED: Final = frozenset({"unknown", "unavailable"})
"""Outcomes that say: repeat this under the same id."""


class Unknown(Exception):
    """An event concerns what a snapshot would have shown and this copy lacks."""


# --- what a lane says ----------------------------------------------------------------------------


@define(eq=False)
class Journal:
    """Lane `j`: agents, turns and messages."""

    agents: dict[str, Json] = field(factory=dict, init=False)
    turns: dict[int, Json] = field(factory=dict, init=False)
    messages: dict[str, Json] = field(factory=dict, init=False)

    @classmethod
    def of(cls, parts: Parts) -> "Journal":
        """What a snapshot says."""
        made = cls()
        for kind, rows in parts:
            for row in rows:
                match kind:
                    case "agents":
                        # An epoch outlives its agent's removal, which no event tells.
                        made.agents[row["name"]] = {key: row[key] for key in row if key != "epoch"}
                    case "turns":
                        made.turns[row["number"]] = row
                    case "messages":
                        made.messages[row["id"]] = row
        return made

    def apply(self, event: Sequence[Any]) -> None:
        """What one event says.  Raises `Unknown`."""
        _, at, type_, data = event[:4]
        match type_.partition(".")[0]:
            case "agent":
                self._agent(at, type_, data)
            case "park":
                self._park(at, type_, data)
            case "turn":
                self._turn(at, type_, data)
            case "msg":
                self._message(at, type_, data)

    def said(self, now: float) -> Mapping[str, Sequence[Any]]:
        """All of it, in an order that does not depend on how it was learnt, as of this time."""
        agents = [{**one, "parked": _in_force(one["parked"], now)} for one in self.agents.values()]
        return {
            "agents": sorted(agents, key=lambda one: one["name"]),
            "turns": [self.turns[number] for number in sorted(self.turns)],
            "messages": sorted(self.messages.values(), key=lambda one: int(one["number"])),
        }

    def _agent(self, at: float, type_: str, data: Json) -> None:
        name = data["subject"]
        if type_ == "agent.added":
            fresh: Json = {"status": "", "status_at": None, "parked": [], "turn": None}
            self.agents[name] = {"name": name, "settings": data["settings"], "added_at": at, **fresh}
        elif type_ == "agent.changed" and name in self.agents:
            self.agents[name] |= {"settings": data["settings"]}
        elif type_ == "agent.removed":
            self.agents.pop(name, None)
        elif type_ == "agent.status" and name in self.agents:
            self.agents[name] |= {"status": data["text"], "status_at": at}

    def _park(self, at: float, type_: str, data: Json) -> None:
        agent = self.agents.get(data["agent"])
        if agent is None:
            return
        reason = data["subject"]
        before = next((one for one in agent["parked"] if one["reason"] == reason), None)
        agent["parked"] = [one for one in agent["parked"] if one["reason"] != reason]
        if type_ == "park.set":
            since = before["since"] if before else at
            row = {"reason": reason, "since": since, "until": data["until"], "detail": data["detail"]}
            agent["parked"].append(row)

    def _turn(self, at: float, type_: str, data: Json) -> None:
        number, agent = int(data["subject"]), self.agents.get(data["agent"])
        turn = self.turns.get(number)
        if type_ == "turn.started":
            fresh: Json = {"ended_at": None, "outcome": None, "error": "", "text": "", "stop": None}
            messages = self._by_number(data["messages"])
            row = {"number": number, "agent": data["agent"], "started_at": at, "messages": messages}
            self.turns[number] = row | fresh
            if agent is not None:
                agent["turn"] = number
        elif type_ == "turn.stop" and turn is not None:
            turn["stop"] = data["how"]
        elif type_ == "turn.ended":
            if turn is not None:
                turn |= {"ended_at": at, **{key: data[key] for key in ("outcome", "error", "text")}}
            if agent is not None and agent["turn"] == number:
                agent["turn"] = None

    def _message(self, at: float, type_: str, data: Json) -> None:
        key = data["subject"]
        known = self.messages.get(key)
        change = {name: data[name] for name in MESSAGE_FIELDS}
        if type_ == "msg.sent":
            # Sent again under the same id: a note nobody has taken was renewed, and keeps its age.
            kept = {"at": known["at"], "read": known["read"]} if known else {"at": at, "read": False}
            self.messages[key] = {"id": key, **change, **{name: data[name] for name in SENT_FIELDS}, **kept}
            return
        if known is None:
            if data["state"] in UNFINISHED:
                raise Unknown(key)
            return
        known |= change
        match type_:
            case "msg.read" | "msg.unread":
                known["read"] = type_ == "msg.read"
            case "msg.done":
                known["read"] = known["read"] or known["to"] == "operator"
            case "msg.unblocked":
                known["hops"] = 0
            case "msg.claimed" if data["turn"] in self.turns:
                turn = self.turns[data["turn"]]
                turn["messages"] = self._by_number({*turn["messages"], key})

    def _by_number(self, ids: Sequence[str] | set[str]) -> list[str]:
        """A turn takes urgent mail first; a snapshot lists it as it was numbered."""
        return sorted(ids, key=lambda key: int(self.messages[key]["number"]) if key in self.messages else 0)


@define(eq=False)
class Stream:
    """Lane `a:<agent>`: rows."""

    rows: list[Any] = field(factory=list)

    @classmethod
    def of(cls, parts: Parts) -> "Stream":
        """What a snapshot says."""
        return cls([row for _, rows in parts for row in rows])

    def apply(self, event: Sequence[Any]) -> None:
        """One row more."""
        self.rows.append(event)

    def said(self, _now: float) -> Mapping[str, Sequence[Any]]:
        """All of it."""
        return {"rows": self.rows}

    def since(self, n: float) -> "Stream":
        """What remains when retention has taken the rows before `n`, which no event tells."""
        return Stream([row for row in self.rows if row[0] >= n])


def _in_force(parked: Sequence[Json], now: float) -> Sequence[Json]:
    """The reasons that hold: a snapshot leaves out a timed one whose time has come."""
    held = [
        one
        for one in parked
        if one["until"] is None or not EXITS[Reason(one["reason"])].timed or now < one["until"]
    ]
    return sorted(held, key=lambda one: str(one["reason"]))


# --- a lane --------------------------------------------------------------------------------------


@define(eq=False)
class Staging:
    """A snapshot on its way in."""

    n: int
    boot: int | None
    parts: list[tuple[str, Sequence[Any]]] = field(factory=list)


@define(eq=False)
class LaneCopy:
    """One lane: what is applied, what is missing, what is being staged."""

    name: str
    data: Journal | Stream = field(
        init=False,
        default=Factory(lambda self: Journal() if self.name == wire.JOURNAL else Stream(), takes_self=True),
    )
    at: Position | None = field(default=None, init=False)
    """Number and boot of the last event applied."""

    waiting: bool = field(default=True, init=False)
    """Only a snapshot can help."""

    staging: Staging | None = field(default=None, init=False)
    told: tuple[int, float] | None = field(default=None, init=False)
    """A number that a beat named and that has not come, and since when."""

    asked: float | None = field(default=None, init=False)
    gaps: int = field(default=0, init=False)
    snapshots: int = field(default=0, init=False)
    resyncs: int = field(default=0, init=False)

    @property
    def reached(self) -> int:
        """The last number applied."""
        return 0 if self.at is None else self.at[0]

    @property
    def whole(self) -> bool:
        """Whether nothing is known to be missing."""
        return not self.waiting and self.staging is None and self.told is None and self.asked is None

    def lost(self) -> None:
        """The connection is gone."""
        self.staging = self.told = self.asked = None

    def welcome(self, welcome: Json, now: float) -> None:
        """What the welcome said about this lane."""
        self.lost()
        # Believed, unlike by the page: a server that is wrong is to be found out.
        self.waiting = welcome["lanes"].get(self.name) != "resumed"
        self.asked = now if self.waiting else None

    def snap(self, frame: Json, now: float) -> Iterator[Json]:
        """A piece of a snapshot."""
        match frame["part"]:
            case "begin":
                self.staging = Staging(frame["n"], frame.get("boot"))
            case "rows" if self.staging is not None:
                self.staging.parts.append((frame["kind"], frame["rows"]))
            case "end":
                yield from self._swap(frame["n"], now)

    def _swap(self, n: int, now: float) -> Iterator[Json]:
        staging = self.staging
        if staging is None or staging.n != n:
            yield from self._restart(now)
            return
        self.data = type(self.data).of(staging.parts)
        self.lost()
        self.at, self.waiting = (staging.n, staging.boot), False
        self.snapshots += 1

    def events(self, events: Sequence[Sequence[Any]], now: float) -> Iterator[Json]:
        """Events of one frame."""
        if self.waiting or self.staging is not None:
            return
        for event in events:
            if event[0] <= self.reached:
                continue
            if event[0] != self.reached + 1:
                yield from self._gap(now)
                return
            try:
                self.data.apply(event)
            except Unknown:
                yield from self._restart(now)
                return
            self.at, self.asked = (event[0], event[3].get("boot", self.at and self.at[1])), None

    def resync(self, now: float) -> None:
        """The server gives this lane up for a snapshot."""
        self.lost()
        self.waiting, self.asked = True, now
        self.resyncs += 1

    def beat(self, n: int, now: float) -> None:
        """A beat names the number this lane should have."""
        if n <= self.reached:
            self.told = None
        elif self.told is None:
            self.told = (n, now)

    def tick(self, now: float) -> Iterator[Json]:
        """Time has passed."""
        if self.told is not None and self.reached >= self.told[0]:
            self.told = None
        if self.staging is not None:
            return
        if self.asked is not None and now - self.asked >= ASK_AGAIN_SECONDS:
            self.asked = now
            yield self._sub()
        elif self.told is not None and not self.waiting and now - self.told[1] >= UNREACHED_SECONDS:
            yield from self._gap(now)

    def _gap(self, now: float) -> Iterator[Json]:
        """Something between is missing: ask again, once."""
        if self.asked is None:
            self.asked, self.told = now, None
            self.gaps += 1
            yield self._sub()

    def _restart(self, now: float) -> Iterator[Json]:
        """Only a fresh snapshot can help."""
        self.lost()
        self.at, self.waiting, self.asked = None, True, now
        yield self._sub()

    def _sub(self) -> Json:
        at = {} if self.at is None else {"at": list(self.at)}
        return {"op": "sub", "lane": self.name, **at}


# --- the client ----------------------------------------------------------------------------------


@define(eq=False)
class Asked:
    """A command and its answers, the first one first."""

    frame: Json
    log_id: str | None
    acks: list[Json] = field(factory=list, init=False)
    """Each with the boot it came from."""

    unsettled: bool = field(default=False, init=False)
    """The last thing heard of it said nothing: no answer, or one that asks to repeat it."""

    _on_their_way: int = field(default=0, init=False)
    """Answers this connection owes."""

    @property
    def open(self) -> bool:
        """Whether it waits for an answer that says how it went.  One that was refused may be asked again."""
        return self.unsettled or self._on_their_way > 0

    @property
    def held(self) -> bool:
        """Whether it was said to be carried out."""
        return any(ack["ok"] for ack in self.acks)

    def ask(self, times: int) -> list[Json]:
        """Ask, or ask again, so many times at once."""
        self._on_their_way += times
        return [self.frame] * times

    def lost(self) -> None:
        """The connection is gone, with the answers that were on their way."""
        self.unsettled, self._on_their_way = self.open, 0

    def hear(self, ack: Json) -> None:
        """Take an answer."""
        self.acks.append(ack)
        self._on_their_way = max(0, self._on_their_way - 1)
        self.unsettled = not ack["ok"] and ack["error"]["code"] in REPEATED


@define(eq=False)
class Mirror:
    """A client: its lanes, its commands, and what to say next."""

    lanes: dict[str, LaneCopy] = field(factory=lambda: {wire.JOURNAL: LaneCopy(wire.JOURNAL)}, init=False)
    commands: dict[str, Asked] = field(factory=dict, init=False)
    log_id: str | None = field(default=None, init=False)
    live: bool = field(default=False, init=False)
    """Whether this connection has been welcomed."""

    boot: int = field(default=0, init=False)
    """The daemon's, as of the last welcome."""

    def want(self, lane: str) -> list[Json]:
        """Open a lane."""
        self.lanes.setdefault(lane, LaneCopy(lane))
        return [{"op": "sub", "lane": lane}] if self.live else []

    def hello(self) -> Json:
        """The first frame of a connection."""
        at = {name: list(lane.at) for name, lane in self.lanes.items() if lane.at is not None}
        return {"op": "hello", "v": wire.VERSION, "log_id": self.log_id, "at": at, "want": list(self.lanes)}

    def lost(self) -> None:
        """The connection is gone."""
        self.live = False
        for lane in self.lanes.values():
            lane.lost()
        for command in self.commands.values():
            command.lost()

    def command(self, key: str, name: str, arguments: Json, expect: Json, times: int = 1) -> list[Json]:
        """Ask for a change, so many times at once, where there is somebody to ask."""
        if not self.live:
            return []
        frame = {"op": "cmd", "id": key, "name": name, "args": arguments, "expect": expect}
        self.commands[key] = Asked(frame, self.log_id)
        return self.commands[key].ask(times)

    def hear(self, frame: Json, now: float) -> list[Json]:
        """Take one frame; returns what to say to it."""
        match frame["op"]:
            case "welcome":
                return self._welcome(frame, now)
            case "snap":
                return self._in_lane(frame, lambda lane: lane.snap(frame, now))
            case "ev":
                return self._in_lane(frame, lambda lane: lane.events(frame["e"], now))
            case "resync" if frame["lane"] in self.lanes:
                self.lanes[frame["lane"]].resync(now)
            case "beat":
                for name in frame["at"].keys() & self.lanes.keys():
                    self.lanes[name].beat(frame["at"][name], now)
            case "ack":
                self.commands[frame["id"]].hear(frame | {"boot": self.boot})
        return []

    def tick(self, now: float) -> list[Json]:
        """Time has passed; returns what to say."""
        if not self.live:
            return []
        subs = [sub for lane in self.lanes.values() for sub in lane.tick(now)]
        return [*subs, {"op": "beat", "at": {name: lane.reached for name, lane in self.lanes.items()}}]

    def unanswered(self) -> list[Asked]:
        """Commands to repeat: harmless, by their ids."""
        return [one for one in self.commands.values() if one.open and one.log_id == self.log_id]

    def _in_lane(self, frame: Json, change: Callable[[LaneCopy], Iterator[Json]]) -> list[Json]:
        lane = self.lanes.get(frame["lane"])
        return [] if lane is None else list(change(lane))

    def _welcome(self, welcome: Json, now: float) -> list[Json]:
        self.log_id, self.boot, self.live = welcome["log_id"], welcome["boot"], True
        for lane in self.lanes.values():
            lane.welcome(welcome, now)
        return [frame for one in self.unanswered() for frame in one.ask(1)]
