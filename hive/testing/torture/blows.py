"""The torture itself: load, kill, cut, start again, and look.

The rule kept here: it stops at the first thing that is wrong, so that the files are as that left them.
"""

import sqlite3
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

import trio
from attrs import define, evolve, field

from hive.containers.processes import everything, is_alive, kill_all, read_stat
from hive.directory import Directory
from hive.protocol.errors import HiveRefusal
from hive.testing.torture import evidence
from hive.testing.torture.autopsy import Remains, examine
from hive.testing.torture.book import Book
from hive.testing.torture.children import Deaths, at_work, in_boxes
from hive.testing.torture.daemon import Daemon, DoesNotServe
from hive.testing.torture.findings import End, Kill, sentences
from hive.testing.torture.load import Load, resume
from hive.testing.torture.log import Mark, cut_log, log_of, read_mark
from hive.testing.torture.plan import Plan
from hive.testing.torture.senders import GONE, TRACES
from hive.testing.torture.verdict import Course, Verdict, judge, percentile

FIRST_RESTART_SECONDS: Final = 2.0
"""What a restart is taken to last before one was seen; lives are measured by it, as machines differ."""

SHORT_LIFE: Final = 0.4
LONG_LIFE: Final = 2.0
"""How long at most a hive that serves is left alone, in restarts."""

LONG_SHARE: Final = 0.3
"""So many lives may be long: in those turns end."""

LULL_SECONDS: Final = 0.8
"""How long at most nobody sends before a cut, so that there is something behind the last promise."""

AFTER_LULL_SECONDS: Final = 0.02
LOOK_SECONDS: Final = 0.002
QUIET_LOOK_SECONDS: Final = 0.2
QUIET_SECONDS: Final = 120.0
"""How long the last daemon may take to work off what is left."""


