"""What can be read of hive, as frozen values.  Every view is of committed state only."""

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
