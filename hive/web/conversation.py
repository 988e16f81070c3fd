"""A connection and a websocket: one reader, one writer, one beat.

The rule kept here: every round of the writer has a checkpoint, because a websocket whose peer is gone takes
everything at once and says nothing; the reader is who notices.
"""

from typing import Protocol

import trio
from attrs import define, field

from hive.web import wire
from hive.web.commands import perform
from hive.web.connection import Command, Connection, Goodbye, Question
from hive.web.gets import answer
from hive.web.parts import WebParts

COALESCE_SECONDS = 0.016
"""How long the writer waits after the first event, so that one frame carries many."""

DEEDS_AT_ONCE = 16
SESSION_CHECK_SECONDS = 60.0


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
    _heard: float = field(factory=trio.current_time, init=False)
    _leaving: Goodbye | None = field(default=None, init=False)
    _deeds: trio.Semaphore = field(factory=lambda: trio.Semaphore(DEEDS_AT_ONCE), init=False)

    async def run(self, stopping: trio.Event) -> None:
        """Talk until one side leaves.  `stopping` set: say goodbye."""
        unsubscribe = self._parts.store.subscribe(lambda _rows, _stream: self._ring())
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                nursery.start_soon(self._beat)
                nursery.start_soon(self._farewell, stopping)
                await self._read(nursery)
        finally:
            unsubscribe()

    async def _read(self, nursery: trio.Nursery) -> None:
        while True:
            text = await self._socket.receive()
            self._heard = trio.current_time()
            if self._leaving is not None:
                continue  # keep draining, or the goodbye would wait behind what is unread
            if not isinstance(text, str) or len(text) > wire.FRAME_BYTES:
                self._leave(Goodbye(4413, f"a frame is text of at most {wire.FRAME_BYTES} bytes"))
                continue
            match self._connection.receive(text):
                case Goodbye() as goodbye:
                    self._leave(goodbye)
                case Command() as command:
                    await self._deeds.acquire()
                    nursery.start_soon(self._carry_out, command)
                case Question() as question:
                    await self._deeds.acquire()
                    nursery.start_soon(self._look_up, question)
                case None:
                    self._ring()

    async def _carry_out(self, command: Command) -> None:
        try:
            self._connection.answer("ack", **await perform(self._parts, self._connection, command))
        finally:
            self._deeds.release()
        self._ring()

    async def _look_up(self, question: Question) -> None:
        try:
            self._connection.answer("got", **await answer(self._parts, self._connection.login, question))
        finally:
            self._deeds.release()
        self._ring()

    async def _write(self, scope: trio.CancelScope) -> None:
        while True:
            for frame in self._connection.take():
                await self._socket.send(frame)
                await trio.lowlevel.checkpoint()
            if goodbye := self._leaving or self._connection.overrun():
                bye = wire.frame("bye", code=goodbye.code, why=goodbye.why, retry_ms=goodbye.retry_ms)
                await self._socket.send(bye)
                await self._socket.close(goodbye.code, goodbye.why)
                scope.cancel(reason="goodbye")
            await self._news.wait()
            await trio.sleep(COALESCE_SECONDS)
            self._news = trio.Event()

    async def _beat(self) -> None:
        """Beat, and end connections that are silent or whose login is over."""
        checked = trio.current_time()
        while True:
            await trio.sleep(wire.BEAT_SECONDS)
            now = trio.current_time()
            if now - self._heard > wire.SILENCE_SECONDS:
                self._leave(Goodbye(4408, "nothing heard for a minute"))
            if now - checked >= SESSION_CHECK_SECONDS:
                checked = now
                self._check_session()
            self._connection.beat()
            self._ring()

    def _check_session(self) -> None:
        session = self._connection.login.session
        if session is not None and self._parts.store.reader.web_session(session) is None:
            self._leave(Goodbye(4401, "sign in again"))

    async def _farewell(self, stopping: trio.Event) -> None:
        await stopping.wait()
        self._leave(Goodbye(1012, "hive restarts"))

    def _leave(self, goodbye: Goodbye) -> None:
        self._leaving = self._leaving or goodbye
        self._ring()

    def _ring(self) -> None:
        self._news.set()
