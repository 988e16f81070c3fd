"""One agent CLI in an agent's box, spoken to in lines of JSON.

The rule kept here: it never holds hive up and never fills its memory, whatever it writes or does not
write; when its block is left, however that happens, it is dead with everything it started.
"""

import json
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol, TypeAlias

import trio
from attrs import define, field, frozen

from hive.agents.beside import beside
from hive.agents.cli.json_lines import JsonObject, Splitter, TooLong, parse
from hive.agents.events import Noted
from hive.agents.gated import Gated, Starter
from hive.containers.port import Box
from hive.containers.processes import send_signal

COMPLAINT_BYTES = 64 * 1024
"""How much is kept of the end of what it writes to its standard error."""

CHUNK_BYTES = 64 * 1024

DRAIN_SECONDS = 1.0
"""How long a pipe may stay silent, once its process has ended, before we stop listening."""

LEAVE_SECONDS = 3.0
"""How long it may take to leave by itself once its turn is over."""

NOISE_LINES = 20
"""How many lines that are not JSON are told; the rest are dropped."""

NOISE_CHARACTERS = 200

NOT_FOUND = frozenset({126, 127})
"""What the gate leaves with where the program is not there, or cannot be run."""

# Nothing runs before hive has written the process down. What follows the first line is the program's own.
GATE = ("/bin/sh", "-c", 'read -r go && exec "$0" "$@"')

Heard: TypeAlias = JsonObject | Noted
"""What comes from a CLI: an object, or a note about something else."""


class Cli(Protocol):
    """A CLI that runs.  Iterating yields what it says, until it has ended."""

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        ...

    @property
    def complaint(self) -> str:
        """The end of what it wrote to its standard error."""
        ...

    def __aiter__(self) -> AsyncIterator[Heard]:
        """What it says.  Raises `TooLong` where a line has no end."""
        ...

    def say(self, line: Mapping[str, object]) -> None:
        """Have a line written to it, after those said before.  Never waits."""
        ...

    async def hang_up(self) -> None:
        """Say that nothing more will come, and give it `LEAVE_SECONDS` to leave."""
        ...

    def signal(self, number: signal.Signals) -> None:
        """Signal it.  One that is gone is left in peace."""
        ...

    async def kill(self) -> None:
        """Kill it and everything it started, and wait for their death."""
        ...


StartCli: TypeAlias = Callable[[Box, Sequence[str], Mapping[str, str]], AbstractAsyncContextManager[Cli]]
"""Runs a command, with further environment, in a box.  Raises `BoxDown`."""


@frozen
class Rung:
    """One step of stopping a CLI: a signal, and how many seconds it has to take effect."""

    signal: signal.Signals
    seconds: float


@frozen
class Ladder:
    """How a CLI is stopped: asked, then told ever more plainly.  Shorter than a harness waits."""

    asked_seconds: float = 2.0
    rungs: tuple[Rung, ...] = (Rung(signal.SIGINT, 1.5), Rung(signal.SIGTERM, 1.0))

    @property
    def seconds(self) -> float:
        """How long it takes to get to the last step, which kills."""
        return self.asked_seconds + sum(rung.seconds for rung in self.rungs)


async def climb(cli: Cli, ladder: Ladder, ask: Callable[[], None], tell: Callable[[Noted], None]) -> None:
    """Stop a CLI by ever harder means; cancel this once it has stopped."""
    ask()
    tell(Noted("stop", "asked it to stop"))
    await trio.sleep(ladder.asked_seconds)
    for rung in ladder.rungs:
        cli.signal(rung.signal)
        tell(Noted("stop", f"sent {rung.signal.name}"))
        await trio.sleep(rung.seconds)
    tell(Noted("stop", "killed it and everything it had started"))
    await cli.kill()


@frozen
class BoxClis:
    """Runs CLIs as processes in boxes.  Its method `start` is a `StartCli`."""

    starter: Starter

    @asynccontextmanager
    async def start(
        self, box: Box, argv: Sequence[str], environment: Mapping[str, str]
    ) -> AsyncIterator[Cli]:
        """See `StartCli`.  Leaving the block kills whatever still runs."""
        async with self.starter.started(box.agent, (*GATE, *argv), environment) as gated:
            running = _Running(gated)
            async with beside(running.serve):
                yield running