@define(eq=False)
class Torture:
    """One daemon under torture."""

    plan: Plan
    daemon: Daemon
    load: Load
    asked: trio.Event
    """Somebody has seen enough."""

    tell: Callable[["Torture"], object]
    """Called after every kill."""

    nursery: trio.Nursery
    chance: Random = field(init=False)
    kills: list[Kill] = field(factory=list, init=False)
    restarts: list[float] = field(factory=list, init=False)
    outlived: list[str] = field(factory=list, init=False)
    problems: list[str] = field(factory=list, init=False)
    begun: float = field(factory=time.monotonic, init=False)
    _synced: Mark | None = field(default=None, init=False)
    _deaths: Deaths = field(factory=Deaths, init=False)
    _started: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin the chances."""
        self.chance = Random(self.plan.seed)

    @property
    def book(self) -> Book:
        """What everybody was told."""
        return self.load.book

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self.begun

    @property
    def over(self) -> bool:
        """Whether that will do."""
        enough = self.seconds >= self.plan.seconds or self.plan.enough(self.kills)
        return enough or self.asked.is_set() or self._spoilt or bool(self.outlived)

    @property
    def _spoilt(self) -> bool:
        """Whether going on would prove nothing."""
        return bool(self.problems or self.book.unwritten)

    async def run(self) -> None:
        """Kill until it is over, then let the hive work off what is left."""
        self._note_synced()
        for sender in self.load.senders:
            sender.heard = self._note_synced
            self.nursery.start_soon(sender.run, self.load.stopping)
        try:
            await self._kill_on()
            if not self._spoilt:
                await self._finish()
        except DoesNotServe as silent:
            self.problems.append(f"the daemon: {silent}")
        except (sqlite3.Error, HiveRefusal) as broken:
            self.problems.append(f"its file cannot be read: {broken}")
        except trio.TooSlowError:
            self.problems.append("processes do not die, or senders wait for a daemon that is gone")
        except OSError as error:
            self.problems.append(f"the machine does not go along: {error}")
        self.load.stop()

    async def _kill_on(self) -> None:
        starting = False
        while not self.over:
            await self._instant(starting=starting)
            await self._kill(starting=starting)
            self.tell(self)
            if self.problems:
                return
            starting = self.chance.random() < self.plan.starting_share and not self.over
            self._begin()
            if not starting:
                await self._serving()
        if starting:
            await self._serving()

    # --- the instant -----------------------------------------------------------------------------

    async def _instant(self, *, starting: bool) -> None:
        """Wait for the next one."""
        restart = percentile(self.restarts, 0.5) or FIRST_RESTART_SECONDS
        life = LONG_LIFE if self.chance.random() < LONG_SHARE else SHORT_LIFE
        with trio.move_on_after(self.chance.uniform(0.0, restart if starting else restart * life)):
            await self.asked.wait()
        if not starting:
            with trio.move_on_after(self.plan.picky_seconds):
                while not self._would_hit_everything():  # noqa: ASYNC110 - another process makes it true
                    await trio.sleep(LOOK_SECONDS)

    def _would_hit_everything(self) -> bool:
        if all(way == "hive.1" for way in self.load.in_flight.values()):
            return False
        with evidence.looked_into(self.daemon.store) as db:
            claimed = evidence.counted(db, evidence.CLAIMED)
        return bool(claimed and at_work(self.daemon.directory)(everything()))

    async def _lull(self) -> None:
        """Let nobody send for a while, so that unsynced commits gather; then, perhaps, all at once again."""
        self.load.gate.shut()
        await trio.sleep(self.chance.uniform(0.0, LULL_SECONDS))
        if self.chance.getrandbits(1):
            self.load.gate.open()
            await trio.sleep(self.chance.uniform(0.0, AFTER_LULL_SECONDS))

    # --- the kill --------------------------------------------------------------------------------

    async def _kill(self, *, starting: bool) -> None:
        cut = self.chance.random() < self.plan.cut_share
        if cut and not starting:
            await self._lull()
        in_flight = self.load.in_flight
        self.daemon.kill()
        reached = read_mark(self.daemon.store)
        self.load.gate.open()
        stats = everything()
        for identity in in_boxes(self.daemon.directory)(stats):
            self.nursery.start_soon(self._deaths.watch, identity)
        children = len(at_work(self.daemon.directory)(stats))
        await self.load.heard_out()
        found = self._examined(in_flight)
        kill = Kill(
            in_flight,
            awaiting_commit={key: way for key, way in in_flight.items() if key not in found.committed},
            committed=found.committed,
            claimed=found.claimed,
            children=children,
            starting=starting,
            cut=cut,
        )
        if cut:
            kill = await self._lose_power(kill, reached, found.events)
        self.kills.append(kill)
        self.book.note("killed", number=len(self.kills), what_was_there=str(kill))

    def _examined(self, in_flight: Mapping[str, str]) -> Remains:
        """See what the dead daemon's file holds, and note what is wrong with it."""
        found = examine(self.daemon.store, self.book, in_flight)
        self.problems += sentences(f"kill {len(self.kills) + 1}", found.wrong)
        return found

    async def _lose_power(self, kill: Kill, reached: Mark | None, events: int) -> Kill:
        """Take from the file what a power cut may take, and kill whatever ran; add what that took."""
        await kill_all(in_boxes(self.daemon.directory))
        taken = cut_log(log_of(self.daemon.store), reached, self._synced, self.chance)
        found = self._examined(kill.in_flight)
        # What awaited its commit is told by the file before the cut, what must be there by the one after it.
        return evolve(kill, committed=found.committed, bytes_cut=taken, events_cut=events - found.events)

    # --- the restart -----------------------------------------------------------------------------

    def _begin(self) -> None:
        self._started = time.monotonic()
        self.daemon.begin()

    async def _serving(self) -> None:
        """Wait until it serves again, and see that nothing of an earlier boot is left."""
        await self.daemon.serves()
        self.restarts.append(time.monotonic() - self._started)
        self._note_synced()
        self._check_children()
        try:
            await resume(self.load.place)
        except GONE as failure:
            self.problems.append(f"the daemon serves, but cannot be used: {failure}")

    def _check_children(self) -> None:
        assert self.daemon.process is not None
        stat = read_stat(self.daemon.process.pid)
        if stat is None:
            return
        found = in_boxes(self.daemon.directory)(everything())
        with evidence.looked_into(self.daemon.store) as db:
            claimed = evidence.first_claim(db)
        late = self._deaths.outlived(found, stat.identity.started, claimed)
        boot = f"after {len(self.kills)} kills"
        self.outlived += (f"process {one.pid} {boot}{', and runs' if is_alive(one) else ''}" for one in late)
        self._deaths.forget()

    def _note_synced(self) -> None:
        """Whatever is committed now was synced, as far as anybody was promised anything."""
        self._synced = read_mark(self.daemon.store)

    # --- the end ---------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """Let everybody end, ask again what was answered last, and have the rest worked off."""
        self.load.stop()
        try:
            await self.load.heard_out()
            for sender in self.load.senders:
                await sender.repeat()
            await resume(self.load.place)
        except GONE as failure:
            self.problems.append(f"asked again: {failure}")
        await self._worked_off()
        await self.daemon.stop()

    async def _worked_off(self) -> None:
        with trio.move_on_after(QUIET_SECONDS):
            while True:
                with evidence.looked_into(self.daemon.store) as db:
                    if not evidence.counted(db, evidence.WAITING):
                        return
                await trio.sleep(QUIET_LOOK_SECONDS)

    def verdict(self) -> Verdict:
        """What came of it; the daemon must be gone."""
        try:
            end = self._end()
        except (sqlite3.Error, HiveRefusal) as broken:
            self.problems.append(f"its file cannot be read: {broken}")
            end = End((), {}, (), ())
        course = Course(
            seed=self.plan.seed,
            seconds=self.seconds,
            interrupted=self.asked.is_set(),
            kills=self.kills,
            restarts=self.restarts,
            outlived=self.outlived,
            problems=self.problems,
        )
        return judge(self.book, course, end)

    def _end(self) -> End:
        with evidence.looked_into(self.daemon.store) as db:
            return End(
                found=evidence.messages(db),
                traces=evidence.traces_in(Directory(self.daemon.directory).shared / TRACES),
                settled_twice=evidence.settled_twice(db),
                violations=evidence.violations(self.daemon.store),
                worked_off=not self._spoilt,
            )
