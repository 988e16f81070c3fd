"""What many runs of stories come to, in words and as data.  Pure.

The rule kept here: each failure shows its first line and the command that makes it again.
"""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from .tally import NUMBERS, Tally, Told, duration, grid, numbers

DIFFERENCE = "difference"
"""The kind of failure of a seed whose two runs were not the same."""


@frozen
class Shrunk:
    """What became of an attempt to make a failure smaller."""

    of: int
    """How many faults struck."""

    faults: tuple[str, ...] | None
    """Those that are enough; None if the failure did not come again."""

    tries: int
    otherwise: tuple[Told, ...] = ()
    """Other failures that were met on the way, one of each kind: those of fewer faults."""


@define(eq=False)
class Summary:
    """Runs of one story or several, added up."""

    stories: tuple[str, ...]
    all: Tally = field(factory=Tally, init=False)
    each: dict[str, Tally] = field(init=False)
    """By story."""

    failures: list[Told] = field(factory=list, init=False)
    shrunk: dict[int, Shrunk] = field(factory=dict, init=False)
    """By seed."""

    interrupted: bool = field(default=False, init=False)
    """Whether a person ended it."""

    def __attrs_post_init__(self) -> None:
        """Begin with nothing told."""
        self.each = {story: Tally() for story in self.stories}

    def add(self, told: Told) -> None:
        """Count one more seed."""
        self.all.add(told)
        self.each[told.story].add(told)
        if told.error is not None:
            self.failures.append(told)

    def firsts(self) -> list[Told]:
        """Of each kind of failure of each story the one with the smallest seed."""
        found: dict[tuple[str, str], Told] = {}
        for told in self._in_order():
            found.setdefault((told.story, told.kind), told)
        return list(found.values())

    def data(self) -> Mapping[str, Any]:
        """As JSON has it."""
        return {
            "story": self.stories[0] if len(self.stories) == 1 else None,
            **self.all.data(),
            "interrupted": self.interrupted,
            "stories": [{"story": story, **tally.data()} for story, tally in self.each.items()],
            "failures": [self._failure(told) for told in self._in_order()],
        }

    def _failure(self, told: Told) -> Mapping[str, Any]:
        shrunk = self.shrunk.get(told.seed)
        return {
            "story": told.story,
            "seed": told.seed,
            "error": told.error,
            "replay": again(told),
            "text": told.text,
            "shrunk": None
            if shrunk is None or shrunk.faults is None
            else {
                "of": shrunk.of,
                "faults": list(shrunk.faults),
                "replay": again(evolve(told, faults=joined(shrunk.faults))),
            },
            "otherwise": []
            if shrunk is None
            else [{"error": one.error, "replay": again(one)} for one in shrunk.otherwise],
        }

    def lines(self) -> Iterator[str]:
        """As a person reads it."""
        yield from self._of_one() if len(self.stories) == 1 else self._of_several()
        for told in self._in_order():
            yield ""
            if self.all.told == 1 and told.text != told.error:
                yield told.text
            else:
                yield f"{self._which(told)}: {told.error}"
                yield f"  replay: {again(told)}"
            if (shrunk := self.shrunk.get(told.seed)) is not None:
                yield f"  {_smaller(told, shrunk)}"
                for other in shrunk.otherwise:
                    yield f"  with fewer faults it also fails otherwise, {other.error}: {again(other)}"

    def _in_order(self) -> list[Told]:
        return sorted(self.failures, key=lambda told: told.seed)

    def _which(self, told: Told) -> str:
        return f"seed {told.seed}" if len(self.stories) == 1 else f"seed {told.seed} of {told.story}"

    def _of_one(self) -> Iterator[str]:
        names = ("story", "seeds", "virtual time", "steps", "faults", "messages", "daemons", "violations")
        ended = ", then ended by hand" if self.interrupted else ""
        kinds = ", ".join(f"{site} {count}" for site, count in sorted(self.all.faults.items()))
        values = (
            self.stories[0],
            f"{self.all.told}, of which {self.all.failed} failed{ended}",
            duration(self.all.seconds),
            str(self.all.steps),
            f"{self.all.faults.total()}{': ' if kinds else ''}{kinds}",
            str(self.all.messages),
            str(self.all.boots),
            str(self.all.violations),
        )
        for name, value in zip(names, values, strict=True):
            yield f"{name:<13} {value}"

    def _of_several(self) -> Iterator[str]:
        """Two tables: what was told of each story, and which faults struck it."""
        rows = (*self.each.items(), ("all", self.all))
        yield from grid(("story", *NUMBERS), ((story, *numbers(tally)) for story, tally in rows))
        if sites := sorted(self.all.faults):
            counts = ((story, *(str(tally.faults[site]) for site in sites)) for story, tally in rows)
            yield from ("", *grid(("faults", *sites), counts))
        if self.interrupted:
            yield from ("", "ended by hand")


def _smaller(told: Told, shrunk: Shrunk) -> str:
    match shrunk.faults:
        case None if shrunk.otherwise:
            return "it does not fail in the same way again"
        case None:
            return "it does not fail again in a fresh process: something is kept from one run to the next"
        case ():
            return f"it fails without any fault: {again(evolve(told, faults='none'))}"
        case faults:
            command = again(evolve(told, faults=joined(faults)))
            return f"{len(faults)} of {shrunk.of} faults are enough: {command}"


def again(told: Told) -> str:
    """The command that makes a failure again."""
    twice = " --twice" if told.kind == DIFFERENCE else ""
    return f"{replay(told.story, told.seed, told.faults)}{twice}"


def replay(story: str, seed: int, faults: str) -> str:
    """The command that tells one seed of a story."""
    return f"hive sim --story {shlex.quote(story)} --seeds {seed}..{seed} --faults {shlex.quote(faults)}"


def joined(faults: tuple[str, ...]) -> str:
    """Faults by name, as the command line reads them."""
    return ",".join(faults) or "none"


def progress(summary: Summary, seeds: int, elapsed: float) -> str:
    """How far a campaign has come, in one line."""
    told, failures = summary.all.told, len(summary.failures)
    rate = told / elapsed if elapsed else 0.0
    left = f", {duration((seeds - told) / rate)} left" if rate else ""
    failed = f", {failures} failed" if failures else ""
    return f"{told} of {seeds} seeds, {rate:.1f}/s{failed}{left}"
