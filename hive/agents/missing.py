"""The backend of an agent whose own is gone: a preset that its owner has taken away.

The rule kept here: the agent's mail waits, and whoever asks why is told what is missing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import define, frozen

from hive.agents.backend import Capabilities, Prompt, Session, SessionSpec
from hive.agents.events import ErrorClass, Result
from hive.agents.frame import TurnByTurn, TurnFrame


@frozen
class MissingBackend:
    """Fails every turn before it has begun."""

    why: str

    @property
    def capabilities(self) -> Capabilities:
        """None of them."""
        return Capabilities()

    @asynccontextmanager
    async def open(self, _spec: SessionSpec) -> AsyncIterator[Session]:
        """Open a session in which no turn begins."""
        yield TurnByTurn(lambda _prompt: _NoTurn(self.why))


@define(eq=False)
class _NoTurn(TurnFrame):
    _why: str

    async def fold_in(self, prompt: Prompt) -> None:
        """Show nothing."""

    async def cancel(self) -> None:
        """It is over already."""

    async def _play(self) -> Result:
        await trio.lowlevel.checkpoint()
        return Result(error=ErrorClass.NO_START, detail=self._why)
