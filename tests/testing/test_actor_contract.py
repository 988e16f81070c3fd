"""The contract of actors is kept by a right one, and finds out the ones that break it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from attrs import define, field, frozen

from hive.actors import Actor, Backoff, ChildSpec, Context, Grace, Held, Message, Request, Restart
from hive.testing import Note, Simulation, probe
from hive.testing.contracts import ActorContract, Trial
from hive.testing.guard import NotDeterministic


@frozen
class Add(Message):
    """Count this in."""

    number: int


@frozen
class HowMany(Request[int]):
    """How many have been added."""


@frozen
class Tick(Message):
    """Time passes."""


@define(eq=False)
class Connections:
    """What actors open outside of Trio."""

    open: int = 0

    def left(self) -> list[str]:
        """In words."""
        return [f"{self.open} connection(s)"] if self.open else []


@define(eq=False)
class Adder(Actor):
    """Adds up, takes its time about it, and has a connection and a helper."""

    connections: Connections
    numbers: list[int] = field(factory=list)

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Open the connection."""
        self.connections.open += 1
        try:
            await trio.sleep(0.1)
            ctx.after(1, Tick())
            ctx.spawn(trio.sleep_forever)
            yield
            await trio.sleep(0.5)
        finally:
            self.connections.open -= 1

    async def handle(self, message: Message, ctx: Context) -> object:
        """Add, or tell."""
        await trio.sleep(ctx.random.random())
        if isinstance(message, Add):
            self.numbers.append(message.number)
        return len(self.numbers)


class AdderContract(ActorContract):
    """The suite on an adder; no test class, so that a wrong one is only run on purpose."""

    kind: Callable[[Connections], Actor] = Adder
    seeds = 3
    every = 3

    def make(self, sim: Simulation) -> Trial:
        """See `ActorContract`."""
        del sim
        connections = Connections()
        spec = ChildSpec(
            "adder", partial(type(self).kind, connections), backoff=Backoff.none(), grace=Grace(5, 2)
        )
        told = [Add(1), Add(2), HowMany(), Add(3), HowMany()]
        return Trial(spec, told, companions=[probe("friend")], left=connections.left)

    def check(self, request: Request[Any], answer: object) -> None:
        """It has added two by the first question, and three by the second."""
        assert isinstance(request, HowMany)
        assert answer in (2, 3), f"{answer} were added, and not 2 or 3"


class TestAdder(AdderContract):
    """A right one."""

    steps = 40


class TestProbe(ActorContract):
    """The kit's own."""

    seeds = 2

    def make(self, sim: Simulation) -> Trial:
        """See `ActorContract`."""
        del sim
        return Trial(probe("probe"), [Note("one"), Note("two")])


class TestOneThatNobodyTellsAnything(ActorContract):
    """It still has to start and leave."""

    seeds = 2

    def make(self, sim: Simulation) -> Trial:
        """See `ActorContract`."""
        del sim
        return Trial(probe("lonely", restart=Restart.TEMPORARY))


class Crashing(Adder):
    """Does not know what to do."""

    async def handle(self, message: Message, ctx: Context) -> object:
        """Crash at the second number."""
        if message == Add(2):
            raise ZeroDivisionError("on purpose")
        return await super().handle(message, ctx)


class Miscounting(Adder):
    """Answers wrongly."""

    async def handle(self, message: Message, ctx: Context) -> object:
        """One too many."""
        return int(str(await super().handle(message, ctx))) + 9


@define(eq=False)
class Unanswering(Adder):
    """Keeps questions and never answers them."""

    kept: list[Held] = field(factory=list)

    async def handle(self, message: Message, ctx: Context) -> object:
        """Put the question aside."""
        if isinstance(message, HowMany):
            self.kept.append(ctx.hold())
        return await super().handle(message, ctx)


class Rejecting(Adder):
    """Takes mail and throws it away."""

    async def handle(self, message: Message, ctx: Context) -> object:
        """As an actor does that knows nothing."""
        if message == Add(2):
            return await Actor.handle(self, message, ctx)
        return await super().handle(message, ctx)


class Dawdling(Adder):
    """Does not leave in time."""

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Take a rest after work."""
        async with super().lifespan(ctx):
            yield
            await trio.sleep(10)


class Deaf(Adder):
    """Does not leave even when it is cancelled."""

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Hear nothing."""
        async with super().lifespan(ctx):
            try:
                yield
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(30)


