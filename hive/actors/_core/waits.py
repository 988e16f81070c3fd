"""Who waits for whom.

Every actor that blocks on another one in its handling (an ask, a send into a full mailbox, a start, a stop) has an
edge here while it does. An edge that would close a ring is refused: it could never be resolved.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from attrs import define, field

from .errors import WouldDeadlock


@define(eq=False)
class Waits:
    """A graph from those who wait to those they wait for. An edge may be there more than once."""

    _edges: dict[str, list[str]] = field(factory=dict, init=False)

    def edge(self, waiter: str, awaited: str) -> AbstractContextManager[None]:
        """Wait inside this. Raises `WouldDeadlock`, naming the ring, if the awaited one waits for us already."""
        if awaited == waiter or awaited in self._edges:
            path = self._path(awaited, waiter)
            if path:
                raise WouldDeadlock([waiter, *path])
        return self.unchecked_edge(waiter, awaited)

    @contextmanager
    def unchecked_edge(self, waiter: str, awaited: str) -> Iterator[None]:
        """Wait inside this although it may close a ring: for those who will not wait for ever."""
        mine = self._edges.setdefault(waiter, [])
        mine.append(awaited)
        try:
            yield
        finally:
            mine.remove(awaited)
            if not mine:
                self._edges.pop(waiter, None)

    def of(self, waiter: str) -> tuple[str, ...]:
        """Whom this one waits for."""
        return tuple(self._edges.get(waiter, ()))

    def _path(self, start: str, goal: str) -> list[str]:
        """A way from start to goal along the edges, both included; empty if there is none."""
        paths = [[start]]
        seen = {start}
        while paths:
            path = paths.pop()
            if path[-1] == goal:
                return path
            ahead = [name for name in self._edges.get(path[-1], ()) if name not in seen]
            seen.update(ahead)
            paths.extend([*path, name] for name in ahead)
        return []
