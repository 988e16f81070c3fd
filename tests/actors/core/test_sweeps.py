"""The kernel, cancelled at every step and with an actor killed at every step.

Whatever the step: no hang, no second verdict, every question answered or failed, nothing accepted is
unaccounted for.
"""

from __future__ import annotations

from collections import Counter

import pytest
import trio
import trio.testing
from attrs import define, field

from hive.actors import (
    ActorExited,
    ActorSnapshot,
    ActorStarted,
    Backoff,
    Budget,
    ChildSpec,
    Context,
    DeadLetter,
    Done,
    DropChild,
    Fact,
    Grace,
    HandlingEnded,
    Held,
    Hive,
    HiveError,
    Kinship,
    ListChildren,
    ReplaceChild,
    RestartChild,
    StartChild,
    StopChild,
    Strategy,
    Supervisor,
)
from hive.testing import Do, Note, Simulation, probe, simulate, sweep_cancel, sweep_kill

LEAST_STEPS = 140
"""Steps that a sweep must strike at, at least. Below, the story has lost something."""

LEAST_CUT_SHORT = 100
"""Of those, the ones before the hive is closed anyway, where cancelling cuts the story short."""


class Oops(Exception):
    """A failure on purpose."""


async def fail(_: Context) -> None:
    """Crash."""
    raise Oops


@define(eq=False)
class World:
    """One run: its hive while it is open, and what came of everything."""

    victim: str = ""
    log: list[str] = field(factory=list)
    asked: int = 0
    answered: Counter[str] = field(factory=Counter)
    facts: list[Fact] = field(factory=list)
    hive: Hive | None = None
    held: list[Held] = field(factory=list)

    def kill(self) -> None:
        """Kill our victim, if it lives yet or still."""
        if self.hive is not None and self.victim in self.hive.names:
            self.hive.kill(self.victim)

    async def ask(self, name: str, request: object) -> None:
        """Ask, and note how it ended; being cancelled is an end, too."""
        assert self.hive is not None
        self.asked += 1
        try:
            with trio.fail_after(600):
                await self.hive.ref(name).ask(request)  # type: ignore[arg-type]
        except HiveError as error:
            self.answered[type(error).__name__] += 1
        except trio.Cancelled:
            self.answered["Cancelled"] += 1
            raise
        else:
            self.answered["answer"] += 1


async def everything(sim: Simulation, world: World) -> None:
    """Something of all that the kernel does."""
    strangers = ChildSpec(
        "pool",
        lambda: Supervisor([probe("s1", world.log), probe("s2", world.log)], kinship=Kinship.STRANGERS),
        backoff=Backoff.none(),
        grace=Grace.unbounded_shutdown(),
    )
    family = ChildSpec(
        "family",
        lambda: Supervisor(
            [probe(name, world.log, backoff=Backoff(0.1)) for name in ("f1", "f2", "f3")],
            Strategy.REST_FOR_ONE,
            budget=Budget(20),
        ),
        backoff=Backoff.none(),
        grace=Grace.unbounded_shutdown(),
    )
    specs = (probe("a", world.log, attempts=2), strangers, family)
    async with sim.hive(*specs, budget=Budget(50)) as hive:
        world.hive, world.facts = hive, sim.facts.facts
        try:
            await talk(hive, world)
        finally:
            world.hive = None


