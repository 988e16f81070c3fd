"""A backend whose turns are read through somebody's hands: where a fault gets between it and its harness.

The rule kept here: only reading is interposed.  What the real turn does, and how it ends, stays its own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from attrs import define, field, frozen

from hive.agents.backend import Backend, Capabilities, Prompt, Session, SessionSpec, TurnRun
from hive.agents.events import TurnEvent

Read: TypeAlias = Callable[[AsyncIterator[TurnEvent]], Awaitable[TurnEvent]]
"""Reads the next event of a turn, or raises what a stream raises that breaks."""

ReaderOf: TypeAlias = Callable[[str], Read]
"""Asked with the agent's name once a turn."""


@define(eq=False)
class InterposedRun:
    """A turn whose events pass through a `Read`."""

    _run: TurnRun
    _read: Read
    _events: AsyncIterator[TurnEvent] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Take the events of the real turn."""
        self._events = aiter(self._run)

    def __aiter__(self) -> AsyncIterator[TurnEvent]:
        """Iterate over what the reader lets through."""
        return self

    async def __anext__(self) -> TurnEvent:
        """The next event, or what the reader raises."""
        return await self._read(self._events)

    async def fold_in(self, prompt: Prompt) -> None:
        """Pass it on."""
        await self._run.fold_in(prompt)

    async def cancel(self) -> None:
        """Pass it on."""
        await self._run.cancel()


@frozen
class InterposedSession:
    """A session whose turns are read so."""

    session: Session
    agent: str
    reader_of: ReaderOf

    @asynccontextmanager
    async def turn(self, prompt: Prompt) -> AsyncIterator[TurnRun]:
        """Run a turn."""
        async with self.session.turn(prompt) as run:
            yield InterposedRun(run, self.reader_of(self.agent))


@frozen
class Interposed:
    """A backend whose turns are read so."""

    backend: Backend
    reader_of: ReaderOf

    @property
    def capabilities(self) -> Capabilities:
        """Those of the real one."""
        return self.backend.capabilities

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator[Session]:
        """Open a session."""
        async with self.backend.open(spec) as session:
            yield InterposedSession(session, spec.agent, self.reader_of)
