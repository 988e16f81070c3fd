"""A real daemon under load, killed with SIGKILL at random instants, and nothing that was accepted is missing.

The load comes in by every door: commands on the operator's socket, MCP over TCP, MCP over agents' sockets.
A kill counts only if sends were waiting for their commit, mail was claimed and children of agents ran.
Whether a send was waiting for its commit is known afterwards: its request had been written whole, its answer
had not been read, and its message is not in the file that the dead daemon left.
"""

import os
import random
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, evolve, field, frozen

from hive.cli.client import connected
from hive.cli.places import Place
from hive.mcp.sending import fingerprint
from hive.protocol.views import Process
from hive.store.sqlite import open_reader
from tests.real.daemons import Daemon, daemon_on
from tests.real.senders import Connect, Sender, by_command, by_tcp, by_unix, id_in

KILLS = int(os.environ.get("HIVE_KILLS", "20"))
AGENTS = tuple(f"worker-{number}" for number in range(10))
CLIENTS = tuple(f"client-{number}" for number in range(6))
"""Agents that people drive with MCP clients of their own: half over TCP, half over their own sockets."""

COMMANDERS = 4
"""Senders on the operator's socket; with the clients, ten."""

TRIES = 3 * KILLS
"""Kills at most, so that those without all three kinds of victims do not go on for ever."""

MOMENT_SECONDS = 10.0
"""How long to wait for an instant with all three kinds of victims."""

CHILD_SECONDS = 30.0
"""How long children may outlive their daemon: until the next one is up."""

QUIET_SECONDS = 120.0
"""How long the last daemon may take to work off what is left."""

SETTINGS = """
[limits]
pair_messages = 1000000
mailbox_messages = 1000000
"""
"""The load is no loop between agents, and no mailbox is to be full."""

TWO_VERDICTS = """
SELECT subject, seq, type, before FROM (
  SELECT subject, seq, type, lag(type) OVER (PARTITION BY subject ORDER BY seq) AS before FROM journal
  WHERE type IN ('msg.claimed', 'msg.done', 'msg.dead', 'msg.released', 'msg.retried')
    AND agent LIKE 'worker-%'
) WHERE (type = 'msg.claimed') = (coalesce(before, '') = 'msg.claimed')
"""
"""Claims and verdicts of a message must alternate, a claim first: every row that breaks this."""


FIRST_CLAIM = """
SELECT min(at) FROM journal WHERE type = 'msg.claimed' AND boot = (SELECT max(boot) FROM journal)
"""


@define(eq=False)
class Load:
    """The senders, and what each kill caught of theirs."""

    senders: Sequence[Sender]
    chance: random.Random
    kills: list["Kill"] = field(factory=list)
    stopping: trio.Event = field(factory=trio.Event)

    @property
    def in_flight(self) -> Mapping[str, str]:
        """The ways of the sends in flight now, by key."""
        return {sender.in_flight.key: sender.way for sender in self.senders if sender.in_flight is not None}

    @property
    def answers(self) -> Mapping[str, str]:
        """By key, what every answered send was told."""
        return {key: said for sender in self.senders for key, said in sender.answers.items()}


@frozen
class Kill:
    """What was there at the instant of one kill."""

    in_flight: Mapping[str, str]
    claimed: int
    children: int
    committed: Mapping[str, str] = {}
    """Of the sends in flight those whose message was in the file, by key, with its id."""

    @property
    def awaiting_commit(self) -> Mapping[str, str]:
        """The sends in flight that had not been committed, by key, with their way."""
        return {key: way for key, way in self.in_flight.items() if key not in self.committed}

    @property
    def counts(self) -> bool:
        """Whether all three kinds of victims were there, and calls of MCP among the sends."""
        return bool(self.awaiting_commit and self.claimed and self.children and self.by_mcp)

    @property
    def by_mcp(self) -> int:
        """The sends in flight that came as calls of a tool."""
        return sum(way != "hive.1" for way in self.in_flight.values())

    def __str__(self) -> str:
        """In one line."""
        ways = ", ".join(f"{often} {way}" for way, often in sorted(Counter(self.in_flight.values()).items()))
        return (
            f"{len(self.in_flight)} sends in flight ({ways}), {len(self.awaiting_commit)} awaiting commit, "
            f"{len(self.committed)} their answer; {self.claimed} claimed, {self.children} children alive"
        )


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


