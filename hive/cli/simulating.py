"""`hive sim`: stories under many seeds, watched on a terminal.

The rule kept here: the bar goes to standard error, what came of it to standard output.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TypeVar

import trio
from attrs import define, field

from hive.cli.status import Failed, Status
from hive.cli.tables import cut, table
from hive.cli.verbs import Call
from hive.retelling import seeds_of

if TYPE_CHECKING:
    import argparse
    from typing import TextIO

T = TypeVar("T")

INTERRUPTED = 130
DEFAULT_SECONDS = 120.0
USUAL_COLUMNS = 80
BEGIN_AGAIN = "\r\x1b[K"
"""Go to the line's begin, and clear it."""


def sim(call: Call) -> int:
    """Tell a story, or all of hive's own in turn, under many seeds."""
    from hive.testing.campaign import Campaign, Plan  # noqa: PLC0415 - only this verb simulates
    from hive.testing.faults import Faults  # noqa: PLC0415 - as above
    from hive.testing.lookup import NoStory, own  # noqa: PLC0415 - as above
    from hive.testing.summary import progress  # noqa: PLC0415 - as above

    options = call.options
    if options.list:
        return _list(call)
    stories = (options.story,) if options.story else tuple(own())
    if not stories:
        raise Failed(
            Status.USAGE, "hive's own stories are not installed here: name one, --story FILE.py:NAME"
        )
    _read(Faults.parse, options.faults)
    plan = Plan(
        stories=stories,
        seeds=_read(seeds_of, options.seeds),
        faults=options.faults,
        jobs=_positive(options, "jobs", cores()),
        seconds_per_seed=_positive(options, "seconds-per-seed", DEFAULT_SECONDS),
        twice=options.twice,
        stop_at=_positive(options, "stop-at", None),
        shrink=options.shrink,
    )
    with Bar() as bar:
        campaign = Campaign(
            plan,
            watch=lambda summary: bar.show(progress(summary, len(plan.seeds), bar.elapsed)),
            note=bar.show,
        )
        try:
            summary = trio.run(campaign.run)
        except NoStory as wrong:
            raise Failed(Status.USAGE, str(wrong)) from None
    call.out.show(summary.data(), lambda _data, _width: "\n".join(summary.lines()))
    if summary.interrupted:
        return INTERRUPTED
    return Status.REFUSED if summary.failures else Status.OK


def cores() -> int:
    """How many of the machine's cores are ours."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read(read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as wrong:
        raise Failed(Status.USAGE, str(wrong)) from None


def _positive(options: "argparse.Namespace", name: str, default: T) -> int | T:
    given: int | None = getattr(options, name.replace("-", "_"))
    if given == 0:
        raise Failed(Status.USAGE, f"--{name} takes a number from 1 on")
    return default if given is None else given


def _list(call: Call) -> int:
    from hive.testing.lookup import own  # noqa: PLC0415 - only this verb simulates

    stories = {name: (story.__doc__ or "").partition("\n")[0] for name, story in own().items()}
    call.out.show(stories, lambda _, width: table(("STORY", "WHAT HAPPENS"), tuple(stories.items()), width))
    return Status.OK


@define(eq=False)
class Bar:
    """One line of a terminal that says how far it has come; nothing where there is none."""

    stream: "TextIO" = field(factory=lambda: sys.stderr)
    _began: float = field(factory=time.monotonic, init=False)
    _shown: bool = field(default=False, init=False)

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def show(self, line: str) -> None:
        """Show this in place of what was shown."""
        if self.stream.isatty():
            self._write(
                BEGIN_AGAIN
                + cut(line, (os.get_terminal_size(self.stream.fileno()).columns or USUAL_COLUMNS) - 1)
            )
            self._shown = True

    def __enter__(self) -> Self:
        """Nothing is shown yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the line."""
        if self._shown:
            self._write(BEGIN_AGAIN)

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
