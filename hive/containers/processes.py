"""Finding and ending processes of this machine, by what they are and never by what they are called.

The rule kept here: a pid alone is a guess.  With its start time it is an identity, and a signal goes
through a pidfd that was opened and then checked against that identity.
"""

import os
import select
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import trio
from attrs import frozen

DEATH_SECONDS = 10.0
"""How long killed processes may take to be gone before we give up waiting."""

PROC = Path("/proc")


@frozen
class Identity:
    """One process, never to be confused with a later one of the same pid."""

    pid: int
    started: int
    """Start time in clock ticks since the machine's boot, as /proc says."""


@frozen
class Stat:
    """What /proc says of a process that matters here."""

    identity: Identity
    parent: int
    session: int
    dead: bool
    """A zombie: nothing runs, somebody has yet to reap it."""


def read_stat(pid: int) -> Stat | None:
    """The process of this pid, or None where there is none."""
    try:
        text = (PROC / str(pid) / "stat").read_text("ascii", "replace")
    except OSError:
        return None
    # The command's name may hold spaces and parentheses; what follows the last one is plain.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(
        identity=Identity(pid, int(fields[19])),
        parent=int(fields[1]),
        session=int(fields[3]),
        dead=fields[0] in "ZX",
    )


def everything() -> dict[int, Stat]:
    """All processes there are, by pid."""
    stats = (read_stat(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return {stat.identity.pid: stat for stat in stats if stat is not None}


def family(roots: Iterable[Identity], stats: Mapping[int, Stat]) -> set[Identity]:
    """Those of `roots` that live, their descendants, and everybody in a session that one of them leads."""
    children: dict[int, list[Stat]] = defaultdict(list)
    members: dict[int, list[Stat]] = defaultdict(list)
    for stat in stats.values():
        children[stat.parent].append(stat)
        members[stat.session].append(stat)
    found: set[Identity] = set()
    # A session outlives its leader while it has members, and no new process gets the leader's pid meanwhile.
    unseen = [stat for root in roots for stat in members[root.pid] if _in_time(stat, root)]
    unseen += [stats[root.pid] for root in roots if root.pid in stats and stats[root.pid].identity == root]
    while unseen:
        stat = unseen.pop()
        if stat.identity in found:
            continue
        found.add(stat.identity)
        unseen += children[stat.identity.pid]
        unseen += members[stat.identity.pid]
    return {identity for identity in found if not stats[identity.pid].dead}


def _in_time(stat: Stat, root: Identity) -> bool:
    return stat.identity.started >= root.started


def marked(mark: str, stats: Mapping[int, Stat]) -> set[Identity]:
    """Live processes whose environment bears `mark` (`NAME=value`): also those that left every family."""
    wanted = mark.encode()
    found = set()
    for stat in stats.values():
        with suppress(OSError):
            environment = (PROC / str(stat.identity.pid) / "environ").read_bytes()
            if not stat.dead and wanted in environment.split(b"\0"):
                found.add(stat.identity)
    return found


def open_pidfd(identity: Identity) -> int | None:
    """A descriptor of exactly this process, or None where it is gone.  The caller closes it."""
    try:
        pidfd = os.pidfd_open(identity.pid)
    except OSError:
        return None
    stat = read_stat(identity.pid)
    if stat is None or stat.identity != identity or stat.dead:
        os.close(pidfd)
        return None
    return pidfd


def send_signal(identity: Identity, number: signal.Signals) -> None:
    """Signal exactly this process.  One that is gone, or is not ours to signal, is left in peace."""
    pidfd = open_pidfd(identity)
    if pidfd is None:
        return
    try:
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)


async def gone(identity: Identity) -> None:
    """Wait until this process is no more.  Returns at once where it is gone already."""
    pidfd = open_pidfd(identity)
    if pidfd is None:
        await trio.lowlevel.checkpoint()
        return
    try:
        await trio.lowlevel.wait_readable(pidfd)
    finally:
        # Trio must forget the descriptor before its number can be used again.
        trio.lowlevel.notify_closing(pidfd)
        os.close(pidfd)


def is_alive(identity: Identity) -> bool:
    """Whether this process runs."""
    pidfd = open_pidfd(identity)
    if pidfd is None:
        return False
    try:
        return not select.select([pidfd], [], [], 0)[0]
    finally:
        os.close(pidfd)


Find: TypeAlias = Callable[[Mapping[int, Stat]], set[Identity]]
"""Picks processes out of all there are."""


async def search(find: Find) -> set[Identity]:
    """Look through /proc in a thread: on a busy machine that takes a while."""
    return await trio.to_thread.run_sync(lambda: find(everything()))


async def kill_all(find: Find) -> set[Identity]:
    """Kill whatever `find` finds, again and again, until it finds nothing; return what it killed.

    Raises `trio.TooSlowError` where something
    survives for `DEATH_SECONDS`; cancelled, it may leave processes alive: call it again.
    """
    killed: set[Identity] = set()
    with trio.fail_after(DEATH_SECONDS):
        while found := await _stopped(find):
            for identity in found:
                send_signal(identity, signal.SIGKILL)
            killed |= found
            for identity in found:
                await gone(identity)
    return killed


async def _stopped(find: Find) -> set[Identity]:
    """What `find` finds, once all of it has been stopped.

    A process can fork while we look; killed then, it would leave a child that nothing can be told of.
    """
    found: set[Identity] = set()
    while new := await search(find) - found:
        for identity in sorted(new, key=lambda one: one.pid):
            send_signal(identity, signal.SIGSTOP)
        found |= new
    return found


async def kill_leftovers(leftovers: Iterable[Identity]) -> set[Identity]:
    """Kill what an earlier daemon left running, with everything it started, and wait for its death.

    Nothing may be claimed again before this has returned.
    """
    roots = tuple(leftovers)
    if not roots:
        await trio.lowlevel.checkpoint()
        return set()
    return await kill_all(lambda stats: family(roots, stats))
