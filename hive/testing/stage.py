"""Runs that can be repeated: virtual time, a seeded scheduler, and one source of chance.

What it asks of the code under test: all randomness from the injected generator, wall time from the injected
function, no threads, no real sockets, no iteration over sets of objects.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import trio
import trio.testing
from attrs import define, field

from hive.actors import Budget, Bus, ChildSpec, Hive, Strategy, open_hive

from .recorder import FactLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from random import Random

T = TypeVar("T")

EPOCH: Final = 1_700_000_000.0
"""The wall clock when a simulation begins."""

TOO_LONG: Final = 24 * 3600.0
"""Virtual seconds after which a story is taken to hang, besides those it waits for itself."""


@contextmanager
def deterministic_scheduling(seed: int) -> Iterator[None]:
    """Have Trio order runnable tasks by this seed, until the block is left.

    Trio offers no public way; this is the only place that touches its private names, and a test guards it.
    """
    run = trio._core._run  # noqa: SLF001
    allowed, state = run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate()  # noqa: SLF001
    run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # noqa: SLF001
    run._r.seed(seed)  # noqa: SLF001
    try:
        yield
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = allowed  # type: ignore[misc]  # noqa: SLF001
        run._r.setstate(state)  # noqa: SLF001


@define(eq=False)
class Stage:
    """Where a story plays: its seed, its chance, its clocks, its bus, and every fact so far."""

    seed: int
    random: Random
    bus: Bus = field(factory=Bus)
    facts: FactLog = field(init=False)
    jumped: float = 0.0

    def __attrs_post_init__(self) -> None:
        """Record from the first fact on."""
        self.facts = FactLog().attach(self.bus)

    def wall(self) -> float:
        """The wall clock: virtual time since the epoch, and whatever it has jumped."""
        return EPOCH + trio.current_time() + self.jumped

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as people do. Monotonic time does not notice."""
        self.jumped += seconds

    @asynccontextmanager
    async def hive(
        self, *specs: ChildSpec, strategy: Strategy = Strategy.ONE_FOR_ONE, budget: Budget | None = None
    ) -> AsyncIterator[Hive]:
        """Open a hive on this stage's clocks and chance, its facts recorded from the first on."""
        async with open_hive(
            *specs,
            strategy=strategy,
            budget=budget or Budget(),
            random=self.random,
            wall=self.wall,
            bus=self.bus,
        ) as hive:
            yield hive


def play(
    story: Callable[[trio.CancelScope], Awaitable[T]],
    seed: int,
    *,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> T:
    """Run a story in virtual time under this seed and return what it returns. The same seed gives the same
    run.

    The story is given the scope that ends it, and may put its deadline off. Raises `trio.TooSlowError` if it
    is not over by then, at first after `TOO_LONG`.
    """

    async def main() -> T:
        with trio.fail_after(TOO_LONG) as limit:
            return await story(limit)

    with deterministic_scheduling(seed):
        return trio.run(
            main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=list(instruments)
        )
