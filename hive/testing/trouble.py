"""What can be done to a simulated hive from inside: streams that break, disks that fill, commits that dawdle.

The rule kept here: a fault is state that a test sets; who meets it finds it there, at its own time.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import trio
from attrs import define, evolve, field, frozen

from hive.agents.backend import Backend, Capabilities, Session, SessionSpec
from hive.agents.events import Result, TurnEvent
from hive.agents.interposed import Interposed, Read
from hive.store.faults import CommitFaults
from hive.store.hints import Hints
from hive.testing.faults import Fault, Faults, Injector, Site

LONGEST_FULL_SECONDS = 30.0
"""How long a fault keeps the disk full, at most."""

LONGEST_DELAY_SECONDS = 10.0
"""How much longer than usual a fault makes something take, at most."""


@define(eq=False)
class Trouble:
    """What is wrong at the moment."""

    commits: CommitFaults = field(factory=CommitFaults)
    """What keeps commits from holding."""

    tools_back_at: float = 0.0
    """Until this moment of virtual time no tool can be reached."""

    folds_in: bool = True
    """Whether mail is folded into running turns."""

    reads: int = 0
    """How often the event stream of any turn has been read."""

    cut_read: int | None = None
    """Which of these reads meets a connection error."""

    answers: int = 0
    """How often the endpoint has answered a call."""

    lost_answer: int | None = None
    """Which of these answers is lost on its way, after the endpoint has written it."""

    failures: dict[str, list[Result]] = field(factory=dict)
    """How the next turns of an agent end, whatever its backend says."""

    reading: dict[str, trio.CancelScope] = field(factory=dict)
    """The read that waits, by agent."""

    injector: Injector = field(factory=lambda: Injector(Faults(), 0))
    """Decides what goes wrong besides, by chance."""

    on_fault: Callable[[Fault, str | None], None] = lambda *_: None
    """Told of each of these, and whom it hits, if anybody in particular."""

    _full_until: float = field(default=0.0, init=False)
    _hint_dropped: bool = field(default=False, init=False)

    def _meets(self, site: Site, whom: str | None = None) -> Fault | None:
        """Pass a site: the fault it meets there, if any."""
        if (fault := self.injector.at(site)) is not None:
            self.on_fault(fault, whom)
        return fault

    def on_commit(self) -> None:
        """Called at every commit of the store: fail it, or let it pass."""
        if (fault := self._meets(Site.FULL_DISK)) is not None:
            self._full_until = trio.current_time() + LONGEST_FULL_SECONDS * fault.chance
        if trio.current_time() < self._full_until:
            raise sqlite3.OperationalError("database or disk is full")
        if self._meets(Site.FAIL_COMMIT) is not None:
            self.commits.next_fails = True
        self.commits.on_commit()

    def deafen(self, hints: Hints, *, otherwise: bool) -> None:
        """Called at every commit: whether nobody is told to look, this time."""
        if self._hint_dropped:
            hints.deaf, self._hint_dropped = otherwise, False
        if self._meets(Site.DROP_HINT) is not None:
            hints.deaf = self._hint_dropped = True

    def loses_this_answer(self) -> bool:
        """Called at every answer of the endpoint: whether its client never reads it."""
        self.answers += 1
        lost = self._meets(Site.LOSE_ANSWER) is not None
        return lost or self.answers == self.lost_answer

    def repeats(self) -> bool:
        """Called at every request that may be repeated: whether it arrives twice."""
        return self._meets(Site.DUPLICATE) is not None

    def delay(self) -> float:
        """Called where something may take longer: by how many seconds it does."""
        fault = self._meets(Site.DELAY)
        return 0.0 if fault is None else LONGEST_DELAY_SECONDS * fault.chance

    async def befall_read(self, agent: str) -> None:
        """Called at every read of an event: raise, or never return, or let it pass."""
        if self._meets(Site.CUT_STREAM, agent) is not None:
            raise ConnectionResetError("the stream was cut by a fault")
        if self._meets(Site.HANG, agent) is not None:
            await trio.sleep_forever()

    def end(self) -> None:
        """From now on nothing goes wrong by chance."""
        self.injector.active, self._full_until = False, 0.0

    def falsified(self, agent: str, event: TurnEvent) -> TurnEvent:
        """The event, or what a test wants to see in place of a result."""
        wanted = self.failures.get(agent)
        return wanted.pop(0) if wanted and isinstance(event, Result) else event

    def reader_of(self, agent: str) -> Read:
        """Reads a turn of this agent; any read of it may meet a connection error."""
        return partial(self._read, agent)

    async def _read(self, agent: str, events: AsyncIterator[TurnEvent]) -> TurnEvent:
        self.reads += 1
        with trio.CancelScope() as reading:
            self.reading[agent] = reading
            if self.reads == self.cut_read:
                reading.cancel(reason="cut by the test")
            await self.befall_read(agent)
            return self.falsified(agent, await anext(events))
        raise ConnectionResetError("the stream was cut by a test")


@frozen
class SeededPauses:
    """Holds the writer now and then, at the two points where a kill hurts most."""

    random: Random
    longest: float = 0.02
    delay: Callable[[], float] = lambda: 0.0
    """How much longer than usual this commit takes, in seconds."""

    async def before_commit(self) -> None:
        """Nothing has happened yet."""
        await trio.sleep(self._pause() + self.delay())

    async def after_commit(self) -> None:
        """The batch holds, and nobody has been told."""
        await trio.sleep(self._pause())

    def _pause(self) -> float:
        return self.random.choice((0.0, 0.0, self.longest * self.random.random()))


@frozen
class CutBackend:
    """A backend whose turns can be cut."""

    backend: Backend
    trouble: Trouble

    @property
    def capabilities(self) -> Capabilities:
        """Those of the real one, unless the test wants no mail folded in."""
        capabilities = self.backend.capabilities
        return evolve(capabilities, fold_in=capabilities.fold_in and self.trouble.folds_in)

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator[Session]:
        """Open a session."""
        async with Interposed(self.backend, self.trouble.reader_of).open(spec) as session:
            yield session


@define(eq=False)
class AtStep(trio.abc.Instrument):
    """Does something before the `step`-th step of any task after `arm`, and counts the steps."""

    step: int | None
    """None only counts."""

    steps: int = field(default=0, init=False)
    struck: bool = field(default=False, init=False)
    _strike: Callable[[], None] | None = field(default=None, init=False)

    def arm(self, strike: Callable[[], None]) -> None:
        """From now on steps count."""
        self._strike = strike

    def disarm(self) -> None:
        """From now on they do not."""
        self._strike = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by Trio."""
        del task
        if self._strike is None:
            return
        self.steps += 1
        if self.steps == self.step:
            self.struck = True
            self._strike()
