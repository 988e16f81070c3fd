"""`hive up`: one hive on one directory, until it is told to stop.

The rule kept here: what went wrong is one sentence and an exit status; a stack of frames is for faults of
hive itself.
"""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import trio
from attrs import evolve

from hive import config
from hive.actors import HiveError
from hive.agents.presets import built_in
from hive.app import UpOptions, found, launcher
from hive.app.compose import run_hive
from hive.app.running import Running
from hive.app.voice import Voice, speaking
from hive.directory import Directory, locked
from hive.protocol.errors import HiveRefusal, Refused

OK = 0
IMPATIENT = 130
DETACH_SECONDS = 30.0
SIGNALS = {
    signal.SIGINT: "Ctrl-C",
    signal.SIGTERM: "SIGTERM",
    signal.SIGHUP: "its terminal was closed",
}


Heed = Callable[[Running], None]
"""Takes a hive that runs, and has it obey signals from then on."""


def say(line: str) -> None:
    """Tell the person, if anybody is still there to read."""
    with suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def up(options: UpOptions) -> int:
    """Run the hive of a directory, here or in the background.

    Raises `HiveRefusal`, `HiveError` or `OSError` where it cannot be run; nothing is left running then.
    """
    directory = Directory(options.directory.absolute())
    if options.detach:
        return _detach(directory)
    made: tuple[Path, ...] = () if directory.root.exists() else (directory.root,)
    directory.root.mkdir(parents=True, exist_ok=True)
    with locked(directory):
        # Under the lock: the one before us clears away when it leaves.
        backend = found.chosen(built_in())
        made += directory.create(config.template({"agents.default_backend": backend} if backend else None))
        try:
            settings = config.effective(directory.root)
            with speaking(sys.stdout, sys.stderr) as voice:
                return trio.run(_serve, directory, settings, made, voice)
        finally:
            directory.clear()


async def _serve(
    directory: Directory, settings: Sequence[config.Setting], made: Sequence[Path], voice: Voice
) -> int:
    async def serve(heed: Heed) -> int:
        async with run_hive(directory, config.of(settings)) as running:
            heed(running)
            note_settings(running, settings)
            for line in _greeting(running, made):
                voice.say(line)
            await running.stopping()
            voice.say(f"stopping ({running.why}); once more to be impatient")
        voice.say("stopped; nothing is running")
        return OK

    return await under_signals(serve, voice)


def note_settings(running: Running, settings: Sequence[config.Setting]) -> None:
    """Leave a note for `hive config` of what this daemon took: nobody else knows its environment."""
    ports = running.listeners.ports
    served = (evolve(one, value=ports.get(one.path, one.value)) for one in settings)
    config.write_taken(running.directory.taken, os.getpid(), served)


async def under_signals(serve: Callable[[Heed], Awaitable[int]], voice: Voice) -> int:
    """Serve a hive that signals stop: the first in order, the second at once.

    `serve` hands the hive over as soon as it runs.  Raises what kept it from running.
    """
    status, refusal = IMPATIENT, None

    def heed(running: Running) -> None:
        nursery.start_soon(obey, received, running, impatience)
        # What the start has made stays.  To look for garbage among it takes a tenth of a second, unserved.
        gc.freeze()

    with trio.open_signal_receiver(*SIGNALS) as received:
        # Around everything that shuts down, which is when the second signal comes.
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as impatience:
                try:
                    status = await serve(heed)
                except (HiveRefusal, HiveError, OSError) as error:
                    refusal = error
            nursery.cancel_scope.cancel(reason="it has stopped")
    if refusal is not None:
        raise refusal
    if impatience.cancelled_caught:
        voice.complain("stopped at once; what was running is settled at the next start")
    return status


async def obey(received: AsyncIterator[int], running: Running, impatience: trio.CancelScope) -> None:
    """The first signal asks for an ordered stop; the second does not wait for it."""
    async for number in received:
        if running.why:
            impatience.cancel(reason="asked twice")
        running.stop(SIGNALS[signal.Signals(number)])


def _greeting(running: Running, made: Sequence[Path]) -> Iterator[str]:
    reader = running.store.reader
    yield f"hive on {running.directory.root} (pid {os.getpid()})"
    yield from found.report(made, running.driver, reader.manager(), len(reader.agents()))
    kept = {one.name for one in running.vault.credentials()}
    clis = tuple(found.command_lines(kept, running.presets))
    yield from clis or ("no agent CLI found on PATH; scripted and external agents work without one",)
    yield f"tools for agents: {running.listeners.endpoint('<name>')}"
    if sys.stdout.isatty():
        yield f"page (logs in once): {running.login_link()}"
    else:
        yield f"page: {running.listeners.origin} (a link that logs in: hive open)"


def _detach(directory: Directory) -> int:
    """Start the daemon in a session of its own and wait until it serves."""
    directory.root.mkdir(parents=True, exist_ok=True)
    with directory.log.open("a", encoding="utf-8") as log:
        begins = log.tell()
        child = subprocess.Popen(
            [*launcher.command(), "up", "--dir", str(directory.root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, launcher.PACKAGES: launcher.package_path(os.environ)},
        )
    deadline = time.monotonic() + DETACH_SECONDS
    while time.monotonic() < deadline:
        printed = _printed(directory.log, begins)
        if child.poll() is not None:
            said = printed.strip().removeprefix("hive: ")
            raise Refused(said or f"the daemon ended with status {child.returncode}")
        if "\npage" in printed:
            say(f"{printed}runs in the background (pid {child.pid}); stop it with: hive down")
            return OK
        time.sleep(0.05)
    raise Refused(
        f"not ready within {DETACH_SECONDS:.0f} s; see {directory.log}, or stop it with: kill {child.pid}"
    )


def _printed(log: Path, begins: int) -> str:
    with log.open(encoding="utf-8") as file:
        file.seek(begins)
        return file.read()
