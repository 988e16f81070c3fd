"""How fast durable mail is, beside bare SQLite on the same disk in the same run.

Run it with: python -m bench.store [FOLDER] [SIZES]
for instance: python -m bench.store /var/tmp 10000,1000000
A cycle is what hive does with a message, each step journalled and confirmed: a synced `Send`, and then a
`Lease` and an `Ack` as an agent's own client does, or a `BeginTurn` and an `EndTurn` as a harness does.
Absolute numbers depend on the machine, its disk and its neighbours; trust the ratios.  The floors are bare
SQLite: one row and one index, nothing journalled, no savepoints, no threads.  What a command costs is
processor time, which leaves the neighbours out; its floor is bare SQLite with the rows and indexes of a send.
"""

import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar, cast

import trio

from hive.protocol.commands import Ack, AddAgent, BeginTurn, Command, EndTurn, Lease, Send, TurnBegun
from hive.protocol.limits import Limits
from hive.protocol.mail import Provenance
from hive.protocol.outcome import Outcome
from hive.store.batch import Answer, Asked, Committed
from hive.store.ids import time_ordered
from hive.store.sqlite import SqliteStore, open_store

T = TypeVar("T")

BODY = "x" * 400
NO_BOUNDS = Limits(max_running_turns=10_000, mailbox_messages=10**9)
POINTS = 300
"""Single operations measured for each size of the history."""

SYNCS = 500
"""Of 4 KiB, to see how quick the disk is."""

ROWS, SENDS, CYCLES = 30_000, 8_000, 3_000
"""Rows of bare SQLite, messages that are sent, and messages that are handled, for each rate."""

GROUP = 100
ROUNDS = 30
"""Commands to a transaction and transactions, where processor time is measured."""

WEEK_SECONDS = 7 * 24 * 3600.0
BOXES = 1_000
"""Mailboxes the history is spread over."""

MICROSECONDS = 1e6


def main(folder: str | None = None, sizes: str = "10000,100000") -> None:
    """Measure everything and print it."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        root = Path(place)
        print(f"fdatasync of 4 KiB on this disk: p50 {fsync(root):.0f} us\n")
        serial, grouped = floor_sends(root, 1), floor_sends(root, 100)
        cycle = floor_cycles(root)
        print(f"{'':34}{'hive':>12}{'bare SQLite':>14}{'ratio':>8}")
        for senders, floor in ((1, serial), (100, grouped)):
            line(f"sends/s, {senders} senders", trio.run(sends, root, senders), floor)
        for name, handle in (("lease, ack", by_lease), ("begin, end turn", by_turn)):
            for agents, floor in ((1, cycle), (10, grouped / 3), (100, grouped / 3)):
                line(f"send, {name}/s, {agents} agents", trio.run(cycles, root, agents, handle), floor)
        costs(root)
        flush, latencies = fsync(root), trio.run(wakes, root)
        wake, late = (percentile(latencies, share) * MICROSECONDS for share in (0.5, 0.99))
        print(f"\nidle wake, send to held: p50 {wake:.0f} us, p99 {late:.0f} us;", end=" ")
        print(f"fdatasync {(flush + fsync(root)) / 2:.0f} us, a thread and back {trio.run(hop):.0f} us\n")
        history(root, [int(size) for size in sizes.split(",")])


def line(name: str, measured: float, floor: float) -> None:
    """Print one figure beside its floor."""
    print(f"{name:34}{measured:12,.0f}{floor:14,.0f}{measured / floor:8.2f}")


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of all lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


# --- floors --------------------------------------------------------------------------------------


def fsync(root: Path) -> float:
    """Microseconds to overwrite 4 KiB and sync it, as a reused log does; median."""
    taken = []
    descriptor = os.open(root / "fsync", os.O_RDWR | os.O_CREAT)
    os.pwrite(descriptor, bytes(4096 * 64), 0)
    os.fsync(descriptor)
    for n in range(SYNCS):
        begun = time.perf_counter()
        os.pwrite(descriptor, bytes(4096), 4096 * (n % 64))
        os.fdatasync(descriptor)
        taken.append(time.perf_counter() - begun)
    os.close(descriptor)
    return statistics.median(taken) * MICROSECONDS


async def hop() -> float:
    """Microseconds to let a thread do nothing and come back; median.  A wake takes two."""
    taken = []
    for _ in range(POINTS):
        await trio.sleep(0.001)
        begun = time.perf_counter()
        await trio.to_thread.run_sync(int)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * MICROSECONDS


@contextmanager
def bare(root: Path) -> Iterator[sqlite3.Connection]:
    """A table with one partial index, the log synced with every commit."""
    path = root / f"bare-{time.monotonic_ns()}"
    db = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA wal_autocheckpoint = 4000",
        "CREATE TABLE m (seq INTEGER PRIMARY KEY, box TEXT NOT NULL, state INTEGER NOT NULL, body TEXT)",
        "CREATE INDEX m_ready ON m (box, seq) WHERE state = 0",
    ):
        db.execute(statement)
    yield db
    db.close()


def floor_sends(root: Path, group: int) -> float:
    """Rows per second, so many to a synced commit."""
    with bare(root) as db:
        rounds = ROWS // (30 if group == 1 else group)
        begun = time.perf_counter()
        for _ in range(rounds):
            db.execute("BEGIN IMMEDIATE")
            for _ in range(group):
                db.execute("INSERT INTO m (box, state, body) VALUES ('a', 0, ?)", (BODY,))
            db.execute("COMMIT")
        return rounds * group / (time.perf_counter() - begun)


LEASE = """
UPDATE m SET state = 1 WHERE seq = (
  SELECT seq FROM m INDEXED BY m_ready WHERE box = 'a' AND state = 0 ORDER BY seq LIMIT 1)
