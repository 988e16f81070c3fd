"""Sees to it that every agent has a harness, and nobody else has.

The rule kept here: the agent table and the park rows say what should be; this actor compares them with its
supervisor's children and evens out the difference.  Adding, removing and resuming an agent are commits, and
nothing is lost when this actor is not there to see them.
"""

import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from attrs import define, field, frozen

from hive.actors import (
    Actor,
    ActorSnapshot,
    ChildSpec,
    Context,
    Down,
    DropChild,
    Grace,
    ListChildren,
    Message,
    Ref,
    Restart,
    Snapshot,
    StartChild,
    StartFailed,
    Status,
)
from hive.actors.harness import Harness
from hive.actors.hearing import look_on_hints, ringing
from hive.actors.protocol import AGENTS, STEWARD, Look, agent_of, harness_of
from hive.actors.turn import Parts
from hive.protocol.commands import Park
from hive.protocol.parking import Reason
from hive.protocol.views import AgentView, JournalRow
from hive.store.hints import Hints
from hive.store.port import Store

START_TRIES = 5
"""A harness that cannot start is tried so often in a row before a person has to look."""

RETRY_SECONDS = 1.0
"""The pause before it is tried again."""

HARNESS_SHUTDOWN_SECONDS = 15.0
"""A backend is asked for 5 s, its box's processes for 5 more; then the harness is cancelled."""


def harness_spec(agent: str, parts: Parts) -> ChildSpec:
    """How an agent's harness lives."""
    return ChildSpec(
        name=harness_of(agent),
        start=lambda: Harness(agent, parts),
        restart=Restart.PERMANENT,
        # Ready when the store has ended its predecessor's turn, and that waits for a full disk too.
        grace=Grace(startup=math.inf, shutdown=HARNESS_SHUTDOWN_SECONDS),
    )


@frozen
class Change:
    """What the set of harnesses needs."""

    drop: tuple[str, ...]
    start: tuple[str, ...]
    give_up: tuple[str, ...]
    """Agents whose harness crashed too often: their row is yet to be written."""


def compare(agents: Sequence[AgentView], children: Sequence[Snapshot]) -> Change:
    """What is missing, what is too much, and what its supervisor has given up."""
    wanted = [view.name for view in agents if _wanted(view)]
    there = {agent_of(child.name): child for child in children}
    parked = [name for name in wanted if name in there and _status(there[name]) is Status.PARKED]
    return Change(
        drop=tuple(name for name in there if name not in wanted),
        start=tuple(name for name in wanted if name not in there),
        give_up=tuple(parked),
    )


def _wanted(view: AgentView) -> bool:
    return view.removed_at is None and all(parked.reason is not Reason.RESTARTS for parked in view.parked)


def _status(child: Snapshot) -> Status:
    return child.status if isinstance(child, ActorSnapshot) else child.actor.status


@define(eq=False)
class Steward(Actor):
    """Starts and drops harnesses."""

    store: Store
    hints: Hints
    spec: Callable[[str], ChildSpec]
    _failed: Counter[str] = field(factory=Counter, init=False)
    """How often in a row an agent's harness could not start."""

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Ready at once: the agents are started by the first look."""
        with ringing(self.store, self.hints, STEWARD, _concerns):
            look_on_hints(ctx, self.hints, STEWARD)
            yield

    async def handle(self, message: Message, ctx: Context) -> object:
        """Even out the difference."""
        match message:
            case Look() | Down():
                await self._even_out(ctx.ref(AGENTS), ctx)
            case _:
                return await super().handle(message, ctx)
        return None

    async def _even_out(self, supervisor: Ref, ctx: Context) -> None:
        children = await supervisor.ask(ListChildren())
        change = compare(self.store.reader.agents(), children)
        errors = {agent_of(child.name): _last_error(child) for child in children}
        for name in change.drop:
            await supervisor.ask(DropChild(harness_of(name)))
        for name in change.give_up:
            # Dropped before its row is written: should we die between, it is merely started afresh.
            await supervisor.ask(DropChild(harness_of(name)))
            await self.store.submit(Park(name, Reason.RESTARTS, detail=errors[name])).outcome()
        for name in change.start:
            await self._start(name, supervisor, ctx)

    async def _start(self, name: str, supervisor: Ref, ctx: Context) -> None:
        try:
            await supervisor.ask(StartChild(self.spec(name)))
        except StartFailed as failed:
            self._failed[name] += 1
            if self._failed[name] < START_TRIES:
                # It may have been killed, which says nothing about the next time.
                ctx.after(RETRY_SECONDS, Look())
                return
            await self.store.submit(Park(name, Reason.RESTARTS, detail=str(failed))).outcome()
        else:
            ctx.watch(harness_of(name))
        del self._failed[name]


def _concerns(row: JournalRow) -> bool:
    match row.type:
        case "agent.added" | "agent.removed":
            return True
        case "park.set" | "park.lifted":
            return row.subject == Reason.RESTARTS
        case _:
            return False


def _last_error(child: Snapshot) -> str:
    actor = child if isinstance(child, ActorSnapshot) else child.actor
    return actor.last_error or ""
