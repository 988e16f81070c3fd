"""One client's end of the protocol without any input or output: frames in, frames out.

The rule kept here: what is sent is computed when the socket is ready for it.  A client that reads slowly
costs its place in a lane, never memory.
"""

from collections import deque
from typing import Final, TypeAlias, assert_never

from attrs import Factory, define, field, frozen

from hive.protocol.errors import Malformed, Refused
from hive.web import wire
from hive.web.bodies import Bodies
from hive.web.feed import Feed, source
from hive.web.incoming import (
    Command,
    Heard,
    Hello,
    Part,
    Position,
    Question,
    Subscribe,
    Unsubscribe,
    read,
)
from hive.web.parts import Login, WebParts

ANSWERS_WAITING: Final = 4_000
ANSWERS_BYTES: Final = 4 * 1024 * 1024
"""Answers a client may leave unread."""

RESYNCS: Final = 3
RESYNC_SECONDS: Final = 60.0
"""So many resyncs within so long, and a client is told to come back later."""


@frozen
class Goodbye:
    """The connection is to be closed with this code."""

    code: int
    why: str
    retry_ms: int = 1_000


Deed: TypeAlias = Command | Question | Goodbye


@define(eq=False)
class Connection:
    """The state of one connection."""

    login: Login
    _parts: WebParts
    bodies: Bodies = field(factory=Bodies, init=False)
    greeted: bool = field(default=False, init=False)
    _answers: deque[str] = field(default=Factory(deque), init=False)
    _answers_bytes: int = field(default=0, init=False)
    _beat_due: bool = field(default=False, init=False)
    _feeds: dict[str, Feed] = field(default=Factory(dict), init=False)
    _resyncs: deque[float] = field(default=Factory(deque), init=False)

    # --- what comes in ---------------------------------------------------------------------------

    def receive(self, text: str) -> Deed | None:
        """Take one frame.  What needs waiting is returned as a deed; a broken frame ends the connection."""
        try:
            return self._take(text)
        except Malformed as error:
            return Goodbye(4400, f"frame not understood: {error}"[:200])
        except Refused as error:
            return Goodbye(4413, str(error))

    def _take(self, text: str) -> Deed | None:
        match read(text):
            case Hello() as hello:
                return self._hello(hello)
            case _ if not self.greeted:
                return Goodbye(4400, "the first frame is hello")
            case Command() | Question() as deed:
                return deed
            case Subscribe(lane, at):
                self._subscribe(lane, at)
            case Unsubscribe(lane):
                self._feeds.pop(lane, None)
            case Part() as part:
                self.bodies.take(part)
            case Heard():
                pass
            case never:
                assert_never(never)
        return None

    def _hello(self, hello: Hello) -> Goodbye | None:
        if hello.version != wire.VERSION:
            why = f"this hive speaks version {wire.VERSION} of the protocol: load the page again"
            return Goodbye(4406, why)
        head = self._parts.store.reader.head()
        at = hello.at if hello.log_id == head.log_id else {}
        self._feeds.clear()
        opened = {lane: self._subscribe(lane, at.get(lane)) for lane in hello.want}
        self.greeted = True
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
            lanes={lane: how for lane, how in opened.items() if how is not None},
            health=self._parts.health.look(),
        )
        self._answers.appendleft(welcome)
        self._answers_bytes += wire.size(welcome)
        return None

    def _subscribe(self, name: str, at: Position | None) -> str | None:
        """Open a lane after `at`, or with a snapshot.  Answers which; None where there is no such lane."""
        found = source(name, self._parts.lanes, self._parts.store.reader)
        if found is None:
            return None
        before = self._feeds.get(name)
        if before is not None and before.reached is None:
            # It may be in the middle of a snapshot, where it takes no events: only another one gets it out.
            at = None
        feed = self._feeds[name] = Feed(name, found)
        return "resumed" if at is not None and feed.resume(at) else "snapshot"

    # --- what goes out ---------------------------------------------------------------------------

    def answer(self, op: str, **fields: object) -> None:
        """Queue an `ack` or a `got`."""
        text = wire.frame(op, **fields)
        if wire.size(text) > wire.FRAME_BYTES:
            text = wire.frame(op, **_shortened(fields))
        self._answers.append(text)
        self._answers_bytes += wire.size(text)

    def beat(self) -> None:
        """Have a beat sent next."""
        self._beat_due = self.greeted

    def next(self) -> str | None:
        """The frame to send now, of at most `FRAME_BYTES`; None when everything is told."""
        if self._answers:
            text = self._answers.popleft()
            self._answers_bytes -= wire.size(text)
            return text
        if self._beat_due:
            self._beat_due = False
            return self._beat()
        self._relieve()
        told = (feed.next() for feed in self._feeds.values())
        return next((text for text in told if text is not None), None)

    def overrun(self) -> Goodbye | None:
        """Whether this client is too slow to be served at all."""
        now = self._parts.wall()
        while self._resyncs and self._resyncs[0] < now - RESYNC_SECONDS:
            self._resyncs.popleft()
        unread = len(self._answers) > ANSWERS_WAITING or self._answers_bytes > ANSWERS_BYTES
        if unread or len(self._resyncs) >= RESYNCS:
            return Goodbye(4429, "too slow for this hive", retry_ms=30_000)
        return None

    def _relieve(self) -> None:
        """Give up what a slow client will not catch up with: a stream alone, or with the journal all."""
        slow = [name for name, feed in self._feeds.items() if feed.is_far_behind()]
        if not slow:
            return
        self._resyncs.append(self._parts.wall())
        for name in self._feeds if wire.JOURNAL in slow else slow:
            self._feeds[name].start_over("slow")

    def _beat(self) -> str:
        reached = {name: feed.reached for name, feed in self._feeds.items()}
        at = {name: n for name, n in reached.items() if n is not None}
        return wire.frame("beat", at=at, now=self._parts.wall(), health=self._parts.health.look())


def _shortened(fields: dict[str, object]) -> dict[str, object]:
    """An answer without what is too large in it.  What was done stays done."""
    small = {name: value for name, value in fields.items() if name not in ("data", "result")}
    if "result" in fields:
        return small
    return {**small, "ok": False, "error": {"code": "too_large", "text": "too large; ask for less at a time"}}