RETURNING seq, body
"""


def floor_cycles(root: Path) -> float:
    """Send, lease, ack as three commits; only the first is synced."""
    with bare(root) as db:
        rounds = CYCLES // 2
        begun = time.perf_counter()
        for _ in range(rounds):
            db.execute("PRAGMA synchronous = FULL")
            db.execute("INSERT INTO m (box, state, body) VALUES ('a', 0, ?)", (BODY,))
            db.execute("PRAGMA synchronous = NORMAL")
            held = db.execute(LEASE).fetchall()
            db.execute("UPDATE m SET state = 2 WHERE state = 1 AND seq = ?", held[0][:1])
        return rounds / (time.perf_counter() - begun)


MESSAGE = """
INSERT INTO message (id, recipient, thread, created_at, ready_at, sender, kind, body, size, state, provenance)
VALUES (?1, ?4, ?1, ?2, ?2, 'operator', 'message', ?3, 400, 'ready', 'operator')
"""
TALLY = """
INSERT INTO tally (agent, accepted) VALUES (?, 1) ON CONFLICT (agent) DO UPDATE SET accepted = accepted + 1
"""
JOURNAL = "INSERT INTO journal (boot, at, type, agent, subject, data) VALUES (1, ?2, 'msg.sent', ?4, ?1, ?3)"


def floor_rows(root: Path) -> float:
    """Microseconds of processor for what one send writes, with a hundred to a commit; median."""
    new_id, taken = time_ordered(time.time, random.Random(0)), []
    with open_store(root / f"rows-{time.monotonic_ns()}", inline=True) as store:
        db = store._committer.db  # noqa: SLF001
        for _ in range(ROUNDS):
            begun = time.thread_time()
            db.execute("BEGIN IMMEDIATE")
            for n in range(GROUP):
                written = (new_id("m"), time.time(), BODY, f"a{n}")
                db.execute(MESSAGE, written)
                db.execute(TALLY, written[-1:])
                db.execute(JOURNAL, written)
            db.execute("COMMIT")
            taken.append((time.thread_time() - begun) / GROUP)
    return statistics.median(taken) * MICROSECONDS


# --- hive ----------------------------------------------------------------------------------------


@asynccontextmanager
async def running(root: Path, agents: int) -> AsyncIterator[SqliteStore]:
    """A store as a daemon runs it, with that many agents."""
    with open_store(
        root / f"hive-{time.monotonic_ns()}", limits=NO_BOUNDS, random_=random.Random(0)
    ) as store:
        store.recover("bench")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.drain_forever)
            for ticket in [store.submit(AddAgent(f"a{n}")) for n in range(agents)]:
                await ticket.outcome()
            yield store
            nursery.cancel_scope.cancel()


def a_send(box: int) -> Send:
    """One message of the operator."""
    return Send("operator", f"a{box}", BODY, Provenance.OPERATOR)


async def sends(root: Path, senders: int) -> float:
    """Acknowledged sends per second; each sender waits for its own."""
    each = SENDS // (8 if senders == 1 else senders)

    async def send(box: int) -> None:
        for _ in range(each):
            await store.submit(a_send(box)).outcome()

    async with running(root, senders) as store:
        begun = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for box in range(senders):
                nursery.start_soon(send, box)
        return each * senders / (time.perf_counter() - begun)


async def by_lease(store: SqliteStore, name: str) -> int:
    """Take one message as an agent's own client does, and acknowledge it; how many that were."""
    held = await store.submit(Lease(name, "bench")).outcome()
    for one in held:
        await store.submit(Ack(name, one.mail.id, one.claim)).outcome()
    return len(held)


