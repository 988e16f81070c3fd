"""Boxes in memory, for simulation: nothing runs in them, and tests kill them.

The rule kept here: it keeps the same contract as a real driver, waits included, so that what is found out
with it is true of the others.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import trio
from attrs import define, field

from hive.containers.port import Box, BoxDown, BoxState, BoxStatus


async def no_pause(_where: str) -> None:
    """Wait for nothing, but let others run."""
    await trio.lowlevel.checkpoint()


@define(eq=False)
class FakeDriver:
    """Boxes that a test can watch and kill."""

    directory: Path
    pause: Callable[[str], Awaitable[None]] = no_pause
    """Awaited inside every operation, with its name: where simulated time passes and faults are injected."""

    broken: set[str] = field(factory=set)
    """Agents whose boxes cannot be started."""

    _boxes: dict[str, int] = field(factory=dict, init=False)
    _causes: dict[str, str] = field(factory=dict, init=False)
    _changes: dict[str, trio.Event] = field(factory=dict, init=False)
    _starts: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """The word for it in settings."""
        return "fake"

    @property
    def isolates(self) -> bool:
        """Nothing runs here that could reach out."""
        return True

    @property
    def running(self) -> Mapping[str, int]:
        """The leader of every box that is up."""
        return dict(self._boxes)

    def break_down(self, agent: str, cause: str = "killed by a test") -> None:
        """The kill switch: the box is gone from one step to the next."""
        if self._boxes.pop(agent, None) is not None:
            self._causes[agent] = cause
            self._ring(agent)

    def break_all(self, cause: str = "the machine went down") -> None:
        """Every box is gone, as when their daemon is killed."""
        for agent in tuple(self._boxes):
            self.break_down(agent, cause)

    def _ring(self, agent: str) -> None:
        self._changes.pop(agent, trio.Event()).set()

    async def start(self, agent: str) -> Box:
        """Bring the box up, or return it as it is."""
        await self.pause("start")
        if agent in self.broken:
            raise OSError("no space left for boxes")
        if agent not in self._boxes:
            self._starts += 1
            self._boxes[agent] = self._starts
            self._ring(agent)
        state = self.directory / "agents" / agent / "state"
        shared = self.directory / "shared"
        seen_as = {"HIVE_AGENT": agent, "HIVE_STATE": str(state), "HIVE_SHARED": str(shared)}
        return Box(agent=agent, state_dir=state, shared_dir=shared, seen_as=seen_as, isolated=True)

    async def stop(self, agent: str, grace: float) -> None:
        """Take the box down."""
        del grace  # nothing runs in it that could need it
        await self.pause("stop")
        self.break_down(agent, "stopped")

    async def kill(self, agent: str) -> None:
        """Take the box down."""
        await self.pause("kill")
        self.break_down(agent, "stopped")

    async def status(self, agent: str) -> BoxStatus:
        """Look at the box."""
        await self.pause("status")
        if agent in self._boxes:
            return BoxStatus(BoxState.RUNNING, self._boxes[agent])
        if agent in self._causes:
            return BoxStatus(BoxState.DOWN, cause=self._causes[agent])
        return BoxStatus(BoxState.GONE)

    async def run(self, agent: str, argv: Sequence[str], *, environment: Mapping[str, str]) -> trio.Process:
        """Nothing can run here: `BoxDown` where the box is down, `OSError` where it is up."""
        del argv, environment
        await self.pause("run")
        if agent not in self._boxes:
            raise BoxDown(f"{agent}'s box is not running")
        raise OSError("a box in memory runs no processes")

    async def changed(self, agent: str) -> None:
        """Wait until the box goes up or down."""
        await self._changes.setdefault(agent, trio.Event()).wait()
