"""How much a whole daemon weighs and how quickly it answers, beside its floors in the same run.

Run it with: python -m bench.daemon [FOLDER] [AGENTS]
A start is compared with a Python that imports the same packages, a wake with this disk's fdatasync.  The
daemon is a real one, `hive up`, in a process of its own; we are its operator, over its socket.  Absolute
numbers depend on the machine, its disk and its neighbours; trust the ratios.
"""

import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import trio
from attrs import field, frozen

from bench.store import fsync, percentile
from hive.app.launcher import command
from hive.cli.client import Client, Position, connected
from hive.cli.places import Place
from hive.protocol.commands import AddAgent
from hive.store.sqlite import open_reader, open_store

STARTS = 3
"""Starts of each kind, one of each in turn; the median counts."""

SETTLE_SECONDS = 2.0
IDLE_SECONDS = 10.0
WAKES = 100
AWAKE = 10
"""Agents that are woken, in turn."""

SENDERS = 10
SENDS = 30
PACE_SECONDS = 0.02
DEMO_SECONDS = 10

IMPORTS = "import hive.app.daemon, hive.cli.local"
"""What a daemon imports before it does anything."""

NEWS: Mapping[str, Position] = {"j": (0, None)}
"""The journal's lane: first a snapshot, then what is new."""

MILLISECONDS = 1e3
TICKS = os.sysconf("SC_CLK_TCK")


def main(folder: str | None = None, agents: str = "100") -> None:
    """Measure everything and print it."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="hive-bench-") as place:
        root = Path(place)
        none, many = furnished(root / "none", 0), furnished(root / "many", int(agents))
        starts(none, many, int(agents))
        weight(none, many, int(agents))
        with daemon(many) as (pid, _):
            time.sleep(SETTLE_SECONDS)
            idle(pid, agents)
            trio.run(wakes, many, root)
            trio.run(load, many, pid)
        demo(root)


def line(name: str, measured: str, beside: str = "", goal: str = "") -> None:
    """Print one figure, what it is compared with, and what it should be."""
    print(f"{name:44}{measured:>24}   {beside:42}{goal}")


def both(seconds: Sequence[float]) -> str:
    """Median and 99th percentile."""
    half, late = (percentile(list(seconds), share) * MILLISECONDS for share in (0.5, 0.99))
    return f"p50 {half:.1f}, p99 {late:.1f} ms"


# --- a daemon ------------------------------------------------------------------------------------


@frozen
class Home:
    """The directory of a hive, and how the command line names it."""

    directory: Path
    places: tuple[Place, ...] = field()

    @places.default
    def _just_here(self) -> tuple[Place, ...]:
        return (Place(self.directory, "the benchmark"),)


def furnished(directory: Path, agents: int) -> Home:
    """A directory in which a hive with so many idle agents has run."""
    directory.mkdir()
    with open_store(directory / "hive.sqlite3", inline=True) as store:
        store.recover("bench")
        for number in range(agents):
            store.submit(AddAgent(f"a{number}"))
        store.stop("furnished")
    return Home(directory)


@contextmanager
def daemon(home: Home) -> Iterator[tuple[int, float]]:
    """A daemon that serves: its pid and the seconds it took to serve.  Stopped in order."""
    log = home.directory / "bench.log"
    environment = {**os.environ, "HIVE_WEB_PORT": "0", "HIVE_MCP_PORT": "0"}
    begun = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command(), "up", "--dir", str(home.directory)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    try:
        while b"\npage" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            time.sleep(0.002)
        yield process.pid, time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait()


# --- start and weight ----------------------------------------------------------------------------


def starts(none: Home, many: Home, agents: int) -> None:
    """From the call of the program to the line that says it serves, and to the last agent's harness."""
    floor, empty, full, ready = [], [], [], []
    for _ in range(STARTS):
        floor.append(imports())
        with daemon(none) as (_, seconds):
            empty.append(seconds)
        with daemon(many) as (_, seconds):
            begun = time.perf_counter() - seconds
            full.append(seconds)
            trio.run(answered, many, f"a{agents - 1}")
            ready.append(time.perf_counter() - begun)
    python, bare = statistics.median(floor), statistics.median(empty)
    line("a Python that imports the same packages", f"{python:.2f} s")
    line("start, no agents", f"{bare:.2f} s", f"{bare / python:.2f} times the imports")
    for name, taken in (("until it serves", full), ("until its last is awake", ready)):
        seconds = statistics.median(taken)
        beside = f"{seconds / python:.2f} times the imports"
        line(f"start, {agents} agents, {name}", f"{seconds:.2f} s", beside, "< 2 s")


