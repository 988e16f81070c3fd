"""Stories about a bare swarm: served for as long as they last, on a disk that is nowhere.

The rule kept here: whatever the story says of itself, the invariants are looked at once more at its end.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import TypeVar

import trio
from outcome import Error, Value

from hive.testing.stage import Stage, play
from hive.testing.swarm import Swarm

T = TypeVar("T")


@asynccontextmanager
async def open_swarm(swarm: Swarm) -> AsyncIterator[Swarm]:
    """Serve a swarm until the block is left.

    Every commit checks the invariants, and leaving the block well checks all history.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(swarm.live)
        await swarm.daemon()
        yield swarm
        if swarm.checked:
            swarm.violations.extend(swarm.look(deep=True))
        nursery.cancel_scope.cancel(reason="the story is over")
    assert not swarm.violations, swarm.violations[0].text
    assert not swarm.endpoint_errors, repr(swarm.endpoint_errors[0])


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory in memory where there is one: a simulation syncs thousands of times.

    Who runs simulations in processes that may be killed names one of its own, and removes it: HIVE_SCRATCH.
    """
    # The directory made in it has a random name and mode 0700.
    memory = Path(os.environ.get("HIVE_SCRATCH", "/dev/shm"))  # noqa: S108
    with tempfile.TemporaryDirectory(
        prefix="hive-sim-", dir=memory if memory.is_dir() else None
    ) as directory:
        yield Path(directory)


def run_swarm(
    story: Callable[[Swarm], Awaitable[T]],
    seed: int,
    *,
    make: Callable[[Stage, Path], Swarm] = Swarm,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> T:
    """Tell a story about a swarm of its own in virtual time, on disk nowhere; the same seed, the same run."""

    async def tell(_limit: trio.CancelScope) -> Value[T] | Error:
        with scratch() as directory:
            async with open_swarm(make(Stage(seed, Random(seed)), directory)) as swarm:
                try:
                    return Value(await story(swarm))
                except Exception as error:  # noqa: BLE001 - raised below, where no nursery wraps it
                    swarm.checked = False
                    return Error(error)

    return play(tell, seed, instruments=instruments).unwrap()
