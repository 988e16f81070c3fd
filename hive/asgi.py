"""Any ASGI application as a supervised child: our own accept loop around hypercorn's connections.

It keeps three promises that `hypercorn.serve` does not. A client that stops reading is cut off and never
holds up a stop. A restart loses no connection that was waiting, because every incarnation listens on a
duplicate of sockets it does not own. And the application learns whom it talks to: each scope carries its
listener's entries, and beside them:

- `hive.peer`: the `Credentials` of a unix peer, None over TCP.
- `hive.stopping`: a `trio.Event`, set when this listener begins to leave. Long polls answer and websockets
  say goodbye when they see it. A websocket still open `FAREWELL` seconds later receives
  `websocket.disconnect` and is closed with code 1012; whatever is left when the grace is over is cancelled
  and cut off.

What an application must know of hypercorn: once the client is gone, `send` returns at once and says nothing,
so a loop that only sends never notices and never yields. Every such loop needs a checkpoint of its own and a
reader beside it, which learns of the disconnect. HTTP handlers are not told unless they call `receive`.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, MutableSet
from contextlib import asynccontextmanager, contextmanager, suppress
from math import inf
from pathlib import Path
from typing import TypeVar, cast

import trio
from attrs import define, field, frozen
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    ConnectionState,
    LifespanState,
    Scope,
)
from hypercorn.utils import LifespanFailureError, wrap_app

from hive.actors import Cell
from hive.sockets import Credentials, peer_credentials

FAREWELL = 1.0
"""Seconds websockets get to end by themselves once their listener leaves; at most half the grace."""

LIFESPAN_STARTUP = 10.0
"""Seconds the application's lifespan may take to start."""

LIFESPAN_SHUTDOWN = 1.0
"""Seconds the application's lifespan may take to shut down, after the last connection."""

PIECE = 64 * 1024
"""Bytes a client must take per `send_timeout`, so a large answer to a slow reader is not cut off."""

BREATH = 0.1
"""Seconds without accepting after the process ran out of descriptors or memory."""

SERVICE_RESTART = 1012
"""The close code of a websocket whose server leaves: come back soon."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


@frozen(eq=False)
class Endpoint:
    """A listening socket, which stays its owner's, and what to put into every scope of its connections."""

    socket: socket.socket
    scope: Mapping[str, object] = field(factory=dict)
    address: object = field(init=False)
    """Where it listens: a unix socket's path, or host and port."""

    @address.default
    def _bound_to(self) -> object:
        return self.socket.getsockname()


@frozen
class Limits:
    """What one connection may take, and how many there may be.

    Seconds until the head of a first request is there; seconds a connection is kept idle after an answer;
    bytes of a request's head; bytes of a websocket message; connections per listener, above which new ones
    wait in the backlog.
    """

    first_request: float = 10.0
    keep_alive: float = 75.0
    head: int = 16 * 1024
    message: int = 256 * 1024
    connections: int = 256


T = TypeVar("T")
Admit = Callable[[Endpoint, Credentials | None], bool]
OnError = Callable[[BaseException], None]


def admit_everyone(_endpoint: Endpoint, _peer: Credentials | None) -> bool:
    """Leave it to the application, and to the socket's file mode."""
    return True


def log_error(error: BaseException) -> None:
    """Write an error to the standard library's log."""
    logging.getLogger(__name__).error("A connection failed", exc_info=error)


