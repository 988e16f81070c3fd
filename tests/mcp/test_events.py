"""What a client of the handshake era may have missed can be sent to it again, and to nobody else."""

from mcp.server.streamable_http import EventMessage
from mcp.types import JSONRPCNotification

from hive.mcp.events import EVENTS, SessionEvents
from hive.mcp.sessions import SessionManager


def note(text: str) -> JSONRPCNotification:
    """A message."""
    return JSONRPCNotification(jsonrpc="2.0", method=text)


async def replayed(events: SessionEvents, after: str) -> tuple[str | None, list[str]]:
    """What is sent again after an event."""
    found: list[str] = []

    async def take(event: EventMessage) -> None:
        assert isinstance(event.message, JSONRPCNotification)
        found.append(event.message.method)

    return await events.replay_events_after(after, take), found


async def test_what_followed_on_the_same_stream_is_sent_again() -> None:
    """In order; other streams, and the marks where streams begin, are left out."""
    events = SessionEvents()
    first = await events.store_event("1", None)
    await events.store_event("1", note("a"))
    await events.store_event("2", note("other"))
    third = await events.store_event("1", note("b"))

    assert await replayed(events, first) == ("1", ["a", "b"])
    assert await replayed(events, third) == ("1", [])


async def test_what_is_not_remembered_is_not_sent() -> None:
    """An id that never was, and one that is too old."""
    events = SessionEvents()
    oldest = await events.store_event("1", note("old"))
    for number in range(EVENTS):
        await events.store_event("1", note(str(number)))

    assert await replayed(events, "no-id") == (None, [])
    assert await replayed(events, oldest) == (None, [])


def test_each_session_remembers_its_own() -> None:
    """The SDK asks for the memory once for each session it opens."""
    manager = SessionManager(None)  # type: ignore[arg-type]

    assert manager.event_store is not manager.event_store
