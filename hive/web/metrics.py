"""Figures for a scraper, in the text format of Prometheus.

The rule kept here: numbers only, of what everybody may know who may see the page: no secret, no word of a
message.  Labels have few values, whatever agents do; and however often it is asked, the store is at most
once a second.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from attrs import Factory, define, field, frozen

from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from hive.protocol.views import AuditView, JournalRow, StreamView
from hive.store.port import Store

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS: Final = 1.0
FULLEST: Final = 200
"""Mailboxes with a line of their own; what lies in all others is one line more."""

OTHERS: Final = "(others)"
"""No agent's name has a bracket."""

WAKES: Final = 500
"""Newest wakes whose latency is looked at."""

INVARIANTS: Final = (1, 2, 3, 4)
STATES: Final = ("ready", "claimed", "blocked", "done", "dead", "removed")

Labels = Mapping[str, str]
NONE: Final[Labels] = {}


@frozen
class Metric:
    """One metric with its samples."""

    name: str
    kind: str
    help: str
    samples: tuple[tuple[Labels, float], ...]

    def lines(self) -> Iterator[str]:
        """As text."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{self.name}{{{inner}}} {_number(value)}" if inner else f"{self.name} {_number(value)}"


def _number(value: float) -> str:
    return repr(value) if value % 1 else str(int(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def gauge(name: str, text: str, *samples: tuple[Labels, float]) -> Metric:
    """Something that goes up and down."""
    return Metric(name, "gauge", text, samples)


def counter(name: str, text: str, *samples: tuple[Labels, float]) -> Metric:
    """Something that only grows, or begins anew with a start of hive."""
    return Metric(name, "counter", text, samples)


def by(label: str, counted: Mapping[str, float]) -> tuple[tuple[Labels, float], ...]:
    """Samples that differ in one label."""
    return tuple(({label: name}, value) for name, value in counted.items())


def rendered(metrics: Iterable[Metric]) -> str:
    """The text a scraper gets."""
    return "".join(f"{line}\n" for metric in metrics for line in metric.lines())


@define(eq=False)
class Metrics:
    """Counts what passes, and looks the rest up."""

    _store: Store
    _wall: Callable[[], float]
    _audit: Callable[[], AuditView]
    _version: str
    _commits: int = field(default=0, init=False)
    _turns: "Counter[str]" = field(
        init=False, default=Factory(lambda: Counter({outcome.value: 0 for outcome in Outcome}))
    )
    _text: str = field(default="", init=False)
    _at: float | None = field(default=None, init=False)

    def on_commit(self, rows: Sequence[JournalRow], _stream: Sequence[tuple[str, StreamView]]) -> None:
        """Count a commit: a subscriber of the store."""
        self._commits += 1
        for row in rows:
            if row.type == "turn.ended" and row.data.get("outcome") in self._turns:
                self._turns[str(row.data["outcome"])] += 1

    def text(self) -> str:
        """The figures as they are now, or were a moment ago."""
        now = self._wall()
        # A wall clock may jump back; what was seen in the future is not fresh.
        if self._at is None or not 0 <= now - self._at < FRESH_SECONDS:
            with self._store.reader.moment():
                self._text = rendered((*self._mail(), *self._agents(), *audited(self._audit(), now)))
            self._at = now
        return self._text

    def _mail(self) -> Iterator[Metric]:
        reader = self._store.reader
        counts, head = reader.counts(), reader.head()
        now = {state: getattr(counts, state) for state in STATES}
        yield gauge("hive_info", "Which hive this is.", ({"version": self._version}, 1))
        yield gauge("hive_boot", "Number of this start of hive.", (NONE, head.boot))
        yield gauge(
            "hive_refusing", "Whether commits fail at the moment.", (NONE, bool(self._store.refusing))
        )
        yield gauge("hive_messages", "Messages by state.", *by("state", now))
        yield counter("hive_messages_accepted_total", "Messages ever accepted.", (NONE, counts.accepted))
        yield counter(
            "hive_turns_total", "Turns ended since hive started, by outcome.", *by("outcome", self._turns)
        )
        yield counter(
            "hive_commits_total",
            "Commits since hive started that changed what can be seen.",
            (NONE, self._commits),
        )
        waited = sorted(reader.wake_latencies(limit=WAKES))
        if waited:
            late = {name: waited[int((len(waited) - 1) * float(name))] for name in ("0.5", "0.99")}
            yield gauge(
                "hive_wake_seconds",
                f"Deliverable to held by a turn, of the newest {WAKES} wakes.",
                *by("quantile", late),
            )

    def _agents(self) -> Iterator[Metric]:
        figures = self._store.reader.figures()
        parked = Counter(figures.parked)
        depths = dict(figures.depths[:FULLEST])
        depths[OTHERS] = sum(depth for _, depth in figures.depths[FULLEST:])
        yield gauge("hive_agents", "Agents there are.", (NONE, figures.agents))
        yield gauge("hive_turns_open", "Turns that have not ended.", (NONE, figures.open_turns))
        yield gauge(
            "hive_agents_parked",
            "Agents parked, by reason; one may have several.",
            *by("reason", {reason.value: parked[reason.value] for reason in Reason}),
        )
        yield gauge(
            "hive_mailbox_messages",
            f"Unfinished messages of the {FULLEST} fullest mailboxes, and of all others.",
            *by("agent", depths),
        )


def audited(view: AuditView, now: float) -> Iterator[Metric]:
    """The audit of a running hive."""
    broken = Counter(one.invariant for one in view.violations)
    yield gauge(
        "hive_audit_violations",
        "Broken invariants now.",
        *by("invariant", {str(number): broken[number] for number in INVARIANTS}),
    )
    yield counter("hive_audit_looks_total", "Looks taken since hive started.", (NONE, view.looks))
    yield counter("hive_audit_failed_looks_total", "Looks that could not be taken.", (NONE, view.failed))
    yield counter("hive_audit_cpu_seconds_total", "Processor time of all looks.", (NONE, view.spent))
    yield gauge("hive_audit_core_share", "Part of one core since the first look.", (NONE, view.share(now)))
    yield counter("hive_audit_full_checks_total", "Full checks since hive started.", (NONE, view.full_checks))
    if (age := view.full_age(now)) is not None:
        yield gauge("hive_audit_full_age_seconds", "Since the last full check.", (NONE, age))
        yield gauge(
            "hive_audit_full_duration_seconds",
            "How long the last full check took, with its rests.",
            (NONE, view.full_seconds),
        )
        yield gauge(
            "hive_audit_full_cpu_seconds", "Processor time of the last full check.", (NONE, view.full_spent)
        )
