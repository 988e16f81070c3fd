"""Claude Code as a backend: one process a turn, spoken to in stream-json both ways.

The rule kept here: a turn ends in exactly one `Result`, whatever the CLI does, and after its process has;
what opens the agent's endpoint is handed over on the CLI's input, never where its tools could read it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio
from attrs import define, evolve, field, frozen

from hive.agents.backend import Capabilities, Prompt, SessionSpec
from hive.agents.beside import beside
from hive.agents.cli import claude_words as words
from hive.agents.cli.claude_talk import Conversation, Ways, ended
from hive.agents.cli.json_lines import TooLong
from hive.agents.cli.memory import Memory
from hive.agents.cli.process import Ladder, StartCli
from hive.agents.events import ErrorClass, Noted, Result, TurnEvent
from hive.agents.scripted import broken, cause_of
from hive.containers.port import Box

EVENTS_AHEAD = 64
"""Events a turn may be ahead of its reader."""

REFUSED_STATUS = 1
"""What the CLI leaves with where it does not know the session, having said that nothing could begin."""


@frozen
class ClaudeBackend:
    """Runs agents with Claude Code."""

    start: StartCli
    url_of: Callable[[str], str]
    """Where an agent's endpoint is."""

    credentials: Callable[[str], Mapping[str, str]]
    """Environment by which an agent's CLI is logged in."""

    new_id: Callable[[], str]
    """Makes a UUID."""

    memory_of: Callable[[Box], Memory]
    program: tuple[str, ...] = ("claude",)
    ladder: Ladder = Ladder()

    @property
    def capabilities(self) -> Capabilities:
        """Mail can be folded into a running turn."""
        return Capabilities(fold_in=True)

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator["ClaudeSession"]:
        """Open a session.  Nothing runs between turns."""
        yield ClaudeSession(self, spec)


@frozen
class ClaudeSession:
    """A conversation that its CLI keeps on disk."""

    backend: ClaudeBackend
    spec: SessionSpec

    @asynccontextmanager
    async def turn(self, prompt: Prompt) -> AsyncIterator["ClaudeTurn"]:
        """Run one turn.  Leaving the block kills its process with all it started."""
        run = ClaudeTurn(self.backend, self.spec, prompt)
        async with beside(run.perform):
            yield run


@define(eq=False)
class ClaudeTurn:
    """One running turn."""

    _backend: ClaudeBackend
    _spec: SessionSpec
    _prompt: Prompt
    _asked_to_stop: trio.Event = field(factory=trio.Event, init=False)
    _talk: Conversation | None = field(default=None, init=False)
    _send: trio.MemorySendChannel[TurnEvent] = field(init=False)
    _events: trio.MemoryReceiveChannel[TurnEvent] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the channel both ends of which belong to this turn."""
        self._send, self._events = trio.open_memory_channel[TurnEvent](EVENTS_AHEAD)

    def __aiter__(self) -> AsyncIterator[TurnEvent]:
        """The events, up to and including the one `Result`."""
        return self._events

    async def fold_in(self, prompt: Prompt) -> None:
        """Write more mail to the CLI, which shows it after its next tool."""
        await trio.lowlevel.checkpoint()
        if self._talk is not None:
            self._talk.show(prompt)

    async def cancel(self) -> None:
        """Ask the CLI to stop, then tell it more and more plainly."""
        await trio.lowlevel.checkpoint()
        self._asked_to_stop.set()

    async def perform(self) -> None:
        """Carry the turn out and say how it ended."""
        with self._send:
            result = await self._play()
            if result.error is not None and self._asked_to_stop.is_set():
                # However badly it took being stopped.
                result = evolve(result, error=ErrorClass.CANCELLED, detail="asked to stop")
            await self._send.send(result)

    async def _play(self) -> Result:
        try:
            memory = self._backend.memory_of(self._spec.box)
            kept = memory.session()
            if kept is not None:
                result, refused = await self._attempt(memory, kept, resumed=True)
                if not refused:
                    return result
                await self._send.send(Noted("session", f"a new one, without the old: {result.detail}"))
            result, _ = await self._attempt(memory, self._backend.new_id(), resumed=False)
        except Exception as error:  # noqa: BLE001 - a turn that breaks down ends in a Result too
            return _broken(cause_of(error))
        return result

    async def _attempt(self, memory: Memory, session: str, *, resumed: bool) -> tuple[Result, bool]:
        """Run the CLI once, to the end of its process.  Answers whether it refused the session, too."""
        backend, spec = self._backend, self._spec
        command = words.command(backend.program, spec.settings, session, resumed=resumed)
        environment = words.environment(spec.box, backend.credentials(spec.agent))
        first = words.initialize(backend.url_of(spec.agent), spec.token.token)
        async with backend.start(spec.box, command, environment) as cli:
            keep = partial(self._keep, memory)
            ways = Ways(self._send.send, self._tell, keep, backend.new_id, self._asked_to_stop)
            self._talk = talk = Conversation(cli, ways, backend.ladder)
            await talk.hold(first, self._prompt)
            reading = talk.reading
            unknown = reading.ended and not reading.opened and cli.status == REFUSED_STATUS
            refused = unknown and not self._asked_to_stop.is_set()
            return talk.result or ended(cli, opened=reading.opened), refused

    def _tell(self, note: Noted) -> None:
        with suppress(trio.WouldBlock):
            self._send.send_nowait(note)

    def _keep(self, memory: Memory, session: str) -> None:
        try:
            memory.keep(session)
        except OSError as error:
            self._tell(Noted("session", f"it will be forgotten: {error}"))


def _broken(error: Exception) -> Result:
    if isinstance(error, TooLong):
        return Result(error=ErrorClass.PROTOCOL, detail=str(error))
    return broken(error)
