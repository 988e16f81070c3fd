"""A supervisor is an actor whose messages are exits and whose work is restarting.

Exits, due restarts and requests are handled one at a time in its own mailbox: no lock to forget, and nothing can come
back to life behind its shutdown, because the task that shuts down is the only one that ever starts a child.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias, assert_never

import trio
from attrs import define, field, frozen

from . import errors
from .actor import Actor
from .cell import Cell, Incarnation
from .context import Context
from .facts import Decision, Supervised
from .messages import Internal, Message, Request
from .policy import Budget, Crashed, Exit, Kinship, Left, Restart, RestartWindow, Stopped, Strategy
from .ref import Ref
from .runtime import describe
from .snapshot import Snapshot, SupervisorSnapshot, of_cell
from .spec import ChildSpec
from .status import Status
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
    """Stop the child of that name and start it by this spec. It keeps its place and its mail. As `RestartChild`."""

    spec: ChildSpec


@frozen
class ListChildren(Request["tuple[Snapshot, ...]"]):
    """The children, in the order in which they start."""


Asked: TypeAlias = StartChild | StopChild | DropChild | RestartChild | ReplaceChild | ListChildren


@frozen(eq=False)
class Exited(Internal):
    """A child's incarnation has ended. It names the incarnation itself, so that stale news cannot be mistaken."""

    life: Incarnation


@frozen(eq=False)
class RestartDue(Internal):
    """It is time to start these again, in order, as far as they still wait for it."""

    cells: tuple[Cell, ...]


LIVE: Final = frozenset({Status.STARTING, Status.READY, Status.STOPPING})
"""Something of this child is running."""


