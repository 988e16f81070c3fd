"""Stand-ins for what a backend reaches out to: tools and shells that note what was asked of them."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from hive.agents.shell import ShellAnswer
from hive.agents.tokens import CliSession
from hive.agents.tools import ToolAnswer, Tools, ToolsDown
from hive.containers.port import Box, BoxDown


def agree(name: str, _arguments: Mapping[str, object]) -> ToolAnswer:
    """Every tool does what it is asked."""
    return ToolAnswer(f"{name}: done")


@define(eq=False)
class FakeTools:
    """An endpoint in memory.  Its method `open` is an `OpenTools`."""

    answer: Callable[[str, Mapping[str, object]], ToolAnswer] = agree
    seconds: float = 0.0
    """How long each call takes."""

    down: bool = False
    calls: list[tuple[str, str, Mapping[str, object]]] = field(factory=list, init=False)
    """(agent, tool, arguments) of each call that got through."""

    opened: int = field(default=0, init=False)
    """How many sessions are open now."""

    @asynccontextmanager
    async def open(self, session: CliSession) -> AsyncIterator[Tools]:
        """Open the tools of the session's agent."""
        await trio.lowlevel.checkpoint()
        self.opened += 1
        try:
            yield _Opened(self, session.agent)
        finally:
            self.opened -= 1


@define(eq=False)
class _Opened:
    _all: FakeTools
    _agent: str

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolAnswer:
        """See `Tools`."""
        await trio.sleep(self._all.seconds)
        if self._all.down:
            raise ToolsDown("the endpoint is down")
        self._all.calls.append((self._agent, name, arguments))
        return self._all.answer(name, arguments)


@define(eq=False)
class FakeShell:
    """Runs no command, but takes its time."""

    seconds: float = 0.0
    answer: ShellAnswer = ShellAnswer("done", 0)
    commands: list[str] = field(factory=list, init=False)
    running: int = field(default=0, init=False)

    async def run(self, box: Box, command: str) -> ShellAnswer:  # noqa: ARG002 - there is no box to run in
        """See `RunsCommands`."""
        self.commands.append(command)
        self.running += 1
        try:
            await trio.sleep(self.seconds)
        finally:
            self.running -= 1
        return self.answer


class NoShell:
    """Commands in boxes of this kind: there is nothing to run them."""

    async def run(self, box: Box, command: str) -> ShellAnswer:
        """Refuse."""
        raise BoxDown(f"{box.agent}'s box runs no commands such as {command!r}")
