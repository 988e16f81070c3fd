"""The actor that breaks things, and the switch that starts and stops it.

The rule kept here: chaos is on exactly while this actor lives, and whatever ends it takes back every fault
that has hit nobody.  It is never restarted, so it spends nobody's budget when it dies itself.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from random import Random
from typing import assert_never

import trio
from attrs import Factory, define, evolve, field, frozen

from hive.actors import (
    Actor,
    ChildSpec,
    Context,
    DropChild,
    Leave,
    Message,
    NameTaken,
    NoSuchChild,
    Ref,
    Restart,
    StartChild,
    SupervisorSnapshot,
)
from hive.actors.boxes import OPERATION_SECONDS, Boxes
from hive.actors.protocol import CHAOS
from hive.actors.sites import Sites
from hive.protocol.chaos import (
    DEAF_SECONDS,
    Kind,
    Plan,
    ProviderFault,
    Strike,
    draw,
    incarnation,
    killable,
    pause,
    provider_fault,
)
from hive.protocol.commands import NoteFact
from hive.protocol.errors import Conflict
from hive.protocol.outcome import Outcome
from hive.store.port import Store

DIED = "its actor ended"
OVER = "its time was over"
UNCOUNTED_SECONDS = 60.0
"""How long a kill may go uncounted: a supervisor that was killed itself begins to count its children anew."""

NEXT = "the next"
"""What an armed site will hit: nobody knows yet."""


@frozen
class Next(Message):
    """It is time for the next strike."""


@frozen
class Hear(Message):
    """Hints are heard again."""


@frozen
class Over(Message):
    """The time that was asked for is over."""


@frozen(repr=False)  # it would show the whole hive
class Reach:
    """What chaos can touch."""

    store: Store
    sites: Sites
    boxes: Boxes
    tree: Callable[[], SupervisorSnapshot]
    kill: Callable[[str], None]
    """Ends an actor's incarnation as though it had crashed."""


@define(eq=False)
class Run:
    """Chaos from one time it was turned on to the end of it, and what it has done."""

    plan: Plan
    by: str
    since: float
    """Wall-clock time."""

    on: bool = field(default=False, init=False)
    why: str = field(default=DIED, init=False)
    """Why it ended, once it has."""

    struck: Counter[Kind] = field(default=Factory(Counter), init=False)

    def said(self) -> Mapping[str, object]:
        """All of it, for JSON."""
        return {
            "on": self.on,
            "rate": self.plan.rate,
            "kinds": [kind.value for kind in self.plan.kinds],
            "seed": self.plan.seed,
            "since": self.since,
            "until": self.since + self.plan.seconds,
            "by": self.by,
            "total": self.struck.total(),
            "struck": self.counts,
            "why": "" if self.on else self.why,
        }

    @property
    def counts(self) -> Mapping[str, int]:
        """Strikes by kind."""
        return {kind.value: self.struck[kind] for kind in self.plan.kinds}


