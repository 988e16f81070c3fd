"""A supervised slot: a name, a spec, a mailbox, and one incarnation after another.

Three places are subtle.

*Readiness.* An incarnation is shielded from birth, by a scope that only its cell cancels; that is what lets a
supervisor stop its children one by one while it is being cancelled itself. Until it is ready the scope's deadline is
the startup grace, and whoever starts it passes its own cancellation on.

*Leaving.* Whatever ends an incarnation that was ready becomes a report to its supervisor; what ends one before
becomes the starter's exception. Both are synchronous with the return of what it had in hand.

*Stopping.* Ask, wait out the grace, cancel, wait; a child that ignores even that is reported with its stack.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Final, Protocol

import outcome
import trio
from attrs import define, field, frozen

from .errors import (
    ActorCrashed,
    ActorStopped,
    Full,
    InvalidSpec,
    Killed,
    LeftTooSoon,
    NotReadyInTime,
    StartFailed,
    StillLeaving,
)
from .essence import essence
from .facts import ActorExited, ActorStarted, Burial, WillNotLeave
from .mailbox import Bury, Done, Mailbox, NoRoom, Release, Retry, Verdict
from .messages import Down, Envelope
from .policy import Backoff, Crashed, Exit, Grace, Left, Restart, RestartWindow, Stopped
from .runtime import SPEAKER, Speaker, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from .bus import Fact
    from .messages import Held, Kinds, Message
    from .runtime import Runtime
    from .timers import Timers

PATIENCE: Final = 5.0
"""Seconds a cancelled incarnation may take to unwind before it is reported as one that will not leave."""


class Serves(Protocol):
    """Anything that can live in a cell."""

    async def serve(self, cell: Cell, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until asked to stop (`cell.wait_stopping`), calling `task_status.started()` when ready.

        Returning means leaving, raising means crashing; being cancelled means that the grace is over.
        """


@frozen
class ChildSpec:
    """How to start, restart and stop a child. Data: it can be compared, replaced and read at run time.

    `start` is a factory, so that an incarnation never inherits the state its predecessor died of.
    A message that crashes the child `attempts` times is buried. `handling_limit` is in seconds.
    """

    name: str
    start: Callable[[], Serves]
    restart: Restart = Restart.PERMANENT
    attempts: int = 3
    grace: Grace = Grace()
    backoff: Backoff = Backoff()
    mailbox: Callable[[], Mailbox] = Mailbox
    handling_limit: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse what could never work."""
        if not self.name:
            message = "a child needs a name"
            raise InvalidSpec(message)
        if not callable(self.start):
            message = (
                f"{self.name!r}: start must be a factory, such as a class or a lambda, not {self.start!r}"
            )
            raise InvalidSpec(message)
        if self.attempts < 1:
            message = f"{self.name!r}: a message needs at least one attempt, not {self.attempts}"
            raise InvalidSpec(message)
        if self.handling_limit is not None and not self.handling_limit > 0:
            message = f"{self.name!r}: the handling limit must be above 0 seconds, not {self.handling_limit}"
            raise InvalidSpec(message)


class Status(enum.Enum):
    """What a cell is doing."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    EXITED = "exited"
    WAITING = "waiting for its restart"
    STOPPED = "stopped"
    PARKED = "parked"


RESTING: Final = frozenset({Status.STOPPED, Status.PARKED})
"""Nothing will run here until somebody asks for it, so questions are answered at once: nobody is in."""


@define(eq=False)
class Incarnation:
    """One life of a cell. It is also the task status that its occupant calls when it is ready."""

    number: int
    cell: Cell
    scope: trio.CancelScope
    speaker: Speaker
    occupant: Serves | None = None
    task: trio.lowlevel.Task | None = None
    ready_at: float | None = None
    stopping: bool = False
    killed: bool = False
    exit: Exit | None = None
    handling: Envelope | None = None
    claim: int = 0
    since: float = 0.0
    kept: Held | None = None
    timers: Timers | None = None
    watching: set[str] = field(factory=set)
    settled: trio.Event = field(factory=trio.Event)
    asked_to_stop: trio.Event = field(factory=trio.Event)
    gone: trio.Event = field(factory=trio.Event)

    def started(self, _value: None = None) -> None:
        """Ready. From here on only the supervisor decides when this ends."""
        self.cell.ready(self)

    def lived(self) -> float:
        """For how many seconds this was ready, until now or until it ended."""
        return 0.0 if self.ready_at is None else self.cell.runtime.now() - self.ready_at

    def begin(self, envelope: Envelope, now: float) -> None:
        """Note what is being handled, since when, and on whose account."""
        self.handling = envelope
        self.claim = envelope.claim
        self.since = now
        self.kept = None
        self.speaker.cause = envelope.id


