"""A message on its way: its values, its states, and what a sender is told about it.

The rule kept here: an identity is what hive checked, a label is what somebody typed, and the two never
share a field.
"""

from enum import StrEnum

from attrs import frozen

INLINE_BYTES = 4 * 1024
"""A longer body becomes an attachment and travels as an excerpt and a handle."""

ATTACHMENT_BYTES = 1024 * 1024
"""The longest body there is."""

ATTACHED_BYTES_PER_SENDER = 100 * 1024 * 1024
"""What one sender's attachments may take in all."""

MAILBOX_MESSAGES = 1_000
"""Unread messages an agent's mailbox holds before it refuses."""

BATCH_MESSAGES = 32
"""Messages one turn begins with, at most."""

BATCH_BYTES = 32 * 1024
"""Bytes of bodies one turn begins with, at most; a first message is never held back by it."""

HOPS = 100
"""How far a chain of mail may go without input from outside before it is blocked."""

PAIR_MESSAGES = 40
"""Messages between one pair within `PAIR_SECONDS` without outside input before mail is blocked."""

PAIR_SECONDS = 600.0

ATTEMPTS = 3
"""Failed turns of its own a message may cost before it becomes a dead letter."""

INTERRUPTIONS = 10
"""Interruptions in a row after which an agent is parked rather than tried again."""

ANSWERS_KEPT_SECONDS = 7 * 24 * 3600.0
"""How long the answer to a keyed command is repeated word for word."""

OPERATOR_MAIL_PER_MINUTE = 20
"""Messages one sender may put into the operator's unbounded mailbox within a minute."""


class State(StrEnum):
    """Where a message is.  Exactly one holds at any time."""

    READY = "ready"
    CLAIMED = "claimed"
    BLOCKED = "blocked"
    DONE = "done"
    DEAD = "dead"


UNFINISHED = frozenset({State.READY, State.CLAIMED, State.BLOCKED})


class Priority(StrEnum):
    """Urgent mail is taken first, but never alone: each claim also takes the oldest normal message."""

    URGENT = "urgent"
    NORMAL = "normal"


class Provenance(StrEnum):
    """Who stands behind a message, as checked by hive and never as claimed by its text."""

    OPERATOR = "operator"
    AGENT = "agent"
    SYSTEM = "system"
    OUTSIDE = "outside"


class Kind(StrEnum):
    """What a message is for."""

    MESSAGE = "message"
    NOTIFY = "notify"
    NEXT_TURN = "next_turn"
    WAKE = "wake"
    KICK = "kick"
    RESTARTED = "restarted"
    UNDELIVERED = "undelivered"
    CANCELLED = "cancelled"


@frozen
class Mail:
    """One row of the mail table, as everybody outside the store sees it."""

    number: int
    id: str
    sender: str
    recipient: str
    body: str
    """The whole body, or the excerpt when `attachment` names the rest."""

    thread: str
    provenance: Provenance
    created_at: float
    kind: Kind = Kind.MESSAGE
    label: str | None = None
    in_reply_to: str | None = None
    cause: str | None = None
    """`turn:12`, `command:<id>`, `reminder:3`, `client:<agent>` - what this message came from."""

    priority: Priority = Priority.NORMAL
    not_before: float | None = None
    state: State = State.READY
    attempts: int = 0
    interruptions: int = 0
    hops: int = 0
    broadcast: bool = False
    wakes: bool = True
    """False for a note that only rides along with the next batch."""

    size: int = 0
    """Bytes of the whole body."""

    attachment: str | None = None
    """SHA-256 of the whole body, in hexadecimal, when it is longer than `INLINE_BYTES`."""

    claim: int | None = None
    turn: int | None = None
    """The turn that holds it, or held it last."""

    read_at: float | None = None
    settled_at: float | None = None
    why: str | None = None
    """The reason of the last transition, in words."""


@frozen
class Redelivery:
    """A turn that had this message before, and what it had already sent."""

    turn: int
    outcome: str
    sent: tuple[str, ...] = ()
    """One line a message: `m-... to iris: first words`."""


@frozen
class ClaimedMail:
    """A message in hand, with the number that alone fences its verdict."""

    mail: Mail
    claim: int
    redeliveries: tuple[Redelivery, ...] = ()


class Standing(StrEnum):
    """What a recipient is doing when mail for it is accepted."""

    RUNNING = "running"
    IDLE = "idle"
    PARKED = "parked"
    PERSON = "person"


@frozen
class Accepted:
    """One message that is now hive's to deliver."""

    recipient: str
    number: int
    id: str
    ahead: int = 0
    """How many unfinished messages the recipient has before this one."""

    standing: Standing = Standing.IDLE
    parked_for: str | None = None
    parked_until: float | None = None
    blocked: str | None = None
    """Why the loop guard holds it until a person releases it, or None."""


@frozen
class NotAccepted:
    """One recipient that got nothing, and why."""

    recipient: str
    code: str
    why: str


@frozen
class SendAnswer:
    """What became of one send.  A broadcast has one entry for each recipient."""

    accepted: tuple[Accepted, ...] = ()
    refused: tuple[NotAccepted, ...] = ()
