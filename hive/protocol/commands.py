"""Everything that can be asked of the store, and therefore of hive.

A command is a frozen value that names its answer: `Command[SendAnswer]` is answered by a `SendAnswer`.
Its `promise` says what a commit means to whoever waits: see `Promise`.  A command either holds whole or
changes nothing and raises a `HiveRefusal`.
"""

from collections.abc import Mapping
from enum import Enum
from typing import ClassVar, Generic, TypeVar

from attrs import evolve, field, frozen

from hive.protocol.mail import (
    BATCH_BYTES,
    BATCH_MESSAGES,
    ClaimedMail,
    Kind,
    Mail,
    Priority,
    Provenance,
    SendAnswer,
)
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Promise(Enum):
    """What is owed to whoever submitted a command when its transaction cannot be committed."""

    KEPT = "kept"
    """Synced to the disk before it is answered; on a failing commit the caller gets `StoreUnavailable`."""

    CLAIM = "claim"
    """Committed, not synced, before anyone acts on it; on a failing commit `StoreUnavailable`."""

    VERDICT = "verdict"
    """Committed, not synced; on a failing commit it stays queued, in order, until it holds."""


class Command(Generic[T_co]):
    """Base of all commands.  Subclasses are frozen attrs classes."""

    promise: ClassVar[Promise] = Promise.KEPT


@frozen
class Expectation:
    """What whoever asks believes of a message.  Where it is not so by then, a command is a `Conflict`."""

    message: str
    state: str


@frozen
class Once:
    """Makes a command idempotent: the first answer under (`scope`, `key`) is repeated word for word.

    The same key with another `digest` is a `Conflict`.  Answers are kept `ANSWERS_KEPT_SECONDS`.
    """

    scope: str
    key: str
    digest: str
    expected: Expectation | None = None
    """Must hold when the command is carried out; a repeat gets its answer whatever has become of it."""


# --- agents --------------------------------------------------------------------------------------


@frozen
class Settings:
    """What hive knows about an agent besides its name.  Stored as JSON; add fields with defaults only."""

    role: str = "agent"
    """`agent` or `manager`; one manager at most."""

    backend: str = "scripted"
    rules: str = "plain"
    """Rule table of the scripted backend."""

    directives_from: tuple[str, ...] = ("operator",)
    """Senders whose directives the scripted backend obeys."""

    allow_shell: bool = False
    driver: str = "subprocess"
    purpose: str = ""
    model: str = ""
    """What the agent's CLI is told to think with; empty for the CLI's own choice."""

    credential: str = ""
    """Which of the hive's credentials logs its CLI in; empty for the one that its backend is named after."""

    @property
    def login(self) -> str:
        """The name of the credential it uses."""
        return self.credential or self.backend


@frozen
class AddAgent(Command[str]):
    """Add an agent.  `Malformed` for a bad name, `Conflict` where it exists or a manager does already.

    Answers what it has to wait for before it can take its first turn; empty where it can.
    """

    name: str
    settings: Settings = Settings()
    needs_login: str = ""
    """Where its CLI is not logged in: what to do about it.  It is parked until then."""

    by: str = "operator"


@frozen
class ChangeAgent(Command[Settings]):
    """Change what an agent is run with, from its next turn on.  Answers its settings as they are now.

    What is None stays as it is.  `NotFound`, and `Malformed` where they would be too long.
    """

    name: str
    purpose: str | None = None
    model: str | None = None
    credential: str | None = None
    allow_shell: bool | None = None
    needs_login: str = ""
    """Where its CLI is then not logged in: what to do about it.  It is parked until then."""

    by: str = "operator"

    def applied(self, settings: Settings) -> Settings:
        """Those settings with the change."""
        wanted = {name: getattr(self, name) for name in ("purpose", "model", "credential", "allow_shell")}
        return evolve(settings, **{name: value for name, value in wanted.items() if value is not None})


@frozen
class NoteCredential(Command[tuple[str, ...]]):
    """A credential holds these variables now.  Agents that waited for it wake; answers which."""

    name: str
    variables: tuple[str, ...]
    """Empty where it was taken away, which wakes nobody."""

    by: str = "operator"


@frozen
class RemoveAgent(Command[int]):
    """Remove an agent; its unfinished mail becomes dead letters "removed" and senders are told.

    Answers how many messages died.  A turn that runs is asked to stop; its verdicts no longer hold.
    """

    name: str
    by: str = "operator"


