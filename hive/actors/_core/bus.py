"""How the runtime tells what happens.

A *recorder* is called synchronously and misses nothing; a *subscription* is a bounded backlog for readers that may
be slow: the kernel never waits for them, and each counts what it lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Self

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


@define(eq=False)
class Subscription:
    """An iterator over facts. Use it in a `with` block; one task reads it."""

    _bus: Bus
    kinds: tuple[type[Fact], ...]
    backlog: int
    lost: int = field(default=0, init=False)
    _waiting: deque[Fact] = field(factory=deque, init=False)
    _reader: trio.lowlevel.Task | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)

    def close(self) -> None:
        """Take no more facts. A reader gets what is left and then reaches the end."""
        self._closed = True
        self._bus.forget(self)
        self._wake()

    def offer(self, fact: Fact) -> None:
        """Keep a fact for the reader; the oldest is lost if the backlog is full."""
        if len(self._waiting) >= self.backlog:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(fact)
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Fact:
        """The next fact. If this is cancelled, no fact is lost."""
        if self._reader is not None:
            raise trio.BusyResourceError("another task is already reading this subscription")
        if self._waiting or self._closed:
            await trio.lowlevel.checkpoint()
        else:
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        if not self._waiting:
            raise StopAsyncIteration
        return self._waiting.popleft()

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED


@define(eq=False)
class Bus:
    """Hands facts to whoever wants their kind."""

    _listeners: list[Recording | Subscription] = field(factory=list, init=False)
    _by_kind: dict[type[Fact], tuple[Recording | Subscription, ...]] = field(factory=dict, init=False)

    def subscribe(self, *kinds: type[Fact], backlog: int = BACKLOG) -> Subscription:
        """Read the facts of these classes and their subclasses (all, if none are named), best effort."""
        subscription = Subscription(self, kinds or (Fact,), backlog)
        self._add(subscription)
        return subscription

    def record(self, recorder: Callable[[Fact], None], *kinds: type[Fact]) -> Recording:
        """Call `recorder` with every fact of these classes, when it happens. It must not raise or wait."""
        recording = Recording(self, kinds or (Fact,), recorder)
        self._add(recording)
        return recording

    def _add(self, listener: Recording | Subscription) -> None:
        self._listeners.append(listener)
        self._by_kind.clear()

    def forget(self, listener: Recording | Subscription) -> None:
        """Hand this one no more facts."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            self._by_kind.clear()

    def hears(self, kind: type[Fact]) -> bool:
        """Whether anybody wants this kind. Ask before building a fact in a hot path."""
        return bool(self._of(kind))

    def publish(self, fact: Fact) -> None:
        """Hand a fact to everybody who wants it, now."""
        for listener in self._of(type(fact)):
            listener.offer(fact)

    def _of(self, kind: type[Fact]) -> tuple[Recording | Subscription, ...]:
        found = self._by_kind.get(kind)
        if found is None:
            found = tuple(listener for listener in self._listeners if issubclass(kind, listener.kinds))
            self._by_kind[kind] = found
        return found
