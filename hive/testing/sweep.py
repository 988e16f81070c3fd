"""Do something terrible at every step of a run, once per run, and see what remains.

A step is one resumption of one task by Trio's scheduler. The story runs under one seed, so that step k is the
same step in every run up to the k-th. A sweep says how many steps it hit: a test that stores the number
notices when a sweep has become shorter than it should be.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import trio
from attrs import define, field, frozen

from .guard import guarded
from .simulate import Simulation, simulate

W = TypeVar("W")

BOUND: Final = 100_000
"""More steps than any story should have: a sweep that gets here would never end."""


@frozen
class Swept:
    """At how many steps a sweep struck, and in how many of those runs the story did not finish."""

    steps: int
    unfinished: int


@define(eq=False)
class _Strike(trio.abc.Instrument):
    """Calls `strike` after the k-th step."""

    at: int
    strike: Callable[[], None]
    steps: int = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  - Trio says which; we only count
        self.steps += 1
        if self.steps == self.at:
            self.strike()


def sweep_cancel(
    story: Callable[[Simulation, W], Awaitable[object]],
    *,
    build: Callable[[], W],
    check: Callable[[W], None],
    seed: int = 0,
    every: int = 1,
) -> Swept:
    """Cancel the whole story after step 1, after step 2, and so on until it finishes first; check after each
    run.

    Each run gets a world of its own from `build`. The cancellation is that of a scope around the whole story.
    """
    return sweep_kill(
        story, build=build, kill=lambda _: None, check=check, seed=seed, every=every, ends_run=True
    )


def sweep_kill(  # noqa: PLR0913  - a story, its world, what kills, what must hold, and how to walk
    story: Callable[[Simulation, W], Awaitable[object]],
    *,
    build: Callable[[], W],
    kill: Callable[[W], None],
    check: Callable[[W], None],
    seed: int = 0,
    every: int = 1,
    ends_run: bool = False,
) -> Swept:
    """Call `kill` on the run's world after step 1, after step 2, and so on until the story finishes first.

    `ends_run` is for the death of a process: have `kill` cut the world off from whatever lasts, and the run
    is cancelled right after; `check` then starts anew from what is left. Otherwise the story goes on without
    what died.
    """
    unfinished = 0
    with guarded(story):  # once for all runs: to put it up takes as long as a short one
        for steps, at in enumerate(range(1, BOUND, every)):
            world = build()
            run = _Run(story, world, kill, ends_run)
            strike = _Strike(at, run.strike)
            finished = simulate(run.tell, seed, instruments=[strike])
            check(world)
            if not run.struck:
                return Swept(steps, unfinished)
            unfinished += not finished
    raise AssertionError(f"the story has more than {BOUND} steps")


@define(eq=False)
class _Run(Generic[W]):
    """One run of a story, and what strikes it."""

    story: Callable[[Simulation, W], Awaitable[object]]
    world: W
    kill: Callable[[W], None]
    ends: bool
    struck: bool = False
    scope: trio.CancelScope = field(factory=trio.CancelScope)

    def strike(self) -> None:
        """Kill, now."""
        self.struck = True
        self.kill(self.world)
        if self.ends:
            self.scope.cancel(reason="the sweep has come to this step")

    async def tell(self, sim: Simulation) -> bool:
        """Tell the story. False if it was cut short."""
        with self.scope:
            await self.story(sim, self.world)
        return not self.scope.cancelled_caught