async def talk(hive: Hive, world: World) -> None:
    """What happens in the hive."""

    async def hold(ctx: Context) -> None:
        world.held.append(ctx.hold())
        ctx.after(1, Do(settle_held))

    async def settle_held(ctx: Context) -> None:
        ctx.settle(world.held[-1], Done())

    async def chain(ctx: Context) -> object:
        return await ctx.ref("s1").ask(Do(nothing))

    async def nothing(ctx: Context) -> None:
        ctx.watch("f1")

    tell = {name: hive.ref(name).tell for name in ("a", "s1", "f1", "f2")}
    try:
        tell["a"](Note("1"))
        tell["a"](Do(hold))
        tell["f2"](Do(fail))
        tell["s1"](Do(fail))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.ask, "a", Do(chain))
            nursery.start_soon(world.ask, "f2", Do(fail))
            nursery.start_soon(world.ask, "pool", StartChild(probe("s3", world.log)))
            nursery.start_soon(world.ask, "pool", RestartChild("s2"))
        await trio.sleep(3)
        await world.ask("pool", StopChild("s1"))
        await world.ask("s1", Do(nothing))
        await world.ask("pool", ReplaceChild(probe("s2", world.log)))
        await world.ask("pool", DropChild("s2"))
        await world.ask("root", ListChildren())
        tell["f1"](Note("last"))
        await trio.sleep(3)
    except HiveError:
        pass  # somebody was killed or dropped before we spoke to them


def check(world: World) -> None:
    """What must hold after any run."""
    assert world.asked == world.answered.total()
    verdicts = Counter((fact.id, fact.verdict) for fact in world.facts if isinstance(fact, HandlingEnded))
    assert not [key for key, count in verdicts.items() if key[1] in {"Done", "Bury"} and count > 1]
    done = {key[0] for key in verdicts if key[1] == "Done"}
    assert not done & {key[0] for key in verdicts if key[1] == "Bury"}
    for name in sorted({entry.split()[0] for entry in world.log}):
        lives = [entry for entry in world.log if entry in {f"{name} up", f"{name} down"}]
        assert lives == [f"{name} up", f"{name} down"] * (len(lives) // 2)
    started = Counter((f.name, f.incarnation) for f in world.facts if isinstance(f, ActorStarted))
    exited = Counter((f.name, f.incarnation) for f in world.facts if isinstance(f, ActorExited))
    assert started == exited


@pytest.mark.parametrize("sweep", range(3))
def test_cancelled_at_every_step(sweep: int) -> None:
    """Everything winds up in order, wherever it was."""
    swept = sweep_cancel(everything, build=World, check=check, seed=sweep)

    assert swept.steps >= LEAST_STEPS
    assert swept.unfinished >= LEAST_CUT_SHORT


@pytest.mark.parametrize(("sweep", "victim"), list(enumerate(["a", "s1", "f1", "pool", "family"])))
def test_killed_at_every_step(sweep: int, victim: str) -> None:
    """Whoever it is, the others go on, and whoever waited is told."""
    swept = sweep_kill(everything, build=lambda: World(victim), kill=World.kill, check=check, seed=sweep)

    assert swept.steps >= LEAST_STEPS
    assert swept.unfinished == 0


def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    """Crashes, pauses, groups and all."""
    traces = []
    for _ in range(2):
        world = World()

        async def story(sim: Simulation, world: World = world) -> list[str]:
            await everything(sim, world)
            return [text for text in sim.facts.trace() if "Do(act=" not in text]

        traces.append(simulate(story, seed))

    assert traces[0] == traces[1]


def test_nothing_accepted_is_unaccounted_for(seed: int) -> None:
    """At any time each message is in one place; and a snapshot at any time is well-formed."""

    async def story(sim: Simulation) -> None:
        world = World()

        def look(_: Fact) -> None:
            if world.hive is not None:
                for name in world.hive.names:
                    found = world.hive.snapshot().find(name)
                    assert found is not None
                    box = found.mailbox if isinstance(found, ActorSnapshot) else found.actor.mailbox
                    seen, here = box.counts, box.depth + sum(box.held.values())
                    assert seen.accepted == seen.done + seen.buried + seen.dropped + seen.withdrawn + here

        sim.bus.record(look)
        await everything(sim, world)

    simulate(story, seed)


def test_a_dead_letter_shows_everything_that_was_lost() -> None:
    """What waited when its actor was dropped."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            await hive.root.ask(StopChild("a"))
            for n in range(3):
                hive.ref("a").tell(Note(str(n)))
        assert [letter.message for letter in sim.facts.of(DeadLetter)] == [Note("0"), Note("1"), Note("2")]

    simulate(story, 0)
