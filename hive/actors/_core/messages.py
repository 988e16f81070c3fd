"""What travels between actors, and what the kernel writes on the outside of it.

A message is a frozen value that sender and receiver share, so it must not change.
Everything that does change about it (attempts, claims) is on its envelope, which only the mailbox touches.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

from attrs import define, frozen

from .reply import Reply

T = TypeVar("T")


class Message:
    """The base of everything that can be told to an actor. Subclass it with `@frozen`."""

    __slots__ = ()


class Request(Message, Generic[T]):
    """A message with an answer of type `T`. Subclass it with `@frozen`."""

    __slots__ = ()


class Internal(Message):
    """The kernel's talk to itself about one incarnation. Meaningless later, so it never becomes a dead letter."""

    __slots__ = ()


Kinds: TypeAlias = "frozenset[type[Message]]"
"""Message classes, matched exactly: a subclass is another kind."""


@define(eq=False)
class Envelope:
    """A message under way: who sent it and because of what, when, who waits for the answer, how often it was tried."""

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

    It stops being valid when it is settled and when the incarnation that holds it ends: the claim number tells.
    """

    envelope: Envelope
    claim: int

    @property
    def message(self) -> Message:
        """What was said."""
        return self.envelope.message

    @property
    def id(self) -> int:
        """The envelope's number, unique within a hive. Use it as an idempotency key for effects outside."""
        return self.envelope.id

    @property
    def sender(self) -> str | None:
        """Who sent it, or None from outside the hive."""
        return self.envelope.sender

    @property
    def attempts(self) -> int:
        """How many attempts have failed so far."""
        return self.envelope.attempts


@frozen
class Down(Message):
    """An actor that was watched has stopped and will not come back by itself."""

    name: str
    reason: str