def _listed(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    return list(endpoints)


@define(eq=False)
class HttpServer:
    """Serves an ASGI application on sockets that outlive it.

    One instance may serve again and again, one incarnation at a time, and keeps its listeners meanwhile.
    `grace`: seconds for what is under way once we are to stop. `send_timeout`: seconds a client may refuse to
    read. `admit` sees every connection before a byte of it is read. `on_error` hears of every failure of a
    connection or of the application; none of them ends the server.
    """

    app: ASGIFramework
    listeners: list[Endpoint] = field(converter=_listed)
    grace: float = field(default=3.0, kw_only=True)
    send_timeout: float = field(default=5.0, kw_only=True)
    admit: Admit = field(default=admit_everyone, kw_only=True)
    on_error: OnError = field(default=log_error, kw_only=True)
    limits: Limits = field(factory=Limits, kw_only=True)
    _incarnation: _Incarnation | None = field(default=None, init=False)

    async def serve(self, cell: Cell, *, task_status: trio.TaskStatus[None]) -> None:
        """Live in a supervisor's cell; give the child's spec a longer grace than ours."""
        async with self.serving():
            task_status.started()
            await cell.wait_stopping()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Accept connections while the block runs; leaving it, cancelled or not, is a stop with its goodbyes.

        A stop takes at most `grace` plus `LIFESPAN_SHUTDOWN` seconds. A cancellation before the block runs is
        felt at once. Raises what the application's lifespan failed with, or a listener.
        """
        incarnation = self._incarnation = _Incarnation(self)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(incarnation.live)
                try:
                    await incarnation.ready.wait()
                    yield
                finally:
                    incarnation.stop()
        except BaseExceptionGroup as group:
            only = _sole(group)
            raise only from only.__cause__
        finally:
            self._incarnation = None

    def add_listener(self, endpoint: Endpoint) -> None:
        """Accept from one more socket, now and in later incarnations; raises `OSError` if it is closed."""
        if self._incarnation:
            self._incarnation.listen(endpoint)
        self.listeners.append(endpoint)

    def remove_listener(self, path: Path | str) -> Endpoint | None:
        """Stop accepting from a unix socket, at once, and give it back to be closed; None if it is not ours.

        Its connections end as on a stop: within the grace, while the other listeners serve on.
        """
        endpoint = next((known for known in self.listeners if known.address == str(path)), None)
        if endpoint:
            self.listeners.remove(endpoint)
            if self._incarnation:
                self._incarnation.forsake(endpoint)
        return endpoint


@define(eq=False)
class _Incarnation:
    """One life of a server: the application's lifespan around its listeners."""

    server: HttpServer
    ready: trio.Event = field(factory=trio.Event)
    stopping: trio.Event = field(factory=trio.Event)
    # A cancellation from outside must not skip the goodbyes; `stop` is what bounds this shield.
    _protection: trio.CancelScope = field(factory=trio.CancelScope)
    _listeners: dict[Endpoint, _Listener] = field(factory=dict)
    _state: LifespanState = field(factory=dict)
    _nursery: trio.Nursery | None = None
    _failing: bool = False

    async def live(self) -> None:
        with self._protection:
            async with trio.open_nursery() as background:
                lifespan = Lifespan(
                    wrap_app(self._lifespan, 0, "asgi"), _config(self.server.limits), self._state
                )
                background.start_soon(lifespan.handle_lifespan)
                await lifespan.wait_for_startup()
                await self._heed_failure()
                await self._serve()
                # Already over where the application knows no lifespan.
                if not lifespan.shutdown.is_set():
                    await lifespan.wait_for_shutdown()
                await self._heed_failure()
                background.cancel_scope.cancel()
        if self._protection.cancelled_caught:
            self.server.on_error(trio.TooSlowError("the application's lifespan did not shut down in time"))

    async def _heed_failure(self) -> None:
        if self._failing:
            # hypercorn says that a stage is over and raises only then: going on would hide the error.
            await trio.sleep_forever()

    async def _serve(self) -> None:
        async with trio.open_nursery() as self._nursery:
            # A socket closed by its owner is gone, and must not keep the others from being served.
            for endpoint in [known for known in self.server.listeners if known.socket.fileno() >= 0]:
                self.listen(endpoint)
            # Not before readiness: a start has a deadline and must feel it.
            self._protection.shield = True
            self.ready.set()
            await self.stopping.wait()

    def listen(self, endpoint: Endpoint) -> None:
        if self._nursery and not self.stopping.is_set():
            self._listeners[endpoint] = listener = _Listener(self.server, endpoint, self._state)
            self._nursery.start_soon(listener.run)

    def forsake(self, endpoint: Endpoint) -> None:
        if listener := self._listeners.pop(endpoint, None):
            listener.leave()

    def stop(self) -> None:
        if not self.stopping.is_set():
            self.stopping.set()
            self._protection.deadline = trio.current_time() + self.server.grace + LIFESPAN_SHUTDOWN
            for listener in self._listeners.values():
                listener.leave()

    async def _lifespan(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """The application's lifespan; its failure is ours, unless it knows no lifespan at all."""
        asked = False

        async def receive_lifespan() -> ASGIReceiveEvent:
            nonlocal asked
            message = await receive()
            asked = True
            return message

        try:
            await self.server.app(scope, receive_lifespan, send)
        except Exception as error:
            self._failing = asked
            if not asked or isinstance(error, LifespanFailureError):
                raise
            raise LifespanFailureError("the application", repr(error)) from error


@define(eq=False)
class _Listener:
    """One endpoint in one incarnation: its accept loop and its connections."""

    server: HttpServer
    endpoint: Endpoint
    state: LifespanState
    leaving: trio.Event = field(factory=trio.Event, init=False)
    farewell_until: float = field(default=inf, init=False)
    grace_until: float = field(default=inf, init=False)
    context: WorkerContext = field(factory=lambda: WorkerContext(None), init=False)
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _connections: set[_Connection] = field(factory=set, init=False)
    _room: trio.Semaphore = field(init=False)
    _source: trio.SocketListener = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._room = trio.Semaphore(self.server.limits.connections)
        # A duplicate: closing it leaves the original, and its backlog, to the next incarnation.
        self._source = trio.SocketListener(trio.socket.from_stdlib_socket(self.endpoint.socket.dup()))

    async def run(self) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._accept, nursery)
                    await self.leaving.wait()
                    # From here on hypercorn closes idle connections, and busy ones after their answer.
                    await self.context.terminated.set()
        finally:
            self._source.socket.close()

    def leave(self) -> None:
        now, grace = trio.current_time(), self.server.grace
        self.farewell_until = now + min(FAREWELL, grace / 2)
        self.grace_until = self._scope.deadline = now + grace
        self._source.socket.close()
        for connection in self._connections:  # any order: none knows of another
            connection.hurry()
        self.leaving.set()

    async def _accept(self, nursery: trio.Nursery) -> None:
        with suppress(trio.ClosedResourceError):
            while True:
                await self._room.acquire()
                nursery.start_soon(self._converse, await self._next_stream())

    async def _next_stream(self) -> trio.SocketStream:
        while True:
            try:
                return await self._source.accept()
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self.server.on_error(error)
                await trio.sleep(BREATH)

    async def _converse(self, stream: trio.SocketStream) -> None:
        try:
            peer = peer_credentials(stream.socket) if stream.socket.family == socket.AF_UNIX else None
            if self.server.admit(self.endpoint, peer):
                connection = _Connection(self, stream, peer)
                with _member(connection, self._connections):
                    await connection
        except* Exception as errors:  # noqa: BLE001 - one connection never ends the server
            _report(errors, self.server.on_error)
        finally:
            stream.socket.close()
            self._room.release()


class _Connection(TCPServer):
    """hypercorn's connection, with an end to every wait for the client."""

    def __init__(self, listener: _Listener, stream: trio.SocketStream, peer: Credentials | None) -> None:
        state = ConnectionState(listener.state.copy())
        config = _config(listener.server.limits)
        # Typed for TLS streams, written for both.
        super().__init__(wrap_app(self._application, 0, "asgi"), config, listener.context, state, stream)  # type: ignore[arg-type]
        self._listener = listener
        self._wire = stream
        self._heard_all = False
        self._shields: set[trio.CancelScope] = set()
        self._receiving: set[trio.CancelScope] = set()
        self._entries = {**listener.endpoint.scope, "hive.peer": peer, "hive.stopping": listener.leaving}

    def hurry(self) -> None:
        """Take over the deadlines of a listener that has begun to leave."""
        self._renew()
        for scope in self._receiving:
            scope.deadline = self._listener.farewell_until

    async def protocol_send(self, event: Event) -> None:
        match event:
            case RawData():
                await self._send(event.data)
                if isinstance(self.protocol.protocol, H2Protocol) and self.protocol.protocol.idle:
                    # Its preface counts as a request with hypercorn, and what is no request ends no idleness.
                    await self._await_request()
            case Updated(idle=True):
                self.config.keep_alive_timeout = self._listener.server.limits.keep_alive
                await self._await_request()
            case _:
                await super().protocol_send(event)

    async def _await_request(self) -> None:
        """Close the connection if no request comes in time; where none can come, it ends by itself."""
        if not self._heard_all:
            await super().protocol_send(Updated(idle=True))

    async def _read_data(self) -> None:
        await super()._read_data()
        # What is under way is still answered; hypercorn would then wait for a request that cannot come.
        self._heard_all = True
        await self.idle_task.stop()

    async def _send(self, data: bytes) -> None:
        async with self.send_lock:
            try:
                for start in range(0, len(data), PIECE):
                    with self._shielded():
                        await self._wire.send_all(data[start : start + PIECE])
                    self._renew()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                await self.protocol.handle(Closed())

    async def _initiate_server_close(self) -> None:
        with self._shielded():  # hypercorn's own shield around this call has no end
            await super()._initiate_server_close()

    @contextmanager
    def _shielded(self) -> Iterator[None]:
        """Finish what was begun, even when cancelled; cut the client off if that takes too long."""
        with trio.CancelScope(shield=True, deadline=self._patience()) as scope, _member(scope, self._shields):
            yield
        if scope.cancelled_caught:
            self._wire.socket.close()

    def _patience(self) -> float:
        return min(trio.current_time() + self._listener.server.send_timeout, self._listener.grace_until)

    def _renew(self) -> None:
        """The client took something: whoever waits for it may wait anew."""
        for scope in self._shields:
            scope.deadline = self._patience()

    async def _application(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def send_whole(message: ASGISendEvent) -> None:
            # A framework that cancels its handlers would leave hypercorn's closing half done.
            with self._shielded():
                await send(message)

        entered = cast("Scope", {**scope, **self._entries})
        perform = self._websocket if scope["type"] == "websocket" else self._listener.server.app
        try:
            await perform(entered, receive, send_whole)
        except* Exception as errors:  # noqa: BLE001 - hypercorn answers 500
            _report(errors, self._listener.server.on_error)

    async def _websocket(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        closed = False

        async def receive_or_part() -> ASGIReceiveEvent:
            with (
                trio.CancelScope(deadline=self._listener.farewell_until) as waiting,
                _member(waiting, self._receiving),
            ):
                return await receive()
            return {"type": "websocket.disconnect", "code": SERVICE_RESTART}

        async def send_and_note(message: ASGISendEvent) -> None:
            nonlocal closed
            # Refusing the handshake with an answer ends it too.
            closed = closed or message["type"] in {"websocket.close", "websocket.http.response.start"}
            await send(message)

        await self._listener.server.app(scope, receive_or_part, send_and_note)
        if self._listener.leaving.is_set() and not closed:
            await send({"type": "websocket.close", "code": SERVICE_RESTART, "reason": None})


def _config(limits: Limits) -> Config:
    config = Config()
    config.accesslog = config.errorlog = None
    config.include_server_header = False
    config.keep_alive_timeout = limits.first_request  # a connection that has been answered gets longer
    config.keep_alive_max_requests = 10**9  # an agent's connection may last for weeks
    config.h11_max_incomplete_size = limits.head
    config.websocket_max_message_size = limits.message
    config.startup_timeout = LIFESPAN_STARTUP
    config.shutdown_timeout = inf  # bounded by the incarnation
    return config


@contextmanager
def _member(item: T, of: MutableSet[T]) -> Iterator[None]:
    of.add(item)
    try:
        yield
    finally:
        of.discard(item)


def _report(errors: BaseExceptionGroup[BaseException], on_error: OnError) -> None:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            _report(error, on_error)
        else:
            on_error(error)


def _sole(error: BaseException) -> BaseException:
    """The error itself, where a nursery has wrapped it and nothing else."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
