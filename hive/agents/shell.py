"""Running one shell command in an agent's box, as a real process that leaves nothing behind.

The rule kept here: the process waits at a gate until its pid is on record; when the command has ended,
however it ended, everything it started is dead before anybody goes on.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import trio
from attrs import define, field, frozen

from hive.containers.port import Box, Driver
from hive.containers.processes import Identity, Stat, everything, family, kill_all, marked, read_stat

OUTPUT_BYTES = 32 * 1024
"""How much of a command's output is kept; the rest is counted."""

DRAIN_SECONDS = 1.0
"""How long the pipes of a command that has ended may take to run dry."""

FIRST_LOOK_SECONDS = 0.01
LOOK_SECONDS = 1.0
"""How soon, and at the latest how often, we look what a running command has started."""

MARK = "HIVE_COMMAND"
"""Environment variable that everything a command starts inherits, by which it is found again."""

# Nothing runs before hive has written the process down: if hive dies first, the gate's input ends instead.
GATE = ("/bin/sh", "-c", 'read -r go && exec /bin/sh -c "$0" < /dev/null')


class Processes(Protocol):
    """Where running processes are on record, for whoever must clean up after a crash of hive."""

    async def record(self, agent: str, process: Identity) -> None:
        """Return once the record is committed."""
        ...

    def forget(self, agent: str, process: Identity) -> None:
        """The process and all it started are gone."""
        ...


@frozen
class ShellAnswer:
    """What a command wrote, to either stream, and its exit status."""

    text: str
    status: int


class RunsCommands(Protocol):
    """Runs shell commands in boxes."""

    async def run(self, box: Box, command: str) -> ShellAnswer:
        """Run `command` to its end.  Raises `BoxDown`.

        Cancelled, it raises only after everything the command started is dead.
        """
        ...


@frozen
class BoxShell:
    """Runs commands as processes through a driver."""

    driver: Driver
    processes: Processes
    new_mark: Callable[[], str]
    """Makes a word that no other process on this machine bears."""

    async def run(self, box: Box, command: str) -> ShellAnswer:
        """See `RunsCommands`."""
        output = _Output()
        async with self._started(box, command) as running, trio.open_nursery() as beside:
            beside.start_soon(running.look_around)
            async with trio.open_nursery() as readers:
                readers.start_soon(output.read, running.process.stdout)
                readers.start_soon(output.read, running.process.stderr)
                await running.open_gate()
                status = await running.process.wait()
                # What it left in the background would hold the pipes open.
                await running.kill()
                readers.cancel_scope.deadline = trio.current_time() + DRAIN_SECONDS
            beside.cancel_scope.cancel(reason="the command has ended")
        return ShellAnswer(output.text(), status)

    @asynccontextmanager
    async def _started(self, box: Box, command: str) -> AsyncIterator["_Running"]:
        mark = self.new_mark()
        process = await self.driver.run(box.agent, (*GATE, command), environment={MARK: mark})
        stat = read_stat(process.pid)
        assert stat is not None, "its parent has not reaped it yet"
        running = _Running(process, stat.identity, f"{MARK}={mark}")
        try:
            await self.processes.record(box.agent, running.identity)
            yield running
        finally:
            # Bounded by DEATH_SECONDS; what outlives even that stays on record for the next boot.
            with trio.CancelScope(shield=True):
                await running.kill()
            self.processes.forget(box.agent, running.identity)


@define(eq=False)
class _Running:
    """One command on its way."""

    process: trio.Process
    identity: Identity
    mark: str
    _known: set[Identity] = field(factory=set, init=False)
    _dead: bool = field(default=False, init=False)

    async def open_gate(self) -> None:
        assert self.process.stdin is not None, "drivers make pipes for all three streams"
        with suppress(trio.BrokenResourceError):  # killed at the gate
            await self.process.stdin.send_all(b"go\n")
        await self.process.stdin.aclose()

    async def kill(self) -> None:
        """Kill the command and all it started, and wait for their death."""
        if self._dead:
            return
        await kill_all(self._everything)
        await self.process.wait()
        self._dead = True

    async def look_around(self) -> None:
        """Note what the command starts for as long as it can be told by its parents.

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
        return family({self.identity, *self._known}, recent) | marked(self.mark, recent)


@define(eq=False)
class _Output:
    """The first bytes of two streams, as they came."""

    _kept: bytearray = field(factory=bytearray, init=False)
    _lost: int = field(default=0, init=False)

    async def read(self, stream: trio.abc.ReceiveStream | None) -> None:
        assert stream is not None, "drivers make pipes for all three streams"
        while chunk := await stream.receive_some():
            room = OUTPUT_BYTES - len(self._kept)
            self._kept += chunk[:room]
            self._lost += max(0, len(chunk) - room)

    def text(self) -> str:
        kept = self._kept.decode(errors="replace")
        return f"{kept}\n({self._lost} more bytes)" if self._lost else kept
