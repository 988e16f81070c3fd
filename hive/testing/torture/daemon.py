"""A real daemon in a process of its own, to be killed.

The rule kept here: whoever leaves the block finds it gone, with everything its agents ran and every socket.
"""

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from attrs import define

from hive.app import launcher
from hive.containers.processes import kill_all
from hive.directory import Directory
from hive.testing.torture.children import in_boxes

SERVE_SECONDS: Final = 60.0
"""How long a daemon may take until it serves."""

LOOK_SECONDS: Final = 0.01
CLEAR_SECONDS: Final = 15.0
SHOWN_BYTES: Final = 3000
SERVES: Final = b"\npage: "


class DoesNotServe(Exception):
    """A daemon ended, or serves nobody, or does not stop as it was told; with what it said last."""


@define(eq=False)
class Daemon:
    """One directory, one process after another."""

    directory: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    _begins: int = 0
    """Where in the log the process now running begins."""

    @property
    def store(self) -> Path:
        """Its database."""
        return Directory(self.directory).store

    async def start(self) -> None:
        """Start it and return when it serves.  Raises `DoesNotServe`."""
        self.begin()
        await self.serves()

    def begin(self) -> None:
        """Start its process."""
        with self.log.open("ab") as log:
            self._begins = log.tell()
            self.process = subprocess.Popen(
                [*launcher.command(), "up", "--dir", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is meant for whoever tortures it
                env=environment(os.environ),
            )

    async def serves(self) -> None:
        """Return when it serves.  Raises `DoesNotServe`."""
        assert self.process is not None
        with trio.move_on_after(SERVE_SECONDS):
            while SERVES not in self._said():
                if self.process.poll() is not None:
                    raise DoesNotServe(
                        f"it ended with status {self.process.returncode}: {self._last_words()}"
                    )
                await trio.sleep(LOOK_SECONDS)
            return
        raise DoesNotServe(f"it does not serve after {SERVE_SECONDS:.0f} s: {self._last_words()}")

    def kill(self) -> None:
        """End the process at once; returns when it is gone.  Raises `DoesNotServe` where it was already."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise DoesNotServe(
                f"it ended by itself, with status {self.process.returncode}: {self._last_words()}"
            )
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    async def stop(self) -> None:
        """Stop it in order.  Raises `DoesNotServe` where its status is not 0."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = await trio.to_thread.run_sync(self.process.wait)
        if status:
            raise DoesNotServe(f"told to stop, it ended with status {status}: {self._last_words()}")

    def _said(self) -> bytes:
        with self.log.open("rb") as log:
            log.seek(self._begins)
            return log.read()

    def _last_words(self) -> str:
        return self._said()[-SHOWN_BYTES:].decode(errors="replace").strip()


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """For a daemon on free ports that knows nothing of the person's own hive."""
    kept = {name: value for name, value in ours.items() if not name.startswith("HIVE_")}
    ports = {"HIVE_WEB_PORT": "0", "HIVE_MCP_PORT": "0"}
    return {**kept, **ports, launcher.PACKAGES: launcher.package_path(ours)}


@asynccontextmanager
async def daemon_on(directory: Path) -> AsyncIterator[Daemon]:
    """A daemon that serves, and is gone when the block is left, with everything it started.

    Raises `DoesNotServe`.
    """
    daemon = Daemon(directory, directory.with_name(f"{directory.name}.log"))
    try:
        await daemon.start()
        yield daemon
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        with trio.CancelScope(shield=True, relative_deadline=CLEAR_SECONDS):
            await kill_all(in_boxes(directory))
        Directory(directory).clear()
