"""Claude Code as a backend: one process a turn, spoken to in stream-json both ways.

The rule kept here: a turn ends in exactly one `Result`, whatever the CLI does, and after its process has;
what opens the agent's endpoint is handed over on the CLI's input, never where its tools could read it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio
from attrs import define, field, frozen

from hive.agents.backend import Capabilities, Prompt, Session, SessionSpec
from hive.agents.cli import claude_words as words
from hive.agents.cli.claude_talk import Conversation, Ways
from hive.agents.cli.frame import CliTurn, left
from hive.agents.cli.memory import Memory
from hive.agents.cli.process import Ladder, StartCli
from hive.agents.clis import CLAUDE, not_there
from hive.agents.events import Noted, Result
from hive.agents.frame import TurnByTurn
from hive.containers.port import Box

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
        return Capabilities(fold_in=True, instructions=True)

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator[Session]:
        """Open a session: a conversation that its CLI keeps on disk.  Nothing runs between turns."""
        yield TurnByTurn(partial(ClaudeTurn, self, spec))


@define(eq=False)
class ClaudeTurn(CliTurn):
    """One running turn."""

    _backend: ClaudeBackend
    _spec: SessionSpec
    _prompt: Prompt
    _talk: Conversation | None = field(default=None, init=False)

    async def fold_in(self, prompt: Prompt) -> None:
        """Write more mail to the CLI, which shows it after its next tool."""
        await trio.lowlevel.checkpoint()
        if self._talk is not None:
            self._talk.show(prompt)

    async def _converse(self) -> Result:
        memory = self._backend.memory_of(self._spec.box)
        kept = memory.session()
        if kept is not None:
            result, refused = await self._attempt(memory, kept, resumed=True)
            if not refused:
                return self._left_behind(memory, result)
            await self._emit(Noted("session", f"a new one, without the old: {result.detail}"))
        result, _ = await self._attempt(memory, self._backend.new_id(), resumed=False)
        return self._left_behind(memory, result)

    async def _attempt(self, memory: Memory, session: str, *, resumed: bool) -> tuple[Result, bool]:
        """Run the CLI once, to the end of its process.  Answers whether it refused the session, too."""
        backend, spec = self._backend, self._spec
        command = words.command(backend.program, spec.settings, session, resumed=resumed)
        environment = words.environment(spec.box, backend.credentials(spec.agent))
        first = words.initialize(backend.url_of(spec.agent), spec.token.token, spec.instructions)
        async with backend.start(spec.box, command, environment) as cli:
            keep = partial(self._keep, memory)
            ways = Ways(self._emit, self._tell, keep, backend.new_id, self._asked_to_stop)
            self._talk = talk = Conversation(cli, ways, backend.ladder)
            await talk.hold(first, self._prompt)
            reading = talk.reading
            unknown = reading.ended and not reading.opened and cli.status == REFUSED_STATUS
            refused = unknown and not self._asked_to_stop.is_set()
            missing = not_there(CLAUDE.program, CLAUDE.install)
            return talk.result or left(cli, missing, opened=reading.opened), refused
