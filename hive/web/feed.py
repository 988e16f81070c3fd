"""One lane at one client: a number, and how to get from it to the newest event.

The rule kept here: what is sent is made when the socket is ready for it.  History comes from the store in
pages, a snapshot is taken when its turn has come, and neither waits in memory for a client that is slow.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from attrs import Factory, define, field

from hive.store.port import Reader
from hive.web import wire
from hive.web.incoming import Position
from hive.web.lanes import Lane, Lanes, journal_event, stream_event
from hive.web.snapshot import Snapshot, journal_snapshot, stream_snapshot

BEHIND_EVENTS: Final = 4_000
BEHIND_BYTES: Final = 4 * 1024 * 1024
"""So far behind, a lane is given up for a snapshot."""

RESUMED_EVENTS: Final = 100_000
"""So much history is told rather than a snapshot."""

PAGE_EVENTS: Final = 500
"""Events read from the store at a time."""

FRAME_EVENTS_BYTES: Final = wire.FRAME_BYTES - wire.ENVELOPE_BYTES


class Source(Protocol):
    """Where one lane comes from."""

    lane: Lane

    def knows(self, at: Position) -> bool:
        """Whether the event that a client remembers is one of this history."""
        ...

    def page(self, after: int) -> Sequence[tuple[int, str]]:
        """The next events from the store, each with its number."""
        ...

    def snapshot(self) -> Snapshot:
        """The window of the lane."""
        ...


@define(eq=False)
class JournalSource:
    """Lane `j`."""

    lane: Lane
    _reader: Reader

    def knows(self, at: Position) -> bool:
        """Whether the row is there, written by the boot that the client remembers."""
        n, boot = at
        return n == 0 or (boot is not None and self._reader.boot_of(n) == boot)

    def page(self, after: int) -> Sequence[tuple[int, str]]:
        """Journal rows."""
        return [(row.seq, journal_event(row)) for row in self._reader.journal(after, limit=PAGE_EVENTS)]

    def snapshot(self) -> Snapshot:
        """The window of the whole hive."""
        return journal_snapshot(self._reader)


@define(eq=False)
class StreamSource:
    """Lane `a:<agent>`."""

    lane: Lane
    _reader: Reader
    _agent: str

    def knows(self, at: Position) -> bool:
        """Whether such a row is there.

        Rows do not name their boot, and a power cut may take the newest of them, which are not synced; so
        what a client knows from an earlier boot is told anew.
        """
        n, boot = at
        view = self._reader.agent(self._agent)
        return view is not None and n <= view.stream_head and boot in (None, self._reader.head().boot)

    def page(self, after: int) -> Sequence[tuple[int, str]]:
        """Rows of the stream."""
        rows = self._reader.stream(self._agent, after=after, limit=PAGE_EVENTS)
        return [(row.n, stream_event(row)) for row in rows]

    def snapshot(self) -> Snapshot:
        """The newest rows."""
        return stream_snapshot(self._reader, self._agent)


def source(name: str, lanes: Lanes, reader: Reader) -> Source | None:
    """Where the lane of that name comes from; None where there is no such lane."""
    if name == wire.JOURNAL:
        return JournalSource(lanes.journal, reader)
    agent = name.removeprefix(wire.STREAM_PREFIX)
    view = None if agent == name else reader.agent(agent)
    return None if view is None else StreamSource(lanes.stream(agent, view.stream_head), reader, agent)


@define(eq=False)
class Feed:
    """Tells one client one lane."""

    name: str
    _source: Source
    sent: int | None = None
    """The newest event told; None while a snapshot is still to be taken."""

    granted: int = field(default=0, init=False)
    """Events up to here were asked for as history and do not count as falling behind."""

    _ready: deque[str] = field(default=Factory(deque), init=False)
    """Frames that go out first: a notice, the rest of a snapshot."""

    @property
    def reached(self) -> int | None:
        """What the client has, once it has read all that went out; None in the middle of a snapshot."""
        return None if self._ready else self.sent

    def resume(self, at: Position) -> bool:
        """Go on after a remembered event, if that is possible."""
        n, _ = at
        lane = self._source.lane
        if not self._source.knows(at) or lane.head - n > RESUMED_EVENTS:
            return False
        if not lane.holds_after(n) and not self._older(n):
            return False
        self.sent, self.granted = n, lane.head
        return True

    def start_over(self, why: str) -> None:
        """Give up what is not told yet for a snapshot."""
        self._ready = deque([wire.frame("resync", lane=self.name, why=why)])
        self.sent = None

    def is_far_behind(self) -> bool:
        """Whether more waits to be told than a client may let wait."""
        if self.sent is None:
            return False
        events, size = self._source.lane.beyond(max(self.sent, self.granted))
        return events > BEHIND_EVENTS or size > BEHIND_BYTES

    def next(self) -> str | None:
        """The next frame to send; None when everything is told."""
        if not self._ready and self.sent is None:
            snapshot = self._source.snapshot()
            self._ready.extend(snapshot.frames)
            self.sent = snapshot.n
        if self._ready:
            return self._ready.popleft()
        return self._told(self.sent or 0)

    def _told(self, sent: int) -> str | None:
        lane = self._source.lane
        held = lane.holds_after(sent)
        events = lane.after(sent, FRAME_EVENTS_BYTES) if held else self._older(sent)
        if not events:
            if held:
                return None
            self.start_over("trimmed")
            return self.next()
        self.sent = sent + len(events)
        return wire.joined(self.name, events)

    def _older(self, n: int) -> Sequence[str]:
        """Events after `n` that memory no longer holds, one frame of them; none where there is a hole."""
        page = self._source.page(n)
        if not page or page[0][0] != n + 1:
            return ()
        events = [event for _, event in page]
        return events[: wire.fitting(events, PAGE_EVENTS)]
