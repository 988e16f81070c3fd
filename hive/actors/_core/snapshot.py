"""The whole hive at one instant, as frozen values.

One thread and no checkpoint make it consistent; it is an ordinary function call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from attrs import evolve, frozen

from .cell import Cell
from .mailbox import Counts, Mailbox
from .policy import Budget, Kinship, Status, Strategy


@frozen
class Waiting:
    """The messages of one kind that wait in a mailbox. `oldest` is an age in seconds."""

    count: int
    oldest: float


@frozen
class MailboxSnapshot:
    """What waits and what is in hand, by kind."""

    capacity: int
    waiting: Mapping[str, Waiting]
    held: Mapping[str, int]
    counts: Counts

    @property
    def depth(self) -> int:
        """How many messages wait, of all kinds."""
        return sum(kind.count for kind in self.waiting.values())


@frozen
class HandlingSnapshot:
    """The message an actor is busy with, and for how many seconds."""

    kind: str
    id: int
    age: float


@frozen
class ActorSnapshot:
    """One cell. Restarts are those in the current window of its budget."""

    name: str
    status: Status
    incarnation: int
    restarts: int
    last_error: str | None
    handling: HandlingSnapshot | None
    waits_for: tuple[str, ...]
    mailbox: MailboxSnapshot


@frozen
class SupervisorSnapshot:
    """A supervisor's own cell, its rules, and its children in the order in which they start."""

    actor: ActorSnapshot
    strategy: Strategy
    kinship: Kinship
    budget: Budget
    children: tuple[Snapshot, ...]

    @property
    def name(self) -> str:
        """The supervisor's name."""
        return self.actor.name

    def find(self, name: str) -> Snapshot | None:
        """The actor or supervisor of that name, here or below."""
        below = (one.find(name) if isinstance(one, SupervisorSnapshot) else one for one in self.children)
        return next((one for one in (self, *below) if one is not None and one.name == name), None)


Snapshot: TypeAlias = ActorSnapshot | SupervisorSnapshot


def of_cell(cell: Cell) -> ActorSnapshot:
    """How this cell is now."""
    now, life, handling = cell.runtime.now(), cell.alive, None
    if life is not None and life.handling is not None:
        handling = HandlingSnapshot(life.handling.kind, life.handling.id, now - life.since)
    box, waits_for = of_mailbox(cell.mailbox, now), cell.runtime.waits.of(cell.name)
    past = (cell.incarnation, cell.window.count(now), cell.last_error)
    return ActorSnapshot(cell.name, cell.status, *past, handling, waits_for, box)


def of_mailbox(mailbox: Mailbox, now: float) -> MailboxSnapshot:
    """What this mailbox contains now."""
    waiting: dict[str, Waiting] = {}
    for envelope in mailbox.waiting():
        so_far = waiting.get(envelope.kind, Waiting(0, 0.0))
        waiting[envelope.kind] = Waiting(so_far.count + 1, max(so_far.oldest, now - envelope.since))
    held = Counter(envelope.kind for envelope in mailbox.held())
    return MailboxSnapshot(mailbox.capacity, waiting, held, evolve(mailbox.counts))
