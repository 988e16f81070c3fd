"""The load of a hive under torture: agents that obey, clients of agents, and whoever sends.

Mail comes in by every door: commands on the operator's socket, MCP over TCP, MCP over agents' sockets.
"""

import secrets
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import trio
from attrs import define, field

from hive.cli.client import Client, connected, insist
from hive.cli.places import Place
from hive.testing.torture.book import Book
from hive.testing.torture.senders import Connect, Gate, Sender
from hive.testing.torture.ways import by_command, by_tcp, by_unix

WORKER: Final = "worker-"
WORKERS: Final = tuple(f"{WORKER}{number}" for number in range(10))
CLIENTS: Final = tuple(f"client-{number}" for number in range(6))
"""Agents that people drive with MCP clients of their own: half over TCP, half over their own sockets."""

COMMANDERS: Final = 4
"""Senders on the operator's socket; with the clients, ten."""

SETTINGS: Final = """
[limits]
pair_messages = 1000000
mailbox_messages = 200
batch_messages = 6
"""
"""The load is no loop between agents; what nobody has worked off yet stays little; and turns are short, so
that some end before the next kill."""

ANSWER_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.002


@define(eq=False)
class Load:
    """Everybody who sends."""

    place: Place
    book: Book
    senders: Sequence[Sender]
    gate: Gate
    stopping: trio.Event = field(factory=trio.Event)

    @property
    def in_flight(self) -> Mapping[str, str]:
        """The ways of the sends in flight now, by key."""
        return {sender.in_flight.key: sender.way for sender in self.senders if sender.in_flight is not None}

    def stop(self) -> None:
        """Let everybody finish the letter in hand, and send no more."""
        self.stopping.set()
        self.gate.open()

    async def heard_out(self) -> None:
        """Wait until everybody has read what a daemon that is gone had answered before.

        Raises `trio.TooSlowError` where somebody never does.
        """
        waiting = {sender: sender.tries for sender in self.senders if sender.posting}
        with trio.fail_after(ANSWER_SECONDS):
            for sender, tries in waiting.items():
                while sender.tries == tries:  # noqa: ASYNC110 - on the way of every send, an event is too much
                    await trio.sleep(LOOK_SECONDS)


async def hire(place: Place, chance: Random, book: Book) -> Load:
    """Add the agents to a hive that serves; returns who will send to them."""
    gate = Gate()

    def sender(way: str, connect: Connect) -> Sender:
        return Sender(way, connect, WORKERS, Random(chance.getrandbits(64)), book, gate)

    async with connected((place,)) as client:
        obeying = {"allow_shell": True, "directives_from": ["operator", *CLIENTS]}
        for name in WORKERS:
            await _spawn(client, name, {"backend": "scripted", **obeying})
        senders = [sender("hive.1", by_command(place)) for _ in range(COMMANDERS)]
        for number, name in enumerate(CLIENTS):
            await _spawn(client, name, {"backend": "external"})
            if number % 2:
                senders.append(sender("mcp/unix", by_unix(place, name)))
            else:
                made = await client.command("client.token", {"agent": name}, secrets.token_hex(16))
                senders.append(sender("mcp/tcp", by_tcp(place, name, made["result"]["token"])))
    return Load(place, book, senders, gate)


async def _spawn(client: Client, name: str, settings: Mapping[str, object]) -> None:
    await client.command("agent.spawn", {"name": name, "settings": settings}, secrets.token_hex(16))


async def resume(place: Place) -> None:
    """Let go on whoever was interrupted ten times in a row: being killed is what happens here."""
    await insist((place,), "agent.resume", {"agent": None, "reasons": ["interrupted"]})
