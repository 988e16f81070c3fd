"""A supervisor is an actor whose messages are exits and whose work is restarting.

Exits, due restarts and requests are handled one at a time in its own mailbox: no lock to forget, and nothing
can come back to life behind its shutdown, because the task that shuts down is the only one that ever starts a
child.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias, assert_never

import trio
from attrs import define, field, frozen

from . import errors
from .actor import Actor
from .cell import Cell, ChildSpec, Incarnation
from .context import Context
from .facts import Decision, Supervised
from .messages import Internal, Message, Request
from .policy import Budget, Crashed, Exit, Kinship, Restart, RestartWindow, Status, Strategy, describe
from .ref import Ref
from .snapshot import Snapshot, SupervisorSnapshot, of_cell
from .timers import Timer


@frozen
class StartChild(Request[Ref]):
    """Add a child, last in order, and answer with its ref once it is ready.

    Declined with `StartFailed` (nothing is added then), `NameTaken`, `TooManyChildren`, `InvalidSpec`.
    """

    spec: ChildSpec


@frozen
class StopChild(Request[None]):
    """Stop a child and leave it stopped, with its mail. Declined with `NoSuchChild` or `StillLeaving`."""

    name: str


@frozen
class DropChild(Request[None]):
    """Stop a child and forget it. What waits in its mailbox becomes dead letters, and its name is free."""

    name: str


@frozen
class RestartChild(Request[None]):
    """Stop a child if it is running, forgive its failures, and start it. If that fails, it is parked."""

    name: str


@frozen
class ReplaceChild(Request[None]):
    """Stop the child of that name and start it by this spec.

    It keeps its place and its mail. Otherwise as `RestartChild`.
    """

    spec: ChildSpec


@frozen
class ListChildren(Request["tuple[Snapshot, ...]"]):
    """The children, in the order in which they start."""


Asked: TypeAlias = StartChild | StopChild | DropChild | RestartChild | ReplaceChild | ListChildren


@frozen(eq=False)
class Exited(Internal):
    """A child's incarnation has ended.

    It names the incarnation itself, so that stale news cannot be mistaken.
    """

    life: Incarnation


@frozen(eq=False)
class RestartDue(Internal):
    """It is time to start these again, in order, as far as they still wait for it.

    Void when the plan it belongs to, that of the cell that failed, has been superseded since.
    """

    failed: Cell
    cells: tuple[Cell, ...]


@define(eq=False)
class Supervisor(Actor):
    """Keeps its children running by their specs.

    A family shares the budget and leaves in reverse order; when the budget is spent, the supervisor stops all
    of it and fails. Strangers have the budget each and leave together; one that has spent it is parked.
    """

    children: Sequence[ChildSpec] = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    kinship: Kinship = Kinship.FAMILY
    budget: Budget = Budget()
    max_children: int | None = None
    _ctx: Context = field(init=False)
    _nursery: trio.Nursery = field(init=False)
    _window: RestartWindow = field(init=False)
    _cells: dict[str, Cell] = field(factory=dict, init=False)
    _due: dict[Cell, Timer] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what could never work, before anything is started."""
        if self.kinship is Kinship.STRANGERS and self.strategy is not Strategy.ONE_FOR_ONE:
            raise errors.InvalidSpec("strangers are restarted one for one; another strategy is for a family")
        names = [spec.name for spec in self.children]
        if len(set(names)) != len(names):
            raise errors.InvalidSpec(f"each child needs a name of its own, but got {', '.join(names)}")
        for spec in self.children:
            self._check(spec)
        self._window = RestartWindow(self.budget)

    def _check(self, spec: ChildSpec) -> None:
        if spec.restart is not Restart.TEMPORARY and spec.attempts >= self.budget.intensity:
            raise errors.InvalidSpec(
                f"{spec.name!r} gives a message {spec.attempts} attempts, but its supervisor allows "
                f"{self.budget.intensity} restarts: one bad message would spend them all. Change either"
            )

    # Living.

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Start the children in order; be ready; stop them."""
        self._ctx = ctx
        async with trio.open_nursery() as self._nursery:
            try:
                for spec in self.children:
                    await self._start_static(self._new_cell(spec))
                yield
            finally:
                # Bounded, because every child is: by its grace, and then by PATIENCE.
                with trio.CancelScope(shield=True):
                    await self._shut_down()

    async def _start_static(self, cell: Cell) -> None:
        try:
            await self._start(cell)
        except errors.StartFailed as failed:
            if self.kinship is Kinship.FAMILY:
                raise
            await self._recover(cell, failed.exit, at_once=False)

    async def _shut_down(self) -> None:
        cells = list(reversed(self._cells.values()))
        if self.kinship is Kinship.FAMILY:
            for cell in cells:
                await self._stop(cell)
        else:
            async with trio.open_nursery() as nursery:
                for cell in cells:
                    nursery.start_soon(self._stop, cell)
        for cell in cells:
            cell.close("its supervisor stopped")

    async def handle(self, message: Message, ctx: Context) -> object:
        """One exit, one due restart, or one request at a time."""
        match message:
            case Exited(life):
                await self._after(life)
            case RestartDue(failed, cells):
                if failed in self._due and self._due[failed].message is message:
                    del self._due[failed]
                    await self._start_again(cells)
            case StartChild() | StopChild() | DropChild() | RestartChild() | ReplaceChild() | ListChildren():
                try:
                    return await self._comply(message)
                except errors.HiveError as error:
                    raise errors.Decline(error) from error
            case _:
                await super().handle(message, ctx)
        return None

    # Exits and restarts.

    def _exited(self, life: Incarnation) -> None:
        """Called by a cell in its last breath. We hear of it in our own time."""
        self._ctx.cell.post(Exited(life), urgent=True)

    async def _after(self, life: Incarnation) -> None:
        """Decide what follows an exit, unless somebody has decided since."""
        cell, exit_ = life.cell, life.exit
        if exit_ is None or cell.life is not life or cell.status is not Status.EXITED:
            return
        if life.ready_at is not None and self._ctx.now() - life.ready_at >= cell.spec.backoff.quiet:
            cell.failures = 0
        if life.stopping:
            cell.rest(Status.STOPPED, "stopped")
        elif cell.spec.restart.wants_back(exit_):
            await self._recover(cell, exit_, at_once=True)
        elif cell.spec.restart is Restart.TEMPORARY:
            self._report(cell, exit_, Decision.DROP)
            self._drop(cell, describe(exit_))
        else:
            self._report(cell, exit_, Decision.LEAVE_STOPPED)
            cell.rest(Status.STOPPED, describe(exit_))

    async def _recover(self, cell: Cell, exit_: Exit, *, at_once: bool) -> None:
        """Start a child again, and whoever the strategy says must be started with it; or give up."""
        cell.failures += 1
        if not cell.window.spend(self._ctx.now()):
            self._give_up(cell, exit_)
            return
        group = [self._cells[name] for name in self.strategy.affected(list(self._cells), cell.name)]
        delay = cell.spec.backoff.pause(cell.failures, self._ctx.random)
        cell.status = Status.WAITING
        self._report(cell, exit_, Decision.RESTART, delay)
        for other in reversed(group):
            await self._stand_by(other)
        if at_once and delay == 0:
            await self._start_again(group)
        else:
            # A failed start always goes through the mailbox, so that a request to stop can overtake it.
            self._due[cell] = self._ctx.after(delay, RestartDue(cell, tuple(group)))

    async def _stand_by(self, cell: Cell) -> None:
        """Stop a child that will be started with its group, superseding a restart of its own."""
        if cell in self._due:
            self._due.pop(cell).cancel()
        if cell.alive is not None:
            await self._stop(cell)
            cell.status = Status.WAITING
            if cell.spec.restart is Restart.TEMPORARY:
                self._drop(cell, "stopped together with its group")

    async def _start_again(self, cells: Sequence[Cell]) -> None:
        """Start those that still wait for it, in order. One that fails is planned anew, with its group."""
        for cell in cells:
            if cell.status is Status.WAITING:
                try:
                    await self._start(cell)
                except errors.StartFailed as failed:
                    await self._recover(cell, failed.exit, at_once=False)
                    return

    def _give_up(self, cell: Cell, exit_: Exit) -> None:
        if self.kinship is Kinship.STRANGERS:
            self._report(cell, exit_, Decision.PARK)
            cell.rest(Status.PARKED, describe(exit_))
            return
        self._report(cell, exit_, Decision.ESCALATE)
        cause = exit_.error if isinstance(exit_, Crashed) else None
        spent = f"{self._ctx.name!r} restarted {self.budget.intensity} times in {self.budget.period} s"
        raise errors.RestartsExhausted(f"{spent}, and {cell.name!r} failed again") from cause

    # Requests.

    async def _comply(self, request: Asked) -> object:
        match request:
            case StartChild(spec):
                return await self._add(spec)
            case StopChild(name):
                (await self._stopped(name)).rest(Status.STOPPED, "stopped")
            case DropChild(name):
                self._drop(await self._stopped(name), "dropped")
            case RestartChild(name):
                await self._restart(await self._stopped(name))
            case ReplaceChild(spec):
                self._check(spec)
                cell = await self._stopped(spec.name)
                cell.spec = spec
                await self._restart(cell)
            case ListChildren():
                return self.snapshot().children
            case _:
                assert_never(request)
        return None

    async def _add(self, spec: ChildSpec) -> Ref:
        self._check(spec)
        if self.max_children is not None and len(self._cells) >= self.max_children:
            raise errors.TooManyChildren(f"{self._ctx.name!r} has {self.max_children} children, its limit")
        cell = self._new_cell(spec)
        try:
            await self._start(cell)
        except errors.StartFailed:
            self._drop(cell, "it could not start")
            raise
        return self._ctx.ref(spec.name)

    async def _stopped(self, name: str) -> Cell:
        """A child, stopped by request. Raises `WouldDeadlock` if it waits for this very request."""
        cell = self._cells.get(name)
        if cell is None:
            raise errors.NoSuchChild(f"{self._ctx.name!r} has no child called {name!r}")
        await self._stop(cell, asked=True)
        if cell.alive is not None:
            raise errors.StillLeaving(f"{name!r} ignores its cancellation")
        return cell

    async def _restart(self, cell: Cell) -> None:
        cell.failures = 0
        if self.kinship is Kinship.STRANGERS:
            cell.window.forgive()
        try:
            await self._start(cell)
        except errors.StartFailed as failed:
            self._report(cell, failed.exit, Decision.PARK)
            cell.rest(Status.PARKED, str(failed))
            raise

    # One child.

    def _new_cell(self, spec: ChildSpec) -> Cell:
        window = self._window if self.kinship is Kinship.FAMILY else RestartWindow(self.budget)
        self._cells[spec.name] = cell = Cell(spec, self._ctx.cell.runtime, window, self._exited)
        return cell

    async def _start(self, cell: Cell) -> None:
        # Whoever asks us while we start it would wait for itself: the edge makes that an error at once.
        with self._ctx.cell.runtime.waits.edge(self._ctx.name, cell.name):
            await cell.start(self._nursery)

    async def _stop(self, cell: Cell, *, asked: bool = False) -> None:
        """Stop a child, whatever it waits for.

        What it has asked us is answered first: there will be no answer.
        """
        answered = self._ctx.cell.fail_questions(sender=cell.name)
        with self._ctx.cell.runtime.waits.edge(self._ctx.name, cell.name, checked=asked and not answered):
            await cell.stop()

    def _drop(self, cell: Cell, reason: str) -> None:
        del self._cells[cell.name]
        cell.close(reason)

    def _report(self, cell: Cell, exit_: Exit, decision: Decision, delay: float = 0.0) -> None:
        self._ctx.publish(Supervised(self._ctx.name, cell.name, cell.incarnation, exit_, decision, delay))

    def snapshot(self) -> SupervisorSnapshot:
        """This supervisor and everything below it, now."""
        children = tuple(snapshot(cell) for cell in self._cells.values())
        return SupervisorSnapshot(of_cell(self._ctx.cell), self.strategy, self.kinship, self.budget, children)


def snapshot(cell: Cell) -> Snapshot:
    """This cell and everything below it, now."""
    occupant = None if cell.life is None else cell.life.occupant
    return occupant.snapshot() if isinstance(occupant, Supervisor) else of_cell(cell)
