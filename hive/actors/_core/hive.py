"""The whole: one root supervisor, and the names below it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Final

import trio
from attrs import define

from .bus import Bus, Fact, Recording
from .cell import Cell, ChildSpec, Incarnation
from .errors import NoSuchActor, StartFailed
from .essence import essence
from .policy import Budget, Crashed, Grace, RestartWindow, Strategy
from .ref import Ref
from .runtime import Runtime
from .snapshot import SupervisorSnapshot
from .supervisor import Supervisor, snapshot

ROOT: Final = "root"
"""The name of the supervisor at the top."""


@define(eq=False)
class Hive:
    """A running tree of actors, seen from outside."""

    _runtime: Runtime
    _root: Cell

    @property
    def bus(self) -> Bus:
        """Where everything that happens is announced."""
        return self._runtime.bus

    @property
    def root(self) -> Ref:
        """The supervisor at the top, to be asked for children."""
        return self.ref(ROOT)

    @property
    def names(self) -> tuple[str, ...]:
        """Everybody there is, in the order in which they were added."""
        return tuple(self._runtime.cells)

    def ref(self, name: str) -> Ref:
        """A ref to whoever bears this name, now or later."""
        return Ref(name, self._runtime)

    def record(self, recorder: Callable[[Fact], None], *kinds: type[Fact]) -> Recording:
        """Call `recorder` with every fact of these kinds, at once and without loss, until it is closed."""
        return self.bus.record(recorder, *kinds)

    def snapshot(self) -> SupervisorSnapshot:
        """The whole tree at this instant."""
        tree = snapshot(self._root)
        assert isinstance(tree, SupervisorSnapshot)
        return tree

    def kill(self, name: str) -> None:
        """End an actor's incarnation as though it had crashed, without its grace. Raises `NoSuchActor`."""
        if name not in self._runtime.cells:
            raise NoSuchActor(f"there is no actor called {name!r}")
        self._runtime.cells[name].kill()

    def stop(self) -> None:
        """Ask everybody to leave, in order. Returns at once; see `stopped`."""
        self._root.ask_to_stop()

    async def stopped(self) -> None:
        """Wait until everybody has left. Raises what the root failed with, its causes chained."""
        life = self._root.life
        assert life is not None
        await life.until(life.is_gone)
        if isinstance(life.exit, Crashed):
            raise life.exit.error


@asynccontextmanager
async def open_hive(
    *specs: ChildSpec,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    budget: Budget = Budget(),  # noqa: B008  - a frozen value
    random: Random | None = None,
    wall: Callable[[], float] = time.time,
    bus: Bus | None = None,
) -> AsyncIterator[Hive]:
    """Start these children as one family, in order; stop them, in reverse, when the block is left.

    If they cannot start, that is raised here and nothing is left running. If the root fails later, because
    its restarts are exhausted, the block is cancelled and the failure raised, its causes chained.
    """
    clock = trio.lowlevel.current_clock()
    runtime = Runtime(random or Random(), wall, clock.current_time, bus or Bus())
    failure: BaseException | None = None

    def ended(life: Incarnation) -> None:
        nonlocal failure
        if isinstance(life.exit, Crashed):
            failure = life.exit.error
            nursery.cancel_scope.cancel(reason="the root supervisor failed")

    tree = partial(Supervisor, specs, strategy, budget=budget)
    spec = ChildSpec(ROOT, tree, grace=Grace.unbounded_shutdown())
    root = Cell(spec, runtime, RestartWindow(budget), ended)
    try:
        async with trio.open_nursery() as nursery:
            try:
                await root.start(nursery)
                yield Hive(runtime, root)
            finally:
                root.ask_to_stop()  # and the nursery waits for it
    except BaseExceptionGroup as group:
        failure = essence(group)
        if isinstance(failure, StartFailed) and failure.name == ROOT:
            failure = failure.exit.error  # what the one that could not start failed with
    root.close("the hive was closed")
    if failure is not None:
        raise failure
