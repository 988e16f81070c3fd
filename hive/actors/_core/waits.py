"""Who waits for whom.

Every actor that blocks on another one in its handling (an ask, a send into a full mailbox, a start, a stop)
has an edge here while it does. An edge that would close a ring is refused: it could never be resolved.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from .errors import WouldDeadlock


@define(eq=False)
class Waits:
    """A graph from those who wait to those they wait for. An edge may be there more than once."""

    _edges: dict[str, list[str]] = field(factory=dict, init=False)

    def begin(self, waiter: str | None, awaited: str, *, checked: bool = True) -> None:
        """Begin to wait. Raises `WouldDeadlock`, naming the ring, if the awaited one waits for us already.

        Unchecked is for those who will not wait for ever. Nobody (None) keeps nobody waiting.
        """
        if waiter is not None:
            if checked and (path := self._path(awaited, waiter)):
                raise WouldDeadlock([waiter, *path])
            self._edges.setdefault(waiter, []).append(awaited)

    def end(self, waiter: str | None, awaited: str) -> None:
        """Wait no more."""
        if waiter is not None:
            mine = self._edges[waiter]
            mine.remove(awaited)
            if not mine:
                del self._edges[waiter]

    @contextmanager
    def edge(self, waiter: str | None, awaited: str, *, checked: bool = True) -> Iterator[None]:
        """Wait inside this: `begin` and `end`."""
        self.begin(waiter, awaited, checked=checked)
        try:
            yield
        finally:
            self.end(waiter, awaited)

    def of(self, waiter: str) -> tuple[str, ...]:
        """Whom this one waits for."""
        return tuple(self._edges.get(waiter, ()))

    def _path(self, start: str, goal: str) -> list[str]:
        """A way from start to goal along the edges, both included; empty if there is none."""
        paths, seen = [[start]], {start}
        for path in paths:  # which grows while we walk it
            if path[-1] == goal:
                return path
            for name in self._edges.get(path[-1], ()):
                if name not in seen:
                    seen.add(name)
                    paths.append([*path, name])
        return []
