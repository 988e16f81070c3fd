"""Who lives in a hive, in order of dependence: the same tree in production and under simulation.

The rule kept here: children start in this order and leave in its reverse, so the writer, which every
verdict needs, comes first and goes last; and nobody is restarted because a neighbour was.
"""

from collections.abc import Awaitable
from functools import partial
from typing import Protocol

from hive.actors import Budget, ChildSpec, Grace, Kinship, Supervisor
from hive.actors.auditor import Audit, AuditedStore, Auditor
from hive.actors.broker import Broker
from hive.actors.janitor import Janitor
from hive.actors.protocol import AGENTS, AUDITOR, BROKER, JANITOR, STEWARD, WATCHER, WRITER
from hive.actors.steward import Steward, harness_spec
from hive.actors.turn import Parts
from hive.actors.watcher import Watcher
from hive.actors.writer import Writer

MAX_AGENTS = 1_000
"""How many harnesses a hive runs at most."""

HARNESS_BUDGET = Budget(intensity=5, period=30.0)
"""A harness that crashes more often than that is parked until somebody resumes its agent."""


class ServedStore(AuditedStore, Protocol):
    """A store with a queue that has to be served."""

    def drain_forever(self) -> Awaitable[object]:
        """Serve it.  Safe to cancel or crash at any await, and to call again."""
        ...


def core_specs(store: ServedStore, parts: Parts, audit: Audit | None = None) -> tuple[ChildSpec, ...]:
    """Everything but the faces; those come after, so they leave first."""
    found = audit or Audit()
    return (
        ChildSpec(WRITER, lambda: Writer(store.drain_forever)),
        ChildSpec(BROKER, lambda: Broker(store)),
        ChildSpec(WATCHER, lambda: Watcher(store, parts.boxes, parts.hints)),
        ChildSpec(
            AGENTS,
            lambda: Supervisor(kinship=Kinship.STRANGERS, budget=HARNESS_BUDGET, max_children=MAX_AGENTS),
            grace=Grace.unbounded_shutdown(),
        ),
        ChildSpec(STEWARD, lambda: Steward(store, parts.hints, partial(harness_spec, parts=parts))),
        ChildSpec(JANITOR, lambda: Janitor(store, parts.hints)),
        ChildSpec(AUDITOR, lambda: Auditor(store, found)),
    )
