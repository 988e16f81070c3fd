"""Figures without a history: broken invariants, a store that refuses, the sums, chaos.

The rule kept here: they are looked up once for all clients and at most once a second.
"""

from collections.abc import Callable, Mapping
from typing import Final

from attrs import define, field

from hive.protocol.views import AuditView, Violation
from hive.store.codec import unstructure
from hive.store.port import Reader, Store

FRESH_SECONDS: Final = 1.0


@define(eq=False)
class Health:
    """The newest look at the store's health."""

    _store: Store
    _wall: Callable[[], float]
    _audit: Callable[[], AuditView] = AuditView
    _chaos: Callable[[], Mapping[str, object] | None] = lambda: None
    _seen: Mapping[str, object] = field(factory=dict, init=False)
    _at: float | None = field(default=None, init=False)

    def look(self) -> Mapping[str, object]:
        """The figures as beats carry them."""
        now = self._wall()
        # A wall clock may jump back; what was seen in the future is not fresh.
        if self._at is None or not 0 <= now - self._at < FRESH_SECONDS:
            self._seen, self._at = self._figures(), now
        return self._seen

    def _figures(self) -> Mapping[str, object]:
        reader, audit, chaos = self._store.reader, self._audit(), self._chaos()
        with reader.moment():
            return {
                "violations": unstructure(broken(reader, audit)),
                "refusing": self._store.refusing,
                "counts": unstructure(reader.counts()),
                "audit": {"looks": audit.looks, "full_at": audit.full_at, "full_seconds": audit.full_seconds},
                "chaos": chaos if chaos and chaos["on"] else None,
            }


def broken(reader: Reader, audit: AuditView) -> tuple[Violation, ...]:
    """What is seen to be broken now, and what the audit has seen and not found in order again."""
    found = {one.key: one for one in (*audit.violations, *reader.violations())}
    return tuple(sorted(found.values(), key=lambda one: one.invariant))
