"""Facts, kept in order: wait for one, or compare two runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Self, TypeGuard, TypeVar

import trio
from attrs import define, field, frozen

from hive.actors import Fact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hive.actors import Bus
    from hive.protocol.views import JournalRow

F = TypeVar("F", bound=Fact)

FACTS_KEPT = 100_000
"""A log keeps so many of the newest facts, at least, and forgets older ones before it has twice as many."""


@frozen
class Journalled(Fact):
    """A row of the store's journal, once it is committed."""

    type: str
    """As `msg.sent` or `turn.ended`; see `hive.protocol.events`."""

    agent: str | None
    subject: str | None
    row: JournalRow = field(repr=False)

    def __str__(self) -> str:
        """In a line, as a report shows it."""
        about = " ".join(f"{key}={value!r}" for key, value in self.row.data.items())
        return f"{self.row.seq} {self.type} {self.agent or ''} {self.subject or ''} {about}"


@define(eq=False)
class FactLog:
    """What a bus has announced since the log was attached: all of it, or the newest of very much."""

    facts: list[Fact] = field(factory=list, repr=False)
    counts: Counter[str] = field(factory=Counter, init=False)
    """How many there have been: of the journal's rows by type, of other facts by the name of their class."""

    forgotten: int = field(default=0, init=False)
    """How many facts are not kept any more: those before the first one kept."""

    _waiting: dict[trio.lowlevel.Task, None] = field(factory=dict, init=False)

    def attach(self, bus: Bus) -> Self:
        """Record this bus from now on."""
        bus.record(self.note)
        return self

    def note(self, fact: Fact) -> None:
        """Keep a fact, and let those who wait look at it."""
        self.facts.append(fact)
        if len(self.facts) >= 2 * FACTS_KEPT:
            self.forgotten += FACTS_KEPT
            del self.facts[:FACTS_KEPT]
        self.counts[fact.type if isinstance(fact, Journalled) else type(fact).__name__] += 1
        for task in self._waiting:
            trio.lowlevel.reschedule(task)
        self._waiting.clear()

    def of(self, kind: type[F], **attributes: object) -> list[F]:
        """The facts of this class with these attributes, in order."""
        return list(self._matching(kind, attributes))

    def _matching(self, kind: type[F], attributes: dict[str, object]) -> Iterator[F]:
        for fact in self.facts:
            if _is(fact, kind, attributes):
                yield fact

    async def wait_for(self, kind: type[F], *, count: int = 1, **attributes: object) -> F:
        """The first (or `count`-th) fact of this class with these attributes, past ones included."""
        await trio.lowlevel.checkpoint()
        while len(found := self.of(kind, **attributes)) < count:
            await self._changed()
        return found[count - 1]

    async def wait_for_next(self, kind: type[F], **attributes: object) -> F:
        """The next fact of this class with these attributes, past ones not included."""
        begun = self.forgotten + len(self.facts)
        while True:
            await self._changed()
            new = self.facts[max(0, begun - self.forgotten) :]
            for fact in new:
                if _is(fact, kind, attributes):
                    return fact
            begun += len(new)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until this holds, looking after every fact."""
        await trio.lowlevel.checkpoint()
        while not condition():
            await self._changed()

    async def _changed(self) -> None:
        task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._waiting.pop(task, None)
            return trio.lowlevel.Abort.SUCCEEDED

        self._waiting[task] = None
        await trio.lowlevel.wait_task_rescheduled(abort)

    def trace(self) -> list[str]:
        """The run as text, to be compared with another. Two runs of one seed must have the same."""
        older = [f"{self.forgotten} facts before"] if self.forgotten else []
        return [*older, *map(str, self.facts)]


def _is(fact: Fact, kind: type[F], attributes: dict[str, object]) -> TypeGuard[F]:
    return isinstance(fact, kind) and all(getattr(fact, name) == value for name, value in attributes.items())
