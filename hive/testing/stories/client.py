"""An agent's own client: it takes mail by leases, and says of each message what became of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from attrs import define, field

from hive.agents.tokens import CliSession
from hive.protocol.commands import SetClientToken

from .book import IN_DOUBT, RECEIVED, attempt

if TYPE_CHECKING:
    from hive.agents.tools import ToolAnswer

    from .book import Book


@define(eq=False)
class Client:
    """One client with one agent's token."""

    book: Book
    agent: str
    _session: CliSession
    held: list[str] = field(factory=list, init=False)
    """What it was given and has not settled."""

    @classmethod
    async def of(cls, book: Book, agent: str) -> Client:
        """Give an agent a token, and a client that knows it."""
        token = f"{book.sim.random.getrandbits(128):032x}"
        await book.sim.do(SetClientToken(agent, hashlib.sha256(token.encode()).hexdigest()))
        return cls(book, agent, CliSession(agent, token))

    async def call(self, tool: str, **arguments: object) -> ToolAnswer:
        """Call a tool; an endpoint that cannot be reached is an answer too."""
        swarm = await self.book.sim.swarm()
        async with swarm.open_tools(self._session) as tools:
            answer = await attempt(tools.call(tool, arguments))
        self.book.happened[f"client {tool}" if answer.ok else "client refused"] += 1
        return answer

    async def receive(self, most: int) -> None:
        """Take mail."""
        answer = await self.call("recv", max=most)
        self.held += RECEIVED.findall(answer.text)

    async def settle(self, tool: str) -> None:
        """Say of the oldest message in hand that it is handled (`ack`), or give it back (`release`)."""
        message = self.held.pop(0)
        answer = await self.call(tool, message=message)
        if tool == "ack" and (answer.ok or IN_DOUBT in answer.text):
            self.book.acked.add(message)

    async def send(self, to: str, words: str) -> None:
        """Send mail as its agent."""
        text = self.book.text(words)
        self.book.read_answer(self.agent, text, to, await self.call("send", to=to, body=text))
