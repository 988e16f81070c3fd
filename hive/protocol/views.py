"""What can be read of hive, as frozen values.  Every view is of committed state only."""

from collections.abc import Mapping

from attrs import field, frozen

from hive.protocol.commands import Settings
from hive.protocol.mail import Mail
from hive.protocol.parking import Parked


@frozen
class JournalRow:
    """One state change.  `seq` has no holes; `boot` says which start of the daemon wrote it."""

    seq: int
    boot: int
    at: float
    type: str
    """As `msg.sent` or `turn.ended`; see `hive.protocol.events`."""

    agent: str | None
    """The agent to look after this change, or None."""

    subject: str | None
    """What changed: a message's id, a turn's number, a park reason."""

    data: dict[str, object] = field(factory=dict)
    command: str | None = None
    """Key of the command behind it, so that a client recognises its own effect."""


@frozen
class Head:
    """Where the journal stands.  A client resumes only within the same `log_id`."""

    log_id: str
    boot: int
    seq: int


@frozen
class TurnView:
    """One turn, open or ended."""

    number: int
    agent: str
    boot: int
    started_at: float
    incarnation: int = 0
    ended_at: float | None = None
    outcome: str | None = None
    final_text: str = ""
    error: str = ""
    stop_requested: str | None = None
    """`cancel` or `requeue` once somebody asked it to stop."""

    messages: tuple[str, ...] = ()
    hops: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    cached_tokens: int = 0
    context_tokens: int = 0
    context_window: int = 0
    model: str = ""
    cause: str = ""
    """The provenance of what woke it; empty until it has ended."""

    tools: Mapping[str, int] = field(factory=dict)
    """How often it called each tool."""


COSTS_BY = ("agent", "model", "day", "cause")
"""What the use of turns can be added up by."""


@frozen
class Cost:
    """What the turns of one kind used together."""

    of: str
    """The agent, model, day (UTC) or cause they have in common."""

    turns: int
    seconds: float
    """How long they ran."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: float


@frozen
class Identity:
    """What decides who an endpoint lets in as an agent, and what they may do."""

    role: str
    client_token: str | None = None
    """SHA-256 of the agent's client token, hexadecimal."""


@frozen
class AgentView:
    """One agent as its harness, the page and `why` see it."""

    name: str
    settings: Settings
    added_at: float
    removed_at: float | None = None
    status: str = ""
    status_at: float | None = None
    parked: tuple[Parked, ...] = ()
    """Reasons in force at the time of reading."""

    open_turn: TurnView | None = None
    last_turn: TurnView | None = None
    deliverable: int = 0
    """Ready, due, not a note that only rides along."""

    deliverable_since: float | None = None
    next_due: float | None = None
    """When the next delayed message or timed park reason comes due."""

    ready: int = 0
    claimed: int = 0
    blocked: int = 0
    done: int = 0
    dead: int = 0
    batch_limit: int = 32
    epoch: int = 0
    client_seen_at: float | None = None
    has_client_token: bool = False
    stream_head: int = 0


@frozen
class StreamView:
    """One row of an agent's stream lane."""

    n: int
    turn: int | None
    at: float
    kind: str
    data: dict[str, object] = field(factory=dict)


@frozen
class Counts:
    """The sums behind invariant 3."""

    accepted: int
    ready: int
    claimed: int
    blocked: int
    done: int
    dead: int
    removed: int


@frozen
class Violation:
    """One broken invariant, in words."""

    invariant: int
    agent: str | None
    text: str
    message: int | None = None
    """Number of the message, where it is about a single one."""

    @property
    def key(self) -> str:
        """What stays the same while it lasts."""
        one = "" if self.message is None else f":{self.message}"
        return f"audit:{self.invariant}:{self.agent}{one}"


@frozen
class Figures:
    """What the agents and their mailboxes are like, as numbers of one moment."""

    agents: int
    open_turns: int
    parked: tuple[str, ...]
    """A reason for every row in force, so that counting them tells the agents parked for each."""

    depths: tuple[tuple[str, int], ...]
    """Mailboxes with unfinished mail, the fullest first."""


@frozen
class Credential:
    """What may be known of a credential: nothing of its values."""

    name: str
    variables: tuple[str, ...]
    changed_at: float


@frozen
class AuditView:
    """How a running hive's audit of itself stands."""

    since: float | None = None
    """When this daemon's first look was, wall clock; None before it."""

    looks: int = 0
    failed: int = 0
    """Looks that could not be taken, because of the disk or a fault."""

    full_at: float | None = None
    """When the last full check ended, wall clock; None where none has in this boot."""

    full_seconds: float = 0.0
    """How long it took by the clock, with its rests."""

    full_spent: float = 0.0
    """Seconds of processor it took."""

    full_checks: int = 0
    spent: float = 0.0
    """Seconds of processor all looks of this boot have taken."""

    violations: tuple[Violation, ...] = ()
    """What the operator was told of and has not been seen to be in order again."""

    def full_age(self, now: float) -> float | None:
        """Seconds since the last full check ended; None where there was none."""
        return None if self.full_at is None else max(0.0, now - self.full_at)

    def share(self, now: float) -> float:
        """The part of one processor that looking has taken."""
        return 0.0 if self.since is None or now <= self.since else self.spent / (now - self.since)


@frozen
class Process:
    """A process some boot recorded and has not seen leave."""

    agent: str
    pid: int
    started: int
    boot: int


@frozen
class MailPage:
    """A page of mail heads, newest first."""

    mail: tuple[Mail, ...]
    more: bool
