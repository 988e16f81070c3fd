"""A connection and a websocket: one reader, one writer, one beat.

The rule kept here: every round of the writer has a checkpoint, because a websocket whose peer is gone takes
everything at once and says nothing; the reader is who notices, and it never waits for the writer.
"""

from collections.abc import Sequence
from typing import Final, Protocol, assert_never

import trio
from attrs import define, field

from hive.protocol.views import JournalRow, StreamView
from hive.web import wire
from hive.web.commands import perform
from hive.web.connection import Connection, Goodbye
from hive.web.gets import answer
from hive.web.incoming import Command, Question
from hive.web.parts import WebParts

COALESCE_SECONDS: Final = 0.016
"""Pause between two rounds of the writer, so that one frame carries many events."""

DEEDS_AT_ONCE: Final = 256
"""Requests a client may have unanswered."""

HELLO_SECONDS: Final = 10.0
SESSION_CHECK_SECONDS: Final = 60.0
REVOKED: Final = "session.revoked"


class Socket(Protocol):
    """A websocket that has been accepted."""

    async def receive(self) -> str | bytes:
        """The next message; cancelled or raising when the peer is gone."""
        ...

    async def send(self, data: str) -> None:
        """Send one text frame."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye."""
        ...


@define(eq=False)
class Conversation:
    """One client, from hello to goodbye."""

    _socket: Socket
    _connection: Connection
    _parts: WebParts
    _news: trio.Event = field(factory=trio.Event, init=False)
    _began: float = field(factory=trio.current_time, init=False)
    _heard: float = field(factory=trio.current_time, init=False)
    _session_seen: float = field(factory=trio.current_time, init=False)
    _leaving: Goodbye | None = field(default=None, init=False)
    _deeds: int = field(default=0, init=False)

    async def run(self, stopping: trio.Event) -> None:
        """Talk until one side leaves.  `stopping` set: say goodbye."""
        unsubscribe = self._parts.store.subscribe(self._on_commit)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                nursery.start_soon(self._beat)
                nursery.start_soon(self._farewell, stopping)
                await self._read(nursery)
        finally:
            unsubscribe()

    # --- the reader ------------------------------------------------------------------------------

    async def _read(self, nursery: trio.Nursery) -> None:
        while True:
            received = await self._socket.receive()
            self._heard = trio.current_time()
            # Even after a goodbye: it would wait behind what nobody reads.
            if self._leaving is None:
                self._hear(received, nursery)
                # The writer looks too, but not while it waits for a client that does not read.
                if goodbye := self._connection.overrun():
                    self._leave(goodbye)

    def _hear(self, received: str | bytes, nursery: trio.Nursery) -> None:
        if not isinstance(received, str) or wire.size(received) > wire.FRAME_BYTES:
            self._leave(Goodbye(4413, f"a frame is text of at most {wire.FRAME_BYTES} bytes"))
            return
        match self._connection.receive(received):
            case Goodbye() as goodbye:
                self._leave(goodbye)
            case Command() | Question() as deed:
                self._begin(deed, nursery)
            case None:
                self._ring()
            case never:
                assert_never(never)

    def _begin(self, deed: Command | Question, nursery: trio.Nursery) -> None:
        """Commands start in the order they came, and so reach the store in that order."""
        if self._deeds >= DEEDS_AT_ONCE:
            self._leave(Goodbye(4429, "too many requests at once"))
            return
        self._deeds += 1
        nursery.start_soon(self._carry_out, deed)

    async def _carry_out(self, deed: Command | Question) -> None:
        try:
            if isinstance(deed, Command):
                self._connection.answer("ack", **await perform(self._parts, self._connection, deed))
            else:
                self._connection.answer("got", **await answer(self._parts, self._connection.login, deed))
        finally:
            self._deeds -= 1
        self._ring()

    # --- the writer ------------------------------------------------------------------------------

    async def _write(self, scope: trio.CancelScope) -> None:
        while True:
            self._news = trio.Event()
            goodbye = await self._tell()
            if goodbye is not None:
                bye = wire.frame("bye", code=goodbye.code, why=goodbye.why, retry_ms=goodbye.retry_ms)
                await self._socket.send(bye)
                await self._socket.close(goodbye.code, goodbye.why)
                scope.cancel(reason="goodbye")
            # What comes first after a pause is told at once; what comes in a rush shares a frame.
            rested = trio.current_time() + COALESCE_SECONDS
            await self._news.wait()
            await trio.sleep_until(rested)

    async def _tell(self) -> Goodbye | None:
        """Send whatever there is; answers why the connection is to end, if it is."""
        while True:
            if goodbye := self._leaving or self._connection.overrun():
                return goodbye
            frame = self._connection.next()
            if frame is None:
                return None
            await self._socket.send(frame)
            await trio.lowlevel.checkpoint()

    # --- what ends it ----------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Beat, and end connections that are silent or whose login is over."""
        while True:
            await trio.sleep(wire.BEAT_SECONDS)
            now = trio.current_time()
            if now - self._heard >= wire.SILENCE_SECONDS:
                self._leave(Goodbye(4408, "nothing heard for a minute"))
            if not self._connection.greeted and now - self._began >= HELLO_SECONDS:
                self._leave(Goodbye(4408, "no hello"))
            if now - self._session_seen >= SESSION_CHECK_SECONDS:
                self._check_session()
            self._connection.beat()
            self._ring()

    async def _farewell(self, stopping: trio.Event) -> None:
        await stopping.wait()
        self._leave(Goodbye(1012, "hive restarts"))

    def _on_commit(self, rows: Sequence[JournalRow], _stream: Sequence[tuple[str, StreamView]]) -> None:
        if any(row.type == REVOKED for row in rows):
            self._check_session()
        self._ring()

    def _check_session(self) -> None:
        self._session_seen = trio.current_time()
        session = self._connection.login.session
        if session is not None and self._parts.store.reader.web_session(session) is None:
            self._leave(Goodbye(4401, "sign in again"))

    def _leave(self, goodbye: Goodbye) -> None:
        self._leaving = self._leaving or goodbye
        self._ring()

    def _ring(self) -> None:
        self._news.set()
