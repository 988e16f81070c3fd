"""A supervised slot: a name, a spec, a mailbox, and one incarnation after another.

Three places are subtle.

*Readiness.* An incarnation is shielded from birth, by a scope that only its cell cancels; that is what lets a
supervisor stop its children one by one while it is being cancelled itself. Until it is ready the scope's
deadline is the startup grace, and whoever starts it passes its own cancellation on.

*Leaving.* Whatever ends an incarnation that was ready becomes a report to its supervisor; what ends one
before becomes the starter's exception. Either way what it had in hand goes back, with no checkpoint in
between.

*Stopping.* Ask, wait out the grace, cancel, wait; a child that ignores even that is reported with its stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol, cast

import trio
from attrs import define, evolve, field, frozen
from attrs.validators import ge, gt, is_callable, min_len, optional
from outcome import Error, Outcome, Value

from . import errors
from .bus import Fact
from .essence import essence
from .facts import ActorExited, ActorStarted, Burial, WillNotLeave
from .mailbox import DONE, Bury, Mailbox, Release, Retry, Verdict
from .messages import Answer, Envelope, Held, Message, Reply
from .policy import Backoff, Crashed, Exit, Grace, Left, Restart, RestartWindow, Status, Stopped, describe
from .ref import Ref
from .runtime import SPEAKER, Runtime, Speaker
from .timers import Timers

PATIENCE: Final = 5.0
"""Seconds a cancelled incarnation may take to unwind before it is reported as one that will not leave."""


class Woken:
    """What Trio hands a loop that was woken. Its own default is built anew each time: 4 % of an ask."""

    @staticmethod
    def unwrap() -> None:
        """Nothing to tell: look around."""


WOKEN: Final = cast("Outcome[object]", Woken())


class Serves(Protocol):
    """Anything that can live in a cell."""

    async def serve(self, cell: Cell, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until asked to stop (`cell.wait_stopping`), calling `task_status.started()` when ready.

        Returning means leaving, raising means crashing; being cancelled means that the grace is over.
        """


