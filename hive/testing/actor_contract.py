"""What every actor must stand, as a suite: subclass it and say how to make one and what to tell it.

    from hive.testing.contracts import ActorContract, Trial

    class TestGreeter(ActorContract):
        def make(self, sim: Simulation) -> Trial:
            greeter = ChildSpec("greeter", partial(Greeter, sim.random))
            return Trial(greeter, messages=[Met("iris"), HowMany()])

        def check(self, request: Request, answer: object) -> None:
            assert answer == 1

Needs pytest, and no plugin of it. Every run is in virtual time and under the guard of docs/determinism.md.

The rule kept here: an actor may be cancelled or killed at any step, and what it was told before is handled
all the same.
"""

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import takewhile, zip_longest
from typing import Any, Final

import pytest
import trio
from attrs import define, field, frozen

from hive.actors import (
    ActorCrashed,
    ActorExited,
    ActorSnapshot,
    ActorStopped,
    ChildSpec,
    Crashed,
    DeadLetter,
    Hive,
    HiveError,
    Message,
    Request,
    Restart,
    Status,
    StopChild,
    Stopped,
    WillNotLeave,
)
from hive.actors._core.policy import describe

from .guard import guarded
from .simulate import Simulation, simulate
from .sweep import Swept, sweep_cancel, sweep_kill

LOOK_SECONDS: Final = 0.1
"""How often a run looks whether its actor is through, in virtual seconds."""


def nothing() -> Sequence[str]:
    """What is left of an actor that starts nothing outside of Trio."""
    return ()


@frozen
class Trial:
    """An actor, made afresh for one run, and what it is told in it."""

    spec: ChildSpec
    messages: Sequence[Message] = ()
    """Told in this order; a `Request` is asked, and the next follows its answer. It must handle them all."""

    companions: Sequence[ChildSpec] = ()
    """Whom it needs. They are started before it and stopped after it."""

    left: Callable[[], Sequence[str]] = nothing
    """What is still open of anything it opened outside of Trio, in words. Asked after every run."""


@define(eq=False)
class Run:
    """One run of a trial, and what came of it."""

    trial: Trial | None = None
    hive: Hive | None = None
    sim: Simulation | None = None
    seen: ActorSnapshot | None = None
    """The actor when the run was over, unless the run was cut short."""

    answers: list[tuple[Request[Any], object]] = field(factory=list)
    """What it was asked, and said."""

    tasks: tuple[int, int] = (0, 0)
    """How many tasks there were before the run, and after it."""

    def kill(self) -> None:
        """Kill the actor, if it lives."""
        if self.hive is not None and self.trial is not None and self.trial.spec.name in self.hive.names:
            self.hive.kill(self.trial.spec.name)

    def look(self) -> ActorSnapshot:
        """The actor now."""
        assert self.hive is not None
        assert self.trial is not None
        found = self.hive.snapshot().find(self.trial.spec.name)
        assert isinstance(found, ActorSnapshot), f"{self.trial.spec.name!r} is gone"
        return found


