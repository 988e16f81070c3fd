"""Telling clients that something they could read has changed, on both wires of the protocol.

The rule kept here: a notification carries no content and may be lost; it means "read again".  A client that
does not take its notifications loses its subscriptions, and nobody waits for it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import trio
from attrs import define, field
from mcp.server.subscriptions import ListenHandler, ResourcesListChanged, ResourceUpdated, ServerEvent
from mcp.shared.subscriptions import event_to_notification

from hive.mcp.resources import INBOX, MESSAGE
from hive.protocol.views import JournalRow, StreamView

if TYPE_CHECKING:
    from mcp.server.session import ServerSession

LISTENERS = 32
"""Streams that listen for one agent, on the newer wire."""

CLIENTS = 64
"""MCP sessions remembered for one agent, on the older wire: all that are open, and some that have ended."""

SUBSCRIPTIONS = 256
"""Addresses one client of the older wire watches; beyond it the oldest is forgotten."""

SEND_SECONDS = 1.0
"""How long a client of the older wire may take to accept one notification."""

Listener = Callable[[ServerEvent], None]


@define(eq=False)
class Bus:
    """The SDK's fan-out for one agent, on the newer wire."""

    _listeners: dict[object, Listener] = field(factory=dict, init=False)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Hear of events until the returned function is called."""
        token = object()
        self._listeners[token] = listener

        def end() -> None:
            self._listeners.pop(token, None)

        return end

    async def publish(self, event: ServerEvent) -> None:
        """Tell everybody who listens."""
        for listener in list(self._listeners.values()):
            listener(event)
        await trio.lowlevel.checkpoint()


@define(eq=False)
class Client:
    """One MCP session of the older wire: the way to its client, and what it watches."""

    session: "ServerSession"
    watched: dict[str, None] = field(factory=dict)

    def watch(self, uri: str) -> None:
        """Tell it of changes at this address."""
        self.watched[uri] = None
        _keep_newest(self.watched, SUBSCRIPTIONS)

    def wants(self, event: ServerEvent) -> bool:
        """Whether it is to hear of this."""
        return event.uri in self.watched if isinstance(event, ResourceUpdated) else True


@define(eq=False)
class Audience:
    """Who listens at one agent's endpoint."""

    bus: Bus = field(factory=Bus)
    listen: ListenHandler = field(init=False)
    clients: dict[str, Client] = field(factory=dict)

    @listen.default
    def _listen(self) -> ListenHandler:
        return ListenHandler(self.bus, max_subscriptions=LISTENERS)

    def meet(self, mcp_session: str, session: "ServerSession") -> Client:
        """Remember the way to a client of the older wire."""
        client = self.clients.pop(mcp_session, None) or Client(session)
        client.session = session
        self.clients[mcp_session] = client
        _keep_newest(self.clients, CLIENTS)
        return client

    async def tell(self, event: ServerEvent) -> None:
        """Tell everybody who wants to hear of it, on both wires."""
        await self.bus.publish(event)
        for mcp_session, client in list(self.clients.items()):
            if client.wants(event):
                with trio.move_on_after(SEND_SECONDS) as scope:
                    await client.session.send_notification(event_to_notification(event, {}))
                if scope.cancelled_caught:
                    del self.clients[mcp_session]


@define(eq=False)
class Notifier:
    """Turns committed changes into notifications, each agent's for that agent only."""

    _audiences: dict[str, Audience] = field(factory=dict, init=False)
    # A dict for its order, and so that what changes often before it is told is told once.
    _news: dict[tuple[str, ServerEvent], None] = field(factory=dict, init=False)
    _rung: trio.Event = field(factory=trio.Event, init=False)

    def audience(self, agent: str) -> Audience:
        """Who listens for this agent."""
        return self._audiences.setdefault(agent, Audience())

    def forget(self, agent: str, mcp_session: str) -> None:
        """Forget a session that was ended."""
        self.audience(agent).clients.pop(mcp_session, None)

    def on_commit(self, rows: Sequence[JournalRow], _stream: Sequence[tuple[str, StreamView]]) -> None:
        """Take note of what changed: a subscriber of the store."""
        for agent, event in _news(rows):
            if agent in self._audiences:
                self.announce(agent, event)

    def announce(self, agent: str, event: ServerEvent) -> None:
        """Have an agent's clients told."""
        self._news[agent, event] = None
        self._rung.set()

    async def deliver(self) -> None:
        """Tell clients what there is to tell, for ever."""
        while True:
            await self._rung.wait()
            self._rung = trio.Event()
            news, self._news = self._news, {}
            for agent, event in news:
                await self.audience(agent).tell(event)


def _news(rows: Sequence[JournalRow]) -> Iterator[tuple[str, ServerEvent]]:
    """What journal rows mean to which agent."""
    for row in rows:
        if not (row.type.startswith("msg.") and row.agent):
            continue
        if row.type == "msg.sent":
            yield row.agent, ResourcesListChanged()
        yield row.agent, ResourceUpdated(uri=INBOX)
        for agent in dict.fromkeys((row.agent, str(row.data.get("from")))):
            yield agent, ResourceUpdated(uri=MESSAGE.format(id=row.subject))


def _keep_newest(known: dict[str, object] | dict[str, Client] | dict[str, None], most: int) -> None:
    while len(known) > most:
        del known[next(iter(known))]