@frozen
class SetStatus(Command[None]):
    """The one line an agent says about itself, shown with its age."""

    agent: str
    text: str


@frozen
class Park(Command[None]):
    """Add a park reason (or renew its detail and end).  Idempotent."""

    promise: ClassVar[Promise] = Promise.VERDICT

    agent: str
    reason: Reason
    until: float | None = None
    detail: str = ""


@frozen
class Lift(Command[bool]):
    """Take one park reason away.  Answers whether it held."""

    promise: ClassVar[Promise] = Promise.VERDICT

    agent: str
    reason: Reason
    by: str = "system"


@frozen
class Pause(Command[tuple[str, ...]]):
    """Stop claims, also by `recv`; a running turn finishes.  `now` interrupts and requeues it.

    `agent` None means all.  Answers the names it changed.
    """

    agent: str | None
    now: bool = False
    by: str = "operator"


@frozen
class Resumed:
    """What a `resume` did to one agent, and what still keeps it from waking."""

    agent: str
    lifted: tuple[Reason, ...]
    still: tuple[Reason, ...]


@frozen
class Resume(Command[tuple[Resumed, ...]]):
    """Lift the reasons named, by default the pause alone: nobody lifts what they did not know of.

    `agent` None means all.  Answers for whom it lifted something or who stays parked all the same.
    `Malformed` for a reason that has another way out.
    """

    agent: str | None
    reasons: tuple[Reason, ...] = (Reason.PAUSED,)
    by: str = "operator"


@frozen
class StopAgent(Command[tuple[str, ...]]):
    """Take boxes down and keep them down; a running turn is interrupted and its mail requeued.

    `agent` None means all.  Answers the names it changed.
    """

    agent: str | None
    by: str = "operator"


@frozen
class StartAgent(Command[tuple[str, ...]]):
    """Let boxes come up again that were stopped, each with its next turn.  Answers the names it changed."""

    agent: str | None
    by: str = "operator"


@frozen
class Kick(Command[tuple[str, ...]]):
    """Lift a backoff and leave one note that wakes the agent; several unclaimed kicks are one."""

    agent: str | None
    by: str = "operator"
    text: str = ""


@frozen
class CancelTurn(Command[int]):
    """Ask the agent's open turn to stop.  Answers its number; `NotFound` when none is open.

    With `requeue` its mail is tried again, otherwise it is done as *cancelled* and its senders are told.
    `turn` is an expectation: another turn than that is a `Conflict`.
    """

    agent: str
    requeue: bool = False
    turn: int | None = None
    by: str = "operator"


# --- mail ----------------------------------------------------------------------------------------


@frozen
class Send(Command[SendAnswer]):
    """Accept mail.  Refusals of single recipients of a broadcast are part of the answer.

    Raises `NotFound` for an unknown recipient (naming near ones), `Refused` for a full mailbox or a
    rate, `Malformed` for a body beyond `ATTACHMENT_BYTES`.
    """

    sender: str
    """An identity hive has checked: an agent's name, `operator` or `system`."""

    to: str
    """An agent's name, `manager`, `operator`, or `*`."""

    body: str
    provenance: Provenance
    kind: Kind = Kind.MESSAGE
    label: str | None = None
    in_reply_to: str | None = None
    """A message's id or number; the new message joins its thread."""

    priority: Priority = Priority.NORMAL
    not_before: float | None = None
    turn: int | None = None
    """The sender's open turn: its hops + 1 are this message's hops, and it becomes the cause."""

    cause: str | None = None
    own_token: bool = False
    """Sent with an agent's own token or socket: hops count whatever the provenance."""


@frozen
class Lease(Command[tuple[ClaimedMail, ...]]):
    """Claim mail for a client that holds it by a timed lease.  Empty when nothing waits or it is paused."""

    promise: ClassVar[Promise] = Promise.CLAIM

    agent: str
    holder: str
    """The client's session, as the MCP endpoint knows it."""

    limit: int = 1
    seconds: float = 300.0


@frozen
class ExtendLeases(Command[int]):
    """Extend every lease of `holder`.  Answers how many."""

    promise: ClassVar[Promise] = Promise.VERDICT

    agent: str
    holder: str
    seconds: float = 300.0