@define(eq=False)
class Supervisor(Actor):
    """Keeps its children running by their specs.

    A family shares the budget and leaves in reverse order; when the budget is spent, the supervisor stops all of it
    and fails. Strangers have the budget each and leave together; one that has spent it is parked.
    """

    children: Sequence[ChildSpec] = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    kinship: Kinship = Kinship.FAMILY
    budget: Budget = Budget()
    max_children: int | None = None
    _cell: Cell = field(init=False)
    _ctx: Context = field(init=False)
    _nursery: trio.Nursery = field(init=False)
    _window: RestartWindow = field(init=False)
    _cells: dict[str, Cell] = field(factory=dict, init=False)
    _due: dict[str, Timer] = field(factory=dict, init=False)
    _leaving: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what could never work, before anything is started."""
        if self.kinship is Kinship.STRANGERS and self.strategy is not Strategy.ONE_FOR_ONE:
            message = "strangers are restarted one for one; any other strategy makes a family of them"
            raise errors.InvalidSpec(message)
        names = [spec.name for spec in self.children]
        if len(set(names)) != len(names):
            message = f"each child needs a name of its own, but got {', '.join(names)}"
            raise errors.InvalidSpec(message)
        for spec in self.children:
            self._check(spec)
        self._window = RestartWindow(self.budget)

    def _check(self, spec: ChildSpec) -> None:
        if spec.restart is not Restart.TEMPORARY and spec.attempts >= self.budget.intensity:
            message = (
                f"{spec.name!r} gives a message {spec.attempts} attempts, but its supervisor allows only "
                f"{self.budget.intensity} restarts: one bad message would spend them. Lower attempts or raise intensity"
            )
            raise errors.InvalidSpec(message)

    # Living.

    async def serve(self, cell: Cell, *, task_status: trio.TaskStatus[None]) -> None:
        """Supervise from this cell."""
        self._cell = cell
        await super().serve(cell, task_status=task_status)

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Start the children in order; be ready; stop them."""
        self._ctx = ctx
        async with trio.open_nursery() as self._nursery:
            try:
                for spec in self.children:
                    await self._start_first_time(spec)
                yield
            finally:
                # Bounded, because every child is: by its grace, and then by PATIENCE.
                with trio.CancelScope(shield=True):
                    await self._shut_down()

    async def _start_first_time(self, spec: ChildSpec) -> None:
        cell = self._new_cell(spec)
        try:
            await self._start(cell)
        except errors.StartFailed as failed:
            if self.kinship is Kinship.FAMILY:
                raise
            await self._recover(cell, _why(failed), at_once=False)

    async def _shut_down(self) -> None:
        self._leaving = True
        cells = list(reversed(self._cells.values()))
        match self.kinship:
            case Kinship.FAMILY:
                for cell in cells:
                    await self._stop(cell)
            case Kinship.STRANGERS:
                async with trio.open_nursery() as nursery:
                    for cell in cells:
                        nursery.start_soon(self._stop, cell)
            case _:
                assert_never(self.kinship)
        for cell in cells:
            cell.close("its supervisor stopped")

    async def handle(self, message: Message, ctx: Context) -> object:
        """One exit, one due restart, or one request at a time."""
        match message:
            case Exited(life):
                await self._after(life)
            case RestartDue(cells):
                await self._start_again(cells)
            case StartChild() | StopChild() | DropChild() | RestartChild() | ReplaceChild() | ListChildren():
                try:
                    return await self._comply(message)
                except errors.HiveError as error:
                    raise errors.Decline(error) from error
            case _:
                return await super().handle(message, ctx)
        return None

    # Exits and restarts.

    def _exited(self, life: Incarnation) -> None:
        """Called by a cell in its last breath. We hear of it in our own time, unless we are stopping it anyway."""
        if not self._leaving:
            self._ctx.me.tell(Exited(life), urgent=True)

    async def _after(self, life: Incarnation) -> None:
        """Decide what follows an exit, unless somebody has decided since."""
        cell = life.cell
        assert life.exit is not None
        if cell.life is not life or cell.status is not Status.EXITED:
            return
        if life.lived() >= cell.spec.backoff.quiet:
            cell.failures = 0
        if life.stopping:
            cell.rest(Status.STOPPED, "stopped")
        elif cell.spec.restart.wants_back(life.exit):
            await self._recover(cell, life.exit, at_once=True)
        else:
            self._let_go(cell, life.exit)

    def _let_go(self, cell: Cell, exit_: Exit) -> None:
        if cell.spec.restart is Restart.TEMPORARY:
            self._tell(cell, exit_, Decision.DROP)
            self._drop(cell, _reason(exit_))
        else:
            self._tell(cell, exit_, Decision.LEAVE_STOPPED)
            cell.rest(Status.STOPPED, _reason(exit_))

    async def _recover(self, cell: Cell, exit_: Exit, *, at_once: bool) -> None:
        """Start a child again, and whoever the strategy says must be started with it; or give up."""
        cell.failures += 1
        if not cell.window.spend(self._ctx.now()):
            self._give_up(cell, exit_)
            return
        group = [self._cells[name] for name in self.strategy.affected(list(self._cells), cell.name)]
        delay = cell.spec.backoff.pause(cell.failures, self._ctx.random)
        cell.status = Status.WAITING
        self._tell(cell, exit_, Decision.RESTART, delay)
        for other in reversed(group):
            await self._stand_by(other)
        if at_once and delay == 0:
            await self._start_again(group)
        else:
            # A failed start always goes through the mailbox, so that a request to stop can overtake it.
            self._due[cell.name] = self._ctx.after(delay, RestartDue(tuple(group)))

    async def _stand_by(self, cell: Cell) -> None:
        """Stop a child that will be started again with its group. Any restart it waits for by itself is superseded."""
        superseded = self._due.pop(cell.name, None)
        if superseded is not None:
            superseded.cancel()
        if cell.status not in LIVE:
            return
        await self._stop(cell)
        if cell.spec.restart is Restart.TEMPORARY:
            self._drop(cell, "stopped together with its group")
        else:
            cell.status = Status.WAITING

    async def _start_again(self, cells: Sequence[Cell]) -> None:
        """Start those of them, in order, that still wait for it. One that fails is planned anew, with its group."""
        for cell in cells:
            self._due.pop(cell.name, None)
            if cell.status is not Status.WAITING:
                continue
            try:
                await self._start(cell)
            except errors.StartFailed as failed:
                await self._recover(cell, _why(failed), at_once=False)
                return

    def _give_up(self, cell: Cell, exit_: Exit) -> None:
        match self.kinship:
            case Kinship.FAMILY:
                self._tell(cell, exit_, Decision.ESCALATE)
                message = f"{self._cell.name!r} restarted its children {self.budget.intensity} times in {self.budget.period} s, and {cell.name!r} failed again"
                raise errors.RestartsExhausted(message) from _error(exit_)
            case Kinship.STRANGERS:
                self._tell(cell, exit_, Decision.PARK)
                cell.rest(Status.PARKED, _reason(exit_))
            case _:
                assert_never(self.kinship)

    # Requests.

    async def _comply(self, request: Asked) -> object:
        match request:
            case StartChild(spec):
                return await self._add(spec)
            case StopChild(name):
                cell = self._child(name)
                await self._stop_when_asked(cell)
                cell.rest(Status.STOPPED, "stopped")
            case DropChild(name):
                cell = self._child(name)
                await self._stop_when_asked(cell)
                self._drop(cell, "dropped")
            case RestartChild(name):
                await self._restart(self._child(name))
            case ReplaceChild(spec):
                self._check(spec)
                cell = self._child(spec.name)
                await self._stop_when_asked(cell)
                cell.spec = spec
                await self._restart(cell)
            case ListChildren():
                return tuple(snapshot(cell) for cell in self._cells.values())
            case _:
                assert_never(request)
        return None

    async def _add(self, spec: ChildSpec) -> Ref:
        self._check(spec)
        if self.max_children is not None and len(self._cells) >= self.max_children:
            raise errors.TooManyChildren(self._cell.name, self.max_children)
        cell = self._new_cell(spec)
        try:
            await self._start(cell)
        except errors.StartFailed:
            self._drop(cell, "it could not start")
            raise
        return self._ctx.ref(spec.name)

    async def _restart(self, cell: Cell) -> None:
        await self._stop_when_asked(cell)
        cell.failures = 0
        if self.kinship is Kinship.STRANGERS:
            cell.window.forgive()
        try:
            await self._start(cell)
        except errors.StartFailed as failed:
            self._tell(cell, _why(failed), Decision.PARK)
            cell.rest(Status.PARKED, str(failed))
            raise

    # One child.

    def _child(self, name: str) -> Cell:
        cell = self._cells.get(name)
        if cell is None:
            raise errors.NoSuchChild(self._cell.name, name)
        return cell

    def _new_cell(self, spec: ChildSpec) -> Cell:
        window = self._window if self.kinship is Kinship.FAMILY else RestartWindow(self.budget)
        cell = Cell(spec, self._cell.runtime, window, self._exited)
        self._cells[spec.name] = cell
        return cell

    async def _start(self, cell: Cell) -> None:
        # Whoever asks us for something while we start it would wait for itself: the edge makes that an error at once.
        with self._cell.runtime.waits.edge(self._cell.name, cell.name):
            await cell.start(self._nursery)

    async def _stop_when_asked(self, cell: Cell) -> None:
        """Stop a child by request. Raises `WouldDeadlock` if it waits for this very request."""
        self._cell.fail_questions(sender=cell.name)
        with self._cell.runtime.waits.edge(self._cell.name, cell.name):
            left = await cell.stop()
        if not left:
            message = f"{cell.name!r} ignores its cancellation"
            raise errors.StillLeaving(message)

    async def _stop(self, cell: Cell) -> None:
        """Stop a child whatever it waits for. What it has asked us meanwhile is answered: there will be no answer."""
        self._cell.fail_questions(sender=cell.name)
        with self._cell.runtime.waits.unchecked_edge(self._cell.name, cell.name):
            await cell.stop()

    def _drop(self, cell: Cell, reason: str) -> None:
        del self._cells[cell.name]
        cell.close(reason)

    def _tell(self, cell: Cell, exit_: Exit, decision: Decision, delay: float = 0.0) -> None:
        self._cell.publish(Supervised(self._cell.name, cell.name, cell.incarnation, exit_, decision, delay))

    def snapshot(self) -> SupervisorSnapshot:
        """This supervisor and everything below it, now."""
        children = tuple(snapshot(cell) for cell in self._cells.values())
        return SupervisorSnapshot(of_cell(self._cell), self.strategy, self.kinship, self.budget, children)


def snapshot(cell: Cell) -> Snapshot:
    """This cell and everything below it, now."""
    occupant = None if cell.life is None else cell.life.occupant
    return occupant.snapshot() if isinstance(occupant, Supervisor) else of_cell(cell)


def _why(failed: errors.StartFailed) -> Crashed:
    return Crashed(failed.__cause__ or failed)


def _error(exit_: Exit) -> BaseException | None:
    return exit_.error if isinstance(exit_, Crashed) else None


def _reason(exit_: Exit) -> str:
    match exit_:
        case Left():
            return "left"
        case Stopped():
            return "stopped"
        case Crashed(error=error):
            return f"crashed: {describe(error)}"
        case _:
            assert_never(exit_)
