"""Any agent that speaks ACP as a backend, driven as its preset says: one process a turn.

The rule kept here: a turn ends in exactly one `Result`, whatever the agent does, and after its process has;
what opens the agent's endpoint is handed over on its input, never where its tools could read it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from attrs import define, evolve, frozen

from hive.agents.backend import Capabilities, Prompt, Session, SessionSpec
from hive.agents.cli import acp_words as words
from hive.agents.cli.acp_talk import Conversation, Task, Ways
from hive.agents.cli.frame import CliTurn, left
from hive.agents.cli.memory import Memory, write_anew
from hive.agents.cli.process import Ladder, StartCli
from hive.agents.clis import not_there
from hive.agents.events import ErrorClass, Result
from hive.agents.frame import TurnByTurn
from hive.containers.port import Box
from hive.protocol.presets import Preset


@frozen
class AcpBackend:
    """Runs agents with one CLI that speaks ACP."""

    preset: Preset
    start: StartCli
    url_of: Callable[[str], str]
    """Where an agent's endpoint is."""

    credentials: Callable[[str], Mapping[str, str]]
    """Environment by which an agent's CLI is logged in."""

    memory_of: Callable[[Box], Memory]
    wall: Callable[[], float]
    program: tuple[str, ...]
    ladder: Ladder = Ladder()

    @property
    def capabilities(self) -> Capabilities:
        """Mail waits for the next turn: no two agents take a second prompt alike."""
        return Capabilities()

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator[Session]:
        """Open a session: a conversation that its CLI keeps on disk.  Nothing runs between turns."""
        yield TurnByTurn(partial(AcpTurn, self, spec))


@define(eq=False)
class AcpTurn(CliTurn):
    """One running turn."""

    _backend: AcpBackend
    _spec: SessionSpec
    _prompt: Prompt

    async def fold_in(self, prompt: Prompt) -> None:
        """Show nothing: the mail stays for the next turn."""

    async def _converse(self) -> Result:
        backend, spec, preset = self._backend, self._spec, self._backend.preset
        if preset.settings is not None:
            write_anew(spec.box.state_dir / preset.settings.name, preset.settings.text)
        memory = backend.memory_of(spec.box)
        home = spec.box.home
        settings = spec.settings
        start = words.start(
            backend.program, preset, model=settings.model, allow_shell=settings.allow_shell, home=home
        )
        environment = {**backend.credentials(spec.agent), **start.environment}
        place = words.place(home, backend.url_of(spec.agent), spec.token.token)
        task = Task(preset, place, memory.session(), settings.model, settings.allow_shell)
        async with backend.start(spec.box, start.arguments, environment) as cli:
            keep = partial(self._keep, memory)
            ways = Ways(
                self._emit, self._tell, keep, lambda: spec.token.listed, backend.wall, self._asked_to_stop
            )
            talk = Conversation(cli, ways, task, backend.ladder)
            await talk.hold(self._prompt)
            missing = not_there(preset.program, preset.install)
            result = talk.result or left(cli, missing, opened=talk.opened)
            return _told(preset, self._left_behind(memory, result))


def _told(preset: Preset, result: Result) -> Result:
    """A result that says by what the CLI would be logged in, where it is not."""
    if result.error is not ErrorClass.AUTH or not preset.credentials:
        return result
    return evolve(result, detail=f"{result.detail} (it takes {' or '.join(preset.credentials)})")


__all__ = ["AcpBackend"]