class ActorContract:
    """The suite."""

    seeds: int = 5
    """How many orders of events each story runs in."""

    patience: float = 60.0
    """How long the actor may take for all its messages, restarts included, in virtual seconds."""

    every: int = 1
    """Sweeps strike at every step, or, for a long trial, at every so many."""

    steps: int = 1
    """How many steps a sweep must strike at, at least; a subclass stores the number it has seen."""

    def make(self, sim: Simulation) -> Trial:
        """A fresh actor with everything it needs, on the clocks and the chance of this simulation."""
        raise NotImplementedError

    def check(self, request: Request[Any], answer: object) -> None:
        """See that this is the right answer. Not asked after a kill: memory may be lost, mail may not."""

    # --- in peace --------------------------------------------------------------------------------

    def test_it_starts_answers_and_handles_all_it_is_told(self) -> None:
        """Without a crash and without a dead letter."""

        def judge(run: Run) -> None:
            _unharmed(run)
            _accounted(run)
            for request, answer in run.answers:
                self.check(request, answer)

        for seed in range(self.seeds):
            self._play(self._whole, seed, judge)

    def test_it_leaves_when_it_is_asked_to(self) -> None:
        """An idle actor leaves within its shutdown grace; a busy one within what comes after it."""
        for seed in range(self.seeds):
            self._play(partial(self._stopped, busy=False), seed)
            self._play(partial(self._stopped, busy=True), seed)

    # --- the same again --------------------------------------------------------------------------

    def test_the_same_seed_gives_the_same_run(self) -> None:
        """Fact for fact."""
        for seed in range(self.seeds):
            first, again = (_of(self._play(self._whole, seed))[0].facts.trace() for _ in range(2))
            for number, (one, other) in enumerate(zip_longest(first, again)):
                why = "it depends on something that the seed does not determine (docs/determinism.md)"
                assert one == other, f"seed {seed}, fact {number}: first {one}, then {other}: {why}"

    # --- in need ---------------------------------------------------------------------------------

    def test_a_crash_loses_no_mail(self) -> None:
        """What waited when it died, and what came while it was down, is handled after the restart."""
        self._skip_unless_it_comes_back()

        def judge(run: Run) -> None:
            _accounted(run)
            assert run.seen is not None
            assert run.seen.incarnation > 1, f"{run.seen.name!r} was killed and never restarted"

        for seed in range(self.seeds):
            self._play(self._killed_at_once, seed, judge)

    def test_it_stands_a_cancel_at_every_step(self) -> None:
        """Everybody leaves, whatever it is doing, and nothing is left running."""
        with guarded(type(self)):
            swept = sweep_cancel(
                self._recorded(self._whole), build=Run, check=_nothing_left, every=self.every
            )
        self._struck(swept)
        assert swept.unfinished, "no cancel cut the run short: what swallows trio.Cancelled?"

    def test_it_stands_a_kill_at_every_step(self) -> None:
        """It comes back, and whatever it was told is handled; who asked is answered or told of the crash."""
        self._skip_unless_it_comes_back()

        def judge(run: Run) -> None:
            _nothing_left(run)
            _accounted(run)

        with guarded(type(self)):
            story = self._recorded(partial(self._whole, forgiving=True))
            swept = sweep_kill(story, build=Run, kill=Run.kill, check=judge, every=self.every)
        self._struck(swept)

    # --- how -------------------------------------------------------------------------------------

    def _skip_unless_it_comes_back(self) -> None:
        async def only_made(_sim: Simulation, run: Run) -> None:
            if _trial(run).spec.restart is Restart.TEMPORARY:
                pytest.skip("a temporary child is not restarted")

        self._play(only_made, 0)

    def _struck(self, swept: Swept) -> None:
        steps = swept.steps * self.every
        assert steps >= self.steps, f"the trial has only {steps} steps left, and had {self.steps}"

    def _play(
        self,
        story: Callable[[Simulation, Run], Awaitable[None]],
        seed: int,
        judge: Callable[[Run], None] = lambda _: None,
    ) -> Run:
        """One run under the guard, judged."""
        run = Run()

        async def tell(sim: Simulation) -> None:
            await self._recorded(story)(sim, run)

        with guarded(type(self)):
            simulate(tell, seed)
        _nothing_left(run)
        judge(run)
        return run

    def _recorded(
        self, story: Callable[[Simulation, Run], Awaitable[None]]
    ) -> Callable[[Simulation, Run], Awaitable[None]]:
        """The story, with its tasks counted before and after, however it ends."""

        async def tell(sim: Simulation, run: Run) -> None:
            run.sim, before = sim, _tasks()
            try:
                run.trial = self.make(sim)
                await story(sim, run)
            except (HiveError, trio.TooSlowError) as error:
                _nobody_stays(sim)
                what = f"{type(error).__name__}: {error}"
                raise AssertionError(f"{_name(run)} did not stand it: {what}") from error
            finally:
                run.tasks = before, _tasks()

        return tell

    async def _whole(self, sim: Simulation, run: Run, *, forgiving: bool = False) -> None:
        """Start it, tell it everything, and wait until it is through."""
        trial = _trial(run)
        async with sim.hive(*trial.companions, trial.spec) as run.hive:
            await self._talk(run, trial.messages, forgiving=forgiving)
            await self._until_quiet(run)

    async def _killed_at_once(self, sim: Simulation, run: Run) -> None:
        """Kill it, tell it at once what can be told, and the rest when it is down."""
        trial = _trial(run)
        waiting = list(takewhile(lambda message: not isinstance(message, Request), trial.messages))
        async with sim.hive(*trial.companions, trial.spec) as run.hive:
            run.kill()
            for message in waiting:
                run.hive.ref(trial.spec.name).tell(message)
            await sim.facts.wait_for(ActorExited, name=trial.spec.name)
            await self._talk(run, trial.messages[len(waiting) :], forgiving=True)
            await self._until_quiet(run)

    async def _stopped(self, sim: Simulation, run: Run, *, busy: bool) -> None:
        """Have it stopped, while it is at work or when it is through, and see how long that takes."""
        trial = _trial(run)
        name, grace = trial.spec.name, trial.spec.grace.shutdown
        async with sim.hive(*trial.companions, trial.spec) as run.hive:
            if busy:
                for message in takewhile(lambda message: not isinstance(message, Request), trial.messages):
                    run.hive.ref(name).tell(message)
                await trio.lowlevel.checkpoint()
            else:
                await self._talk(run, trial.messages, forgiving=False)
                await self._until_quiet(run)
            if run.look().status is not Status.READY:
                return  # it has left by itself
            started = trio.current_time()
            with trio.move_on_after(self.patience if math.isinf(grace) else grace + self.patience):
                await run.hive.root.ask(StopChild(name))
            took = trio.current_time() - started
        _left_in_order(sim, name, took, math.inf if busy else grace)

    async def _talk(self, run: Run, messages: Sequence[Message], *, forgiving: bool) -> None:
        trial = _trial(run)
        assert run.hive is not None
        ref = run.hive.ref(trial.spec.name)
        for message in messages:
            if not isinstance(message, Request):
                await ref.send(message)
                continue
            try:
                with _deadline(self.patience, f"{ref.name!r} did not answer {message!r}"):
                    answer: object = await ref.ask(message)
            except (ActorCrashed, ActorStopped) as error:
                if not forgiving:
                    raise AssertionError(f"{ref.name!r} did not answer {message!r}: {error}") from error
            else:
                run.answers.append((message, answer))

    async def _until_quiet(self, run: Run) -> None:
        """Wait until it is idle and has no mail, or has left for good."""
        name = _trial(run).spec.name
        with _deadline(self.patience, f"{name!r} is not through"):
            while not _is_quiet(run.look()):  # noqa: ASYNC110 - looking costs nothing in virtual time
                await trio.sleep(LOOK_SECONDS)
        run.seen = run.look()


