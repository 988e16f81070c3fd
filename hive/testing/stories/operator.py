"""A person at work on a swarm that works: every command of the page, in any order, at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hive.protocol.commands import (
    Bury,
    CancelTurn,
    Kick,
    MarkDone,
    MarkRead,
    Pause,
    Redrive,
    ReleaseBlocked,
    RemoveAgent,
    Resume,
    StartAgent,
    StopAgent,
)
from hive.protocol.limits import Limits
from hive.protocol.mail import State
from hive.protocol.names import OPERATOR
from hive.protocol.parking import RESUMABLE

from .book import Book
from .ending import come_to_rest, everything_is_accounted_for, reader_of
from .work import hand_out, start_workers, worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from hive.protocol.commands import Command
    from hive.protocol.mail import Mail
    from hive.testing.simulate import Simulation

COMMANDS = 70
PAIR_MESSAGES = 3
"""So few between a pair, and so soon the loop guard has something for a person to decide."""


async def operator_storm(sim: Simulation) -> None:
    """Seventy commands of a person at any moment: agents held, cancelled, removed; mail buried, brought back.

    What is cancelled, buried or removed is known to its sender; everything else is handled in the end.
    """
    sim.limits = Limits(pair_messages=PAIR_MESSAGES)
    storm = _Storm(sim, Book(sim))
    storm.names = await start_workers(sim, storm.book, 5)
    deeds = sim.random.choices(list(storm.deeds), k=COMMANDS)
    for number, deed in enumerate([*storm.deeds, *deeds]):
        if number % 2:
            await hand_out(storm.book, storm.names, 1)
        await storm.deeds[deed](sim.random.choice(storm.names))
        await sim.advance(seconds=sim.random.expovariate(1 / 4))
    await storm.add_missing()
    await come_to_rest(storm.book)
    everything_is_accounted_for(
        storm.book, sent_by_the_operator=30, turn_ended=15, pause=2, stop=1, kick=1, bury=1, mark_done=1
    )


class _Storm:
    """One person and one swarm."""

    def __init__(self, sim: Simulation, book: Book) -> None:
        self.sim, self.book, self.names = sim, book, ()
        self.deeds = self._deeds()

    names: tuple[str, ...]

    def _deeds(self) -> Mapping[str, Callable[[str], Awaitable[None]]]:
        return {
            "pause": lambda agent: self._do(Pause(agent), "pause"),
            "pause now": lambda agent: self._do(Pause(agent, now=True), "pause"),
            "resume": lambda agent: self._do(Resume(agent, RESUMABLE), "resume"),
            "resume all": lambda _: self._do(Resume(None), "resume"),
            "cancel": lambda agent: self._do(CancelTurn(agent), "cancel"),
            "requeue": lambda agent: self._do(CancelTurn(agent, requeue=True), "requeue"),
            "kick": lambda agent: self._do(Kick(agent), "kick"),
            "stop": lambda agent: self._do(StopAgent(agent), "stop"),
            "start": lambda agent: self._do(StartAgent(agent), "start"),
            "start all": lambda _: self._do(StartAgent(None), "start"),
            "bury": self._bury,
            "redrive": self._redrive,
            "release": self._release,
            "read": self._read,
            "done": self._done,
            "remove": self._remove,
            "add": self._add,
        }

    async def _do(self, command: Command[object], what: str) -> None:
        await self.book.do(command, what)

    def _pick(self, mail: list[Mail]) -> str:
        """Any of these messages; one that is not there where there are none."""
        return self.sim.random.choice(mail).id if mail else "#0"

    def _unfinished(self, state: State) -> list[Mail]:
        found = reader_of(self.sim).unfinished()
        return [mail for mail in found if mail.state is state and mail.recipient != OPERATOR]

    async def _bury(self, agent: str) -> None:
        """A message that waits; were there none it would show nothing, so its agent is held first."""
        if not self._unfinished(State.READY):
            await self._do(Pause(agent), "pause")
            await self.book.send(agent, "task")
        await self._do(Bury(self._pick(self._unfinished(State.READY))), "bury")

    async def _redrive(self, agent: str) -> None:
        to = self.sim.random.choice((None, agent))
        await self._do(Redrive(self._pick(list(reader_of(self.sim).dead())), to=to), "redrive")

    async def _release(self, _agent: str) -> None:
        await self._do(ReleaseBlocked(self._pick(self._unfinished(State.BLOCKED))), "release")

    async def _read(self, _agent: str) -> None:
        await self._do(MarkRead(self._pick(await self._own())), "mark read")

    async def _done(self, _agent: str) -> None:
        message = self._pick(await self._own())
        # Before it is asked for: what is done under a lost answer is done by hand all the same.
        self.book.done_by_hand.add(message)
        await self._do(MarkDone(message), "mark done")

    async def _own(self) -> list[Mail]:
        """The operator's unread mail, among it a note to oneself."""
        await self.book.send(OPERATOR, "a note to myself")
        return list(reader_of(self.sim).unread_mail())

    async def _remove(self, agent: str) -> None:
        if agent in self._there():
            self.book.removed.add(agent)
            await self._do(RemoveAgent(agent), "remove")

    async def _add(self, _agent: str) -> None:
        await self.add_missing()

    def _there(self) -> set[str]:
        return {view.name for view in reader_of(self.sim).agents()}

    async def add_missing(self) -> None:
        """Add again who was removed."""
        for name in self.names:
            if name not in self._there():
                await self.sim.spawn(name, worker(self.book, self.names))
                self.book.happened["add"] += 1
