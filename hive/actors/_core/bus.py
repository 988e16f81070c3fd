"""How the runtime tells what happens.

A *recorder* is called synchronously and misses nothing; a *subscription* is a bounded backlog for readers
that may be slow: the kernel never waits for them, and each counts what it lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Self, TypeVar

import trio
from attrs import define, field, frozen

BACKLOG: Final = 1000
"""How many facts a subscription keeps for a slow reader before the oldest are lost."""


@frozen
class Fact:
    """Something that happened. Subclass it with `@frozen`."""


@define(eq=False)
class Recording:
    """A recorder at work, until it is closed. Also a context manager that closes it."""

    _bus: Bus
    kinds: tuple[type[Fact], ...]
    offer: Callable[[Fact], None]

    def close(self) -> None:
        """Stop recording. Closing twice is harmless."""
        self._bus.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Subscription(Recording):
    """An iterator over facts. Use it in a `with` block; when it is closed, readers get what is left."""

    def __init__(self, bus: Bus, kinds: tuple[type[Fact], ...], backlog: int) -> None:
        super().__init__(bus, kinds, self._keep)
        self.lost = 0
        self._send, self._receive = trio.open_memory_channel[Fact](backlog)

    def _keep(self, fact: Fact) -> None:
        try:
            self._send.send_nowait(fact)
        except trio.WouldBlock:
            self._receive.receive_nowait()
            self.lost += 1
            self._send.send_nowait(fact)

    def close(self) -> None:
        """Take no more facts."""
        super().close()
        self._send.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Fact:
        """The next fact. If this is cancelled, no fact is lost."""
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None


@define(eq=False)
class Bus:
    """Hands facts to whoever wants their kind."""

    _listeners: list[Recording] = field(factory=list, init=False)
    _by_kind: dict[type[Fact], list[Recording]] = field(factory=dict, init=False)

    def subscribe(self, *kinds: type[Fact], backlog: int = BACKLOG) -> Subscription:
        """Read the facts of these classes and their subclasses (all, if none are named), best effort."""
        return self._add(Subscription(self, kinds or (Fact,), backlog))

    def record(self, recorder: Callable[[Fact], None], *kinds: type[Fact]) -> Recording:
        """Call `recorder` with every fact of these classes, when it happens. It must not raise or wait."""
        return self._add(Recording(self, kinds or (Fact,), recorder))

    def _add(self, listener: R) -> R:
        self._listeners.append(listener)
        self._refresh()
        return listener

    def forget(self, listener: Recording) -> None:
        """Hand this one no more facts."""
        self._listeners[:] = [other for other in self._listeners if other is not listener]
        self._refresh()

    def audience(self, kind: type[Fact]) -> list[Recording]:
        """Whoever wants this kind: the same list for ever, kept true, so that a hot path can look before it
        builds a fact.
        """
        if kind not in self._by_kind:
            self._by_kind[kind] = []
            self._refresh()
        return self._by_kind[kind]

    def publish(self, fact: Fact) -> None:
        """Hand a fact to everybody who wants it, now."""
        for listener in tuple(self.audience(type(fact))):  # one that hears it may close itself
            listener.offer(fact)

    def _refresh(self) -> None:
        for kind, audience in self._by_kind.items():
            audience[:] = [one for one in self._listeners if issubclass(kind, one.kinds)]


R = TypeVar("R", bound=Recording)