async def hire(place: Place) -> list[Sender]:
    """Ten agents that obey whoever sends, and ten senders."""
    chance = random.Random(20)

    def sender(way: str, connect: Connect) -> Sender:
        return Sender(way, connect, AGENTS, random.Random(chance.random()))

    senders = [sender("hive.1", by_command(place)) for _ in range(COMMANDERS)]
    async with connected((place,)) as client:
        await client.greet()
        obeying = {"allow_shell": True, "directives_from": ["operator", *CLIENTS]}
        for name, settings in (
            *((name, {"backend": "scripted", **obeying}) for name in AGENTS),
            *((name, {"backend": "external"}) for name in CLIENTS),
        ):
            await client.command("agent.spawn", {"name": name, "settings": settings}, secrets.token_hex(16))
        for number, agent in enumerate(CLIENTS):
            if number % 2:
                senders.append(sender("mcp/unix", by_unix(place, agent)))
            else:
                made = await client.command("client.token", {"agent": agent}, secrets.token_hex(16))
                senders.append(sender("mcp/tcp", by_tcp(place, agent, made["result"]["token"])))
    return senders


# --- one kill --------------------------------------------------------------------------------------


def victims(daemon: Daemon, load: Load) -> tuple[Kill, list[Process]]:
    """Sends in flight, claimed messages, children that run: now, but for what the file says."""
    with open_reader(daemon.store) as reader:
        children = [process for process in reader.processes() if alive(process)]
        claimed = reader.counts().claimed
    return Kill(load.in_flight, claimed, len(children)), children


async def kill_once(daemon: Daemon, load: Load) -> Kill:
    """Kill at an instant with all three kinds of victims, restart, and see the children dead in time."""
    await trio.sleep(load.chance.uniform(0.05, 1.0))
    deadline = trio.current_time() + MOMENT_SECONDS
    while True:
        kill, children = victims(daemon, load)
        if (kill.claimed and kill.children and kill.by_mcp) or trio.current_time() > deadline:
            break
        await trio.sleep(0.002)
    pidfds = {process.pid: os.pidfd_open(process.pid) for process in children if alive(process)}
    daemon.kill()
    kill = evolve(kill, children=len(pidfds), committed=committed(daemon, kill))
    deaths = Deaths()
    with trio.fail_after(CHILD_SECONDS):
        async with trio.open_nursery() as nursery:
            for pid, pidfd in pidfds.items():
                nursery.start_soon(deaths.watch, pidfd, pid)
            await daemon.start()
    check_children(daemon, pidfds, deaths)
    return kill


@contextmanager
def looked_into(daemon: Daemon) -> Iterator[sqlite3.Connection]:
    """Its file, for questions of our own."""
    with closing(sqlite3.connect(f"file:{daemon.store}?mode=ro", uri=True)) as db:
        yield db


def committed(daemon: Daemon, kill: Kill) -> Mapping[str, str]:
    """Of the sends in flight those that are in the file, each wholly: message, journal row and answer."""
    found = {}
    with looked_into(daemon) as db:
        for key in kill.in_flight:
            ids = [row[0] for row in db.execute("SELECT id FROM message WHERE body LIKE ?", (f"%{key}%",))]
            keys = (key, fingerprint(key))  # as hive.1 and as a client's tool-use id keep it
            (answers,) = db.execute("SELECT count(*) FROM answer WHERE key IN (?, ?)", keys).fetchone()
            sent = [
                db.execute(
                    "SELECT count(*) FROM journal WHERE type = 'msg.sent' AND subject = ?", (id_,)
                ).fetchone()[0]
                for id_ in ids
            ]
            assert (len(ids), answers, sent) in ((0, 0, []), (1, 1, [1])), f"{key} is there in part"
            found.update(dict.fromkeys([key] * len(ids), *ids))
    return found


def check_children(daemon: Daemon, pidfds: Mapping[int, int], deaths: Deaths) -> None:
    """All of them died, and before the next daemon claimed anything."""
    assert deaths.at.keys() == pidfds.keys()
    with looked_into(daemon) as db:
        (first,) = db.execute(FIRST_CLAIM).fetchone()
    assert first is None or all(died <= first for died in deaths.at.values())


# --- the end ---------------------------------------------------------------------------------------