async def by_turn(store: SqliteStore, name: str) -> int:
    """Begin a turn that takes one message, and end it; how many that were."""
    begun = await store.submit(BeginTurn(name, 1, messages=1)).outcome()
    if not isinstance(begun, TurnBegun):
        return 0
    await store.submit(ended(begun)).outcome()
    return len(begun.messages)


async def cycles(root: Path, agents: int, handle: Callable[[SqliteStore, str], Awaitable[int]]) -> float:
    """Messages per second that are sent, claimed and settled, each by itself."""
    each = min(400, CYCLES // agents)

    async def send(box: int) -> None:
        for _ in range(each):
            await store.submit(a_send(box)).outcome()

    async def receive(name: str) -> None:
        handled = 0
        while handled < each:
            mark = store.hints.mark(name)
            if now := await handle(store, name):
                handled += now
            else:
                await store.hints.wait(name, mark)

    async with running(root, agents) as store:
        begun = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for box in range(agents):
                nursery.start_soon(receive, f"a{box}")
                nursery.start_soon(send, box)
        return each * agents / (time.perf_counter() - begun)


async def wakes(root: Path) -> list[float]:
    """Seconds from the call of send to the receiver that holds the message, on an idle store."""
    taken: list[float] = []
    async with running(root, 1) as store:

        async def receive() -> None:
            while len(taken) < POINTS:
                mark = store.hints.mark("a0")
                held = await store.submit(Lease("a0", "bench")).outcome()
                if held:
                    taken.append(time.perf_counter() - sent)
                    await store.submit(Ack("a0", held[0].mail.id)).outcome()
                    got.set()
                else:
                    await store.hints.wait("a0", mark)

        sent, got = 0.0, trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            for _ in range(POINTS):
                await trio.sleep(0.004)
                sent, got = time.perf_counter(), trio.Event()
                store.submit(a_send(0))
                await got.wait()
    return taken


def costs(root: Path) -> None:
    """Processor time of each kind of command, with a hundred of them to a transaction."""
    taken: dict[str, list[float]] = defaultdict(list)
    with open_store(root / "costs", limits=NO_BOUNDS, inline=True) as store:
        store.recover("bench")
        perform(store, *[AddAgent(f"a{n}") for n in range(GROUP)])

        def ask(name: str, commands: Iterable[Command[T]]) -> list[T]:
            asked, begun = list(commands), time.thread_time()
            outcomes = perform(store, *asked).outcomes
            taken[name].append((time.thread_time() - begun) / len(asked))
            return [cast("T", one.value) for one in outcomes if isinstance(one, Answer)]

        for _ in range(ROUNDS):
            ask("Send of the operator", (a_send(n) for n in range(GROUP)))
            turns = ask("BeginTurn", (BeginTurn(f"a{n}", 1) for n in range(GROUP)))
            ask("EndTurn", (ended(turn) for turn in turns if isinstance(turn, TurnBegun)))
            ask("Send of an agent", (a_letter(n) for n in range(GROUP)))
            held = ask("Lease", (Lease(f"a{n}", "bench") for n in range(GROUP)))
            ask("Ack", (Ack(one.mail.recipient, one.mail.id) for (one,) in held))
    print(f"\nprocessor, us: what a send writes, by SQLite alone {floor_rows(root):.0f}", end="")
    for name, times in taken.items():
        print(f"; {name} {statistics.median(times) * MICROSECONDS:.0f}", end="")
    print()


def a_letter(box: int) -> Send:
    """One message of an agent to the next."""
    return Send(f"a{box}", f"a{(box + 1) % GROUP}", BODY, Provenance.AGENT)


def ended(turn: TurnBegun) -> EndTurn:
    """A good end of a turn that was seen to be given its mail."""
    return EndTurn(turn.turn, Outcome.OK, seen=tuple(one.mail.number for one in turn.messages))


# --- history -------------------------------------------------------------------------------------


def history(root: Path, sizes: list[int]) -> None:
    """Single operations on a store that has handled so many messages already."""
    print(f"{'stored':>12}{'send':>8}{'begin':>8}{'end':>8}{'inbox':>8}{'unread':>8}{'agent':>8}   p50, us")
    first: list[float] = []
    for size in sizes:
        with open_store(root / f"history-{size}", limits=NO_BOUNDS, inline=True) as store:
            store.recover("bench")
            fill(store, size)
            figures = [value * MICROSECONDS for value in points(store)]
            print(f"{size:12,}" + "".join(f"{value:8.0f}" for value in figures))
            first = first or figures
            ratios = (value / base for value, base in zip(figures, first, strict=True))
            print(f"{'ratio':>12}" + "".join(f"{ratio:8.2f}" for ratio in ratios))


def fill(store: SqliteStore, size: int) -> None:
    """Put done mail into the tables, as if it had been handled."""
    db = store._committer.db  # noqa: SLF001
    new_id = time_ordered(time.time, random.Random(0))
    columns = (
        "id, recipient, thread, created_at, ready_at, settled_at, sender, kind, body, size, state, provenance"
    )
    marks = ", ".join("?" * 12)
    then, rest = time.time() - WEEK_SECONDS, ("operator", "message", BODY, len(BODY), "done", "operator")

    def row(n: int) -> tuple[str | float, ...]:
        name = new_id("m")
        return (name, f"a{n % BOXES}", name, then, then, then, *rest)

    perform(store, *[AddAgent(f"a{n}") for n in range(BOXES)])
    for start in range(0, size, 50_000):
        db.execute("BEGIN")
        db.executemany(
            f"INSERT INTO message ({columns}) VALUES ({marks})",
            (row(n) for n in range(start, min(size, start + 50_000))),
        )
        db.execute("COMMIT")
    counted = "SELECT recipient, count(*), count(*) FROM message GROUP BY recipient"
    db.execute(f"INSERT INTO tally (agent, accepted, done) {counted}")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def perform(store: SqliteStore, *commands: Command[object]) -> Committed:
    """Carry out commands in one transaction."""
    result = store._committer.commit([Asked(one, None, one.promise) for one in commands])  # noqa: SLF001
    assert isinstance(result, Committed), result
    return result


def points(store: SqliteStore) -> Iterator[float]:
    """Median seconds of a send, a turn's beginning, its end, an inbox page, unread count, agent's view."""
    chance = random.Random(1)
    names = [f"a{chance.randrange(BOXES)}" for _ in range(POINTS)]
    names = list(dict.fromkeys(names))
    for command in (
        lambda n: Send("operator", names[n], BODY, Provenance.OPERATOR),
        lambda n: BeginTurn(names[n], 1),
        lambda n: EndTurn(n + 1, Outcome.OK),
    ):
        yield timed(lambda n, command=command: perform(store, command(n)), len(names))  # type: ignore[misc]
    reader = store.reader
    yield timed(lambda n: reader.mailbox(names[n]), len(names))
    yield timed(lambda _: reader.unread(), len(names))
    yield timed(lambda n: reader.agent(names[n]), len(names))


def timed(work: Callable[[int], object], times: int) -> float:
    """Median seconds of some work."""
    taken = []
    for n in range(times):
        begun = time.perf_counter()
        work(n)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


if __name__ == "__main__":
    main(*sys.argv[1:])
