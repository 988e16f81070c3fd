"""The queue of commands, and the loop that commits what is in it.

The queue belongs to the store and outlives every incarnation of the loop.  The rule kept here: a command
leaves the queue in the same breath in which its outcome is known, so a loop that is cancelled or crashes
anywhere leaves behind either a command still waiting or one that is settled.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Never, Protocol, TypeVar, assert_never, cast

import trio
from attrs import Factory, define, field, frozen

from hive.protocol.commands import Command, Once, Promise
from hive.protocol.errors import StoreUnavailable
from hive.store.batch import Answer, Asked, Committed, Committer, Failure, NotCommitted
from hive.store.orphans import releases
from hive.store.port import Subscriber
from hive.store.tickets import PendingTicket

T = TypeVar("T")

BATCH_COMMANDS = 512
"""Commands one transaction takes, at most."""

RETRY_FIRST_SECONDS = 0.1
RETRY_CEILING_SECONDS = 5.0

STOPPING = "hive is stopping; nothing was accepted. Ask again once it runs."


class Pauses(Protocol):
    """Where a simulation may hold the writer, to kill something meanwhile."""

    async def before_commit(self) -> None:
        """Nothing of the batch has happened yet."""

    async def after_commit(self) -> None:
        """The batch holds, and nobody has been told."""


class NoPauses:
    """Pauses of a hive that is not simulated: none."""

    async def before_commit(self) -> None:
        """Go on."""

    async def after_commit(self) -> None:
        """Go on."""


@frozen
class Queued:
    """A command in the queue, and whom to tell."""

    asked: Asked
    ticket: PendingTicket[object]


@define(eq=False)
class Writer:
    """Commits commands in the order they were submitted."""

    _committer: Committer
    _pauses: Pauses
    inline: bool
    """Commit on Trio's thread: for simulation, where a thread would let virtual time run away."""

    refusing: str | None = field(default=None, init=False)
    """Why commits fail at the moment, or None."""

    _queue: deque[Queued] = field(default=Factory(deque), init=False)
    _work: trio.Event = field(factory=trio.Event, init=False)
    _subscribers: list[Subscriber] = field(default=Factory(list), init=False)
    _thread: trio.CapacityLimiter = field(default=Factory(lambda: trio.CapacityLimiter(1)), init=False)
    _retry_seconds: float = field(default=0.0, init=False)
    _draining: bool = field(default=False, init=False)
    closed: bool = field(default=False, init=False)
    """Whether it accepts nothing more."""

    def submit(self, command: Command[T], once: Once | None = None) -> PendingTicket[T]:
        """Queue a command.  Never blocks, never raises; what is wrong is the ticket's outcome."""
        return self._enqueue(command, once, command.promise)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Hear of every commit; returns the function that ends it, which may be called twice."""
        self._subscribers.append(subscriber)

        def end() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return end

    async def drain_forever(self) -> Never:
        """Commit whatever is queued, for ever.

        Safe to cancel or to crash at any await and to call again.  A batch whose transaction has begun
        gets its outcome first: cancellation waits for the thread, and the outcome is delivered.
        """
        with self._alone():
            while True:
                if self.refusing:
                    await trio.sleep(self._retry_seconds)
                else:
                    await self._work.wait()
                await self._commit_some()

    def flush(self) -> None:
        """Commit everything queued, here and now; for an ordered stop, after the loop has ended."""
        with self._alone():
            while self._queue:
                batch = self._next_batch()
                match self._committer.commit(_asked(batch), self._cleared()):
                    case Committed() as result:
                        self._take(batch)
                        self._publish(batch, result)
                    case NotCommitted():
                        return
                    case never:
                        assert_never(never)

    def close(self) -> None:
        """Accept nothing more; what is still queued is refused."""
        self.closed = True
        self.refusing, self._work = None, trio.Event()
        while self._queue:
            self._queue.popleft().ticket.fail(StoreUnavailable(STOPPING))

    # --- one transaction -------------------------------------------------------------------------

    async def _commit_some(self) -> None:
        await self._pauses.before_commit()
        batch = self._next_batch()
        match await self._commit(batch):
            case Committed() as result:
                # Out of the queue before anything else can happen: it must not be committed twice.
                self._take(batch)
                try:
                    await self._pauses.after_commit()
                finally:
                    self._publish(batch, result)
            case NotCommitted(error):
                self._refuse(f"{type(error).__name__}: {error}")
            case never:
                assert_never(never)

    async def _commit(self, batch: Sequence[Queued]) -> Committed | NotCommitted:
        commit = partial(self._committer.commit, _asked(batch), self._cleared())
        if self.inline:
            return commit()
        # Not abandoned when cancelled: it either has not begun or is waited for and returns.
        return await trio.to_thread.run_sync(commit, limiter=self._thread)

    def _next_batch(self) -> tuple[Queued, ...]:
        return tuple(islice(self._queue, BATCH_COMMANDS))

    def _take(self, batch: Sequence[Queued]) -> None:
        self._queue = deque(islice(self._queue, len(batch), None))
        if not self._queue:
            self._work = trio.Event()
        self.refusing, self._retry_seconds = None, 0.0

    def _publish(self, batch: Sequence[Queued], result: Committed) -> None:
        """Tell the subscribers, then the callers, in the order they asked."""
        try:
            if result.journal or result.stream:
                for subscriber in tuple(self._subscribers):
                    subscriber(result.journal, result.stream)
        finally:
            for queued, outcome in zip(batch, result.outcomes, strict=True):
                match outcome:
                    case Answer(value):
                        queued.ticket.settle(value)
                    case Failure(error):
                        queued.ticket.fail(error)
                    case _:
                        assert_never(outcome)

    # --- when commits fail -----------------------------------------------------------------------

    def _refuse(self, why: str) -> None:
        """Keep the verdicts, in order, and tell everybody else that nothing was accepted."""
        self.refusing = why
        self._retry_seconds = min(max(self._retry_seconds * 2, RETRY_FIRST_SECONDS), RETRY_CEILING_SECONDS)
        waiting, self._queue = self._queue, deque()
        for queued in waiting:
            if queued.asked.promise is Promise.VERDICT:
                self._queue.append(queued)
            else:
                queued.ticket.fail(_unavailable(why))

    def _cleared(self) -> str | None:
        """The warning that a retry commits first; alone it is the probe that finds the disk well again."""
        return None if self.refusing is None else f"commits hold again; they had failed: {self.refusing}"

    # --- the queue -------------------------------------------------------------------------------

    def _enqueue(self, command: Command[T], once: Once | None, promise: Promise) -> PendingTicket[T]:
        ticket: PendingTicket[T] = PendingTicket(partial(self._give_back, command))
        if self.closed:
            ticket.fail(StoreUnavailable(STOPPING))
        elif self.refusing and promise is not Promise.VERDICT:
            ticket.fail(_unavailable(self.refusing))
        else:
            self._queue.append(Queued(Asked(command, once, promise), cast("PendingTicket[object]", ticket)))
            self._work.set()
        return ticket

    def _give_back(self, command: Command[object], answer: object) -> None:
        """Nobody took this answer: what it claimed is released, as surely as any verdict."""
        for release in releases(command, answer):
            self._enqueue(release, None, Promise.VERDICT)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._draining:
            raise RuntimeError("the store has one writer, and it is at work")
        self._draining = True
        try:
            yield
        finally:
            self._draining = False


def _asked(batch: Sequence[Queued]) -> tuple[Asked, ...]:
    return tuple(queued.asked for queued in batch)


def _unavailable(why: str) -> StoreUnavailable:
    return StoreUnavailable(f"hive cannot write to its disk at the moment ({why}); ask again in a while.")
