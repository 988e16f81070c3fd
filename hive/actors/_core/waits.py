"""Who waits for whom.

Every actor that blocks in its handling on another one (an ask, a send into a full mailbox, a start, a stop)
has an edge here while it does. An edge that would close a ring is refused: it could never be resolved.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import define, field

from .errors import WouldDeadlock

if TYPE_CHECKING:
    from collections.abc import Iterator


@define(eq=False)
class Waits:
    """A graph from those who wait to those they wait for. An edge may be there more than once."""

    _edges: dict[str, list[str]] = field(factory=dict, init=False)

    @contextmanager
    def edge(self, waiter: str, awaited: str) -> Iterator[None]:
        """Wait inside this. Raises `WouldDeadlock`, naming the ring, if the awaited one waits for us already."""
        path = self._path(awaited, waiter)
        if path is not None:
            raise WouldDeadlock([waiter, *path])
        with self.unchecked_edge(waiter, awaited):
            yield

    @contextmanager
    def unchecked_edge(self, waiter: str, awaited: str) -> Iterator[None]:
        """Wait inside this although it may close a ring: for those who will not wait for ever."""
        edges = self._edges.setdefault(waiter, [])
        edges.append(awaited)
        try:
            yield
        finally:
            edges.remove(awaited)
            if not edges:
                self._edges.pop(waiter, None)

    def of(self, waiter: str) -> tuple[str, ...]:
        """Whom this one waits for."""
        return tuple(self._edges.get(waiter, ()))

    def _path(self, start: str, goal: str) -> list[str] | None:
        """A way from start to goal along the edges, both included."""
        came_from = {start: start}
        frontier = [start]
        while frontier:
            here = frontier.pop()
            if here == goal:
                return _trace(came_from, here)
            for there in self._edges.get(here, ()):
                if there not in came_from:
                    came_from[there] = here
                    frontier.append(there)
        return None


def _trace(came_from: dict[str, str], end: str) -> list[str]:
    path = [end]
    while came_from[path[-1]] != path[-1]:
        path.append(came_from[path[-1]])
    return path[::-1]
