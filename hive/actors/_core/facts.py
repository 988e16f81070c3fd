"""What the kernel announces. Dashboards, journals and tests all read this one stream."""

import enum

from attrs import field, frozen

from .bus import Fact
from .messages import Message
from .policy import Exit


@frozen
class ActorStarted(Fact):
    """An incarnation is ready."""

    name: str
    incarnation: int


@frozen
class ActorExited(Fact):
    """An incarnation that had been ready is gone."""

    name: str
    incarnation: int
    exit: Exit


class Decision(enum.Enum):
    """What a supervisor did about a child that is not running."""

    RESTART = "restart after the delay"
    LEAVE_STOPPED = "leave it stopped"
    DROP = "drop it"
    PARK = "park it with its mail until a person restarts it"
    ESCALATE = "stop everybody and fail"


@frozen
class Supervised(Fact):
    """A supervisor's report: what happened to a child, and what it decided."""

    supervisor: str
    child: str
    incarnation: int
    exit: Exit
    decision: Decision
    delay: float = 0.0


class Burial(enum.Enum):
    """Why a message became a dead letter."""

    NO_SUCH_ACTOR = "no such actor"
    REFUSED = "the mailbox was full"
    DROPPED = "it was dropped to make room for a newer one"
    POISON = "its attempts are spent"
    REJECTED = "its handler rejected it"
    STOPPED = "its actor stopped for good"


@frozen
class DeadLetter(Fact):
    """A message that will not be handled, and why. The message itself may be private, so it is not shown."""

    to: str
    kind: str
    sender: str | None
    reason: Burial
    error: str = ""
    message: Message | None = field(default=None, repr=False, eq=False)


@frozen
class HandlingEnded(Fact):
    """A handling is over, and how many attempts have failed so far.

    `verdict` is the name of its verdict's class, or `Held` where the message stays in hand or was settled
    before.
    """

    name: str
    incarnation: int
    kind: str
    id: int
    cause: int | None
    sender: str | None
    attempts: int
    seconds: float
    verdict: str


@frozen
class WillNotLeave(Fact):
    """A child ignores its cancellation. Its stack, innermost call last, says where it is."""

    name: str
    incarnation: int
    stack: tuple[str, ...]