class Leaking(Adder):
    """Forgets its connection when it is cancelled."""

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Close it only after a good end."""
        async with super().lifespan(ctx):
            self.connections.open += 1
            yield
            self.connections.open -= 1


class Spawning(Adder):
    """Leaves a task running that belongs to nobody."""

    async def handle(self, message: Message, ctx: Context) -> object:
        """Start it behind everybody's back."""
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        return await super().handle(message, ctx)


class Clocked(Adder):
    """Looks at the machine's clock."""

    async def handle(self, message: Message, ctx: Context) -> object:
        """Decide by it."""
        if time.time() < 0:
            return None
        return await super().handle(message, ctx)


LIVES: list[Actor] = []


class Remembering(Adder):
    """Behaves otherwise in each run of one process."""

    async def handle(self, message: Message, ctx: Context) -> object:
        """Rest longer and longer."""
        LIVES.append(self)
        await trio.sleep(len(LIVES) / 1000)
        return await super().handle(message, ctx)


class OnceOnly(Adder):
    """Starts once for each connection, as from a factory that does not make it afresh."""

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Refuse a second life."""
        if ctx.incarnation > 1:
            raise RuntimeError("I was here before")
        async with super().lifespan(ctx):
            yield


IN_PEACE = "test_it_starts_answers_and_handles_all_it_is_told"
LEAVES = "test_it_leaves_when_it_is_asked_to"
SAME = "test_the_same_seed_gives_the_same_run"
CRASH = "test_a_crash_loses_no_mail"
CANCEL = "test_it_stands_a_cancel_at_every_step"
KILL = "test_it_stands_a_kill_at_every_step"


@pytest.mark.parametrize(
    ("kind", "test", "said"),
    [
        (
            Crashing,
            IN_PEACE,
            "'adder' crashed though nobody killed it: crashed: ZeroDivisionError: on purpose",
        ),
        (Miscounting, IN_PEACE, "were added, and not 2 or 3"),
        (Unanswering, IN_PEACE, "'adder' did not answer HowMany.* within 60.0 virtual seconds"),
        (Rejecting, IN_PEACE, "'adder' did not handle Add: "),
        (Rejecting, CRASH, "'adder' did not handle Add: "),
        (Rejecting, KILL, "'adder' did not handle Add: "),
        (Dawdling, LEAVES, "'adder' took 2.0 s to leave; its shutdown grace is 2 s"),
        (Deaf, LEAVES, "'adder' does not leave even when it is cancelled; it waits at .*test_actor_contract"),
        (Deaf, CANCEL, "'adder' does not leave even when it is cancelled"),
        (Leaking, KILL, r"'adder' left behind: 1 connection\(s\)"),
        (Spawning, IN_PEACE, r"6 task\(s\) outlive the run"),
        (Spawning, CANCEL, r"task\(s\) outlive the run"),
        (Remembering, SAME, "seed 0, fact .*: first .*, then .*: it depends on something"),
        (OnceOnly, CRASH, "'adder' did not stand it: RestartsExhausted"),
        (OnceOnly, KILL, "'adder' did not stand it: RestartsExhausted"),
    ],
)
def test_an_actor_that_breaks_the_contract_is_found_out(
    kind: Callable[[Connections], Actor], test: str, said: str
) -> None:
    """Each wrong in a test of its own, and in words."""
    contract = type("Wrong", (AdderContract,), {"kind": kind, "__module__": __name__})()

    with pytest.raises(AssertionError, match=said):
        getattr(contract, test)()


@pytest.mark.parametrize("test", [IN_PEACE, LEAVES, SAME, CRASH, CANCEL, KILL])
def test_the_guard_is_up_in_every_run(test: str) -> None:
    """Whatever the test is about."""
    contract = type("Wrong", (AdderContract,), {"kind": Clocked, "__module__": __name__})()

    with pytest.raises(NotDeterministic, match=r"time\.time\(\) at .* in Clocked\.handle"):
        getattr(contract, test)()


def test_a_trial_that_has_become_shorter_is_noticed() -> None:
    """The number of steps that a sweep has seen is stored."""
    contract = type("Shorter", (TestProbe,), {"steps": 5_000})()

    with pytest.raises(AssertionError, match=r"the trial has only .* steps left, and had 5000"):
        contract.test_it_stands_a_cancel_at_every_step()


def test_a_temporary_child_need_not_come_back() -> None:
    """It is said that this is not tested."""
    with pytest.raises(pytest.skip.Exception):
        TestOneThatNobodyTellsAnything().test_a_crash_loses_no_mail()