def _tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def _trial(run: Run) -> Trial:
    assert run.trial is not None
    return run.trial


def _name(run: Run) -> str:
    return "the actor" if run.trial is None else repr(run.trial.spec.name)


def _of(run: Run) -> tuple[Simulation, str]:
    assert run.sim is not None
    return run.sim, _trial(run).spec.name


@contextmanager
def _deadline(seconds: float, what: str) -> Iterator[None]:
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError as error:
        raise AssertionError(f"{what} within {seconds} virtual seconds") from error


def _is_quiet(actor: ActorSnapshot) -> bool:
    idle = actor.handling is None and not actor.mailbox.depth and not actor.mailbox.held
    return idle and actor.status in {Status.READY, Status.STOPPED, Status.PARKED}


def _accounted(run: Run) -> None:
    """Everything it accepted has been handled, unless whoever asked knows that it was not."""
    sim, name = _of(run)
    dead = sim.facts.of(DeadLetter, to=name)
    assert not dead, f"{name!r} did not handle {dead[0].kind}: {dead[0].reason.value} {dead[0].error}"
    assert run.seen is not None
    counts = run.seen.mailbox.counts
    assert run.seen.status is not Status.PARKED, f"{name!r} was given up: {run.seen.last_error}"
    assert counts.accepted == counts.done + counts.withdrawn, f"{name!r} lost mail: {counts}"


def _nothing_left(run: Run) -> None:
    """Nothing of the run is there any more."""
    before, after = run.tasks
    assert after <= before, f"{after - before} task(s) outlive the run: started as system tasks?"
    if run.trial is not None:
        left = list(run.trial.left())
        assert not left, f"{run.trial.spec.name!r} left behind: {', '.join(left)}"
    if run.sim is not None:
        _nobody_stays(run.sim)


def _nobody_stays(sim: Simulation) -> None:
    for late in sim.facts.of(WillNotLeave):
        where = " < ".join(reversed(late.stack))
        raise AssertionError(f"{late.name!r} does not leave even when it is cancelled; it waits at {where}")


def _unharmed(run: Run) -> None:
    """Nobody killed it, and it has not crashed."""
    sim, name = _of(run)
    for exited in sim.facts.of(ActorExited, name=name):
        harmed = f"{name!r} crashed though nobody killed it: {describe(exited.exit)}"
        assert not isinstance(exited.exit, Crashed), harmed


def _left_in_order(sim: Simulation, name: str, took: float, grace: float) -> None:
    exits = [fact.exit for fact in sim.facts.of(ActorExited, name=name)]
    assert exits, f"{name!r} was asked to stop and is still there after {took} s"
    assert isinstance(exits[-1], Stopped), f"{name!r} was asked to stop and {describe(exits[-1])}"
    assert took < grace or not took, f"{name!r} took {took} s to leave; its shutdown grace is {grace} s"