@define(eq=False)
class Striker(Actor):
    """Strikes at random, at the rate asked for, until its time is over."""

    reach: Reach
    run: Run
    _random: Random = field(init=False)
    _failed: int = field(init=False)
    """How many commits have failed, as far as told."""

    _killed: dict[str, tuple[int, float]] = field(factory=dict, init=False)
    """The incarnation of each actor that was killed last, and when."""

    def __attrs_post_init__(self) -> None:
        """Chance of its own, so that a seed says which strikes are drawn, whatever others draw."""
        self._random = Random(self.run.plan.seed)
        self._failed = self.reach.sites.commits.failed

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """On as soon as it is ready; off, and nothing armed, however it ends."""
        plan = self.run.plan
        kinds = [kind.value for kind in plan.kinds]
        said = {"rate": plan.rate, "seconds": plan.seconds, "kinds": kinds, "seed": plan.seed}
        self._note("chaos.on", **said, by=self.run.by)
        self.run.on = True
        ctx.after(plan.seconds, Over())
        ctx.after(pause(plan, self._random), Next())
        try:
            yield
        finally:
            self.reach.sites.disarm()
            self._count_commits()
            self.run.on = False
            self._note("chaos.off", why=self.run.why, struck=self.run.counts)

    async def handle(self, message: Message, ctx: Context) -> object:
        """Strike; never wait."""
        match message:
            case Next():
                ctx.after(pause(self.run.plan, self._random), Next())
                self._count_commits()
                if strike := draw(self.run.plan, self._targets(), self._random):
                    self._strike(strike, ctx)
            case Hear():
                self.reach.sites.hear()
            case Over():
                self.run.why = OVER
                raise Leave
            case _:
                return await super().handle(message, ctx)
        return None

    def _targets(self) -> Mapping[Kind, tuple[str, ...]]:
        """Whom or what each kind could hit now."""
        reach, sites, now = self.reach, self.reach.sites, trio.current_time()
        killed = {name: life for name, (life, at) in self._killed.items() if now - at < UNCOUNTED_SECONDS}
        failing = sites.commits.next_fails or reach.store.refusing is not None
        return {
            Kind.HINTS: () if sites.deaf else ("all",),
            Kind.ACTOR: tuple(killable(reach.tree(), killed)),
            Kind.BOX: tuple(sorted(reach.boxes.up)),
            Kind.COMMIT: () if failing else (NEXT,),
            Kind.PROVIDER: () if sites.fails_turn else (NEXT,),
            Kind.REQUEST: () if sites.repeats_request else (NEXT,),
        }

    def _strike(self, strike: Strike, ctx: Context) -> None:
        """Do it, or arm it; what is armed is counted when it hits."""
        reach, target = self.reach, strike.target
        match strike.kind:
            case Kind.HINTS:
                seconds = self._random.uniform(*DEAF_SECONDS)
                reach.sites.deafen()
                ctx.after(seconds, Hear())
                self._count(Kind.HINTS, f"for {seconds:.1f} s")
            case Kind.ACTOR:
                self._count(Kind.ACTOR, target)
                self._killed[target] = incarnation(reach.tree(), target), trio.current_time()
                reach.kill(target)
            case Kind.BOX:
                self._count(Kind.BOX, target)
                ctx.spawn(self._kill_box, target)
            case Kind.COMMIT:
                # Told of once it has hit somebody: the row itself is a commit, and would take it.
                reach.sites.commits.next_fails = True
            case Kind.PROVIDER:
                reach.sites.fail_turn(self._fail_turn)
            case Kind.REQUEST:
                reach.sites.repeat_request(self._repeated)
            case never:
                assert_never(never)

    async def _kill_box(self, agent: str) -> None:
        driver = self.reach.boxes.up.get(agent)
        if driver is not None:
            with suppress(OSError), trio.move_on_after(OPERATION_SECONDS):
                await driver.kill(agent)

    def _fail_turn(self, agent: str) -> ProviderFault:
        view = self.reach.store.reader.agent(agent)
        last = None if view is None else view.last_turn
        fault = provider_fault(self._random, went_well=last is None or last.outcome == Outcome.OK)
        self._count(Kind.PROVIDER, f"{agent}: {fault.failure}")
        return fault

    def _repeated(self, command: str, same: bool) -> None:  # noqa: FBT001 - the site calls it by position
        self._count(Kind.REQUEST, command)
        if not same:
            text = f"a repeated {command} was answered otherwise than the first: this is a fault of hive"
            self._note("hive.warning", code="repeat_differs", text=text)

    def _count(self, kind: Kind, target: str) -> None:
        self.run.struck[kind] += 1
        self._note("chaos.struck", kind=kind.value, target=target)

    def _count_commits(self) -> None:
        failed = self.reach.sites.commits.failed
        for _ in range(failed - self._failed):
            self._count(Kind.COMMIT, "one batch")
        self._failed = failed

    def _note(self, type_: str, **data: object) -> None:
        self.reach.store.submit(NoteFact(type_, None, data))


@define(eq=False)
class Chaos:
    """The switch.  Off when a daemon starts; outlives the actor, and remembers what the last one did."""

    root: Ref
    reach: Reach
    wall: Callable[[], float]
    new_seed: Callable[[], int]
    _run: Run | None = field(default=None, init=False)

    def said(self) -> Mapping[str, object] | None:
        """What it is doing, or what it did the last time; None if it was never on."""
        return None if self._run is None else self._run.said()

    async def on(self, plan: Plan, by: str) -> Mapping[str, object]:
        """Start it.  `Conflict` where it is on."""
        if plan.seed is None:
            plan = evolve(plan, seed=self.new_seed())
        run = Run(plan, by, self.wall())
        start = partial(Striker, self.reach, run)
        # Known before it starts: should we be cancelled meanwhile, it is on and says so.
        before, self._run = self._run, run
        try:
            await self.root.ask(StartChild(ChildSpec(CHAOS, start, restart=Restart.TEMPORARY)))
        except NameTaken:
            self._run = before
            raise Conflict("chaos is on already; first turn it off: hive chaos off") from None
        return run.said()

    async def off(self, by: str) -> Mapping[str, object] | None:
        """Stop it; when this returns no fault is armed.  Turning off what is off changes nothing."""
        if self._run is not None and self._run.on:
            self._run.why = f"turned off by {by}"
        with suppress(NoSuchChild):
            await self.root.ask(DropChild(CHAOS))
        return self.said()