@define(eq=False)
class _Pipe:
    """One of its output streams, which is not waited for once its process has ended."""

    _stream: trio.abc.ReceiveStream | None
    _seconds: float = field(default=float("inf"), init=False)
    _wait: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    async def read(self) -> bytes:
        """The next bytes; none at the end."""
        assert self._stream is not None, "drivers make pipes for all three streams"
        with trio.move_on_after(self._seconds) as self._wait:
            return bytes(await self._stream.receive_some(CHUNK_BYTES))
        return b""

    def run_dry(self) -> None:
        """Its process is gone: somebody out of reach may hold the other end open for ever."""
        self._seconds = DRAIN_SECONDS
        self._wait.deadline = trio.current_time() + DRAIN_SECONDS


@define(eq=False)
class _Running:
    """A `Cli` that is a process."""

    _gated: Gated
    _to_say: trio.MemorySendChannel[bytes] = field(init=False)
    _said: trio.MemoryReceiveChannel[bytes] = field(init=False)
    _hears: trio.MemorySendChannel[Heard | TooLong] = field(init=False)
    _heard: trio.MemoryReceiveChannel[Heard | TooLong] = field(init=False)
    _complaint: bytearray = field(factory=bytearray, init=False)
    _noise: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Make the channels."""
        # A turn says a handful of lines, and must not wait for a CLI that does not read them.
        self._to_say, self._said = trio.open_memory_channel[bytes](float("inf"))
        # A line may be large: no more than the one in hand is kept.
        self._hears, self._heard = trio.open_memory_channel[Heard | TooLong](0)

    @property
    def status(self) -> int | None:
        return self._gated.process.returncode

    @property
    def complaint(self) -> str:
        return bytes(self._complaint).decode(errors="replace").strip()

    def say(self, line: Mapping[str, object]) -> None:
        self._to_say.send_nowait(json.dumps(line).encode() + b"\n")

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self

    async def __anext__(self) -> Heard:
        heard = await anext(self._heard)
        if isinstance(heard, TooLong):
            raise heard
        return heard

    async def hang_up(self) -> None:
        self._to_say.close()
        with trio.move_on_after(LEAVE_SECONDS):
            # It may have more to say, and must not wait for us to listen.
            async for _ in self._heard:
                pass

    def signal(self, number: signal.Signals) -> None:
        send_signal(self._gated.identity, number)

    async def kill(self) -> None:
        await self._gated.kill()

    async def serve(self) -> None:
        """Carry what is said in and out, until it has ended and both its outputs are read."""
        process = self._gated.process
        output, errors = _Pipe(process.stdout), _Pipe(process.stderr)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._gated.look_around)
            nursery.start_soon(self._write)
            with self._hears:
                async with trio.open_nursery() as readers:
                    readers.start_soon(self._read, output)
                    readers.start_soon(self._keep_complaint, errors)
                    await process.wait()
                    # What it left in the background would hold the pipes open.
                    await self._gated.kill()
                    output.run_dry()
                    errors.run_dry()
            nursery.cancel_scope.cancel(reason="it has ended")

    async def _write(self) -> None:
        stdin = self._gated.process.stdin
        assert stdin is not None, "drivers make pipes for all three streams"
        await self._gated.open_gate()
        with suppress(trio.BrokenResourceError):  # it has ended; its reader says how
            async for line in self._said:
                await stdin.send_all(line)
        await stdin.aclose()

    async def _read(self, output: _Pipe) -> None:
        splitter = Splitter()
        try:
            while chunk := await output.read():
                await self._pass_on(splitter.feed(chunk))
            await self._pass_on([splitter.last()])
        except TooLong as error:
            await self._hears.send(error)

    async def _pass_on(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            heard = parse(line) or self._noted(line)
            if heard is not None:
                await self._hears.send(heard)

    def _noted(self, line: bytes) -> Noted | None:
        """What to tell of a line that is not JSON; nothing of an empty one, or of one too many."""
        text = line[:NOISE_CHARACTERS].decode(errors="replace").strip()
        self._noise += bool(text)
        return Noted("noise", text) if text and self._noise <= NOISE_LINES else None

    async def _keep_complaint(self, errors: _Pipe) -> None:
        while chunk := await errors.read():
            self._complaint += chunk
            del self._complaint[:-COMPLAINT_BYTES]