@define(eq=False)
class Cell:
    """The slot. Everything about it but its spec survives its incarnations."""

    spec: ChildSpec
    runtime: Runtime
    window: RestartWindow
    report: Callable[[Incarnation], None]
    mailbox: Mailbox = field(init=False)
    status: Status = field(default=Status.STOPPED, init=False)
    life: Incarnation | None = field(default=None, init=False)
    incarnation: int = field(default=0, init=False)
    failures: int = field(default=0, init=False)
    last_error: str | None = field(default=None, init=False)
    closed: bool = field(default=False, init=False)
    _reader: trio.lowlevel.Task | None = field(default=None, init=False)
    _senders: dict[trio.lowlevel.Task, None] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Make the mailbox and take the name."""
        self.mailbox = self.spec.mailbox()
        self.runtime.register(self)

    @property
    def name(self) -> str:
        """What this slot is called."""
        return self.spec.name

    def publish(self, fact: Fact) -> None:
        """Announce something on the hive's bus."""
        self.runtime.bus.publish(fact)

    # One incarnation.

    async def start(self, nursery: trio.Nursery) -> None:
        """Start an incarnation and return once it is ready.

        Raises `StartFailed`, and then nothing of it is left. If we are cancelled meanwhile, so is it; wait for it
        with `stop`.
        """
        if self.life is not None and not self.life.gone.is_set():
            raise StartFailed(
                self.name, describe(StillLeaving("its last incarnation has not left"))
            ) from StillLeaving()
        life = self._conceive()
        nursery.start_soon(self._live, life, name=f"{self.name}.{life.number}")
        try:
            await life.settled.wait()
        except trio.Cancelled:
            if life.ready_at is None:
                life.scope.cancel(reason=f"whoever was starting {self.name!r} was cancelled")
            raise
        if life.ready_at is None:
            assert isinstance(life.exit, Crashed)
            raise StartFailed(self.name, describe(life.exit.error)) from life.exit.error

    def _conceive(self) -> Incarnation:
        self.incarnation += 1
        self.status = Status.STARTING
        deadline = self.runtime.now() + self.spec.grace.startup
        scope = trio.CancelScope(shield=True, deadline=deadline)
        self.life = Incarnation(self.incarnation, self, scope, Speaker(self.name))
        return self.life

    def ready(self, life: Incarnation) -> None:
        """Note that this incarnation is ready."""
        life.scope.deadline = math.inf
        life.ready_at = self.runtime.now()
        if not life.stopping:
            self.status = Status.READY
        self.publish(ActorStarted(self.name, life.number))
        life.settled.set()

    async def _live(self, life: Incarnation) -> None:
        SPEAKER.set(life.speaker)
        life.task = trio.lowlevel.current_task()
        error: BaseException | None = None
        try:
            with life.scope:
                life.occupant = self.spec.start()
                await life.occupant.serve(self, task_status=life)
        except BaseException as raised:
            error = essence(raised)
            if not isinstance(error, Exception):
                raise
        finally:
            self._end(life, error)

    def _end(self, life: Incarnation, error: BaseException | None) -> None:
        """Record how an incarnation ended, and give back what it had in hand. No checkpoint, so no in-between."""
        life.exit = _how_it_ended(life, error)
        if isinstance(life.exit, Crashed):
            self.last_error = describe(life.exit.error)
        if self.status is not Status.WAITING:
            self.status = Status.EXITED
        self._give_back(life.exit)
        if self.closed:
            self.close("it left late")
        for name in life.watching:
            self.runtime.watchers.get(name, {}).pop(self.name, None)
        life.gone.set()
        if life.ready_at is not None:
            self.publish(ActorExited(self.name, life.number, life.exit))
            if error is None or isinstance(error, Exception):
                self.report(life)
        life.settled.set()

    def _give_back(self, exit_: Exit) -> None:
        """Return what was in hand; but a question that was begun is not asked twice: its asker is told."""
        kept = []
        for envelope in self.mailbox.take_held():
            if envelope.reply is None:
                kept.append(envelope)
            else:
                self.mailbox.count_done()
                envelope.reply.resolve(outcome.Error(self._unanswered(exit_)))
        self.mailbox.give_back(kept)

    def _unanswered(self, exit_: Exit) -> Exception:
        if isinstance(exit_, Crashed):
            return crashed(self.name, exit_.error)
        return ActorStopped(self.name, begun=True)

    async def stop(self) -> bool:
        """End the incarnation, if there is one: ask, wait out the grace, cancel, wait.

        False if it ignored even the cancellation for `PATIENCE` seconds; it is announced and left behind then.
        """
        life = self.life
        if life is None or life.gone.is_set():
            return True
        self.ask_to_stop()
        with trio.move_on_after(self.spec.grace.shutdown):
            await life.gone.wait()
            return True
        life.scope.cancel(reason=f"the grace of {self.name!r} is over")
        with trio.move_on_after(PATIENCE):
            await life.gone.wait()
            return True
        self.publish(WillNotLeave(self.name, life.number, _stack(life)))
        return False

    def ask_to_stop(self) -> None:
        """Ask the incarnation to leave when its current handling is over."""
        if self.life is not None and not self.life.gone.is_set():
            self.life.stopping = True
            self.status = Status.STOPPING
            self.life.asked_to_stop.set()
            self.wake()

    def kill(self) -> None:
        """End the incarnation as though it had crashed, without its grace."""
        if self.life is not None and not self.life.gone.is_set():
            self.life.killed = True
            self.life.scope.cancel(reason=f"{self.name!r} was killed")

    async def wait_stopping(self) -> None:
        """Wait until we are asked to stop. For occupants that are not actors."""
        assert self.life is not None
        await self.life.asked_to_stop.wait()

    # Between incarnations.

    def rest(self, status: Status, reason: str) -> None:
        """Stay without an incarnation until somebody starts one. The mail stays; whoever waits for an answer is told."""
        self.status = status
        self.fail_questions()
        self.announce_down(reason)

    def fail_questions(self, sender: str | None = None) -> None:
        """Tell whoever waits for an answer (or only this sender) that nobody will look at the question."""
        for envelope in self.mailbox.take_questions(sender):
            assert envelope.reply is not None
            envelope.reply.resolve(outcome.Error(ActorStopped(self.name, begun=False)))

    def close(self, reason: str) -> None:
        """Give up the name. What waits becomes dead letters, and whoever waits for an answer is told."""
        self.status = Status.STOPPED
        self.closed = True
        self.fail_questions()
        for envelope in self.mailbox.take_waiting(lambda _: True):
            self.runtime.bury(self.name, envelope, Burial.STOPPED)
        if self.runtime.cells.get(self.name) is self:
            del self.runtime.cells[self.name]
        while self._senders:
            self._wake_sender()
        self.announce_down(reason)

    def announce_down(self, reason: str) -> None:
        """Tell whoever watches that we are gone for good."""
        for watcher in self.runtime.watchers.pop(self.name, ()):
            tell_down(self.runtime, watcher, self.name, reason)

    # Mail.

    def post(self, envelope: Envelope) -> None:
        """Accept a message and wake the reader. Raises `Full`."""
        try:
            dropped = self.mailbox.put(envelope)
        except NoRoom:
            raise Full(self.name, self.mailbox.capacity) from None
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None
        if dropped is not None:
            self._lose(dropped)

    def post_own(self, message: Message) -> Envelope:
        """Accept a message of the occupant to itself."""
        envelope = Envelope(message, self.runtime.next_id(), self.name, None, self.runtime.now())
        self.mailbox.put_own(envelope)
        return envelope

    def withdraw(self, envelope: Envelope) -> None:
        """Take back a question that nobody has begun on."""
        if self.mailbox.withdraw(envelope) and self._senders:
            self._wake_sender()

    def _lose(self, envelope: Envelope) -> None:
        self.runtime.bury(self.name, envelope, Burial.DROPPED)
        if envelope.reply is not None:
            envelope.reply.resolve(outcome.Error(Full(self.name, self.mailbox.capacity)))

    def claim(self, kinds: Kinds | None, now: float) -> Envelope | None:
        """Take the next wanted message in hand, if there is one, and let a sender that waits for room go on."""
        envelope = self.mailbox.claim(kinds, now)
        if self._senders and envelope is not None:
            self._wake_sender()
        return envelope

    def settle(
        self, envelope: Envelope, claim: int, verdict: Verdict, answer: outcome.Outcome[object] | None
    ) -> Verdict:
        """End a claim, tell whoever waits for the answer, and return the verdict that was carried out.

        A question is never retried: its asker is told of the crash. A message whose attempts are spent is buried.
        """
        carried_out = self._carried_out(envelope, verdict)
        self.mailbox.settle(envelope, claim, carried_out, self.runtime.now())
        reply = envelope.reply
        if reply is not None and not isinstance(carried_out, Release):
            reply.resolve(answer if answer is not None else self._answer_to(verdict))
        if isinstance(carried_out, Bury):
            reason = Burial.POISON if isinstance(verdict, Retry) else Burial.REJECTED
            self.runtime.bury(self.name, envelope, reason, carried_out.error)
        return carried_out

    def _carried_out(self, envelope: Envelope, verdict: Verdict) -> Verdict:
        match verdict:
            case Retry() if envelope.reply is not None:
                return Done()
            case Retry(error=error) if envelope.attempts + 1 >= self.spec.attempts:
                return Bury(error)
            case _:
                return verdict

    def _answer_to(self, verdict: Verdict) -> outcome.Outcome[object]:
        match verdict:
            case Retry(error=error):
                return outcome.Error(crashed(self.name, error))
            case Bury(error=Exception() as error):
                return outcome.Error(error)
            case Bury(error=error):
                return outcome.Error(crashed(self.name, error))
            case Done() | Release():
                return outcome.Value(None)

    async def wait_for_mail(self, deadline: float) -> None:
        """Park the occupant's loop until something happens or the deadline passes."""
        if deadline == math.inf:
            await self._park()
        else:
            with trio.move_on_at(deadline):
                await self._park()

    async def _park(self) -> None:
        self._reader = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """Have the occupant's loop look around."""
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None

    async def wait_for_room(self) -> None:
        """Park a sender until a message has left the mailbox, or the cell is closed."""
        task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            del self._senders[task]
            return trio.lowlevel.Abort.SUCCEEDED

        self._senders[task] = None
        await trio.lowlevel.wait_task_rescheduled(abort)

    def _wake_sender(self) -> None:
        """Room for one: wake the one that has waited longest. Should a `tell` be quicker, it waits again."""
        sender = next(iter(self._senders))
        del self._senders[sender]
        trio.lowlevel.reschedule(sender)