async def resume(place: Place) -> None:
    """Ten interruptions in a row park an agent, and rightly so: let them all go on."""
    async with connected((place,)) as client:
        await client.greet()
        await client.command(
            "agent.resume", {"agent": None, "reasons": ["interrupted"]}, secrets.token_hex(16)
        )


async def repeat(load: Load) -> None:
    """Whoever repeats its last send, long answered, is told the same word for word."""
    for sender in load.senders:
        assert sender.last is not None, f"a sender by {sender.way} was never answered"
        async with sender.connect(sender) as post:
            assert await post(sender.last) == sender.answers[sender.last.key]


async def quiet(daemon: Daemon) -> None:
    """Wait until nothing is left to do."""
    with trio.fail_after(QUIET_SECONDS):
        while True:
            with open_reader(daemon.store) as reader:
                waiting = any(view.deliverable for view in reader.agents() if view.name in AGENTS)
                if not reader.counts().claimed and not waiting:
                    return
            await trio.sleep(0.2)


def check_sends(daemon: Daemon, load: Load) -> None:
    """Each answered send is the one message its answer names, and none was sent twice."""
    with looked_into(daemon) as db:
        rows = db.execute("SELECT id, body FROM message WHERE body LIKE '%!note %'").fetchall()
    keys = [body.rpartition(" ")[2] for _, body in rows]
    ids = {key: id_ for key, (id_, _) in zip(keys, rows, strict=True)}
    assert {key: id_in(said) for key, said in load.answers.items()}.items() <= ids.items()
    assert [key for key, often in Counter(keys).items() if often > 1] == []
    before = {key: id_ for kill in load.kills for key, id_ in kill.committed.items()}
    assert before.items() <= ids.items()


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.filterwarnings("ignore:Async generator '(httpx2|httpcore2|mcp)[.]:ResourceWarning")
def test_nothing_that_was_answered_is_lost_to_sigkill(tmp_path: Path) -> None:
    """Accepted sends are all there, children die before their mail is claimed again, no claim ends twice."""
    (tmp_path / "hive.toml").write_text(SETTINGS)

    async def story() -> None:
        place = Place(tmp_path, "test")
        async with daemon_on(tmp_path) as daemon:
            load = Load(await hire(place), random.Random(20))
            async with trio.open_nursery() as nursery:
                for sender in load.senders:
                    nursery.start_soon(sender.run, load.stopping)
                while sum(kill.counts for kill in load.kills) < KILLS and len(load.kills) < TRIES:
                    load.kills.append(await kill_once(daemon, load))
                    print(f"kill {len(load.kills)}: {load.kills[-1]}")  # noqa: T201 - a sweep says what it hit
                load.stopping.set()
            await repeat(load)
            await resume(place)
            await quiet(daemon)
            await daemon.stop()
            check(daemon, load)

    trio.run(story)


def check(daemon: Daemon, load: Load) -> None:
    """Enough was hit, nothing is lost, nothing is twice."""
    counted = sum(kill.counts for kill in load.kills)
    ways = Counter(way for kill in load.kills for way in kill.awaiting_commit.values())
    print(f"{counted} of {len(load.kills)} kills counted; {len(load.answers)} sends answered")  # noqa: T201
    print(f"awaiting their commit when killed: {dict(ways)}")  # noqa: T201 - a sweep says what it hit
    assert counted == KILLS
    assert ways.keys() == {"hive.1", "mcp/tcp", "mcp/unix"}
    check_sends(daemon, load)
    with open_reader(daemon.store) as reader:
        assert reader.violations(deep=True) == ()
    with looked_into(daemon) as db:
        assert db.execute(TWO_VERDICTS).fetchall() == []


@pytest.mark.parametrize(
    ("history", "wrong"),
    [
        (("claimed", "released", "claimed", "retried", "claimed", "done"), []),
        (("claimed", "done", "released"), [3]),
        (("claimed", "claimed", "done"), [2]),
        (("done",), [1]),
    ],
)
def test_the_question_after_second_verdicts_finds_them(history: tuple[str, ...], wrong: list[int]) -> None:
    """So that the test above is known to be able to fail."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, type TEXT, agent TEXT, subject TEXT)")
        for step in history:
            row = (f"msg.{step}", AGENTS[0], "m-1")
            db.execute("INSERT INTO journal (type, agent, subject) VALUES (?, ?, ?)", row)
        assert [seq for _, seq, _, _ in db.execute(TWO_VERDICTS)] == wrong
