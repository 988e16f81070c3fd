"""The port between a harness and whatever thinks.

The rule kept here: a backend never decides about mail.  It shows a prompt, reports what happened in the
events' vocabulary, and stops when asked; `hive.protocol.outcome` decides the rest.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from attrs import frozen

from hive.agents.events import TurnEvent
from hive.agents.tokens import CliSession
from hive.containers.port import Box
from hive.protocol.commands import Settings
from hive.protocol.mail import Mail


@frozen
class Prompt:
    """What a turn (or a fold-in) shows to the model."""

    text: str
    messages: tuple[int, ...]
    """Numbers of the messages shown in it."""

    mail: tuple[Mail, ...] = ()
    """The messages themselves, for backends that interpret mail without a model."""


@frozen
class Capabilities:
    """What a backend can do beyond a plain turn."""

    fold_in: bool = False
    external: bool = False
    """Hive runs no turns; the agent's own client claims its mail."""

    instructions: bool = False
    """Its sessions are told what stands in `SessionSpec.instructions`, however often they are shortened."""


@frozen
class SessionSpec:
    """Everything a backend needs to open a session for one agent."""

    agent: str
    settings: Settings
    token: CliSession
    box: Box
    instructions: str = ""
    """What is true of all turns; a prompt need not say it again.  Empty where the backend cannot be told."""


class TurnRun(Protocol):
    """One running turn.  Iterating yields its events and ends after its one `Result`."""

    def __aiter__(self) -> AsyncIterator[TurnEvent]: ...

    async def fold_in(self, prompt: Prompt) -> None:
        """Show more mail to the running turn.  Shown only once a `PromptAccepted` names it."""
        ...

    async def cancel(self) -> None:
        """Ask the turn to stop; its `Result` says `cancelled`.  Idempotent."""
        ...


class Session(Protocol):
    """A conversation.  One turn at a time."""

    def turn(self, prompt: Prompt) -> AbstractAsyncContextManager[TurnRun]:
        """Run one turn.  Leaving the block ends it, whatever state it is in, and nothing survives."""
        ...


class Backend(Protocol):
    """One way to run an agent."""

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do; the same for all its sessions."""
        ...

    def open(self, spec: SessionSpec) -> AbstractAsyncContextManager[Session]:
        """Open a session; leaving the block ends every process of it."""
        ...


__all__ = [
    "Backend",
    "Capabilities",
    "Prompt",
    "Session",
    "SessionSpec",
    "TurnRun",
]