@frozen
class Ack(Command[None]):
    """The holder says it has handled a leased message.  `Conflict` where its claim no longer holds."""

    agent: str
    message: str
    claim: int | None = None
    """None: whatever claim this agent's client holds on it."""


@frozen
class Release(Command[None]):
    """The holder gives a leased message back, uncharged.  `Conflict` where its claim no longer holds."""

    agent: str
    message: str
    claim: int | None = None


@frozen
class ExpireLeases(Command[int]):
    """Release what leases past their end hold.  Answers how many messages came back."""

    promise: ClassVar[Promise] = Promise.VERDICT


@frozen
class MarkRead(Command[None]):
    """The operator's mail has been read (or, with `unread`, has not)."""

    message: str
    unread: bool = False
    by: str = "operator"


@frozen
class MarkDone(Command[None]):
    """The operator has dealt with a message in the operator's own mailbox."""

    message: str
    by: str = "operator"


@frozen
class Redrive(Command[Mail]):
    """Bring a dead letter back, once: a fresh copy, optionally to somebody else or with another body."""

    message: str
    to: str | None = None
    body: str | None = None
    by: str = "operator"


@frozen
class Bury(Command[None]):
    """Make an unclaimed message a dead letter, with a reason."""

    message: str
    why: str = "buried by the operator"
    by: str = "operator"


@frozen
class ReleaseBlocked(Command[None]):
    """Let a message go that the loop guard holds; it counts as input from outside."""

    message: str
    by: str = "operator"


@frozen
class StoreAttachment(Command[str]):
    """Keep a long body before the command that names it.  Answers its SHA-256 in hexadecimal."""

    sender: str
    body: str


# --- turns ---------------------------------------------------------------------------------------


@frozen
class TurnBegun:
    """A turn row and the mail it holds."""

    turn: int
    agent: str
    messages: tuple[ClaimedMail, ...]
    waiting: int
    """Deliverable messages that were left for later turns."""

    hops: int


@frozen
class NotBegun:
    """Why no turn began.  `look_again_at` is a wall-clock time, None when only a change can help."""

    why: str
    look_again_at: float | None = None


@frozen
class BeginTurn(Command["TurnBegun | NotBegun"]):
    """Check park reasons and slots, open the turn row and claim its mail: all of it or none.

    An agent never has two open turns: with one open the answer is `NotBegun`.
    """

    promise: ClassVar[Promise] = Promise.CLAIM

    agent: str
    incarnation: int
    messages: int = BATCH_MESSAGES
    bytes: int = BATCH_BYTES


@frozen
class ClaimIntoTurn(Command[tuple[ClaimedMail, ...]]):
    """Claim more mail into an open turn: a fold-in, or the running CLI's own `recv`.

    Empty when nothing waits, when the agent is paused, or when the turn has ended.
    """

    promise: ClassVar[Promise] = Promise.CLAIM

    turn: int
    limit: int = 1


@frozen
class MarkSeen(Command[None]):
    """There is evidence that the model was given these messages of this turn."""

    promise: ClassVar[Promise] = Promise.VERDICT

    turn: int
    messages: tuple[int, ...]


@frozen
class Withdraw(Command[None]):
    """Give back messages of a turn that were never shown to the model, uncharged."""

    promise: ClassVar[Promise] = Promise.VERDICT

    turn: int
    messages: tuple[int, ...]


@frozen
class StreamRow:
    """One line of an agent's stream.  `data` is JSON-compatible and bounded by its writer."""

    kind: str
    data: dict[str, object] = field(factory=dict)


@frozen
class AppendStream(Command[None]):
    """Add rows to an agent's stream lane, in order."""

    promise: ClassVar[Promise] = Promise.VERDICT

    agent: str
    turn: int | None
    rows: tuple[StreamRow, ...]


@frozen
class Usage:
    """What a turn used, never cumulative."""

    input_tokens: int = 0
    """All that went in, from the provider's cache or not."""

    output_tokens: int = 0
    cost_usd: float = 0.0
    cached_tokens: int = 0
    """How much of the input came from the provider's cache."""

    context_tokens: int = 0
    """How much of its room the conversation filled at the last inference; 0 where nobody says."""

    context_window: int = 0
    """How much room there is; 0 where nobody says."""

    def plus(self, later: "Usage") -> "Usage":
        """What this and a later part of the same turn used."""
        return Usage(
            self.input_tokens + later.input_tokens,
            self.output_tokens + later.output_tokens,
            self.cost_usd + later.cost_usd,
            self.cached_tokens + later.cached_tokens,
            later.context_tokens or self.context_tokens,
            later.context_window or self.context_window,
        )


