"""A real daemon under load, killed with SIGKILL at random instants, and nothing that was accepted is missing.

A kill counts only if sends were waiting for their commit, mail was claimed and children of agents ran.
"""

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, field

from hive.cli.client import Client, connected
from hive.cli.places import Place
from hive.cli.status import Failed
from hive.protocol.views import JournalRow, Process
from hive.store.sqlite import open_reader

KILLS = int(os.environ.get("HIVE_KILLS", "20"))
AGENTS = tuple(f"worker-{number}" for number in range(10))
SENDERS = 10
TRIES = 3 * KILLS
"""Kills at most, so that those without all three kinds of victims do not go on for ever."""

MOMENT_SECONDS = 10.0
"""How long to wait for an instant with all three kinds of victims."""

QUIET_SECONDS = 120.0
"""How long the last daemon may take to work off what is left."""

VERDICTS = frozenset({"msg.done", "msg.dead", "msg.released", "msg.retried"})


@define(eq=False)
class Load:
    """Ten senders, and what they were promised."""

    place: Place
    chance: random.Random
    accepted: dict[str, str] = field(factory=dict)
    """The key of every answered send, and the message's id."""

    in_flight: int = 0
    stopping: bool = False

    async def send(self) -> None:
        """Send until told to stop; a send that was not answered is repeated under its key."""
        key, arguments = self._next()
        while not self.stopping:
            try:
                async with connected((self.place,)) as client:
                    await client.greet()
                    while not self.stopping:
                        await self._answered(client, key, arguments)
                        key, arguments = self._next()
                        await trio.sleep(0.02)
            except (Failed, OSError, trio.TooSlowError):
                await trio.sleep(0.02)

    def _next(self) -> tuple[str, dict[str, object]]:
        key = secrets.token_hex(16)
        body = "!sh sleep 0.2" if self.chance.random() < 0.05 else f"note {key}"
        return key, {"to": self.chance.choice(AGENTS), "body": body}

    async def _answered(self, client: Client, key: str, arguments: dict[str, object]) -> None:
        self.in_flight += 1
        try:
            ack = await client.command("message.send", arguments, key)
        finally:
            self.in_flight -= 1
        (one,) = ack["result"]["accepted"]
        self.accepted[key] = one["id"]


@define(eq=False)
class Daemon:
    """One directory, one process after another."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def store(self) -> Path:
        """Its database."""
        return self.directory / "hive.sqlite3"

    async def start(self) -> None:
        """Start it and return when it serves."""
        environment = {**os.environ, "HIVE_WEB_PORT": "0", "HIVE_MCP_PORT": "0"}
        log = (self.directory / "daemon.log").open("ab")
        begins = log.tell()
        with log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - a fork; it is killed by hand
                [sys.executable, "-m", "hive", "up", "--dir", str(self.directory)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        with trio.fail_after(60):
            while b"\npage: " not in (self.directory / "daemon.log").read_bytes()[begins:]:
                assert self.process.poll() is None, (self.directory / "daemon.log").read_text()[-3000:]
                await trio.sleep(0.01)

    def kill(self) -> None:
        """End it as a power cut would end the process."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    async def stop(self) -> None:
        """An ordered stop."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = await trio.to_thread.run_sync(self.process.wait)

        assert status == 0


def alive(process: Process) -> bool:
    """Whether that very process still runs."""
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text()
    except OSError:
        return False
    fields = stat.rpartition(")")[2].split()
    return int(fields[19]) == process.started and fields[0] not in "ZX"


@define(eq=False)
class Deaths:
    """When processes that outlived their daemon died."""

    at: dict[int, float] = field(factory=dict)

    async def watch(self, pidfd: int, pid: int) -> None:
        """Note the time of one death."""
        try:
            await trio.lowlevel.wait_readable(pidfd)
            self.at[pid] = time.time()
        finally:
            os.close(pidfd)


@asynccontextmanager
async def daemon_on(directory: Path) -> AsyncIterator[Daemon]:
    """A daemon that is gone when the block is left, with everything it started."""
    daemon = Daemon(directory)
    try:
        await daemon.start()
        yield daemon
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()


async def hire(place: Place) -> None:
    """Ten agents that obey the operator's directives."""
    async with connected((place,)) as client:
        await client.greet()
        for name in AGENTS:
            settings = {"backend": "scripted", "allow_shell": True}
            await client.command("agent.spawn", {"name": name, "settings": settings}, secrets.token_hex(16))


