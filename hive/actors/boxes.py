"""Bringing boxes up, taking them down, and telling the store: one place, whoever asked.

The rule kept here: what is announced follows from what changed, never from who called.  A rebuild is a
`box_down` row and nothing else; it is on disk before the box is touched, so it is finished whoever dies.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import assert_never

import trio
from attrs import define, field, frozen

from hive.actors.look import Announce, BoxStep, Keep, Report, Start, TakeDown, tend
from hive.containers.port import Box, BoxDown, BoxStatus, Driver
from hive.protocol import commands
from hive.protocol.errors import HiveRefusal
from hive.protocol.parking import Parked, Reason
from hive.protocol.views import AgentView
from hive.store.port import Store

OPERATION_SECONDS = 60.0
"""How long a driver may take over one operation."""

STOP_SECONDS = 5.0
"""How long the processes of a box may take to leave when they are asked to."""

STEADY_SECONDS = 60.0
"""A box that lived this long is started again at once, however often it died before."""

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0
"""Delays between starts of a box that does not stay up: double from the first to the longest."""


@frozen
class Up:
    """A box that runs, and what tells this start of it from every other."""

    box: Box
    leader: int | None
    epoch: int


@frozen
class _Start:
    """One start of a box that has been submitted to the store."""

    box: Box
    status: BoxStatus
    since: float


@define(eq=False)
class _Known:
    """What this daemon knows of one agent's box."""

    driver: Driver
    lock: trio.Lock = field(factory=trio.Lock)
    start: _Start | None = None
    deaths: int = 0
    """Deaths and failed starts without a steady time between."""

    not_before: float = 0.0

    @property
    def leader(self) -> int | None:
        """What tells the start we know from every other."""
        return None if self.start is None else self.start.status.leader

    def died(self, now: float) -> None:
        """Put off the next start, unless this was the first death for a long time."""
        steady = self.start is not None and now - self.start.since > STEADY_SECONDS
        self.deaths = 1 if steady else self.deaths + 1
        delay = FIRST_DELAY_SECONDS * 2.0 ** min(self.deaths - 2, 30) if self.deaths > 1 else 0.0
        self.not_before = now + min(LONGEST_DELAY_SECONDS, delay)


