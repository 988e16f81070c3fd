"""A real daemon in a process of its own, to be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import define

from hive.directory import Directory


@define(eq=False)
class Daemon:
    """One directory, one process after another."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def store(self) -> Path:
        """Its database."""
        return self.directory / "hive.sqlite3"

    async def start(self) -> None:
        """Start it and return when it serves."""
        environment = {**os.environ, "HIVE_WEB_PORT": "0", "HIVE_MCP_PORT": "0"}
        log = (self.directory / "daemon.log").open("ab")
        begins = log.tell()
        with log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - a fork; it is killed by hand
                [sys.executable, "-m", "hive", "up", "--dir", str(self.directory)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        with trio.fail_after(60):
            while b"\npage: " not in (self.directory / "daemon.log").read_bytes()[begins:]:
                assert self.process.poll() is None, (self.directory / "daemon.log").read_text()[-3000:]
                await trio.sleep(0.01)

    def kill(self) -> None:
        """End it as a power cut would end the process."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    async def stop(self) -> None:
        """An ordered stop."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = await trio.to_thread.run_sync(self.process.wait)

        assert status == 0


@asynccontextmanager
async def daemon_on(directory: Path) -> AsyncIterator[Daemon]:
    """A daemon that is gone when the block is left, with everything it started."""
    daemon = Daemon(directory)
    try:
        await daemon.start()
        yield daemon
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
        Directory(directory).clear()