@frozen
class EndTurn(Command[None]):
    """Record how a turn ended and give every message it held its verdict, by the table of outcomes.

    Messages not marked seen are released uncharged.  Void, silently, where the turn is not open.
    """

    promise: ClassVar[Promise] = Promise.VERDICT

    turn: int
    outcome: Outcome
    final_text: str = ""
    error: str = ""
    until: float | None = None
    """For a limit: when the service said it ends."""

    usage: Usage = Usage()
    seen: tuple[int, ...] = ()
    """Messages to mark seen in the same breath."""

    model: str = ""
    """Which one answered, as the backend says."""

    tools: Mapping[str, int] = field(factory=dict)
    """How often each tool was called."""


@frozen
class EndOrphans(Command[tuple[int, ...]]):
    """End as interrupted the open turns of an agent that an earlier incarnation left behind."""

    promise: ClassVar[Promise] = Promise.VERDICT

    agent: str
    incarnation: int
    why: str


# --- boxes and processes -------------------------------------------------------------------------


@frozen
class RecordProcess(Command[None]):
    """A CLI process runs for an agent; committed before the process gets its first prompt."""

    agent: str
    pid: int
    started: int
    """Start time in clock ticks since the machine's boot, as /proc says: with the pid, an identity."""


@frozen
class ForgetProcess(Command[None]):
    """That process is gone."""

    promise: ClassVar[Promise] = Promise.VERDICT

    agent: str
    pid: int
    started: int


@frozen
class BoxStarted(Command[int]):
    """An agent's box came up.  Answers its new epoch; leaves a restart note, lifts `box_down`.

    `wakes` says whether the note alone is a wake: after a rebuild or crash it is.
    """

    agent: str
    cause: str
    wakes: bool


@frozen
class BoxDown(Command[None]):
    """An agent's box is gone: parks the agent and interrupts its turn's mail through `EndTurn` later."""

    promise: ClassVar[Promise] = Promise.VERDICT

    agent: str
    cause: str


# --- tokens, sessions, housekeeping --------------------------------------------------------------


@frozen
class SetClientToken(Command[None]):
    """Keep the hash of an agent's client token, in place of an older one."""

    agent: str
    sha256: str
    by: str = "operator"


@frozen
class TouchClient(Command[None]):
    """An agent's own client was here; shown as "last seen"."""

    promise: ClassVar[Promise] = Promise.VERDICT

    agent: str


@frozen
class AddWebSession(Command[None]):
    """A browser has logged in.  Only the hash of its cookie is kept."""

    sha256: str
    role: str
    expires_at: float


@frozen
class RevokeWebSession(Command[bool]):
    """Log a browser out.  None as hash revokes all."""

    sha256: str | None


@frozen
class KeepAnswer(Command[dict[str, object]]):
    """Keep what came of a keyed command that hive carries out outside the store.  Never a secret."""

    answer: dict[str, object]


@frozen
class NoteFact(Command[None]):
    """Put a kernel fact or a warning into the journal."""

    promise: ClassVar[Promise] = Promise.VERDICT

    type: str
    agent: str | None
    data: dict[str, object] = field(factory=dict)


@frozen
class Broken:
    """A violation of an invariant as the operator is told of it."""

    key: str
    """What stays the same while it lasts: `Violation.key`."""

    invariant: int
    agent: str | None
    text: str
    message: int | None = None
    rows: tuple[dict[str, object], ...] = ()
    """The rows involved, each with its `table`; no text of a message."""


@frozen
class TellAudit(Command[int]):
    """Tell the operator what is broken and what, by its key, no longer is.

    Each is told once while it lasts: what has been told already is left out.  Answers how many were news.
    """

    broken: tuple[Broken, ...] = ()
    gone: tuple[str, ...] = ()


@frozen
class Sweep(Command[int]):
    """One small batch of retention.  Answers how many rows went; call again while it is not 0."""

    promise: ClassVar[Promise] = Promise.VERDICT

    rows: int = 200
