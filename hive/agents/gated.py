"""One process in an agent's box that waits at a gate until it is on record, and leaves nothing behind.

The rule kept here: nothing runs before hive has written the process down; when its block is left, however
that happens, everything it started is dead before anybody goes on.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import trio
from attrs import define, field, frozen

from hive.containers.port import Driver
from hive.containers.processes import Identity, Stat, everything, family, kill_all, marked, read_stat

FIRST_LOOK_SECONDS = 0.01
LOOK_SECONDS = 1.0
"""How soon, and at the latest how often, we look what a running process has started."""

MARK = "HIVE_COMMAND"
"""Environment variable that everything such a process starts inherits, by which it is found again."""

GO = b"go\n"
"""What opens a gate: a line on the process's input, which the gate takes for itself."""


class Processes(Protocol):
    """Where running processes are on record, for whoever must clean up after a crash of hive."""

    async def record(self, agent: str, process: Identity) -> None:
        """Return once the record is committed."""
        ...

    def forget(self, agent: str, process: Identity) -> None:
        """The process and all it started are gone."""
        ...


@frozen
class Starter:
    """Starts processes through a driver, on record."""

    driver: Driver
    processes: Processes
    new_mark: Callable[[], str]
    """Makes a word that no other process on this machine bears."""

    @asynccontextmanager
    async def started(
        self, agent: str, argv: Sequence[str], environment: Mapping[str, str]
    ) -> AsyncIterator["Gated"]:
        """Run `argv`, which begins with a gate.  Leaving the block kills it with all it has started.

        Raises `BoxDown` where the box is not running.
        """
        mark = self.new_mark()
        process = await self.driver.run(agent, argv, environment={**environment, MARK: mark})
        stat = read_stat(process.pid)
        assert stat is not None, "its parent has not reaped it yet"
        gated = Gated(process, stat.identity, f"{MARK}={mark}")
        try:
            await self.processes.record(agent, gated.identity)
            yield gated
        finally:
            # Bounded by DEATH_SECONDS; what outlives even that stays on record for the next boot.
            with trio.CancelScope(shield=True):
                await gated.kill()
            self.processes.forget(agent, gated.identity)


@define(eq=False)
class Gated:
    """One process on its way."""

    process: trio.Process
    identity: Identity
    _mark: str
    _known: set[Identity] = field(factory=set, init=False)
    _dead: bool = field(default=False, init=False)

    async def open_gate(self) -> None:
        """Let it run."""
        assert self.process.stdin is not None, "drivers make pipes for all three streams"
        with suppress(trio.BrokenResourceError):  # killed at the gate
            await self.process.stdin.send_all(GO)

    async def kill(self) -> None:
        """Kill the process and all it started, and wait for their death."""
        if self._dead:
            return
        await kill_all(self._everything)
        await self.process.wait()
        self._dead = True

    async def look_around(self) -> None:
        """Note what it starts for as long as that can be told by its parents.

        A process can leave its parent, its session and its environment behind, but not all at once.
        """
        pause = FIRST_LOOK_SECONDS
        while True:
            await trio.sleep(pause)
            self._known |= self._everything(everything())
            pause = min(2 * pause, LOOK_SECONDS)

    def _everything(self, stats: Mapping[int, Stat]) -> set[Identity]:
        # What is older cannot be ours; looking into every environment of a busy machine would take long.
        recent = {pid: one for pid, one in stats.items() if one.identity.started >= self.identity.started}
        return family({self.identity, *self._known}, recent) | marked(self._mark, recent)
