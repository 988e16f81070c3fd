"""How fast the kernel is, beside bare Trio in the same run.

Run it with: python -m bench.kernel [ROUNDS]

Every round measures each thing in hive and, right after it, its floor in bare Trio; so a neighbour that
disturbs one disturbs both. The ratio is the median over the rounds, with the least and the greatest; the
absolute figure is the best round's. All of it is processor time. Trust the ratios.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import trio
import trio.testing
from attrs import define, frozen

from hive.actors import (
    Actor,
    Backoff,
    Budget,
    ChildSpec,
    Context,
    Kinship,
    Mailbox,
    Message,
    Request,
    StartChild,
    Supervisor,
    open_hive,
)

ROUNDS = 9
TELLS = 200_000
BURST = 64  # tells between two checkpoints of the sender, as many as the actor handles between two of its own
ASKS = 20_000
SPAWNS = 1_000
CRASHES = 500
IDLE = 6_000
IDLE_BYTES = 10_000
MANY = 10_000_000

# Processor time: nothing here waits for anything but this process, so on a quiet machine it is the time on
# the wall, and on a busy one it leaves out the neighbours' turns (though not what they do to the caches).
now = time.process_time

Measure: TypeAlias = Callable[[], Awaitable[float]]


@frozen
class Tick(Message):
    """Count this."""


@frozen
class Echo(Request[int]):
    """Say this number again."""

    number: int


@frozen
class Crash(Message):
    """Crash."""


class Crashing(Exception):
    """On purpose."""


@define(eq=False)
class Counter(Actor):
    """Counts ticks until it has seen enough."""

    enough: int
    full: trio.Event
    seen: int = 0

    async def handle(self, message: Message, ctx: Context) -> object:  # noqa: ARG002
        """Count, or say it again."""
        if type(message) is Tick:
            self.seen += 1
            if self.seen == self.enough:
                self.full.set()
            return None
        assert isinstance(message, Echo)
        return message.number


@define(eq=False)
class Idle(Actor):
    """Does nothing."""


def spec(name: str, start: Callable[[], Actor], capacity: int = MANY) -> ChildSpec:
    """A child that restarts at once."""
    return ChildSpec(name, start, mailbox=lambda: Mailbox(capacity), backoff=Backoff.none())


async def tell_hive() -> float:
    """Tells per second, from the first tell until the last was handled; the sender lets the actor keep up."""
    full = trio.Event()
    async with open_hive(spec("a", lambda: Counter(TELLS, full))) as hive:
        tell, tick = hive.ref("a").tell, Tick()
        started = now()
        for n in range(TELLS):
            tell(tick)
            if n % BURST == 0:
                await trio.lowlevel.checkpoint()
        await full.wait()
        return TELLS / (now() - started)


async def tell_trio() -> float:
    """The same through a memory channel with room for a thousand."""
    count = TELLS // 4
    send, receive = trio.open_memory_channel[Tick](1000)

    async def read() -> None:
        with receive:
            async for _ in receive:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        started, tick = now(), Tick()
        with send:
            for _ in range(count):
                await send.send(tick)
    return count / (now() - started)


async def ask_hive() -> float:
    """Questions answered per second, one at a time."""
    async with open_hive(spec("a", lambda: Counter(0, trio.Event()))) as hive:
        ask = hive.ref("a").ask
        started = now()
        for n in range(ASKS):
            await ask(Echo(n))
        return ASKS / (now() - started)


async def ask_hive_with_deadline() -> float:
    """The same, each within a deadline."""
    async with open_hive(spec("a", lambda: Counter(0, trio.Event()))) as hive:
        ask = hive.ref("a").ask
        started = now()
        for n in range(ASKS):
            with trio.fail_after(5):
                await ask(Echo(n))
        return ASKS / (now() - started)


async def ask_trio() -> float:
    """The same with a pair of memory channels."""
    return await round_trips(None)


async def ask_trio_with_deadline() -> float:
    """The same, each round trip within a deadline."""
    return await round_trips(5)


async def round_trips(deadline: float | None) -> float:
    """Round trips per second through a pair of memory channels, one at a time."""
    to, there = trio.open_memory_channel[int](1)
    fro, back = trio.open_memory_channel[int](1)

    async def answer() -> None:
        with there, fro:
            async for number in there:
                await fro.send(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        started = now()
        with to, back:
            for n in range(ASKS):
                if deadline is None:
                    await to.send(n)
                    await back.receive()
                else:
                    with trio.fail_after(deadline):
                        await to.send(n)
                        await back.receive()
    return ASKS / (now() - started)


async def spawn_hive() -> float:
    """Children started per second under a supervisor, each confirmed ready, one after the other."""
    pool = spec("pool", lambda: Supervisor(kinship=Kinship.STRANGERS))
    async with open_hive(pool) as hive:
        ask = hive.ref("pool").ask
        started = now()
        for n in range(SPAWNS):
            await ask(StartChild(ChildSpec(f"a{n}", Idle)))
        return SPAWNS / (now() - started)


async def spawn_trio() -> float:
    """The same with a nursery's own `start`."""

    async def idle(task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        started = now()
        for _ in range(SPAWNS):
            await nursery.start(idle)
        rate = SPAWNS / (now() - started)
        nursery.cancel_scope.cancel()
    return rate


def resident() -> int:
    """The resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def memory_hive() -> float:
    """Bytes for each idle actor."""
    async with open_hive(*(ChildSpec(f"warm{n}", Idle) for n in range(100))) as hive:
        gc.collect()
        before = resident()
        for n in range(IDLE):
            await hive.root.ask(StartChild(ChildSpec(f"a{n}", Idle)))
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        return (resident() - before) / IDLE


def crash_hive(share: float, siblings: int) -> Measure:
    """Microseconds from telling an actor to crash until its next incarnation is ready: the quantile."""

    async def measure() -> float:
        took: list[float] = []
        started = 0.0
        ready = trio.Event()

        class Crasher(Actor):
            @asynccontextmanager
            async def lifespan(self, ctx: Context) -> AsyncIterator[None]:  # noqa: ARG002
                took.append(now() - started)
                ready.set()
                yield

            async def handle(self, message: Message, ctx: Context) -> object:  # noqa: ARG002
                raise Crashing

        others = [ChildSpec(f"a{n}", Idle) for n in range(siblings)]
        crasher = ChildSpec("crasher", Crasher, backoff=Backoff.none(), attempts=1)
        async with open_hive(*others, crasher, budget=Budget(intensity=MANY)) as hive:
            for _ in range(CRASHES):
                ready = trio.Event()
                started = now()
                hive.ref("crasher").tell(Crash())
                await ready.wait()
                await trio.testing.wait_all_tasks_blocked()
        return sorted(took[1:])[int(share * CRASHES)] * 1e6

    return measure


async def crash_trio(share: float) -> float:
    """The same for a bare loop that runs its child in a nursery and starts it again."""
    took: list[float] = []
    started = 0.0
    ready = trio.Event()
    send, receive = trio.open_memory_channel[None](100)

    async def child(_own: trio.Nursery) -> None:
        took.append(now() - started)
        ready.set()
        async for _ in receive:
            raise Crashing

    async def supervise() -> None:
        while True:
            try:
                async with trio.open_nursery() as own:
                    own.start_soon(child, own)
            except* Crashing:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervise)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(CRASHES):
            ready = trio.Event()
            started = now()
            await send.send(None)
            await ready.wait()
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return sorted(took[1:])[int(share * CRASHES)] * 1e6


@frozen
class Row:
    """One thing to measure, its floor in bare Trio, and what it must reach (or, `at_most`, not exceed)."""

    what: str
    unit: str
    hive: Measure
    bare: Measure
    goal: float
    at_most: bool = False
    times: float | None = None

    def met(self, value: float) -> bool:
        """Whether this figure meets the goal."""
        return value <= self.goal if self.at_most else value >= self.goal


def crash_row(share: float, siblings: int, goal: float) -> Row:
    """From crash to ready again."""
    what = f"crash to ready, p{share * 100:.0f}, {siblings} siblings"
    return Row(what, "us", crash_hive(share, siblings), partial(crash_trio, share), goal, at_most=True)


ROWS: Final = (
    Row("tell", "/s", tell_hive, tell_trio, 1_000_000, times=4),
    Row("ask", "/s", ask_hive, ask_trio, 100_000),
    Row("ask within a deadline", "/s", ask_hive_with_deadline, ask_trio_with_deadline, 70_000),
    Row("start a child, ready", "/s", spawn_hive, spawn_trio, 10_000),
    crash_row(0.5, 0, 100),
    crash_row(0.99, 0, 300),
    crash_row(0.5, 1000, 100),
    crash_row(0.99, 1000, 300),
)


def verdict(row: Row, pairs: Sequence[tuple[float, float]]) -> str:
    """One line about what the rounds have shown."""
    best = (min if row.at_most else max)(hive for hive, _ in pairs)
    ratios = sorted(hive / bare for hive, bare in pairs)
    middle = statistics.median(ratios)
    beside = f"{middle:5.2f} x bare Trio ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    goal = f"{'<=' if row.at_most else '>='} {row.goal:,.0f}: {'met' if row.met(best) else 'missed'}"
    if row.times is not None:
        goal += f"; >= {row.times:.0f} x: {'met' if middle >= row.times else 'missed'}"
    return f"{row.what:36}{best:12,.0f} {row.unit:4}{beside:42}{goal}"


def main(rounds: str = str(ROUNDS)) -> None:
    """Print everything."""
    python = sys.version.split()[0]
    print(f"Python {python}, trio {trio.__version__}; {rounds} rounds; load {os.getloadavg()[0]:.1f}")
    memory = trio.run(memory_hive)
    met = "met" if memory <= IDLE_BYTES else "missed"
    print(f"{'memory of an idle actor':36}{memory:12,.0f} {'B':46}<= {IDLE_BYTES:,}: {met}")
    pairs: dict[str, list[tuple[float, float]]] = {row.what: [] for row in ROWS}
    for _ in range(int(rounds)):
        for row in ROWS:
            pairs[row.what].append((trio.run(row.hive), trio.run(row.bare)))
    for row in ROWS:
        print(verdict(row, pairs[row.what]))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
