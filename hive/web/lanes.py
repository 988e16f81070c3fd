"""The newest events of each lane, serialised once and shared by every client.

The rule kept here: there is no queue per client.  A client is a number on each lane, and whoever falls too
far behind gets a snapshot instead of a backlog.
"""

from collections.abc import Sequence

import orjson
from attrs import Factory, define, field

from hive.protocol.views import JournalRow, StreamView
from hive.web.wire import JOURNAL, STREAM_PREFIX

KEPT_EVENTS = 20_000
KEPT_BYTES = 16 * 1024 * 1024
TRIMMED_AT_ONCE = 1_000
"""Old events leave in strides, so that trimming costs nothing per event."""


def journal_event(row: JournalRow) -> str:
    """A journal row as an event of lane `j`."""
    data = {**row.data, "agent": row.agent, "subject": row.subject, "boot": row.boot}
    event = [row.seq, row.at, row.type, data]
    return orjson.dumps(event if row.command is None else [*event, row.command]).decode()


def stream_event(row: StreamView) -> str:
    """A row of an agent's stream as an event of its lane."""
    return orjson.dumps([row.n, row.at, row.kind, {**row.data, "turn": row.turn}]).decode()


@define(eq=False)
class Lane:
    """One lane's newest events in memory: numbers `base + 1` to `head`."""

    base: int
    """The number before the oldest event held."""

    _events: list[str] = field(default=Factory(list), init=False)
    _bytes: int = field(default=0, init=False)

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
            self._events.clear()
            self._bytes, self.base = 0, n - 1
        self._events.append(event)
        self._bytes += len(event)
        if len(self._events) > KEPT_EVENTS or self._bytes > KEPT_BYTES:
            self._trim()

    def holds_after(self, n: int) -> bool:
        """Whether everything after event `n` is held."""
        return n >= self.base

    def after(self, n: int, bound: int) -> Sequence[str]:
        """Events that follow `n`, at most `bound` bytes of them, but at least one if there is one."""
        start = max(0, n - self.base)
        size = 0
        for index in range(start, len(self._events)):
            size += len(self._events[index]) + 1
            if size > bound and index > start:
                return self._events[start:index]
        return self._events[start:]

    def _trim(self) -> None:
        gone = min(TRIMMED_AT_ONCE, len(self._events) - 1)
        self._bytes -= sum(len(event) for event in self._events[:gone])
        del self._events[:gone]
        self.base += gone


@define(eq=False)
class Lanes:
    """Every lane that somebody watches, fed by the store after each commit."""

    journal: Lane
    _streams: dict[str, Lane] = field(default=Factory(dict), init=False)

    def on_commit(self, rows: Sequence[JournalRow], stream: Sequence[tuple[str, StreamView]]) -> None:
        """A subscriber of the store."""
        for row in rows:
            self.journal.append(row.seq, journal_event(row))
        for agent, line in stream:
            if lane := self._streams.get(agent):
                lane.append(line.n, stream_event(line))

    def open(self, name: str, head: int) -> Lane:
        """The lane of that name; `head` is where it stands in the store if nobody watched it before."""
        if name == JOURNAL:
            return self.journal
        return self._streams.setdefault(name.removeprefix(STREAM_PREFIX), Lane(head))
