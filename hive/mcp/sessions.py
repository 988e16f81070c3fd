"""The MCP sessions of the handshake era: how many one agent has open, and which of them goes.

The rule kept here: an agent's sessions make room among themselves only.  Whose client opens sessions without
end loses its own that was idle for longest; that one answers 404 from then on, which tells its client to open
another.  A session that is at work is never taken away.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from typing import Any

from attrs import define
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from hive.mcp.events import SessionEvents
from hive.protocol.mail import ATTACHMENT_BYTES

MCP_SESSION_HEADER = "mcp-session-id"
VERSION_HEADER = "mcp-protocol-version"

SESSIONS = 32
"""MCP sessions open at once for one agent, whichever of its credentials opened them."""

IDLE_SECONDS = 30 * 60.0
"""A session without a request for so long is closed: a killed client never says goodbye."""

RETRY_MILLISECONDS = 1000
"""After which a client whose stream ended is asked to come back."""

REQUEST_BYTES = 8 * ATTACHMENT_BYTES
"""Of one HTTP request: the longest body there is, however its characters are escaped in JSON."""

SECURITY = TransportSecuritySettings(
    # A client of a unix socket names no port.
    allowed_hosts=["localhost", "127.0.0.1", "127.0.0.1:*", "localhost:*", "[::1]:*"],
    allowed_origins=["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"],
)

Forget = Callable[[str, str], None]
"""Told of an agent and of the session of it that was taken away."""


@define(eq=False)
class _Seat:
    """One session that is open, as far as we know: the SDK ends idle ones by itself."""

    user: AuthenticatedUser
    requests: int = 0
    """Under way.  A standing stream is none: every idle client has one."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1


_Seats = dict[str, _Seat]
"""One agent's sessions, the one used last at the end."""


def _nobody(_agent: str, _session: str) -> None:
    pass


class SessionManager(StreamableHTTPSessionManager):
    """The SDK's sessions, each with events of its own, and so many for each agent."""

    def __init__(self, server: Server[Any], forget: Forget = _nobody) -> None:
        super().__init__(
            server,
            security_settings=SECURITY,
            retry_interval=RETRY_MILLISECONDS,
            session_idle_timeout=IDLE_SECONDS,
            max_request_body_size=REQUEST_BYTES,
            max_sessions=None,  # agents are bounded, and each one's sessions are
        )
        self._forget = forget
        self._agents: dict[str, _Seats] = {}

    @property
    def event_store(self) -> SessionEvents:
        """Read by the SDK once for each session it opens."""
        return SessionEvents()

    @event_store.setter
    def event_store(self, _given: object) -> None:
        """Set by the SDK's constructor."""

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that was let in."""
        headers = Headers(scope=scope)
        session, version = headers.get(MCP_SESSION_HEADER), headers.get(VERSION_HEADER)
        if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
            await super().handle_request(scope, receive, send)
        elif session is None:
            await self._open(scope, receive, send)
        else:
            await self._use(session, scope, receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request without a session; if it opens one, the oldest idle one makes room."""
        user: AuthenticatedUser = scope["user"]
        seats = self._agents.setdefault(user.username, {})
        if sum(1 for seat in seats.values() if seat.requests) >= SESSIONS:
            error = f"Agent {user.username} has {SESSIONS} MCP sessions at work; end one, or try again later."
            await JSONResponse({"error": error}, HTTPStatus.SERVICE_UNAVAILABLE)(scope, receive, send)
            return
        seat = _Seat(user)

        async def note(message: Message) -> None:
            opened = Headers(raw=message.get("headers", [])).get(MCP_SESSION_HEADER)
            if opened and message["status"] < HTTPStatus.BAD_REQUEST:
                seats[opened] = seat
            await send(message)

        # Also before: who was cut off while it opened one left that to its successor.
        await self._make_room(seats, scope)
        with seat.at_work():
            await super().handle_request(scope, receive, note)
            await self._make_room(seats, scope)

    async def _use(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request in a session, whose turn to go is now the last."""
        user: AuthenticatedUser = scope["user"]
        seats = self._agents.get(user.username, {})
        seat = seats.get(session)
        if seat is None or seat.user.access_token.subject != user.access_token.subject:
            await super().handle_request(scope, receive, send)  # which answers that there is none
            return
        seats[session] = seats.pop(session)
        with nullcontext() if scope["method"] == "GET" else seat.at_work():
            await super().handle_request(scope, receive, send)
        if scope["method"] == "DELETE":
            seats.pop(session, None)

    async def _make_room(self, seats: _Seats, scope: Scope) -> None:
        idle = [session for session, seat in seats.items() if not seat.requests]
        for session in idle[: max(0, len(seats) - SESSIONS)]:
            # Looked at again: while we said goodbye to another one, this one may have been used or ended.
            if session in seats and not seats[session].requests:
                await self._end(session, seats.pop(session), scope)

    async def _end(self, session: str, seat: _Seat, scope: Scope) -> None:
        """Say goodbye in the client's place."""
        headers = [(MCP_SESSION_HEADER.encode(), session.encode())]
        headers += [(name, value) for name, value in scope["headers"] if name == b"host"]
        await super().handle_request(
            {**scope, "method": "DELETE", "headers": headers, "user": seat.user}, _no_body, _unheard
        )
        self._forget(seat.user.username, session)


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _unheard(_message: Message) -> None:
    pass
