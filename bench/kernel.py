"""How fast the kernel is, beside bare Trio in the same run.

Run it with: python -m bench.kernel Absolute numbers depend on the machine and its neighbours; trust the
ratios. Each figure is the best of a few rounds.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

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

ROUNDS = 5
TELLS = 200_000
BURST = 64  # tells between two checkpoints of the sender, as many as the actor handles between two of its own
ASKS = 20_000
SPAWNS = 2_000
CRASHES = 1_000
MANY = 10_000_000

now = time.perf_counter


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
    count = SPAWNS * 3
    async with open_hive(*(ChildSpec(f"warm{n}", Idle) for n in range(100))) as hive:
        gc.collect()
        before = resident()
        for n in range(count):
            await hive.root.ask(StartChild(ChildSpec(f"a{n}", Idle)))
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        return (resident() - before) / count


def crashes(siblings: int) -> Callable[[], Awaitable[list[float]]]:
    """Seconds from telling an actor to crash until its next incarnation is ready, in order of size."""

    async def measure() -> list[float]:
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
        return sorted(took[1:])

    return measure


async def crash_trio() -> list[float]:
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
    return sorted(took[1:])


def best(measure: Callable[[], Awaitable[float]], rounds: int = ROUNDS) -> float:
    """The best of several rounds: the others were disturbed."""
    return max(trio.run(measure) for _ in range(rounds))


def row(what: str, value: float, unit: str, goal: str, bare: float | None = None) -> None:
    """Print one figure."""
    ratio = "" if bare is None else f"{value / bare:6.2f} x bare trio ({bare:,.0f})"
    print(f"{what:32} {value:12,.0f} {unit:10} goal {goal:10} {ratio}", flush=True)


def main() -> None:
    """Print everything."""
    print(f"Python {sys.version.split()[0]}, trio {trio.__version__}; best of {ROUNDS}")
    row("memory of an idle actor", trio.run(memory_hive), "bytes", "<= 10,000")
    row("tell", best(tell_hive), "/s", ">= 1 M, 4 x", best(tell_trio))
    bare = best(ask_trio)
    row("ask", best(ask_hive), "/s", ">= 100 k", bare)
    row("ask within a deadline", best(ask_hive_with_deadline), "/s", ">= 70 k", bare)
    row("start a child, ready", best(spawn_hive), "/s", ">= 10 k", best(spawn_trio))
    took = trio.run(crash_trio)
    bare_p50, bare_p99 = statistics.median(took) * 1e6, took[int(len(took) * 0.99)] * 1e6
    for siblings in (0, 1000):
        took = trio.run(crashes(siblings))
        row(
            f"crash to ready, p50, {siblings} siblings",
            statistics.median(took) * 1e6,
            "us",
            "<= 100",
            bare_p50,
        )
        row(
            f"crash to ready, p99, {siblings} siblings",
            took[int(len(took) * 0.99)] * 1e6,
            "us",
            "<= 300",
            bare_p99,
        )


if __name__ == "__main__":
    main()
