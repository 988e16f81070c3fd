"""One client's end of the protocol without any input or output: frames in, frames out.

The rule kept here: what is sent is computed when the socket is ready for it.  A client that reads slowly
costs its place in a lane, never memory.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import orjson
from attrs import Factory, define, field, frozen

from hive.protocol.errors import Malformed
from hive.store.codec import unstructure
from hive.web import wire
from hive.web.lanes import Lane, journal_event, stream_event
from hive.web.parts import Login, WebParts
from hive.web.snapshot import Snapshot, journal_snapshot, stream_snapshot

BEHIND_EVENTS = 4_000
"""So many events behind, a lane is given up for a snapshot."""

BEHIND_BYTES = 4 * 1024 * 1024
RESUMED_FROM_STORE = 100_000
WAITING_FRAMES = 4_000
RESYNCS = 3
RESYNC_SECONDS = 60.0
PARTS_BYTES = 2 * 1024 * 1024
PARTS_AT_ONCE = 4


@frozen
class Command:
    """A client asks for a change."""

    id: str
    name: str
    arguments: Mapping[str, object]
    expect: Mapping[str, object]


@frozen
class Question:
    """A client asks for detail."""

    id: str
    what: str
    arguments: Mapping[str, object]


@frozen
class Goodbye:
    """The connection is to be closed with this code."""

    code: int
    why: str
    retry_ms: int = 1_000


Deed: TypeAlias = Command | Question | Goodbye


@define(eq=False)
class Feed:
    """One lane at one client."""

    lane: Lane
    sent: int
    backlog: deque[str] = field(default=Factory(deque))
    """Frames of a snapshot, or of events from the store, that go before anything newer."""


@define(eq=False)
class Connection:
    """The state of one connection."""

    login: Login
    _parts: WebParts
    _control: deque[str] = field(default=Factory(deque), init=False)
    _feeds: dict[str, Feed] = field(default=Factory(dict), init=False)
    _texts: dict[str, list[str]] = field(default=Factory(dict), init=False)
    _resyncs: deque[float] = field(default=Factory(deque), init=False)
    _greeted: bool = field(default=False, init=False)

    # --- what comes in ---------------------------------------------------------------------------

    def receive(self, text: str) -> Deed | None:
        """Take one frame.  What needs waiting is returned as a deed; a broken frame ends the connection."""
        try:
            return self._dispatch(_object({"frame": orjson.loads(text)}, "frame"))
        except (orjson.JSONDecodeError, Malformed) as error:
            return Goodbye(4400, f"frame not understood: {error}"[:200])

    def _dispatch(self, received: Mapping[str, object]) -> Deed | None:
        op = received.get("op")
        if op == "hello":
            return self._hello(received)
        if not self._greeted:
            return Goodbye(4400, "the first frame is hello")
        match op:
            case "sub":
                self._subscribe(_text(received, "lane"), _position(received.get("at")))
            case "unsub":
                self._feeds.pop(_text(received, "lane"), None)
            case "part":
                return self._take_part(received)
            case "cmd":
                return Command(
                    _id(received),
                    _text(received, "name"),
                    _object(received, "args"),
                    _object(received, "expect"),
                )
            case "get":
                return Question(_id(received), _text(received, "what"), _object(received, "args"))
            case _:
                pass  # a beat, or an op of a later version: having heard from the client is all it means
        return None

    def _hello(self, received: Mapping[str, object]) -> Deed | None:
        if received.get("v") != wire.VERSION:
            return Goodbye(
                4406, f"this hive speaks version {wire.VERSION} of the protocol: load the page again"
            )
        self._greeted = True
        head = self._parts.store.reader.head()
        same_log = received.get("log_id") == head.log_id
        positions = _object(received, "at") if same_log else {}
        lanes = [lane for lane in _list(received, "want") if isinstance(lane, str)]
        self._feeds.clear()
        resumed = {lane: self._subscribe(lane, _position(positions.get(lane))) for lane in lanes}
        welcome = wire.frame(
            "welcome",
            v=wire.VERSION,
            log_id=head.log_id,
            boot=head.boot,
            now=self._parts.wall(),
            who=self.login.who,
            role=self.login.role.name.lower(),
            version=self._parts.version,
            operator=self._parts.operator,
            lanes={lane: "resumed" if held else "snapshot" for lane, held in resumed.items()},
            health=self._health(),
        )
        self._control.appendleft(welcome)
        return None

    def _take_part(self, received: Mapping[str, object]) -> Deed | None:
        key, text = _id(received), _text(received, "text")
        pieces = self._texts.setdefault(key, [])
        pieces.append(text)
        if sum(map(len, pieces)) > PARTS_BYTES or len(self._texts) > PARTS_AT_ONCE:
            return Goodbye(4413, "too many parts wait for their command")
        return None

    def assembled(self, key: str) -> str | None:
        """The long body whose parts came under `key`; it is forgotten here."""
        pieces = self._texts.pop(key, None)
        return None if pieces is None else "".join(pieces)

    # --- lanes -----------------------------------------------------------------------------------

    def _subscribe(self, name: str, at: tuple[int, int | None] | None) -> bool:
        """Open a lane after `at`, or with a snapshot.  Answers whether it was resumed."""
        lane = self._lane(name)
        if lane is None:
            return False
        if at is not None and (feed := self._resumed(name, lane, at)):
            self._feeds[name] = feed
            return True
        self._feeds[name] = self._fresh(name, lane)
        return False

    def _lane(self, name: str) -> Lane | None:
        lanes, reader = self._parts.lanes, self._parts.store.reader
        if name == wire.JOURNAL:
            return lanes.journal
        if not name.startswith(wire.STREAM_PREFIX):
            return None
        view = reader.agent(name.removeprefix(wire.STREAM_PREFIX))
        return None if view is None else lanes.open(name, view.stream_head)

    def _resumed(self, name: str, lane: Lane, at: tuple[int, int | None]) -> Feed | None:
        """A feed that goes on after event `n`, if that event is one this store knows."""
        n, boot = at
        reader = self._parts.store.reader
        if name == wire.JOURNAL and n and reader.boot_of(n) != boot:
            return None
        if n > lane.head:
            return None
        if lane.holds_after(n):
            return Feed(lane, n)
        if lane.base - n > RESUMED_FROM_STORE:
            return None
        return self._from_store(name, lane, n)

    def _from_store(self, name: str, lane: Lane, n: int) -> Feed | None:
        """A feed that begins with events the lane no longer holds; None where the store lacks them too."""
        reader, missing = self._parts.store.reader, lane.base - n
        if name == wire.JOURNAL:
            events = [journal_event(row) for row in reader.journal(n, limit=missing)]
        else:
            agent = name.removeprefix(wire.STREAM_PREFIX)
            events = [stream_event(row) for row in reader.stream(agent, after=n, limit=missing)]
        if len(events) != missing or orjson.loads(events[0])[0] != n + 1:
            return None
        return Feed(lane, lane.base, deque(_packed(name, events)))

    def _fresh(self, name: str, lane: Lane) -> Feed:
        snapshot = self._snapshot(name)
        return Feed(lane, snapshot.n, deque(snapshot.frames))

    def _snapshot(self, name: str) -> Snapshot:
        reader = self._parts.store.reader
        if name == wire.JOURNAL:
            return journal_snapshot(reader)
        return stream_snapshot(reader, name.removeprefix(wire.STREAM_PREFIX))

    # --- what goes out ---------------------------------------------------------------------------

    def answer(self, op: str, **fields: object) -> None:
        """Queue an `ack` or a `got`."""
        text = wire.frame(op, **fields)
        if len(text.encode()) > wire.FRAME_BYTES:
            error = {"code": "too_large", "text": "the answer is too large; ask for less"}
            text = wire.frame(op, id=fields.get("id"), ok=False, error=error)
        self._control.append(text)

    def beat(self) -> None:
        """Queue a beat."""
        at = {name: max(feed.lane.head, feed.sent) for name, feed in self._feeds.items()}
        self._control.append(wire.frame("beat", at=at, now=self._parts.wall(), health=self._health()))

    def take(self) -> Iterator[str]:
        """The frames to send now, each at most `FRAME_BYTES`.  Empty when everything is told."""
        while self._control:
            yield self._control.popleft()
        for name, feed in list(self._feeds.items()):
            yield from self._told(name, feed)

    def overrun(self) -> Goodbye | None:
        """Whether this client is too slow to be served at all."""
        now = self._parts.wall()
        while self._resyncs and self._resyncs[0] < now - RESYNC_SECONDS:
            self._resyncs.popleft()
        if len(self._resyncs) > RESYNCS or len(self._control) > WAITING_FRAMES:
            return Goodbye(4429, "too slow for this hive", retry_ms=30_000)
        return None

    def _told(self, name: str, feed: Feed) -> Iterator[str]:
        while feed.backlog:
            yield feed.backlog.popleft()
        if feed.lane.head - feed.sent > BEHIND_EVENTS or not feed.lane.holds_after(feed.sent):
            yield from self._resync(name, feed)
        while events := feed.lane.after(feed.sent, wire.FRAME_BYTES - len(name) - 64):
            feed.sent = max(feed.sent, feed.lane.base) + len(events)
            yield wire.joined(name, list(events))

    def _resync(self, name: str, feed: Feed) -> Iterator[str]:
        """Give up a lane's backlog for a snapshot."""
        self._resyncs.append(self._parts.wall())
        yield wire.frame("resync", lane=name, why="slow")
        snapshot = self._snapshot(name)
        feed.sent = snapshot.n
        yield from snapshot.frames

    def _health(self) -> Mapping[str, object]:
        store = self._parts.store
        return {
            "violations": unstructure(store.reader.violations()),
            "refusing": store.refusing,
            "counts": unstructure(store.reader.counts()),
        }


