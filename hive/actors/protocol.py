"""The messages between hive's own actors.  Few, because what matters is in the store.

The rule kept here: a message between actors is a request to act on the store or a hint to look at it;
none carries state that would be lost with it.
"""

from typing import Generic, Protocol, TypeVar

from attrs import frozen

from hive.actors import Message, Request
from hive.protocol.commands import Command, Once

T = TypeVar("T")

WRITER = "writer"
BROKER = "broker"
STEWARD = "steward"
WATCHER = "watcher"
JANITOR = "janitor"
AUDITOR = "auditor"
AGENTS = "agents"
CHAOS = "chaos"
"""There only while chaos is on."""

HARNESS_PREFIX = "agent:"
"""No infrastructure actor's name has a colon, so an agent may be called `broker`."""


def harness_of(agent: str) -> str:
    """The actor that runs this agent."""
    return f"{HARNESS_PREFIX}{agent}"


def agent_of(harness: str) -> str:
    """The agent that this actor runs."""
    return harness.removeprefix(HARNESS_PREFIX)


@frozen
class Perform(Request[T], Generic[T]):
    """Ask the broker to carry out a command; answered after its commit, or with its refusal."""

    command: Command[T]
    once: Once | None = None


class Performs(Protocol):
    """Whoever carries out commands: the ref of the broker, or what stands before it."""

    async def ask(self, request: Request[T]) -> T:
        """Send a request and wait for its answer."""
        ...


@frozen
class Look(Message):
    """A hint: something that concerns you may have changed.  Losing it costs latency only."""


@frozen
class Rebuild(Request[None]):
    """Ask the watcher to replace an agent's box; answered when the intent is committed."""

    agent: str
    cause: str = "rebuilt"
