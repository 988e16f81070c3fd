"""Running one shell command in an agent's box, as a real process that leaves nothing behind.

The rule kept here: the process waits at a gate until its pid is on record; when the command has ended,
however it ended, everything it started is dead before anybody goes on.
"""

from collections.abc import Callable
from typing import Protocol

import trio
from attrs import define, field, frozen

from hive.agents.gated import Processes, Starter
from hive.containers.port import Box, Driver

OUTPUT_BYTES = 32 * 1024
"""How much of a command's output is kept; the rest is counted."""

DRAIN_SECONDS = 1.0
"""How long the pipes of a command that has ended may take to run dry."""

# Nothing runs before hive has written the process down: if hive dies first, the gate's input ends instead.
GATE = ("/bin/sh", "-c", 'read -r go && exec /bin/sh -c "$0" < /dev/null')


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
        starter = Starter(self.driver, self.processes, self.new_mark)
        async with starter.started(box.agent, (*GATE, command), {}) as running, trio.open_nursery() as beside:
            beside.start_soon(running.look_around)
            async with trio.open_nursery() as readers:
                readers.start_soon(output.read, running.process.stdout)
                readers.start_soon(output.read, running.process.stderr)
                await running.open_gate()
                assert running.process.stdin is not None, "drivers make pipes for all three streams"
                await running.process.stdin.aclose()
                status = await running.process.wait()
                # What it left in the background would hold the pipes open.
                await running.kill()
                readers.cancel_scope.deadline = trio.current_time() + DRAIN_SECONDS
            beside.cancel_scope.cancel(reason="the command has ended")
        return ShellAnswer(output.text(), status)


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
