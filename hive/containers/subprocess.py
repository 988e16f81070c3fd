"""Boxes without walls: an agent's processes run beside hive, as the person who runs it.

A box is a leader that does nothing but live, in a session of its own, plus every process started through
`run`.  The rule kept here: whatever was started in a box, and whatever that started, dies with the box; a
mark in the environment finds even those that left their parents and sessions.
"""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio
from attrs import define, field, frozen

from hive.containers.port import Box, BoxDown, BoxState, BoxStatus
from hive.containers.processes import (
    Identity,
    Stat,
    family,
    gone,
    is_alive,
    kill_all,
    marked,
    read_stat,
    search,
    send_signal,
)

MARK: Final = "HIVE_BOX"
"""Environment variable that every process of a box bears."""

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin"
"""Where programs are looked for, on ordinary systems and on NixOS."""


@frozen
class Allowance:
    """What each process of a box may take."""

    open_files: int = 4096
    core_bytes: int = 0

    def apply(self, pid: int) -> None:
        """Set the limits of a process that was just started; its children inherit them."""
        for kind, wanted in (
            (resource.RLIMIT_NOFILE, self.open_files),
            (resource.RLIMIT_CORE, self.core_bytes),
        ):
            _, hard = resource.prlimit(pid, kind)
            limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.prlimit(pid, kind, (limit, limit))


@define(eq=False)
class _Running:
    """One start of one box."""

    box: Box
    mark: str
    leader: subprocess.Popen[bytes]
    identity: Identity
    started: set[Identity] = field(factory=set)

    def add(self, pid: int, allowance: Allowance) -> None:
        """Take a process just started into the box."""
        stat = read_stat(pid)
        if stat is not None:
            with suppress(ProcessLookupError):
                allowance.apply(pid)
            self.started = {identity for identity in self.started if is_alive(identity)} | {stat.identity}

    def find(self, stats: Mapping[int, Stat]) -> set[Identity]:
        """Everything that lives in this box."""
        return family({self.identity, *self.started}, stats) | marked(self.mark, stats)


def nothing_more(_agent: str) -> Mapping[str, str]:
    """No variables beyond the driver's own."""
    return {}


@define(eq=False)
class SubprocessDriver:
    """The driver that every machine has.  It isolates nothing."""

    directory: Path
    path: str = PATH
    allowance: Allowance = Allowance()
    environment: Callable[[str], Mapping[str, str]] = nothing_more
    """Further variables for the processes of an agent's box."""

    _running: dict[str, _Running] = field(factory=dict, init=False)
    _starts: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """The word for it in settings."""
        return "subprocess"

    @property
    def isolates(self) -> bool:
        """An agent here can do what the person can."""
        return False

    async def start(self, agent: str) -> Box:
        """Bring the box up, or return it as it is."""
        await trio.lowlevel.checkpoint()
        running = self._running.get(agent)
        if running is not None and is_alive(running.identity):
            return running.box
        if running is not None:
            # Its leader died on its own; what it left behind must not live in the next box.
            await self.kill(agent)
        return self._start(agent)

    def _start(self, agent: str) -> Box:
        box = self._make(agent)
        self._starts += 1
        mark = f"{self.directory.absolute()}:{agent}:{os.getpid()}:{self._starts}"
        # Not through Trio: "die with your parent" means the thread that made it, and Trio's threads end.
        leader = subprocess.Popen(
            self._leader_command(os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=box.state_dir,
            env={"PATH": self.path, MARK: mark},
        )
        stat = read_stat(leader.pid)
        if stat is None:  # pragma: no cover - we are its parent and have not reaped it
            raise OSError(f"the first process of {agent}'s box cannot be seen in /proc")
        self._running[agent] = _Running(box, f"{MARK}={mark}", leader, stat.identity)
        return box

    def _leader_command(self, parent: int) -> list[str]:
        setpriv = shutil.which("setpriv", path=self.path)
        if setpriv is None:
            return ["sleep", "infinity"]
        # A parent that died before it was watched is never missed: hence the look, once it is.
        watched = f'[ "$PPID" = {parent} ] && exec sleep infinity'
        return [setpriv, "--pdeathsig", "KILL", "sh", "-c", watched]

    def _make(self, agent: str) -> Box:
        state = self.directory / "agents" / agent / "state"
        shared = self.directory / "shared"
        for path in (state, shared):
            path.mkdir(parents=True, exist_ok=True)
        paths = {"HIVE_AGENT": agent, "HIVE_STATE": str(state), "HIVE_SHARED": str(shared)}
        seen_as = {**self.environment(agent), **paths}
        return Box(agent=agent, state_dir=state, shared_dir=shared, seen_as=seen_as)

    async def stop(self, agent: str, grace: float) -> None:
        """Ask every process of the box to leave, wait `grace` seconds, then kill the rest."""
        running = self._running.get(agent)
        if running is not None:
            others = await search(running.find) - {running.identity}
            for identity in others:  # any order: they are strangers to each other
                send_signal(identity, signal.SIGTERM)
            with trio.move_on_after(grace):
                for identity in others:  # any order: all have to be gone
                    await gone(identity)
        await self.kill(agent)

    async def kill(self, agent: str) -> None:
        """Kill every process of the box and wait for its death.  Cancelled halfway, ask again."""
        running = self._running.get(agent)
        if running is None:
            await trio.lowlevel.checkpoint()
            return
        await kill_all(running.find)
        running.leader.wait()
        if self._running.get(agent) is running:
            del self._running[agent]

    async def status(self, agent: str) -> BoxStatus:
        """Look whether the leader lives."""
        await trio.lowlevel.checkpoint()
        running = self._running.get(agent)
        if running is None:
            return BoxStatus(BoxState.GONE)
        if is_alive(running.identity):
            return BoxStatus(BoxState.RUNNING, running.identity.pid, running.identity.started)
        return BoxStatus(BoxState.DOWN, cause=_cause(running.leader.poll()))

    async def run(self, agent: str, argv: Sequence[str], *, environment: Mapping[str, str]) -> trio.Process:
        """Start a process in the box's state directory with an environment made from scratch."""
        running = self._running.get(agent)
        if running is None or not is_alive(running.identity):
            raise BoxDown(f"{agent}'s box is not running; hive starts it again by itself")
        with trio.CancelScope(shield=True):
            # Bounded by fork and exec.  Cancelled before we note the pid, we would lose a process.
            process = await trio.lowlevel.open_process(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                cwd=running.box.state_dir,
                env=self._environment(running, environment),
            )
            if self._running.get(agent) is not running or not is_alive(running.identity):
                process.kill()
                await process.wait()
                raise BoxDown(f"{agent}'s box went down; hive starts it again by itself")
        running.add(process.pid, self.allowance)
        return process

    async def changed(self, agent: str) -> None:
        """Wait for the leader's death; return at once where there is none alive."""
        running = self._running.get(agent)
        if running is None:
            await trio.lowlevel.checkpoint()
        else:
            await gone(running.identity)

    def _environment(self, running: _Running, extra: Mapping[str, str]) -> dict[str, str]:
        name, _, value = running.mark.partition("=")
        return {
            "PATH": self.path,
            "HOME": str(running.box.state_dir),
            "LANG": "C.UTF-8",
            **running.box.seen_as,
            **extra,
            name: value,
        }


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its first process left with status {code}"
    return f"its first process was killed by {signal.Signals(-code).name}"
