"""What many runs of one story come to, added up, in words and as data.  Pure.

The rule kept here: each failure shows its first line and the command that makes it again.
"""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field, frozen

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


DIFFERENCE = "difference"
"""The kind of failure of a seed whose two runs were not the same."""


@frozen
class Told:
    """How one seed went, as a process tells it to another."""

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


@frozen
class Shrunk:
    """What became of an attempt to make a failure smaller."""

    of: int
    """How many faults struck."""

    faults: tuple[str, ...] | None
    """Those that are enough; None if the failure did not come again."""

    tries: int


@define(eq=False)
class Summary:
    """Runs of one story, added up."""

    story: str
    told: int = 0
    seconds: float = 0.0
    steps: int = 0
    messages: int = 0
    boots: int = 0
    violations: int = 0
    faults: Counter[str] = field(factory=Counter)
    """Those that struck, by site."""

    failures: list[Told] = field(factory=list)
    shrunk: dict[int, Shrunk] = field(factory=dict)
    """By seed."""

    interrupted: bool = False
    """Whether a person ended it."""

    def add(self, told: Told) -> None:
        """Count one more seed."""
        self.told += 1
        self.seconds += told.seconds
        self.steps += told.steps
        self.messages += told.messages
        self.boots += told.boots
        self.violations += told.violations
        self.faults.update(name.partition("@")[0] for name in told.injected)
        if told.error is not None:
            self.failures.append(told)

    def firsts(self) -> list[Told]:
        """Of each kind of failure the one with the smallest seed."""
        found: dict[str, Told] = {}
        for told in sorted(self.failures, key=lambda told: told.seed):
            found.setdefault(told.kind, told)
        return list(found.values())

    def replay(self, told: Told) -> str:
        """The command that makes a failure again."""
        twice = " --twice" if told.kind == DIFFERENCE else ""
        return f"{replay(self.story, told.seed, told.faults)}{twice}"

    def data(self) -> Mapping[str, Any]:
        """As JSON has it."""
        return {
            "story": self.story,
            "told": self.told,
            "failed": len(self.failures),
            "interrupted": self.interrupted,
            "virtual_seconds": self.seconds,
            "steps": self.steps,
            "messages": self.messages,
            "daemons": self.boots,
            "faults": dict(sorted(self.faults.items())),
            "violations": self.violations,
            "failures": [self._failure(told) for told in self._in_order()],
        }

    def _failure(self, told: Told) -> Mapping[str, Any]:
        shrunk = self.shrunk.get(told.seed)
        return {
            "seed": told.seed,
            "error": told.error,
            "replay": self.replay(told),
            "text": told.text,
            "shrunk": None
            if shrunk is None or shrunk.faults is None
            else {
                "of": shrunk.of,
                "faults": list(shrunk.faults),
                "replay": replay(self.story, told.seed, joined(shrunk.faults)),
            },
        }

    def lines(self) -> Iterator[str]:
        """As a person reads it."""
        for name, value in self._table():
            yield f"{name:<13} {value}"
        for told in self._in_order():
            yield ""
            if self.told == 1 and told.text != told.error:
                yield told.text
            else:
                yield f"seed {told.seed}: {told.error}"
                yield f"  replay: {self.replay(told)}"
            if (shrunk := self.shrunk.get(told.seed)) is not None:
                yield f"  {self._shrunk(told, shrunk)}"

    def _in_order(self) -> list[Told]:
        return sorted(self.failures, key=lambda told: told.seed)

    def _table(self) -> Iterator[tuple[str, str]]:
        ended = ", then ended by hand" if self.interrupted else ""
        kinds = ", ".join(f"{site} {count}" for site, count in sorted(self.faults.items()))
        yield "story", self.story
        yield "seeds", f"{self.told}, of which {len(self.failures)} failed{ended}"
        yield "virtual time", duration(self.seconds)
        yield "steps", str(self.steps)
        yield "faults", f"{self.faults.total()}{': ' if kinds else ''}{kinds}"
        yield "messages", str(self.messages)
        yield "daemons", str(self.boots)
        yield "violations", str(self.violations)

    def _shrunk(self, told: Told, shrunk: Shrunk) -> str:
        match shrunk.faults:
            case None:
                return "it does not fail again in a fresh process: something is kept from one run to the next"
            case ():
                return f"it fails without any fault: {replay(self.story, told.seed, 'none')}"
            case faults:
                command = replay(self.story, told.seed, joined(faults))
                return f"{len(faults)} of {shrunk.of} faults are enough: {command}"


def replay(story: str, seed: int, faults: str) -> str:
    """The command that tells one seed of a story."""
    return f"hive sim --story {shlex.quote(story)} --seeds {seed}..{seed} --faults {shlex.quote(faults)}"


def joined(faults: tuple[str, ...]) -> str:
    """Faults by name, as the command line reads them."""
    return ",".join(faults) or "none"


def duration(seconds: float) -> str:
    """A stretch of time in its two greatest units."""
    if seconds >= DAY:
        return f"{seconds // DAY:.0f} d {seconds % DAY // HOUR:.0f} h"
    if seconds >= HOUR:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
    if seconds >= MINUTE:
        return f"{seconds // MINUTE:.0f} min {seconds % MINUTE:.0f} s"
    return f"{seconds:.0f} s"


def progress(summary: Summary, seeds: int, elapsed: float) -> str:
    """How far a campaign has come, in one line."""
    rate = summary.told / elapsed if elapsed else 0.0
    left = f", {duration((seeds - summary.told) / rate)} left" if rate else ""
    failed = f", {len(summary.failures)} failed" if summary.failures else ""
    return f"{summary.told} of {seeds} seeds, {rate:.1f}/s{failed}{left}"
