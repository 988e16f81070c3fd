"""The frame of a turn, the same for whatever thinks in it: its events, its one end, and how it is begun.

The rule kept here: a turn yields its events and ends in exactly one `Result`, whatever goes wrong inside
it; leaving its block ends everything it started.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import trio
from attrs import define, field, frozen

from hive.agents.backend import Prompt, TurnRun
from hive.agents.beside import beside
from hive.agents.events import ErrorClass, Noted, Result, TurnEvent
from hive.agents.tools import ToolsDown
from hive.containers.port import BoxDown
from hive.protocol.errors import HiveRefusal

EVENTS_AHEAD = 64
"""Events a turn may be ahead of its reader, as a pipe would let a process be."""

DETAIL_CHARACTERS = 500
"""How much is kept of what somebody else says about a failure."""


@define(eq=False)
class TurnFrame:
    """What every running turn has.  A subclass carries it out in `_play`, and is stopped by its `cancel`."""

    _send: trio.MemorySendChannel[TurnEvent] = field(init=False)
    _events: trio.MemoryReceiveChannel[TurnEvent] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the channel both ends of which belong to this turn."""
        self._send, self._events = trio.open_memory_channel[TurnEvent](EVENTS_AHEAD)

    def __aiter__(self) -> AsyncIterator[TurnEvent]:
        """The events, up to and including the one `Result`."""
        return self._events

    async def perform(self) -> None:
        """Carry the turn out and say how it ended."""
        with self._send:
            await self._send.send(await self._play())

    async def _play(self) -> Result:
        """Carry it out.  Raises nothing: what goes wrong is how it ended."""
        raise NotImplementedError

    async def _emit(self, event: TurnEvent) -> None:
        await self._send.send(event)

    def _tell(self, note: Noted) -> None:
        """Say what may be lost, from where nobody can wait."""
        with suppress(trio.WouldBlock):
            self._send.send_nowait(note)


class Played(TurnRun, Protocol):
    """A turn that somebody has to carry out beside its reader."""

    async def perform(self) -> None:
        """Carry the turn out and say how it ended."""
        ...


@frozen
class TurnByTurn:
    """A `Session` of which nothing runs between turns."""

    make: Callable[[Prompt], Played]

    @asynccontextmanager
    async def turn(self, prompt: Prompt) -> AsyncIterator[TurnRun]:
        """Run one turn.  Leaving the block cancels it and waits until nothing of it is left."""
        run = self.make(prompt)
        async with beside(run.perform):
            yield run


def cause_of(error: Exception) -> Exception:
    """The one error inside groups of one: a nursery somewhere below wraps what was raised in it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return error


def broken(error: Exception) -> Result:
    """The end of a turn that broke down, by what it broke down with."""
    match error := cause_of(error):
        case ToolsDown():
            return Result(error=ErrorClass.TOOLS, detail=str(error))
        case BoxDown():
            return Result(error=ErrorClass.BOX_GONE, detail=str(error))
        case HiveRefusal():
            return Result(error=ErrorClass.NO_START, detail=error.text)
        case _:
            detail = f"{type(error).__name__}: {error}"[:DETAIL_CHARACTERS]
            return Result(error=ErrorClass.CRASH, detail=detail)


__all__ = ["DETAIL_CHARACTERS", "TurnByTurn", "TurnFrame", "broken", "cause_of"]