def _packed(lane: str, events: list[str]) -> Iterator[str]:
    """Events as frames that fit."""
    held: list[str] = []
    size = 0
    for event in events:
        if held and size + len(event) > wire.FRAME_BYTES // 2:
            yield wire.joined(lane, held)
            held, size = [], 0
        held.append(event)
        size += len(event) + 1
    if held:
        yield wire.joined(lane, held)


def _text(received: Mapping[str, object], name: str) -> str:
    value = received.get(name)
    if not isinstance(value, str):
        raise Malformed(f"{name}: expected text")
    return value


def _id(received: Mapping[str, object]) -> str:
    value = _text(received, "id")
    if not 1 <= len(value) <= wire.LONGEST_ID:
        raise Malformed(f"id: expected 1 to {wire.LONGEST_ID} characters")
    return value


def _object(received: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = received.get(name, {})
    if not isinstance(value, dict):
        raise Malformed(f"{name}: expected an object")
    return value


def _list(received: Mapping[str, object], name: str) -> list[object]:
    value = received.get(name, [])
    if not isinstance(value, list):
        raise Malformed(f"{name}: expected a list")
    return value


def _position(value: object) -> tuple[int, int | None] | None:
    """A remembered position [n, boot]; None where it is not one."""
    match value:
        case [int(n), int() | None as boot] if n >= 0:
            return n, boot
        case _:
            return None