@define(eq=False)
class Boxes:
    """The boxes of one hive.  Outlives every actor that uses it."""

    _store: Store
    _drivers: Mapping[str, Driver]
    _clock: Callable[[], float] = trio.current_time
    _known: dict[str, _Known] = field(factory=dict, init=False)

    async def bring_up(self, agent: str) -> Up:
        """The agent's box, started if need be.  Raises `BoxDown` where it cannot be up now."""
        await self.tend(agent, start=True)
        known, view = self._known.get(agent), self._store.reader.agent(agent)
        if known is None and view is not None:
            cause = f"this hive has no driver {view.settings.driver!r}"
            await self._store.submit(commands.BoxDown(agent, cause)).outcome()
        if known is None or known.start is None or view is None:
            raise BoxDown(f"{agent}'s box cannot be up now; see its park reasons")
        return Up(known.start.box, known.leader, view.epoch)

    async def is_up(self, agent: str, up: Up) -> bool:
        """Whether the box still runs that was up then: a re-read.  One that cannot be read does not."""
        known = self._known.get(agent)
        if known is not None:
            with suppress(OSError, trio.TooSlowError):
                return (await self._status(known, agent)).leader == up.leader
        return False

    async def is_in_order(self, agent: str) -> bool:
        """Whether the box is known, and `tend` would find nothing to do.  Raises `OSError`."""
        known = self._known.get(agent)
        if known is None:
            return False
        status = await known.driver.status(agent)
        return isinstance(self._step(self._store.reader.agent(agent), status, known), Keep)

    def concerned(self) -> tuple[str, ...]:
        """The agents with a box to look after: one that was up, or one that the store misses."""
        missed = (view.name for view in self._store.reader.agents() if _down(view) is not None)
        return tuple(dict.fromkeys((*self.up, *missed)))

    @property
    def up(self) -> Mapping[str, Driver]:
        """The agents whose boxes were up when last looked at, with their drivers."""
        return {agent: known.driver for agent, known in self._known.items() if known.start is not None}

    async def rebuild(self, agent: str, cause: str = "rebuilt") -> None:
        """Have the box replaced.  When this returns the intent is committed; `tend` carries it out."""
        await self._store.submit(commands.BoxDown(agent, cause)).outcome()

    async def tend(self, agent: str, *, start: bool = False) -> float | None:
        """Make the box as it should be and the store know it; `start` also one that was never up.

        Answers after how many seconds to try again, or None when all is well.  Cancelled or failed at any
        point, the next call goes on from there.
        """
        known = self._know(agent)
        if known is None:
            await trio.lowlevel.checkpoint()
            return None
        async with known.lock:
            while True:
                view = self._store.reader.agent(agent)
                status = await self._status(known, agent)
                step = self._step(view, status, known)
                if isinstance(step, Keep):
                    return None
                if isinstance(step, Start):
                    if not start and _down(view) is None:
                        return None
                    if (wait := known.not_before - self._clock()) > 0:
                        return wait
                await self._carry_out(step, agent, view, status, known)

    def _know(self, agent: str) -> _Known | None:
        view = self._store.reader.agent(agent)
        if agent not in self._known:
            if view is None or view.removed_at is not None or view.settings.driver not in self._drivers:
                return None
            self._known[agent] = _Known(self._drivers[view.settings.driver])
        return self._known[agent]

    def _step(self, view: AgentView | None, status: BoxStatus, known: _Known) -> BoxStep:
        wanted = view is not None and view.removed_at is None and not _stopped(view)
        return tend(status.state, status.leader, known.leader, wanted=wanted, parked=_down(view) is not None)

    async def _carry_out(
        self, step: BoxStep, agent: str, view: AgentView | None, status: BoxStatus, known: _Known
    ) -> None:
        match step:
            case Start():
                await self._start(agent, known)
            case Announce():
                await self._announce(agent, _down(view), status, known)
            case Report():
                known.died(self._clock())
                await self._forget(agent, known)
                await self._store.submit(commands.BoxDown(agent, status.cause or "it went down")).outcome()
            case TakeDown():
                with trio.fail_after(OPERATION_SECONDS):
                    await known.driver.stop(agent, STOP_SECONDS)
                await self._forget(agent, known)
            case Keep():
                await trio.lowlevel.checkpoint()
            case _:
                assert_never(step)

    async def _start(self, agent: str, known: _Known) -> None:
        try:
            with trio.fail_after(OPERATION_SECONDS):
                await known.driver.start(agent)
        except (OSError, trio.TooSlowError) as error:
            known.died(self._clock())
            cause = f"it cannot be started: {str(error) or 'it takes too long'}"
            await self._store.submit(commands.BoxDown(agent, cause)).outcome()

    async def _announce(self, agent: str, down: Parked | None, status: BoxStatus, known: _Known) -> None:
        with trio.fail_after(OPERATION_SECONDS):
            box = await known.driver.start(agent)
        if status.leader is not None and status.started is not None:
            record = commands.RecordProcess(agent, status.leader, status.started)
            await self._store.submit(record).outcome()
        first = down is None and known.start is None
        cause = "hive started it" if first else (down and down.detail) or "started again"
        # Known from the submit on: where its commit is in doubt, `box_down` still holds and starts it anew.
        known.start = _Start(box, status, self._clock())
        try:
            await self._store.submit(commands.BoxStarted(agent, cause, wakes=not first)).outcome()
        except HiveRefusal:
            known.start = None
            raise

    async def _forget(self, agent: str, known: _Known) -> None:
        before, known.start = known.start, None
        if before is not None and before.status.leader is not None and before.status.started is not None:
            forget = commands.ForgetProcess(agent, before.status.leader, before.status.started)
            await self._store.submit(forget).outcome()

    async def _status(self, known: _Known, agent: str) -> BoxStatus:
        with trio.fail_after(OPERATION_SECONDS):
            return await known.driver.status(agent)


def _down(view: AgentView | None) -> Parked | None:
    if view is None:
        return None
    return next((parked for parked in view.parked if parked.reason is Reason.BOX_DOWN), None)


def _stopped(view: AgentView) -> bool:
    return any(parked.reason is Reason.STOPPED for parked in view.parked)