@frozen
class ChildSpec:
    """How to start, restart and stop a child. It can be compared, replaced and read at run time.

    `start` is a factory, so that an incarnation never inherits the state its predecessor died of.
    A message that crashes the child `attempts` times is buried. `handling_limit` is in seconds.
    """

    name: str = field(validator=min_len(1))
    start: Callable[[], Serves] = field(validator=is_callable())
    restart: Restart = Restart.PERMANENT
    attempts: int = field(default=3, validator=ge(1))
    grace: Grace = Grace()
    backoff: Backoff = Backoff()
    mailbox: Callable[[], Mailbox] = Mailbox
    handling_limit: float | None = field(default=None, validator=optional(gt(0)))


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
    leaving: bool = False
    killed: bool = False
    exit: Exit | None = None
    handling: Envelope | None = None
    since: float = 0.0
    kept: Held | None = None
    timers: Timers | None = None
    watching: dict[str, None] = field(factory=dict)
    onlookers: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot, init=False)

    def started(self, _value: None = None) -> None:
        """Ready. From here on only the supervisor decides when this ends."""
        self.scope.deadline = math.inf
        self.ready_at = self.cell.runtime.now()
        if not self.stopping:
            self.cell.status = Status.READY
        self.cell.publish(ActorStarted(self.cell.name, self.number))
        self.onlookers.unpark_all()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until this is true of us. Looked at when we are ready, asked to stop, and gone."""
        while not happened():
            await self.onlookers.park()

    def is_gone(self) -> bool:
        """Whether it has ended."""
        return self.exit is not None

    def ended(self, error: BaseException | None) -> Exit:
        """How this ended, now that its task has, with this error."""
        if error is None and self.killed:
            error = errors.Killed("it was killed")
        elif error is None and self.ready_at is None:
            late = self.scope.cancelled_caught
            error = errors.NotReadyInTime("it took too long") if late else errors.LeftTooSoon("it left")
        if error is not None:
            return Crashed(error)
        return Stopped() if self.stopping else Left()

    def stack(self) -> tuple[str, ...]:
        """Where the incarnation's own task waits, outermost call first."""
        frames = () if self.task is None else self.task.iter_await_frames()
        return tuple(f"{f.f_code.co_filename}:{line} in {f.f_code.co_qualname}" for f, line in frames)


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
    senders: trio.lowlevel.ParkingLot | None = field(default=None, init=False)
    _reader: trio.lowlevel.Task | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Make the mailbox and take the name. Raises `NameTaken`."""
        if self.name in self.runtime.cells:
            raise errors.NameTaken(f"there is already an actor called {self.name!r}")
        self.mailbox = self.spec.mailbox()
        self.runtime.cells[self.name] = self

    @property
    def name(self) -> str:
        """What this slot is called."""
        return self.spec.name

    @property
    def alive(self) -> Incarnation | None:
        """The incarnation that has not ended, if there is one."""
        return None if self.life is None or self.life.is_gone() else self.life

    def ref(self, name: str) -> Ref:
        """A ref to whoever bears this name, now or later."""
        return Ref(name, self.runtime)

    def publish(self, fact: Fact) -> None:
        """Announce something on the hive's bus."""
        self.runtime.bus.publish(fact)

    # One incarnation.

    async def start(self, nursery: trio.Nursery) -> None:
        """Start an incarnation and return once it is ready.

        Raises `StartFailed`, and then nothing of it is left. If we are cancelled meanwhile, so is it; wait
        for it with `stop`.
        """
        if self.alive is not None:
            raise errors.StartFailed(self.name, Crashed(errors.StillLeaving("its last life has not ended")))
        self.incarnation += 1
        self.status = Status.STARTING
        scope = trio.CancelScope(shield=True, deadline=self.runtime.now() + self.spec.grace.startup)
        self.life = life = Incarnation(self.incarnation, self, scope, Speaker(self.name))
        nursery.start_soon(self._live, life, name=f"{self.name}.{life.number}")
        try:
            await life.until(lambda: life.ready_at is not None or life.is_gone())
        except trio.Cancelled:
            if life.ready_at is None:
                scope.cancel(reason=f"whoever was starting {self.name!r} was cancelled")
            raise
        if life.ready_at is None:
            assert isinstance(life.exit, Crashed)
            raise errors.StartFailed(self.name, life.exit)

    async def _live(self, life: Incarnation) -> None:
        SPEAKER.set(life.speaker)
        life.task = trio.lowlevel.current_task()
        error: BaseException | None = KeyboardInterrupt()  # unless we learn otherwise
        try:
            with life.scope:
                life.occupant = self.spec.start()
                await life.occupant.serve(self, task_status=life)
            error = None
        except (Exception, BaseExceptionGroup) as raised:
            error = essence(raised)
            if not isinstance(error, Exception):
                raise
        finally:
            self._end(life, error)

    def _end(self, life: Incarnation, error: BaseException | None) -> None:
        """Record how an incarnation ended, and give back what it had in hand."""
        life.exit = life.ended(error)
        if self.status is not Status.WAITING:
            self.status = Status.EXITED
        unanswered: Exception = errors.ActorStopped(self.name, begun=True)
        if isinstance(life.exit, Crashed):
            self.last_error = describe(life.exit.error)
            unanswered = errors.ActorCrashed(self.name, life.exit.error)
        for reply in self.mailbox.give_back():
            reply.resolve(Error(unanswered))
        for name in life.watching:
            self.runtime.watchers.get(name, {}).pop(self.name, None)
        if self.closed:
            self.close("it left late")
        life.onlookers.unpark_all()
        if life.ready_at is not None:
            self.publish(ActorExited(self.name, life.number, life.exit))
            if error is None or isinstance(error, Exception):  # an interrupt takes everybody along
                self.report(life)

    async def stop(self) -> None:
        """End the incarnation, if there is one: ask, wait out the grace, cancel, wait.

        If it ignores even the cancellation for `PATIENCE` seconds, it is announced and left behind, `alive`.
        """
        life = self.alive
        if life is None:
            return
        self.ask_to_stop()
        with trio.move_on_after(self.spec.grace.shutdown):
            await life.until(life.is_gone)
            return
        life.scope.cancel(reason=f"the grace of {self.name!r} is over")
        with trio.move_on_after(PATIENCE):
            await life.until(life.is_gone)
            return
        self.publish(WillNotLeave(self.name, life.number, life.stack()))

    def ask_to_stop(self) -> None:
        """Ask the incarnation to leave when its current handling is over."""
        if self.alive is not None:
            self.alive.stopping = True
            self.status = Status.STOPPING
            self.alive.onlookers.unpark_all()
            self.wake()

    def kill(self) -> None:
        """End the incarnation as though it had crashed, without its grace."""
        if self.alive is not None:
            self.alive.killed = True
            self.alive.scope.cancel(reason=f"{self.name!r} was killed")

    async def wait_stopping(self) -> None:
        """Wait until we are asked to stop. For occupants that are not actors."""
        life = self.life
        assert life is not None
        await life.until(lambda: life.stopping)

    # Between incarnations.

    def rest(self, status: Status, reason: str) -> None:
        """Stay without an incarnation. Mail waits on; whoever waits for an answer is told."""
        self.status = status
        self.fail_questions()
        if self.senders is not None:
            self.senders.unpark_all()
        for watcher in self.runtime.watchers.pop(self.name, ()):
            self.runtime.tell_down(watcher, self.name, reason)

    def fail_questions(self, sender: str | None = None) -> bool:
        """Tell whoever waits for an answer (or only this sender) that nobody will look at the question.

        Returns whether there was anybody.
        """
        questions = self.mailbox.take_out(lambda e: bool(e.reply) and sender in {None, e.sender})
        for question in questions:
            assert question.reply is not None
            question.reply.resolve(Error(errors.ActorStopped(self.name, begun=False)))
        return bool(questions)

    def close(self, reason: str) -> None:
        """Give up the name. What waits becomes dead letters, and whoever waits for an answer is told."""
        self.closed = True
        self.rest(Status.STOPPED, reason)
        for envelope in self.mailbox.take_out(lambda _: True):
            self._bury(envelope, Burial.STOPPED)
        if self.runtime.cells.get(self.name) is self:
            del self.runtime.cells[self.name]

    # Mail.

    def post(self, message: Message, *, urgent: bool = False, reply: Reply | None = None) -> Envelope:
        """Accept a message from whoever is speaking, and wake the reader. Raises `Full`."""
        runtime, speaker = self.runtime, SPEAKER.get()
        sender, cause = (None, None) if speaker is None else (speaker.name, speaker.cause)
        envelope = Envelope(message, runtime.next_id(), sender, cause, runtime.now(), urgent, reply)
        loser = self.mailbox.put(envelope)
        if loser is not None:
            self._bury(loser, Burial.REFUSED if loser is envelope else Burial.DROPPED)
            full = errors.Full(f"the mailbox of {self.name!r} is full ({self.mailbox.capacity} messages)")
            if loser is envelope:
                raise full
            if loser.reply is not None:
                loser.reply.resolve(Error(full))
        if self._reader is not None:
            self.wake()
        return envelope

    def post_own(self, message: Message) -> Envelope:
        """Accept a message of the occupant to itself."""
        envelope = Envelope(message, self.runtime.next_id(), self.name, None, self.runtime.now())
        self.mailbox.put_own(envelope)
        return envelope

    def _bury(self, envelope: Envelope, reason: Burial, why: str = "") -> None:
        self.runtime.bury(self.name, envelope.message, envelope.sender, reason, why)

    def withdraw(self, envelope: Envelope) -> None:
        """Take back a question that nobody has begun on."""
        if self.mailbox.take_out(lambda waiting: waiting is envelope) and self.senders is not None:
            self.senders.unpark()

    def settle(self, envelope: Envelope, claim: int, verdict: Verdict, answer: Answer | None) -> Verdict:
        """End a claim, tell whoever waits for the answer, and return the verdict that was carried out.

        A question is never retried: its asker is told of the crash. A message whose attempts are spent is
        buried.
        """
        carried_out, reply = verdict, envelope.reply
        if isinstance(verdict, Retry) and reply is not None:
            carried_out = DONE
        elif isinstance(verdict, Retry) and envelope.attempts + 1 >= self.spec.attempts:
            carried_out = Bury(verdict.error)
        self.mailbox.settle(envelope, claim, carried_out, self.runtime.now())
        if reply is not None and not isinstance(verdict, Release):
            # A copy: an outcome unwraps only once, and somebody else may have been given the same one.
            reply.resolve(evolve(answer) if answer else self._answer_to(verdict))
        if isinstance(carried_out, Bury):
            reason = Burial.POISON if isinstance(verdict, Retry) else Burial.REJECTED
            self._bury(envelope, reason, describe(carried_out.error))
        return carried_out

    def _answer_to(self, verdict: Verdict) -> Answer:
        if isinstance(verdict, Retry):
            return Error(errors.ActorCrashed(self.name, verdict.error))
        return Error(verdict.error) if isinstance(verdict, Bury) else Value(None)

    # Waiting.

    async def wait_for_mail(self, deadline: float) -> None:
        """Park the occupant's loop until something happens or the deadline passes."""
        self._reader = trio.lowlevel.current_task()
        if deadline == math.inf:
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        else:
            with trio.move_on_at(deadline):
                await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """Have the occupant's loop look around."""
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader, WOKEN)
            self._reader = None

    async def wait_for_room(self) -> None:
        """Park a sender until a message has left the mailbox, or the cell is closed."""
        if self.senders is None:
            self.senders = trio.lowlevel.ParkingLot()
        await self.senders.park()
