"""How one seed went, and what many of them come to, added up.  Pure.

The rule kept here: these values pass from one process to another, so they hold plain data and nothing else.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


@frozen
class Told:
    """How one seed went, as a process tells it to another."""

    story: str
    seed: int
    faults: str
    """What was asked for."""

    injected: tuple[str, ...] = ()
    """Those that struck, by name."""

    steps: int = 0
    seconds: float = 0.0
    """Virtual ones."""

    messages: int = 0
    boots: int = 0
    violations: int = 0
    error: str | None = None
    """The first line of what it failed with; None if it went well."""

    kind: str = ""
    """Failures of one kind come from the same place."""

    text: str = ""
    """All that is known of the failure."""

    trace: tuple[str, ...] = ()
    """Every fact, where it was asked for."""


@define(eq=False)
class Tally:
    """Runs, added up."""

    told: int = 0
    failed: int = 0
    seconds: float = 0.0
    steps: int = 0
    boots: int = 0
    messages: int = 0
    violations: int = 0
    faults: Counter[str] = field(factory=Counter)
    """Those that struck, by site."""

    def add(self, told: Told) -> None:
        """Count one more run."""
        self.told += 1
        self.failed += told.error is not None
        self.seconds += told.seconds
        self.steps += told.steps
        self.boots += told.boots
        self.messages += told.messages
        self.violations += told.violations
        self.faults.update(name.partition("@")[0] for name in told.injected)

    def data(self) -> Mapping[str, Any]:
        """As JSON has it."""
        return {
            "told": self.told,
            "failed": self.failed,
            "virtual_seconds": self.seconds,
            "steps": self.steps,
            "daemons": self.boots,
            "messages": self.messages,
            "faults": dict(sorted(self.faults.items())),
            "violations": self.violations,
        }


NUMBERS = ("seeds", "failed", "virtual time", "steps", "daemons", "messages", "faults", "violations")


def numbers(tally: Tally) -> Sequence[str]:
    """A row of a table with the columns of `NUMBERS`."""
    counts = (tally.steps, tally.boots, tally.messages, tally.faults.total(), tally.violations)
    return (str(tally.told), str(tally.failed), duration(tally.seconds), *map(str, counts))


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column is of names, the others of numbers."""
    cells = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))) for row in cells]


def duration(seconds: float) -> str:
    """A stretch of time in its two greatest units."""
    if seconds >= DAY:
        return f"{seconds // DAY:.0f} d {seconds % DAY // HOUR:.0f} h"
    if seconds >= HOUR:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
    if seconds >= MINUTE:
        return f"{seconds // MINUTE:.0f} min {seconds % MINUTE:.0f} s"
    return f"{seconds:.0f} s"
