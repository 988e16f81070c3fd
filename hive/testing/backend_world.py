"""What the suite of backends plays with: what an agent can be made to do, a world for it, and its turns."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Protocol

from hive.agents.backend import Backend, Prompt, Session, SessionSpec, TurnRun
from hive.agents.events import Result, TurnEvent


class Behaviour(Enum):
    """What a prompt can make the agent do."""

    WORK = auto()
    """Call tools, run a command, say something, and end well."""

    FAIL = auto()
    """Meet a rate limit that ends at a time it names."""

    CRASH = auto()
    """Die without a word."""

    HANG = auto()
    """Accept the prompt and be silent for ever."""


class World(Protocol):
    """A backend and what it reaches out to, made afresh for every run."""

    backend: Backend
    spec: SessionSpec

    def prompt(self, behaviour: Behaviour, *messages: int) -> Prompt:
        """A prompt that shows these messages and makes the agent behave so."""
        ...

    def take_tools_down(self) -> None:
        """From now on hive's tools cannot be reached."""
        ...

    def left(self) -> Sequence[str]:
        """What is still alive of anything that was started, in words."""
        ...


@asynccontextmanager
async def one_turn(world: World, prompt: Prompt) -> AsyncIterator[TurnRun]:
    """A turn in a session of its own."""
    async with world.backend.open(world.spec) as session, session.turn(prompt) as run:
        yield run


async def whole(session: Session, prompt: Prompt) -> list[TurnEvent]:
    """All events of one turn."""
    async with session.turn(prompt) as run:
        return [event async for event in run]


async def first(run: TurnRun, wanted: int) -> list[TurnEvent]:
    """The next so many events."""
    events: list[TurnEvent] = []
    if wanted:
        async for event in run:
            events.append(event)
            if len(events) == wanted:
                break
    return events


def the_result(events: Sequence[TurnEvent]) -> Result:
    """The one result, which is the last event."""
    results = [event for event in events if isinstance(event, Result)]
    assert len(results) == 1, f"{len(results)} results in {events}"
    assert events[-1] is results[0]
    return results[0]
