"""The verdict: everything that was found, counted and in sentences.  Pure."""

from collections.abc import Iterator, Sequence

from attrs import frozen

from hive.testing.torture.book import Book
from hive.testing.torture.findings import DONE, End, Kill, doubled, lost, sentences, unheard, vanished


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` of them lie; None where there are none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


@frozen
class Course:
    """How it went until the end."""

    seed: int
    seconds: float
    interrupted: bool
    """Somebody had seen enough before the time was over."""

    kills: Sequence[Kill]
    restarts: Sequence[float] = ()
    """Seconds until it served again."""

    outlived: Sequence[str] = ()
    """A sentence for each child that outlived its boot."""

    problems: Sequence[str] = ()
    """Whatever else went wrong on the way."""


@frozen
class Kills:
    """How many there were, of which kinds."""

    number: int
    with_sends_awaiting_commit: int
    with_claimed_mail: int
    with_running_children: int
    while_starting: int

    @staticmethod
    def of(kills: Sequence[Kill]) -> "Kills":
        """Count them."""
        return Kills(
            number=len(kills),
            with_sends_awaiting_commit=sum(bool(kill.awaiting_commit) for kill in kills),
            with_claimed_mail=sum(bool(kill.claimed) for kill in kills),
            with_running_children=sum(bool(kill.children) for kill in kills),
            while_starting=sum(kill.starting for kill in kills),
        )


@frozen
class LogCuts:
    """How often the log was cut, and what that took."""

    number: int
    took_commits: int
    bytes: int
    events: int

    @staticmethod
    def of(kills: Sequence[Kill]) -> "LogCuts":
        """Count them."""
        return LogCuts(
            number=sum(kill.cut for kill in kills),
            took_commits=sum(kill.bytes_cut > 0 for kill in kills),
            bytes=sum(kill.bytes_cut for kill in kills),
            events=sum(kill.events_cut for kill in kills),
        )


@frozen
class Messages:
    """What became of the letters."""

    offered: int
    acknowledged: int
    refused: int
    """Answers that accepted nothing: mailboxes were full."""

    accounted_for: int
    """Acknowledged, and in the file; and handled or shown, where there was time for that."""

    done: int
    shown_why_not: int
    lost: int
    twice: int
    unheard: int
    handled_twice: int
    """Claims and verdicts that do not alternate."""


@frozen
class Restarts:
    """How long it took until it served again."""

    number: int
    seconds_p50: float | None
    seconds_p99: float | None

    @staticmethod
    def of(seconds: Sequence[float]) -> "Restarts":
        """Measure them."""
        return Restarts(len(seconds), percentile(seconds, 0.50), percentile(seconds, 0.99))


@frozen
class Verdict:
    """The whole of it, in numbers and sentences."""

    seed: int
    seconds: float
    interrupted: bool
    kills: Kills
    log_cuts: LogCuts
    messages: Messages
    children_that_outlived_their_boot: int
    violations: int
    restarts: Restarts
    problems: Sequence[str]
    """A sentence each; none where everything held."""

    kept: str | None = None
    """The directory, where it was kept."""

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return not self.problems


def problems_of(book: Book, course: Course, end: End) -> Iterator[str]:
    """A sentence for everything that did not hold."""
    yield from course.problems
    yield from sentences("its book cannot be written", [book.unwritten] if book.unwritten else [])
    yield from sentences("acknowledged, and not there", lost(book.acknowledged, end.found))
    yield from sentences("in the file after a kill, and there no more", vanished(course.kills, end.found))
    yield from sentences("sent once, and there more than once", doubled(end.found))
    yield from sentences("neither handled nor shown, or done without a trace", unheard(book, end))
    yield from sentences("told two different things", list(book.contradicted))
    yield from sentences("settled twice", end.settled_twice)
    yield from sentences("outlived its boot", course.outlived)
    yield from sentences("broken", end.violations)


def judge(book: Book, course: Course, end: End) -> Verdict:
    """The verdict."""
    return Verdict(
        seed=course.seed,
        seconds=round(course.seconds, 1),
        interrupted=course.interrupted,
        kills=Kills.of(course.kills),
        log_cuts=LogCuts.of(course.kills),
        messages=_messages(book, end),
        children_that_outlived_their_boot=len(course.outlived),
        violations=len(end.violations),
        restarts=Restarts.of(course.restarts),
        problems=tuple(dict.fromkeys(problems_of(book, course, end))),
    )


def _messages(book: Book, end: End) -> Messages:
    acknowledged, waiting = book.acknowledged, frozenset(unheard(book, end))
    told = [one for one in end.found if acknowledged.get(one.key) == one.id]
    return Messages(
        offered=len(book.offered),
        acknowledged=len(acknowledged),
        refused=book.refusals,
        accounted_for=len({one.key for one in told} - waiting),
        done=sum(one.state == DONE for one in told),
        shown_why_not=sum(one.state != DONE and bool(one.why) for one in told),
        lost=len(lost(acknowledged, end.found)),
        twice=len(doubled(end.found)),
        unheard=len(waiting),
        handled_twice=len(end.settled_twice),
    )
