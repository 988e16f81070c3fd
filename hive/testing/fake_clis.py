"""CLIs of agents in memory: what those of every backend have in common, their pipes and how they die.

A subclass of `FakeCli` speaks one protocol; a subclass of `FakeClis` makes them, in place of processes.
"""

import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio
from attrs import define, field

from hive.agents.beside import beside
from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.process import LEAVE_SECONDS, NOT_FOUND, Cli, Heard
from hive.containers.port import Box

STEP_SECONDS: Final = 0.5
"""How long the model thinks before each line."""

CRASH: Final = 3
"""The status of a CLI that crashes."""


@define(eq=False)
class FakeCli:
    """A `Cli` that is a task."""

    _heard_by_all: list[JsonObject]
    status: int | None = field(default=None, init=False)
    complaint: str = field(default="", init=False)
    _said: trio.MemorySendChannel[JsonObject] = field(init=False)
    _input: trio.MemoryReceiveChannel[JsonObject] = field(init=False)
    _output: trio.MemorySendChannel[Heard] = field(init=False)
    _heard: trio.MemoryReceiveChannel[Heard] = field(init=False)
    _steps: deque[JsonObject | int] = field(factory=deque, init=False)
    """What happens next: lines, or a status to die with."""

    _running: str | None = field(default=None, init=False)
    """The turn that runs."""

    def __attrs_post_init__(self) -> None:
        """Make its pipes, which are never full."""
        self._said, self._input = trio.open_memory_channel[JsonObject](float("inf"))
        self._output, self._heard = trio.open_memory_channel[Heard](float("inf"))

    def __aiter__(self) -> AsyncIterator[Heard]:
        """What it says."""
        return self._heard

    def say(self, line: Mapping[str, object]) -> None:
        """See `Cli`."""
        self._heard_by_all.append(dict(line))
        self._said.send_nowait(dict(line))

    async def hang_up(self) -> None:
        """See `Cli`."""
        self._said.close()
        with trio.move_on_after(LEAVE_SECONDS):
            async for _ in self._heard:
                pass

    def signal(self, number: signal.Signals) -> None:
        """It dies of any."""
        self._die(-number)

    async def kill(self) -> None:
        """See `Cli`."""
        await trio.lowlevel.checkpoint()
        self._die(-signal.SIGKILL)

    def fail(self, complaint: str, status: int) -> None:
        """Die with a word about why."""
        self.complaint = complaint
        self._die(status)

    async def run(self) -> None:
        """Play until nothing more is said to it and the turn is over."""
        while self.status is None:
            try:
                with trio.move_on_after(self._pause()):
                    self._take(await self._input.receive())
                    continue
            except trio.EndOfChannel:
                if self._running is None:
                    return self._die(0)
                await trio.sleep(self._pause())
            step = self._next()
            if isinstance(step, int):
                return self.fail("it hurts", step)
            self._step(step)
        return None

    def _pause(self) -> float:
        """How long it is silent before the next thing happens."""
        return STEP_SECONDS if self._steps else float("inf")

    def _next(self) -> JsonObject | int:
        """What happens then."""
        return self._steps.popleft()

    def _take(self, line: JsonObject) -> None:
        """Do what is said."""
        raise NotImplementedError

    def _step(self, step: JsonObject) -> None:
        """Let one thing happen in the turn."""
        raise NotImplementedError

    def _write(self, line: JsonObject) -> None:
        if self.status is None:
            self._output.send_nowait(line)

    def _die(self, status: int) -> None:
        if self.status is None:
            self.status = status
            self._output.close()


@define(eq=False)
class FakeClis:
    """CLIs that are tasks.  Its method `start` is a `StartCli`."""

    connected: bool = True
    """Whether they reach hive's tools."""

    forgets: bool = False
    """Whether they lose mail that comes during a turn."""

    asks: Sequence[JsonObject] = ()
    """What they ask for at the beginning of a turn."""

    missing: bool = False
    """Whether there is no such program."""

    sessions: set[str] = field(factory=set)
    """The sessions they know."""

    started: list[tuple[str, ...]] = field(factory=list, init=False)
    environments: list[Mapping[str, str]] = field(factory=list, init=False)
    heard: list[JsonObject] = field(factory=list, init=False)
    """Everything said to them."""

    running: int = field(default=0, init=False)

    @asynccontextmanager
    async def start(
        self, _box: Box, argv: Sequence[str], environment: Mapping[str, str]
    ) -> AsyncIterator[Cli]:
        """Start one."""
        await trio.lowlevel.checkpoint()
        self.started.append(tuple(argv))
        self.environments.append(environment)
        cli = self._make(argv)
        if self.missing:
            cli.fail("not found", max(NOT_FOUND))
        self.running += 1
        try:
            async with beside(cli.run):
                yield cli
        finally:
            self.running -= 1

    def _make(self, _argv: Sequence[str], /) -> FakeCli:
        """One that is about to run."""
        raise NotImplementedError


@define(eq=False)
class KeptSession:
    """A `Memory` in memory."""

    kept: str | None = None
    broken: bool = False

    def session(self) -> str | None:
        """See `Memory`."""
        return self.kept

    def keep(self, session: str) -> None:
        """See `Memory`."""
        if self.broken:
            raise OSError("the disk is full")
        self.kept = session

    def forget(self) -> None:
        """See `Memory`."""
        if self.broken:
            raise OSError("the disk is full")
        self.kept = None
