"""What a client of the handshake era may have missed: a bounded memory for each MCP session.

The rule kept here: a session's events are its own.  The SDK's streams are named by request ids, which repeat
from client to client, so one memory for all sessions would replay one agent's answers to another.
"""

from collections import OrderedDict
from itertools import count

from attrs import define, field
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp.types import JSONRPCMessage

EVENTS = 256
"""Kept for one session; older ones cannot be replayed any more."""


@define(eq=False)
class SessionEvents(EventStore):
    """The latest events of one MCP session."""

    _kept: "OrderedDict[EventId, tuple[StreamId, JSONRPCMessage | None]]" = field(
        factory=OrderedDict, init=False
    )
    _numbers: "count[int]" = field(factory=lambda: count(1), init=False)

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        """Remember an event; answers its id."""
        event = str(next(self._numbers))
        self._kept[event] = (stream_id, message)
        if len(self._kept) > EVENTS:
            self._kept.popitem(last=False)
        return event

    async def replay_events_after(
        self, last_event_id: EventId, send_callback: EventCallback
    ) -> StreamId | None:
        """Send again what followed an event on its stream; None where it is not remembered."""
        if last_event_id not in self._kept:
            return None
        stream, _ = self._kept[last_event_id]
        after = int(last_event_id)
        for event, (known, message) in list(self._kept.items()):
            # The event without a message only marks where a stream begins.
            if known == stream and int(event) > after and message is not None:
                await send_callback(EventMessage(message, event))
        return stream
