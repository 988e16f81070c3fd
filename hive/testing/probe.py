"""An actor that does what it is told and writes down what happened to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from attrs import define, evolve, frozen

from hive.actors import Actor, Backoff, ChildSpec, Context, Kinds, Message, Request


@frozen
class Note(Message):
    """Something to write down."""

    text: str


@frozen(eq=False)
class Do(Request[object]):
    """Something to do in a handling.

    What it returns is the answer; what it raises is raised in the handler.
    """

    act: Callable[[Context], Awaitable[object]]


@define(eq=False)
class Probe(Actor):
    """Writes `up`, `down` and the text of each note into a log that it may share with others."""

    log: list[str]
    select: Kinds | None = None
    on_start: Callable[[Context], Awaitable[object]] | None = None

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Write down when we come and go."""
        if self.on_start is not None:
            await self.on_start(ctx)
        self.log.append(f"{ctx.name} up")
        try:
            yield
        finally:
            self.log.append(f"{ctx.name} down")

    def wanted(self) -> Kinds | None:
        """Whatever we were told to select."""
        return self.select

    async def handle(self, message: Message, ctx: Context) -> object:
        """Do it, or write it down."""
        if isinstance(message, Do):
            return await message.act(ctx)
        self.log.append(f"{ctx.name} got {message.text if isinstance(message, Note) else repr(message)}")
        return None


def probe(name: str, log: list[str] | None = None, **settings: object) -> ChildSpec:
    """A spec for a probe that restarts at once. Settings go to the probe or to the spec, by their names."""
    own = {"select", "on_start"}
    start = partial(Probe, [] if log is None else log, **{k: v for k, v in settings.items() if k in own})  # type: ignore[arg-type]
    spec = ChildSpec(name, start, backoff=Backoff.none())
    return evolve(spec, **{k: v for k, v in settings.items() if k not in own})  # type: ignore[arg-type]
