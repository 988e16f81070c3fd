"""What a running hive's audit of itself costs, with figures of the daemon's own beside ours.

Run it with: python -m bench.audit [FOLDER] [SIZES]
for instance: python -m bench.audit /var/tmp 100000,1000000
First a real daemon with a hundred agents under load: the processor time of its looks, as it counts them
itself, beside that of the whole process.  Then full checks of a store with so many messages, without the
rests between their pieces, and how late the loop and a send were meanwhile.  Shares are of one core.
"""

import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx2
import trio

from bench.daemon import Home, cpu, daemon, furnished, line
from hive.actors.auditing import PIECE_SECONDS, REST
from hive.cli.client import connected
from hive.directory import Directory
from hive.protocol.commands import AddAgent, Send
from hive.protocol.mail import Provenance
from hive.store.audit import Order
from hive.store.sqlite import SqliteStore, open_store

AGENTS = 100
SENDERS = 10
LOAD_SECONDS = 60.0
CALM_SECONDS = 3.0
PACE_SECONDS = 0.02
PULSE_SECONDS = 0.005
MILLISECONDS = 1e3


def main(folder: str | None = None, sizes: str = "100000,1000000") -> None:
    """Measure everything and print it."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="hive-bench-") as place:
        root = Path(place)
        home = furnished(root / "many", AGENTS)
        with daemon(home) as (pid, _):
            trio.run(under_load, home, pid)
        for size in map(int, sizes.split(",")):
            trio.run(full_check, root, size)


# --- a daemon under load ---------------------------------------------------------------------------


async def under_load(home: Home, pid: int) -> None:
    """Operators send to all agents in turn, each of which answers with a turn, while hive audits itself."""
    before, began, used = await figures(home), time.perf_counter(), cpu(pid)
    sent = 0

    async def send(number: int) -> None:
        nonlocal sent
        async with connected(home.places) as client:
            await client.greet(None, {})
            while time.perf_counter() - began < LOAD_SECONDS:
                what = {"to": f"a{(number + sent) % AGENTS}", "body": "note"}
                await client.command("message.send", what, f"{number:04x}{sent:028x}")
                sent += 1
                await trio.sleep(PACE_SECONDS)

    async with trio.open_nursery() as nursery:
        for number in range(SENDERS):
            nursery.start_soon(send, number)
    took, spent = time.perf_counter() - began, cpu(pid) - used
    after = await figures(home)
    turns = after['hive_turns_total{outcome="ok"}'] - before['hive_turns_total{outcome="ok"}']
    audit = after["hive_audit_cpu_seconds_total"] - before["hive_audit_cpu_seconds_total"]
    looks = after["hive_audit_looks_total"] - before["hive_audit_looks_total"]
    fulls = after["hive_audit_full_checks_total"]
    line(
        f"{SENDERS} senders, {AGENTS} agents, {took:.0f} s",
        f"{sent / took:.0f} sends/s",
        f"{turns:.0f} turns",
    )
    line("the whole daemon", f"{spent / took:.1%} of a core")
    beside = f"{looks:.0f} looks, {fulls:.0f} full checks since the start"
    line("its audit", f"{audit / took:.2%} of a core", beside, "< 1 %")
    line("    of the daemon's own processor time", f"{audit / spent:.1%}")


async def figures(home: Home) -> dict[str, float]:
    """What the daemon's own metrics say."""
    socket = httpx2.AsyncHTTPTransport(uds=str(Directory(home.directory).operator_socket))
    async with httpx2.AsyncClient(transport=socket, base_url="http://hive") as http:
        text = (await http.get("/metrics")).text
    samples = (row.rpartition(" ") for row in text.splitlines() if not row.startswith("#"))
    return {name: float(value) for name, _, value in samples}


# --- a full check ----------------------------------------------------------------------------------

FILL = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :size)
INSERT INTO message (
  id, sender, recipient, kind, size, thread, provenance, state,
  created_at, ready_at, settled_at, why, turn, body)
SELECT 'm-' || i, 'operator', 'a' || (i % :agents), 'message', 400, 'm-' || i, 'operator', 'done',
  :at, :at, :at, 'turn', i, printf('%.*c', 400, 'x') FROM n
"""
TURNS = """
INSERT INTO turn (number, agent, boot, incarnation, started_at, ended_at, outcome)
SELECT number, recipient, 1, 1, ready_at, ready_at, 'ok' FROM message
"""
HELD = """
INSERT INTO turn_message (turn, message, claim, seen, verdict, first, waited)
SELECT number, number, number, 1, 'done', 1, 0.01 FROM message
"""
CLAIMS = """
INSERT INTO claim (number, message, turn, claimed_at, ends_at)
SELECT number, number, number, ready_at, ready_at FROM message
"""
COUNTS = """
INSERT INTO tally (agent, accepted, done) SELECT recipient, count(*), count(*) FROM message GROUP BY recipient
"""


@contextmanager
def filled(root: Path, size: int) -> Iterator[SqliteStore]:
    """A store in which a hundred agents have handled so many messages."""
    path = root / f"{size}.sqlite3"
    with open_store(path) as store:
        store.recover("bench")
        for number in range(AGENTS):
            store.submit(AddAgent(f"a{number}"))
        store.stop("furnished")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute(FILL, {"size": size, "agents": AGENTS, "at": time.time() - 3600})
        for sql in (TURNS, HELD, CLAIMS, COUNTS):
            db.execute(sql)
    with open_store(path) as store:
        store.recover("bench")
        yield store


async def full_check(root: Path, size: int) -> None:
    """One full check, piece after piece, while messages are sent and the loop's pulse is taken."""
    with filled(root, size) as store:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.drain_forever)
            late, sends = [0.0], [0.0]
            calm, calm_sends = [0.0], [0.0]
            with trio.move_on_after(CALM_SECONDS):
                await beat(store, calm, calm_sends)
            nursery.start_soon(beat, store, late, sends)
            pieces, began = [], time.perf_counter()
            order: Order | None = Order(deep=True, seconds=PIECE_SECONDS)
            while order is not None:
                look = await store.audit(order)
                assert not look.seen.found, look.seen.found
                pieces.append(look.spent)
                order = look.seen.rest
            took = time.perf_counter() - began
            nursery.cancel_scope.cancel()
    spent = sum(pieces)
    name = f"full check of {size:,} messages"
    line(name, f"{spent:.2f} s of processor", f"{took:.2f} s by the clock without its rests")
    longest = f"longest {max(pieces) * MILLISECONDS:.0f} ms"
    line("    in pieces", f"{len(pieces)}", f"{longest}; with rests {spent * REST / 60:.1f} min")
    line("    the loop came late by", both(late), f"{both(calm)} without it")
    line("    a send took", both(sends), f"{both(calm_sends)} without it")


async def beat(store: SqliteStore, late: list[float], sends: list[float]) -> None:
    """Take the loop's pulse, and send."""
    while True:
        begun = time.perf_counter()
        await trio.sleep(PULSE_SECONDS)
        late.append(time.perf_counter() - begun - PULSE_SECONDS)
        begun = time.perf_counter()
        await store.submit(Send("operator", "a0", "note", Provenance.OPERATOR)).outcome()
        sends.append(time.perf_counter() - begun)


def both(seconds: list[float]) -> str:
    """The 99th percentile and the worst."""
    ordered = sorted(seconds)
    late = ordered[int(len(ordered) * 0.99)]
    return f"p99 {late * MILLISECONDS:.1f}, worst {ordered[-1] * MILLISECONDS:.0f} ms"


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
