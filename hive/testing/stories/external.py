"""Agents that their people's own clients drive: mail goes by leases, and clients forget."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from hive.protocol.commands import Settings
from hive.protocol.limits import Limits
from hive.protocol.mail import UNFINISHED

from .book import Book
from .client import Client
from .ending import come_to_rest, everything_is_accounted_for, reader_of
from .work import hand_out, start_workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hive.testing.simulate import Simulation

LEASE_SECONDS = 60.0
VISITS = 16


async def external(sim: Simulation) -> None:
    """Two agents driven by clients that take mail and ack it, give it back, or leave with it.

    What a client leaves with comes back when its lease ends, and is done only when a client has said so.
    """
    sim.limits = Limits(lease_seconds=LEASE_SECONDS)
    book, swarm = Book(sim), await sim.swarm()
    names = ("out-1", "out-2")
    for name in names:
        await swarm.add(name, Settings(backend="external"))
    clients = [await Client.of(book, name) for name in names]
    workers = await start_workers(sim, book, 2)
    deeds = cycle(("ack", "release", "send", "ack", "leave"))
    for _ in range(VISITS):
        await hand_out(book, (*names, *workers), 2)
        client = sim.random.choice(clients)
        await client.receive(sim.random.randint(1, 4))
        await _visit(book, client, deeds)
        await sim.advance(seconds=sim.random.expovariate(1 / LEASE_SECONDS))
    await come_to_rest(book)
    for client in clients:
        await _empty(sim, client)
    await come_to_rest(book)
    everything_is_accounted_for(
        book, client_recv=VISITS // 2, client_ack=4, client_release=1, left_with_mail=1, msg_released=2
    )


async def _visit(book: Book, client: Client, deeds: Iterator[str]) -> None:
    """Deal with what it has in hand, each in another way, and maybe leave with the rest."""
    while client.held:
        match next(deeds):
            case "leave":
                book.happened["left with mail"] += 1
                client.held.clear()
            case "send":
                await client.send("agent-0", "help")
            case tool:
                await client.settle(tool)


async def _empty(sim: Simulation, client: Client) -> None:
    """Take and ack whatever is left."""
    while any(mail.state in UNFINISHED for mail in sim.inbox(client.agent, finished=False)):
        await client.receive(10)
        while client.held:
            await client.settle("ack")
        if reader_of(sim).next_lease_end() is not None:
            await sim.advance(seconds=2 * LEASE_SECONDS)
