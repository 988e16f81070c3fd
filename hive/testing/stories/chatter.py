"""Agents at their everyday work: they use every tool they have, and their mail criss-crosses for hours."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hive.mcp.tools import TOOLS
from hive.protocol.mail import INLINE_BYTES, Provenance
from hive.protocol.names import EVERYONE, MANAGER, OPERATOR

from .book import Book, words_of
from .client import Client
from .ending import come_to_rest, everything_is_accounted_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from hive.agents.tools import ToolAnswer
    from hive.protocol.mail import Mail
    from hive.testing.brains import Turn
    from hive.testing.simulate import Simulation

AGENTS = 20
ROUNDS = 2
LONG_CHARACTERS = 12_000
"""More than an answer of `read` shows at once, so that reading it takes two."""

THE_END = "and that is all."


async def chatter(sim: Simulation) -> None:
    """Twenty agents use all tools there are, and one of them has a client besides, for some hours.

    What is accepted is handled; a long message is read whole; each tool has been used.
    """
    book = Book(sim)
    names = [f"agent-{number:02}" for number in range(AGENTS)]
    for name in names:
        await sim.spawn(
            name, book.brain(partial(_think, book, names)), role=MANAGER if name == names[0] else "agent"
        )
    client = await Client.of(book, names[-1])
    for _ in range(ROUNDS):
        for tools in _in_twos(sim.random.sample(list(USES), len(USES))):
            await book.send(sim.random.choice(names), f"use {' '.join(tools)}")
            await sim.advance(minutes=sim.random.expovariate(0.5))
    await _by_its_client(book, client)
    for tool in USES:
        while not book.happened[f"used {tool}"]:  # whatever became of its message: send another
            await book.send(sim.random.choice(names), f"use {tool}")
            await sim.advance(minutes=1)
    await come_to_rest(book)
    missing = {spec.name for spec in TOOLS} - {name.rpartition(" ")[2] for name in book.happened}
    assert not missing, f"nobody has used {sorted(missing)}"
    everything_is_accounted_for(
        book, sent_by_the_operator=14, sent_by_agents=25, turn_ended=20, client_ack=1, client_release=1
    )


def _in_twos(tools: Sequence[str]) -> Sequence[Sequence[str]]:
    return [tools[at : at + 2] for at in range(0, len(tools), 2)]


async def _by_its_client(book: Book, client: Client) -> None:
    """Races for mail with its agent's turns until it has acked one and given one back; forgets the rest."""
    for tool in ("ack", "release"):
        while not book.happened[f"client {tool}"]:
            await book.send(client.agent, "for whoever comes first")
            await client.receive(3)
            if client.held:
                await client.settle(tool)
    client.held.clear()


async def _think(book: Book, names: Sequence[str], turn: Turn) -> None:
    for mail in turn.mail:
        what, _, tools = words_of(mail).partition(" ")
        if mail.sender == OPERATOR and what == "use":
            for tool in tools.split():
                answer = await USES[tool](book, turn, turn.random.choice(names))
                book.happened[f"used {tool}" if answer.ok else "a tool refused"] += 1
        elif mail.provenance is Provenance.AGENT and what == "question":
            await book.post(turn, mail.sender, "answer", in_reply_to=mail.id)
        if mail.attachment is not None:
            await _read_whole(turn, mail)


async def _read_whole(turn: Turn, mail: Mail) -> None:
    """Part after part, as each names the next one."""
    offset, text = 0, ""
    while THE_END not in text:
        answer = await turn.call("read", message=mail.id, offset=offset)
        if not answer.ok:
            return
        text = answer.text
        assert "left: read(" in text or THE_END in text, f"the text of {mail.id} ends too early"
        offset += 10_000


# --- one use of each tool --------------------------------------------------------------------------


async def _send(book: Book, turn: Turn, peer: str) -> ToolAnswer:
    return await book.post(turn, peer, "question")


async def _broadcast(book: Book, turn: Turn, _peer: str) -> ToolAnswer:
    return await book.post(turn, EVERYONE, "news for everybody")


async def _long(book: Book, turn: Turn, peer: str) -> ToolAnswer:
    assert LONG_CHARACTERS > INLINE_BYTES
    return await book.post(turn, peer, f"{'word ' * (LONG_CHARACTERS // 5)}{THE_END}")


async def _report(book: Book, turn: Turn, _peer: str) -> ToolAnswer:
    return await book.post(turn, OPERATOR, "a report")


async def _ask_manager(book: Book, turn: Turn, _peer: str) -> ToolAnswer:
    return await book.post(turn, MANAGER, "question")


async def _notify(book: Book, turn: Turn, _peer: str) -> ToolAnswer:
    answer = await turn.call("notify", title="A notice", body="All is well.")
    book.read_answer(turn.agent, None, OPERATOR, answer)
    return answer


async def _request_next_turn(book: Book, turn: Turn, _peer: str) -> ToolAnswer:
    answer = await turn.call("request_next_turn", reason="There is more to do.")
    book.read_answer(turn.agent, None, turn.agent, answer)
    return answer


async def _recv(book: Book, turn: Turn, _peer: str) -> ToolAnswer:
    return await book.receive(turn, wait_seconds=5)


async def _read(_book: Book, turn: Turn, _peer: str) -> ToolAnswer:
    return await turn.call("read", message=turn.mail[0].id)


async def _set_status(_book: Book, turn: Turn, _peer: str) -> ToolAnswer:
    return await turn.call("set_status", text=f"at work on {turn.mail[0].id}")


async def _look(tool: str, _book: Book, turn: Turn, _peer: str) -> ToolAnswer:
    return await turn.call(tool)


USES: Mapping[str, Callable[[Book, Turn, str], Awaitable[ToolAnswer]]] = {
    "send": _send,
    "send-broadcast": _broadcast,
    "send-long": _long,
    "send-report": _report,
    "send-manager": _ask_manager,
    "notify": _notify,
    "request_next_turn": _request_next_turn,
    "recv": _recv,
    "read": _read,
    "set_status": _set_status,
    "inbox": partial(_look, "inbox"),
    "agents": partial(_look, "agents"),
    "whoami": partial(_look, "whoami"),
}