def crashed(name: str, error: BaseException | str) -> ActorCrashed:
    """What an asker is told, with the callee's own error as the cause."""
    told = ActorCrashed(name)
    if isinstance(error, BaseException):
        told.__cause__ = error
    else:
        told.add_note(error)
    return told


def tell_down(runtime: Runtime, watcher: str, name: str, reason: str) -> None:
    """Post a `Down`, unless the watcher is gone itself."""
    cell = runtime.cells.get(watcher)
    if cell is not None:
        cell.post(Envelope(Down(name, reason), runtime.next_id(), name, None, runtime.now(), urgent=True))


def _how_it_ended(life: Incarnation, error: BaseException | None) -> Exit:
    if error is not None:
        return Crashed(error)
    if life.killed:
        return Crashed(Killed("it was killed"))
    if life.stopping and life.ready_at is not None:
        return Stopped()
    if life.ready_at is not None:
        return Left()
    if life.scope.cancelled_caught:
        return Crashed(NotReadyInTime("it was not ready in time"))
    return Crashed(LeftTooSoon("it returned before it was ready"))


def _stack(life: Incarnation) -> tuple[str, ...]:
    """Where the incarnation's own task waits, outermost call first."""
    if life.task is None:
        return ()
    return tuple(
        f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}"
        for frame, line in life.task.iter_await_frames()
    )
