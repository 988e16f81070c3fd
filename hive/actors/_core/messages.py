"""What travels between actors, and what the kernel writes on the outside of it.

A message is a frozen value that sender and receiver share, so it must not change.
Everything that does change about it (attempts, claims) is on its envelope, which only the mailbox touches.
"""

from typing import Generic, TypeAlias, TypeVar

import trio
from attrs import define, frozen
from outcome import Outcome

T = TypeVar("T")


class Message:
    """The base of everything that can be told to an actor. Subclass it with `@frozen`."""

    __slots__ = ()


class Request(Message, Generic[T]):
    """A message with an answer of type `T`. Subclass it with `@frozen`."""

    __slots__ = ()


class Internal(Message):
    """The kernel's talk to itself about one incarnation. Never a dead letter: it means nothing later."""

    __slots__ = ()


Kinds: TypeAlias = frozenset[type[Message]]
"""Message classes, matched exactly: a subclass is another kind."""

Answer: TypeAlias = Outcome[object]
"""What an asker is told: a value, or an error to raise."""


@define(eq=False)
class Reply:
    """Who waits for an answer, parked, until it is told or gives up.

    The first answer wins and later ones are dropped, so a late answer cannot surprise anybody.
    """

    asker: trio.lowlevel.Task | None = None

    def resolve(self, answer: Answer) -> None:
        """Tell the asker, unless it has been told already or has given up."""
        if self.asker is not None:
            # This is what its parking returns or raises. Without it Trio would build an outcome of its own,
            # which is 4 % of an ask.
            trio.lowlevel.reschedule(self.asker, answer)
            self.asker = None


@define(eq=False)
class Envelope:
    """A message under way.

    Who sent it, because of which message, and when; who waits for the answer; how often it failed.
    """

    message: Message
    id: int
    sender: str | None
    cause: int | None
    since: float
    urgent: bool = False
    reply: Reply | None = None
    attempts: int = 0
    claim: int = 0

    @property
    def kind(self) -> str:
        """The name of the message's class."""
        return type(self.message).__name__


@frozen(eq=False)
class Held:
    """A message kept in hand beyond its handling, to be settled once.

    It stops being valid when it is settled and when the incarnation that holds it ends: the claim number
    tells.
    """

    envelope: Envelope
    claim: int

    @property
    def message(self) -> Message:
        """What was said."""
        return self.envelope.message


@frozen
class Down(Message):
    """An actor that was watched has stopped and will not come back by itself."""

    name: str
    reason: str