def victims(daemon: Daemon, load: Load) -> tuple[int, int, list[Process]]:
    """Sends waiting for their answer, claimed messages, children that run."""
    assert daemon.process is not None
    with open_reader(daemon.store) as reader:
        children = [process for process in reader.processes() if alive(process)]
        return load.in_flight, reader.counts().claimed, children


async def kill_once(daemon: Daemon, load: Load, number: int) -> bool:
    """Kill at an instant with all three kinds of victims, restart, and see the children dead in time."""
    await trio.sleep(load.chance.uniform(0.05, 1.0))
    deadline = trio.current_time() + MOMENT_SECONDS
    while True:
        sends, claimed, children = victims(daemon, load)
        if (sends and claimed and children) or trio.current_time() > deadline:
            break
        await trio.sleep(0.002)
    pidfds = {process.pid: os.pidfd_open(process.pid) for process in children if alive(process)}
    daemon.kill()
    print(f"kill {number}: {sends} sends in flight, {claimed} claimed, {len(pidfds)} children alive")  # noqa: T201 - a sweep says what it hit
    deaths = Deaths()
    async with trio.open_nursery() as nursery:
        for pid, pidfd in pidfds.items():
            nursery.start_soon(deaths.watch, pidfd, pid)
        await daemon.start()
    with open_reader(daemon.store) as reader:
        boot = reader.head().boot
        claims = [row.at for row in rows_of(daemon) if row.boot == boot and row.type == "msg.claimed"]

    assert not claims or all(died <= min(claims) for died in deaths.at.values())
    return bool(sends and claimed and pidfds)


def rows_of(daemon: Daemon) -> list[JournalRow]:
    """The whole journal."""
    rows: list[JournalRow] = []
    with open_reader(daemon.store) as reader:
        while page := reader.journal(rows[-1].seq if rows else 0, limit=1000):
            rows.extend(page)
    return rows


async def resume(place: Place) -> None:
    """Ten interruptions in a row park an agent, and rightly so: let them all go on."""
    async with connected((place,)) as client:
        await client.greet()
        await client.command("agent.resume", {"agent": None}, secrets.token_hex(16))


async def quiet(daemon: Daemon) -> None:
    """Wait until nothing is left to do."""
    with trio.fail_after(QUIET_SECONDS):
        while True:
            with open_reader(daemon.store) as reader:
                counts = reader.counts()
                views = reader.agents()
                if not counts.claimed and not any(view.deliverable for view in views):
                    return
            await trio.sleep(0.2)


def check_verdicts(rows: list[JournalRow]) -> None:
    """Between two claims of a message lies exactly one verdict, and none follows its end."""
    held: Counter[str] = Counter()
    for row in rows:
        if row.subject is None or row.agent not in AGENTS:
            continue
        if row.type == "msg.claimed":
            assert held[row.subject] == 0, f"{row.subject} was claimed twice at {row.seq}"
            held[row.subject] = 1
        elif row.type in VERDICTS:
            assert held[row.subject] == 1, f"{row.subject} got a verdict without a claim at {row.seq}"
            held[row.subject] = 0


@pytest.mark.slow
@pytest.mark.real
def test_nothing_that_was_answered_is_lost_to_sigkill(tmp_path: Path) -> None:
    """Accepted sends are all there, children die before their mail is claimed again, no claim ends twice."""

    async def story() -> None:
        place = Place(tmp_path, "test")
        load = Load(place, random.Random(20))
        counted = tried = 0
        async with daemon_on(tmp_path) as daemon:
            await hire(place)
            async with trio.open_nursery() as nursery:
                for _ in range(SENDERS):
                    nursery.start_soon(load.send)
                while counted < KILLS and tried < TRIES:
                    tried += 1
                    counted += await kill_once(daemon, load, tried)
                load.stopping = True
            print(f"{counted} of {tried} kills counted; {len(load.accepted)} sends answered")  # noqa: T201
            await resume(place)
            await quiet(daemon)
            await daemon.stop()

            assert counted == KILLS
            with open_reader(daemon.store) as reader:
                missing = [ref for ref in load.accepted.values() if reader.mail(ref) is None]
                doubled = [ref for ref, often in Counter(load.accepted.values()).items() if often > 1]
                assert missing == []
                assert doubled == []
                assert reader.violations() == ()
            check_verdicts(rows_of(daemon))

    trio.run(story)
