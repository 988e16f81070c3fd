"""What a handler may do: its name, its clock and chance, its message in hand, helpers, timers, watches."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVarTuple

import trio
from attrs import define
from outcome import Error, Outcome, Value

from .bus import Fact
from .cell import Cell, Incarnation
from .errors import NotHeld
from .mailbox import DONE, Verdict
from .messages import Held, Message
from .policy import RESTING
from .ref import Ref
from .runtime import SPEAKER, Speaker
from .timers import Timer, Timers

Ts = TypeVarTuple("Ts")


@define(eq=False)
class Context:
    """What an incarnation may do in its hive, and the cell it lives in. Valid until the incarnation ends."""

    cell: Cell
    _life: Incarnation
    _nursery: trio.Nursery

    # Who and where.

    @property
    def name(self) -> str:
        """Our name."""
        return self.cell.name

    @property
    def incarnation(self) -> int:
        """How often this actor has been started, this time included."""
        return self._life.number

    @property
    def me(self) -> Ref:
        """A ref to ourselves."""
        return self.cell.ref(self.name)

    @property
    def random(self) -> Random:
        """The hive's source of chance. Use no other, and a run can be repeated."""
        return self.cell.runtime.random

    def now(self) -> float:
        """The monotonic clock, in seconds. Only differences mean something."""
        return self.cell.runtime.now()

    def wall(self) -> float:
        """The wall clock, in seconds since the epoch. It may jump."""
        return self.cell.runtime.wall()

    def ref(self, name: str) -> Ref:
        """A ref to whoever bears this name, now or later."""
        return self.cell.ref(name)

    def publish(self, fact: Fact) -> None:
        """Announce something to whoever listens."""
        self.cell.publish(fact)

    # The message in hand.

    def hold(self) -> Held:
        """Keep the current message in hand beyond this handling; `settle` it later. For a request: answer it
        later.

        If this incarnation ends first, a message goes back uncharged, and an asker is told. Raises `NotHeld`
        outside a handling.
        """
        life = self._life
        if life.handling is None or SPEAKER.get() is not life.speaker:
            raise NotHeld("only a handler has a current message to hold")
        if life.kept is None:
            life.kept = Held(life.handling, life.handling.claim)
        return life.kept

    def settle(self, held: Held, verdict: Verdict, answer: Outcome[object] | None = None) -> None:
        """End a claim. Never waits. Raises `NotHeld` if it has ended already."""
        self.cell.settle(held.envelope, held.claim, verdict, answer)

    def answer(self, held: Held, value: object) -> None:
        """Settle a held request with its answer."""
        self.settle(held, DONE, Value(value))

    def refuse(self, held: Held, error: Exception) -> None:
        """Settle a held request with an error, raised at whoever asked. An answer, not a crash."""
        self.settle(held, DONE, Error(error))

    # Helpers, timers, watching.

    def spawn(
        self, async_fn: Callable[[*Ts], Awaitable[object]], *args: *Ts, name: object = None
    ) -> trio.CancelScope:
        """Run a helper task beside the handlers. Its crash is ours; it is cancelled when we leave.

        Returns a scope to cancel just this one.
        """
        scope = trio.CancelScope()
        spawner = SPEAKER.get()
        # Whatever the helper sends is because of the message in whose handling it was spawned.
        speaker = Speaker(self.name, spawner.cause if spawner else None)

        async def help_out() -> None:
            SPEAKER.set(speaker)
            with scope:
                await async_fn(*args)

        self._nursery.start_soon(help_out, name=name or async_fn)
        return scope

    def after(self, seconds: float, message: Message) -> Timer:
        """Tell ourselves this message in so many seconds. Like all timers, it ends with this incarnation."""
        return self._set(Timer(message, self.now() + seconds))

    def every(self, seconds: float, message: Message) -> Timer:
        """Tell ourselves this message every so many seconds. Ticks missed in a long handling are missed."""
        return self._set(Timer(message, self.now() + seconds, period=seconds))

    def on_silence(self, seconds: float, message: Message) -> Timer:
        """Tell ourselves this message whenever we have handled none for so many seconds."""
        return self._set(Timer(message, self.now() + seconds, silence=seconds))

    def _set(self, timer: Timer) -> Timer:
        if self._life.timers is None:
            self._life.timers = Timers(self.now())
        self._life.timers.add(timer)
        self.cell.wake()
        return timer

    def watch(self, name: str) -> None:
        """Have `Down(name, reason)` sent to us when that actor stops for good; at once if it has, or never
        was.

        Restarts do not count. Watching twice is watching once.
        """
        runtime = self.cell.runtime
        cell = runtime.cells.get(name)
        if cell is None or cell.status in RESTING:
            runtime.tell_down(self.name, name, "no such actor" if cell is None else cell.status.value)
        else:
            runtime.watchers.setdefault(name, {})[self.name] = None
            self._life.watching[name] = None
