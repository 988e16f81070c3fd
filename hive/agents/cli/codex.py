"""Codex as a backend: one process of its app server a turn, spoken to in JSON-RPC, line by line.

The rule kept here: a turn ends in exactly one `Result`, whatever the CLI does, and after its process has;
what opens the agent's endpoint is handed over on the CLI's input, never where its tools could read it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio
from attrs import define, field, frozen

from hive.agents.backend import Capabilities, Prompt, Session, SessionSpec
from hive.agents.cli import codex_words as words
from hive.agents.cli.codex_talk import Conversation, Opening, Ways
from hive.agents.cli.frame import CliTurn, left
from hive.agents.cli.memory import Memory
from hive.agents.cli.process import Ladder, StartCli
from hive.agents.clis import CODEX, not_there
from hive.agents.events import Result
from hive.agents.frame import TurnByTurn
from hive.containers.port import Box


@frozen
class CodexBackend:
    """Runs agents with Codex."""

    start: StartCli
    url_of: Callable[[str], str]
    """Where an agent's endpoint is."""

    credentials: Callable[[str], Mapping[str, str]]
    """Environment by which an agent's CLI is logged in; `OPENAI_BASE_URL` is where its model is."""

    memory_of: Callable[[Box], Memory]
    program: tuple[str, ...] = ("codex",)
    ladder: Ladder = Ladder()

    @property
    def capabilities(self) -> Capabilities:
        """Mail can be folded into a running turn."""
        return Capabilities(fold_in=True, instructions=True)

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator[Session]:
        """Open a session: a thread that its CLI keeps on disk.  Nothing runs between turns."""
        yield TurnByTurn(partial(CodexTurn, self, spec))


@define(eq=False)
class CodexTurn(CliTurn):
    """One running turn."""

    _backend: CodexBackend
    _spec: SessionSpec
    _prompt: Prompt
    _talk: Conversation | None = field(default=None, init=False)

    async def fold_in(self, prompt: Prompt) -> None:
        """Steer the running turn with more mail, which the model is shown after its next step."""
        await trio.lowlevel.checkpoint()
        if self._talk is not None:
            self._talk.show(prompt)

    async def _converse(self) -> Result:
        backend, spec = self._backend, self._spec
        credentials = backend.credentials(spec.agent)
        memory = backend.memory_of(spec.box)
        command = words.command(backend.program, spec.settings)
        environment = words.environment(spec.box, credentials)
        url = backend.url_of(spec.agent)
        params = words.thread(spec.settings, spec.box, url, spec.token.token, credentials)
        if spec.instructions:
            params["developerInstructions"] = spec.instructions
        opening = Opening(params, memory.session(), words.needs_login(credentials))
        ways = Ways(self._emit, self._tell, partial(self._keep, memory), self._asked_to_stop)
        async with backend.start(spec.box, command, environment) as cli:
            self._talk = talk = Conversation(cli, ways, backend.ladder, opening, self._prompt)
            await talk.hold()
            missing = not_there(CODEX.program, CODEX.install)
            return self._left_behind(memory, talk.result or left(cli, missing, opened=talk.opened))
