"""The newest events of each lane, serialised once and shared by every client.

The rule kept here: there is no queue per client.  A client is a number on each lane, and whoever falls too
far behind gets a snapshot instead of a backlog.
"""

from bisect import bisect_right
from collections.abc import Sequence
from weakref import WeakValueDictionary

from attrs import Factory, define, field

from hive.protocol.views import JournalRow, StreamView
from hive.web import wire

KEPT_EVENTS = 20_000
KEPT_BYTES = 16 * 1024 * 1024
TRIMMED_AT_ONCE = 1_000
"""Old events leave in strides, so that trimming costs nothing per event."""


def journal_event(row: JournalRow) -> str:
    """A journal row as an event of lane `j`."""
    data = {**row.data, "agent": row.agent, "subject": row.subject, "boot": row.boot}
    event = [row.seq, row.at, row.type, data]
    return wire.item(event if row.command is None else [*event, row.command])


def stream_event(row: StreamView) -> str:
    """A row of an agent's stream as an event of its lane."""
    return wire.item([row.n, row.at, row.kind, {**row.data, "turn": row.turn}])


@define(eq=False)
class Lane:
    """One lane's newest events in memory: numbers `base + 1` to `head`."""

    base: int
    """The number before the oldest event held."""

    _events: list[str] = field(default=Factory(list), init=False)
    _ends: list[int] = field(default=Factory(list), init=False)
    """For each event, the bytes of the lane up to its end; they only grow."""

    _gone: int = field(default=0, init=False)
    """The bytes of the lane before the oldest event held."""

    @property
    def head(self) -> int:
        """The newest event's number."""
        return self.base + len(self._events)

    def append(self, n: int, event: str) -> None:
        """Take the next event; one that is held already is ignored."""
        if n <= self.head:
            return
        if n != self.head + 1:
            # Whatever came between is in the store; what is held no longer leads up to `n`.
            self._forget(len(self._events))
            self.base = n - 1
        self._events.append(event)
        self._ends.append(self._bytes_to(self.head) + wire.size(event) + 1)
        if len(self._events) > KEPT_EVENTS or self._ends[-1] - self._gone > KEPT_BYTES:
            self._forget(min(TRIMMED_AT_ONCE, len(self._events) - 1))

    def holds_after(self, n: int) -> bool:
        """Whether everything after event `n` is held."""
        return n >= self.base

    def beyond(self, n: int) -> tuple[int, int]:
        """How many events follow `n`, and how many bytes; of bytes only those that are held count."""
        return max(0, self.head - n), self._bytes_to(self.head) - self._bytes_to(n)

    def after(self, n: int, most: int) -> Sequence[str]:
        """Events that follow `n`, at most `most` bytes of them, but one at least if there is one."""
        start = n - self.base
        end = bisect_right(self._ends, self._bytes_to(n) + most)
        return self._events[start : max(end, start + 1)]

    def _bytes_to(self, n: int) -> int:
        """The bytes of the lane up to the end of event `n`."""
        index = min(n - self.base, len(self._ends)) - 1
        return self._ends[index] if index >= 0 else self._gone

    def _forget(self, count: int) -> None:
        self._gone = self._bytes_to(self.base + count)
        del self._events[:count], self._ends[:count]
        self.base += count


@define(eq=False)
class Lanes:
    """Every lane that somebody watches, fed by the store after each commit."""

    journal: Lane
    _streams: WeakValueDictionary[str, Lane] = field(factory=WeakValueDictionary, init=False)
    """A stream's lane lives as long as a client holds it; whoever comes later reads from the store."""

    def on_commit(self, rows: Sequence[JournalRow], stream: Sequence[tuple[str, StreamView]]) -> None:
        """A subscriber of the store."""
        for row in rows:
            self.journal.append(row.seq, journal_event(row))
        for agent, line in stream:
            if lane := self._streams.get(agent):
                lane.append(line.n, stream_event(line))

    def stream(self, agent: str, head: int) -> Lane:
        """The lane of an agent; `head` is where it stands in the store if nobody watches it yet."""
        lane = self._streams.get(agent)
        if lane is None:
            lane = self._streams[agent] = Lane(head)
        return lane