def imports() -> float:
    """Seconds of a process that does nothing else."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})
    return time.perf_counter() - begun


async def answered(home: Home, agent: str) -> None:
    """Have an agent awake."""
    async with connected(home.places) as client:
        await client.greet(None, NEWS)
        await wake(client, agent)


def weight(none: Home, many: Home, agents: int) -> None:
    """What an idle agent adds to the daemon's resident memory, its harness included."""
    weights = []
    for home in (none, many):
        with daemon(home) as (pid, _):
            time.sleep(SETTLE_SECONDS)
            weights.append(resident(pid))
    empty, full = weights
    line("resident memory, no agents", f"{empty / 1024:.1f} MiB")
    line(f"per idle agent, of {agents}", f"{(full - empty) / agents:.0f} KiB", "", "<= 100 KiB")


def resident(pid: int) -> int:
    """KiB of memory that are this process's own: neither shared nor of a file."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(row.split()[1]) for row in text.splitlines() if row.startswith("Anonymous:"))


def cpu(pid: int) -> float:
    """Seconds of processor this process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def idle(pid: int, agents: str) -> None:
    """What hive takes of one processor while nothing happens."""
    before = cpu(pid)
    time.sleep(IDLE_SECONDS)
    share = (cpu(pid) - before) / IDLE_SECONDS
    line(f"idle, {agents} agents, {IDLE_SECONDS:.0f} s", f"{share:.2%} of one processor")


# --- latencies -----------------------------------------------------------------------------------


async def wake(client: Client, agent: str) -> float:
    """Seconds from the operator's send to the page's news that a turn has begun."""
    begun = time.perf_counter()
    await client.command("message.send", {"to": agent, "body": "note"}, secrets.token_hex(16))
    with trio.fail_after(30):
        while not any(began(event, agent) for event in (await client.news()).get("e", ())):
            pass
    return time.perf_counter() - begun


def began(event: Sequence[object], agent: str) -> bool:
    """Whether this event of the journal says that the agent's turn has begun."""
    data = event[3]
    return event[2] == "turn.started" and isinstance(data, dict) and data["agent"] == agent


async def wakes(home: Home, root: Path) -> None:
    """Wake idle agents one after the other: the first time with their boxes to be started, then again."""
    flush = fsync(root)
    cold, warm = [], []
    async with connected(home.places) as client:
        await client.greet(None, NEWS)
        for number in range(AWAKE):
            cold.append(await wake(client, f"a{number}"))
            await trio.sleep(0.1)
        for number in range(WAKES):
            warm.append(await wake(client, f"a{number % AWAKE}"))
            await trio.sleep(0.1)
    flush = (flush + fsync(root)) / 2 / 1000
    with open_reader(home.directory / "hive.sqlite3") as reader:
        held = reader.wake_latencies(limit=WAKES)
    line("wake, send to the news of its turn", both(warm), f"fdatasync p50 {flush:.2f} ms")
    line("    the box not yet up", both(cold))
    line("    in the store, deliverable to held", both(held))


async def load(home: Home, pid: int) -> None:
    """Several operators send at a pace to agents that answer with turns."""
    taken: list[float] = []

    async def send(number: int) -> None:
        async with connected(home.places) as client:
            for _ in range(SENDS):
                begun = time.perf_counter()
                what = {"to": f"a{number}", "body": "note"}
                await client.command("message.send", what, secrets.token_hex(16))
                taken.append(time.perf_counter() - begun)
                await trio.sleep(PACE_SECONDS)

    used, begun = cpu(pid), time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(SENDERS):
            nursery.start_soon(send, number)
    rate = len(taken) / (time.perf_counter() - begun)
    spent = (cpu(pid) - used) / len(taken) * MILLISECONDS
    line(f"{SENDERS} senders, until accepted", both(taken), f"{rate:.0f} sends/s, {spent:.1f} ms of CPU each")


def demo(root: Path) -> None:
    """The demo's own account of its wakes."""
    told = subprocess.run(
        [*command(), "demo", "--seconds", str(DEMO_SECONDS), "--headless", "--json"],
        cwd=root,
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    counted = json.loads(told.stdout)
    beside = f"{counted['turns']} turns, {counted['sent']} messages, {len(counted['violations'])} violations"
    figures = f"p50 {counted['wake_ms_p50']}, p99 {counted['wake_ms_p99']} ms"
    line(f"demo, {DEMO_SECONDS} s, deliverable to held", figures, beside)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
