"""The cases of `tests.actors.otp`, asked of hive: one story each, told in the words of bench/otp.escript.

Times are virtual.  A story answers what came of it, and leaves nothing behind.
"""

# ruff: noqa: D103  - what a story tells is the name of its case

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import trio
from attrs import define, evolve, field

from hive.actors import (
    Actor,
    ActorExited,
    ActorSnapshot,
    Backoff,
    Budget,
    ChildSpec,
    Context,
    Crashed,
    DropChild,
    Grace,
    Hive,
    HiveError,
    Kinship,
    Leave,
    ListChildren,
    Message,
    Ref,
    Request,
    Restart,
    RestartChild,
    RestartsExhausted,
    Snapshot,
    StartChild,
    Status,
    StopChild,
    Stopped,
    Strategy,
    Supervisor,
    SupervisorSnapshot,
    WillNotLeave,
)
from hive.testing import Do, Note, Simulation

Story = Callable[[Simulation], Awaitable[str]]
STORIES: dict[str, Story] = {}

Asked = Request[Ref] | Request[None]

LIMIT = 10.0
WORDS = {
    Status.READY: "running",
    Status.STARTING: "waiting for its restart",
    Status.WAITING: "waiting for its restart",
    Status.STOPPED: "listed, not running",
    Status.PARKED: "listed, not running",
}


class Oops(Exception):
    """A failure on purpose."""


async def crash(_: Context) -> None:
    """Fail."""
    raise Oops


async def leave(_: Context) -> None:
    """Leave: hive has one word for what OTP calls `normal` and `shutdown`."""
    raise Leave


async def busy(seconds: float, _: Context) -> None:
    """Take so long."""
    await trio.sleep(seconds)


async def deaf(_: Context) -> None:
    """Take long, and do not be cancelled."""
    with trio.CancelScope(shield=True):
        await trio.sleep(60)


@define(eq=False)
class Child(Actor):
    """Says when it comes and goes, and fails where it is told to."""

    log: list[str]
    begins: bool = False
    start_takes: float = 0.0
    stop_takes: float = 0.0
    stop_fails: bool = False
    fails: Callable[[int], bool] = lambda _: False

    @asynccontextmanager
    async def lifespan(self, ctx: Context) -> AsyncIterator[None]:
        """Come and go."""
        if self.begins:
            self.log.append(f"{ctx.name} begins")
        await trio.sleep(self.start_takes)
        if self.fails(ctx.incarnation):
            self.log.append(f"{ctx.name} fails")
            raise Oops
        self.log.append(f"{ctx.name} up")
        try:
            yield
        finally:
            if self.stop_fails:
                self.log.append(f"{ctx.name} fails")
                raise Oops
            with trio.CancelScope(shield=True):
                await trio.sleep(self.stop_takes)
            self.log.append(f"{ctx.name} down")

    async def handle(self, message: Message, ctx: Context) -> object:
        """Do it, or write it down."""
        if isinstance(message, Do):
            return await message.act(ctx)
        assert isinstance(message, Note)
        self.log.append(f"{ctx.name} got {message.text}")
        return None


@define(eq=False)
class World:
    """One supervisor, `sup`, under a root that never brings it back, and what its children said."""

    log: list[str] = field(factory=list)
    hive: Hive = field(init=False)
    simulation: Simulation = field(init=False)

    def child(self, name: str, **settings: object) -> ChildSpec:
        """A spec whose crashes are not tried again, and whose restarts wait for nothing."""
        own = {one: settings.pop(one) for one in tuple(settings) if one in Child.__annotations__}
        spec = ChildSpec(name, partial(Child, self.log, **own), attempts=1, backoff=Backoff.none())  # type: ignore[arg-type]
        return evolve(spec, **settings)  # type: ignore[arg-type]

    def children(self, names: str = "abc", **settings: object) -> list[ChildSpec]:
        """Several alike."""
        return [self.child(name, **settings) for name in names]

    def said(self) -> str:
        """What has been said since somebody asked last."""
        words = ", ".join(self.log)
        self.log.clear()
        return words

    async def tell(self, name: str, act: Callable[[Context], Awaitable[object]], times: int = 1) -> None:
        """Have a child do something, a second apart, and wait for what comes of it."""
        for _ in range(times):
            self.hive.ref(name).tell(Do(act))
            await trio.sleep(1)

    async def ask(self, request: Asked, supervisor: str = "sup") -> str:
        """Whether a supervisor complies."""
        try:
            await self.hive.ref(supervisor).ask(cast("Request[object]", request))
        except HiveError:
            return "refused"
        return "ok"

    async def stop(self) -> float:
        """Stop the supervisor; answers how long it took."""
        begun = trio.current_time()
        await self.hive.root.ask(StopChild("sup"))
        return trio.current_time() - begun

    @property
    def runs(self) -> str:
        """Whether the supervisor is still there."""
        return "it runs" if "sup" in self.hive.names else "it ended"

    def status(self, name: str) -> Status | None:
        """What a child is doing."""
        found = self.hive.snapshot().find(name)
        return None if found is None else of_actor(found).status

    def state(self, name: str) -> str:
        """The same, in words."""
        status = self.status(name)
        return "forgotten" if status is None else WORDS[status]


def of_actor(found: Snapshot) -> ActorSnapshot:
    """A supervisor as an actor."""
    return found if isinstance(found, ActorSnapshot) else found.actor


def family(
    name: str, children: Sequence[ChildSpec], budget: Budget | None = None, **settings: object
) -> ChildSpec:
    """A supervisor as a child."""
    strategy = settings.pop("strategy", Strategy.ONE_FOR_ONE)
    kinship = settings.pop("kinship", Kinship.FAMILY)

    def start() -> Supervisor:
        return Supervisor(children, strategy, kinship, budget or Budget())  # type: ignore[arg-type]

    spec = ChildSpec(name, start, attempts=1, grace=Grace.unbounded_shutdown(), backoff=Backoff.none())
    return evolve(spec, **settings)  # type: ignore[arg-type]


@asynccontextmanager
async def opened(
    sim: Simulation,
    world: World,
    children: Sequence[ChildSpec],
    budget: Budget | None = None,
    **settings: object,
) -> AsyncIterator[World]:
    """The world, with these children running."""
    spec = family("sup", children, budget, **({"restart": Restart.TEMPORARY} | settings))
    async with sim.hive(spec) as world.hive:
        world.simulation = sim
        await trio.lowlevel.checkpoint()
        yield world


@asynccontextmanager
async def quietly(
    sim: Simulation,
    world: World,
    children: Sequence[ChildSpec],
    budget: Budget | None = None,
    **settings: object,
) -> AsyncIterator[World]:
    """The same; nobody needs to be told that they have started."""
    async with opened(sim, world, children, budget, **settings):
        world.said()
        yield world


def and_then(*words: str) -> str:
    """One after the other."""
    return "; ".join(word for word in words if word)


def case(
    name: str, *given: object
) -> Callable[[Callable[..., Awaitable[str]]], Callable[..., Awaitable[str]]]:
    """Enter a story under the name of its case; more than one case may be the same story."""

    def enter(story: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
        assert name not in STORIES, name
        STORIES[name] = lambda sim: story(sim, World(), *given)
        return story

    return enter


TWO = Budget(2, 30)
ALL = Strategy.ONE_FOR_ALL
REST = Strategy.REST_FOR_ONE

# Who is restarted.


@case("one_for_one, b of three crashes", Strategy.ONE_FOR_ONE)
@case("one_for_all, b of three crashes", ALL)
@case("rest_for_one, b of three crashes", REST)
async def one_of_three(sim: Simulation, world: World, strategy: Strategy) -> str:
    async with quietly(sim, world, world.children(), strategy=strategy):
        await world.tell("b", crash)
        return world.said()


@case("one_for_all, a temporary bystander")
async def bystander(sim: Simulation, world: World) -> str:
    children = [world.child("a"), world.child("b", restart=Restart.TEMPORARY), world.child("c")]
    async with quietly(sim, world, children, strategy=ALL):
        await world.tell("c", crash)
        return and_then(world.said(), f"b {world.state('b')}")


@case("one_for_all, b had left for good")
async def left_before(sim: Simulation, world: World) -> str:
    children = [world.child("a"), world.child("b", restart=Restart.TRANSIENT), world.child("c")]
    async with quietly(sim, world, children, strategy=ALL):
        await world.tell("b", leave)
        world.said()
        await world.tell("a", crash)
        return world.said()


@case("one_for_all, b had been stopped by request")
async def stopped_before(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children(), strategy=ALL):
        await world.ask(StopChild("b"))
        world.said()
        await world.tell("a", crash)
        return world.said()


@case("one_for_all, b is stopped by request")
async def stopped_in_a_group(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children(), strategy=ALL):
        await world.ask(StopChild("b"))
        return world.said()


# How a child ends, and whether it comes back.


@case("permanent, leaves", Restart.PERMANENT, leave)
@case("permanent, shuts itself down", Restart.PERMANENT, leave)
@case("permanent, crashes", Restart.PERMANENT, crash)
@case("transient, leaves", Restart.TRANSIENT, leave)
@case("transient, shuts itself down", Restart.TRANSIENT, leave)
@case("transient, crashes", Restart.TRANSIENT, crash)
@case("temporary, leaves", Restart.TEMPORARY, leave)
@case("temporary, shuts itself down", Restart.TEMPORARY, leave)
@case("temporary, crashes", Restart.TEMPORARY, crash)
async def comes_back(
    sim: Simulation, world: World, restart: Restart, how: Callable[[Context], Awaitable[object]]
) -> str:
    async with quietly(sim, world, [world.child("a", restart=restart)]):
        await world.tell("a", how)
        return and_then(world.said(), world.state("a"))


@case("pause before a restart")
async def pause(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, [world.child("a", backoff=Backoff())]):
        begun = trio.current_time()
        world.hive.ref("a").tell(Do(crash))
        await world.simulation.facts.wait_until(lambda: world.log == ["a down", "a up"])
        return "some" if trio.current_time() > begun else "none"


@case("what waits when a child crashes")
async def mail(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, [world.child("a")]):
        world.hive.ref("a").tell(Do(crash))
        world.hive.ref("a").tell(Note("the note"))
        await trio.sleep(1)
        return world.said()


# How often.


@case("two restarts allowed, two crashes", 2)
async def within_budget(sim: Simulation, world: World, times: int) -> str:
    async with quietly(sim, world, world.children(), TWO):
        await world.tell("a", crash, times)
        return world.runs


@case("two restarts allowed, three crashes")
async def beyond_budget(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children(), TWO):
        await world.tell("b", crash, 2)
        world.said()
        await world.tell("b", crash)
        return and_then(world.said(), world.runs)


@case("no restart allowed")
async def no_budget(sim: Simulation, world: World) -> str:
    try:
        async with quietly(sim, world, world.children(), Budget(0, 30)):
            await world.tell("a", crash)
            return and_then(world.said(), world.runs)
    except HiveError:
        return "refused"


@case("what a supervisor allows unless told otherwise")
async def default_budget(sim: Simulation, world: World) -> str:
    crashes = 0
    async with quietly(sim, world, world.children("a")):
        while "sup" in world.hive.names:
            await world.tell("a", crash)
            crashes += 1
        return f"gives up at crash {crashes}"


@case("crashes of siblings count together")
async def siblings(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children(), TWO):
        for name in "abc":
            await world.tell(name, crash)
        return world.runs


@case("restart of a group counts once")
async def group_counts_once(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children(), TWO, strategy=ALL):
        await world.tell("a", crash, 2)
        return world.runs


@case("a permanent child that leaves too often")
async def leaves_often(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children("a"), TWO):
        for _ in range(3):
            await world.tell("a", leave)
        return world.runs


@case("crashes outside the window are forgotten", 21.0)
@case("crashes one and a half windows ago", 13.0)
async def window(sim: Simulation, world: World, later: float) -> str:
    async with quietly(sim, world, world.children("a"), Budget(2, 10)):
        await world.tell("a", crash, 2)
        await trio.sleep(later)
        await world.tell("a", crash)
        return world.runs


# Escalation.


@case("how a supervisor ends that gave up")
async def end_of_a_spent_one(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children("a"), TWO):
        await world.tell("a", crash, 3)
        (exited,) = sim.facts.of(ActorExited, name="sup")
        assert isinstance(exited.exit, Crashed)
        assert isinstance(exited.exit.error, RestartsExhausted)
        assert isinstance(exited.exit.error.__cause__, Oops)
        return "a crash, caused by that of the child"


@case("how a supervisor ends that was asked to")
async def end_of_a_stopped_one(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children("a")):
        await world.stop()
        (exited,) = sim.facts.of(ActorExited, name="sup")
        assert exited.exit == Stopped()
        return and_then("shutdown", world.said())


@case("a permanent supervisor gave up", Restart.PERMANENT, "bc")
@case("a transient supervisor gave up", Restart.TRANSIENT, "b")
async def escalation(sim: Simulation, world: World, restart: Restart, names: str) -> str:
    children = [world.child("a"), family("family", world.children(names), TWO, restart=restart)]
    async with quietly(sim, world, children):
        await world.tell("b", crash, 2)
        world.said()
        await world.tell("b", crash)
        return and_then(world.said(), world.state("family"))


@case("a supervisor below stops in its place")
async def nested_stop(sim: Simulation, world: World) -> str:
    children = [world.child("a"), family("family", world.children("bc")), world.child("d")]
    async with quietly(sim, world, children):
        await world.stop()
        return world.said()


@case("a supervisor is killed, its child takes a while to leave")
async def killed(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, [family("family", world.children("a", stop_takes=1.0))]):
        world.hive.kill("family")
        await trio.sleep(5)
        return world.said()


@case("a supervisor below whose children take long to leave")
async def slow_subtree(sim: Simulation, world: World) -> str:
    slow = world.children("a", stop_takes=12.0, grace=Grace(shutdown=20))
    async with quietly(sim, world, [family("family", slow, grace=Grace())]):
        await world.stop()
        told = sim.facts.of(WillNotLeave, name="family")
        return and_then("told of after a while, and waited for" if told else "waited for", world.said())


# Many of a kind: strangers.


@case("pool, b of three crashes")
async def pool_crash(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children(), kinship=Kinship.STRANGERS):
        await world.tell("b", crash)
        return world.said()


@case("pool, all are stopped")
async def pool_stop(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children(stop_takes=2.0), kinship=Kinship.STRANGERS):
        return "together" if await world.stop() == 2 else "one after the other"


@case("pool, one crashes too often")
async def pool_spent(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children("ab"), TWO, kinship=Kinship.STRANGERS):
        await world.tell("a", crash, 2)
        world.said()
        await world.tell("a", crash)
        parked = " and a is parked" if world.status("a") is Status.PARKED else ""
        return and_then(world.said(), world.runs + parked)


@case("pool, each crashes once")
async def pool_budgets(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children(), TWO, kinship=Kinship.STRANGERS):
        for name in "abc":
            await world.tell(name, crash)
        assert {world.status(name) for name in "abc"} == {Status.READY}
        return world.runs


# Starting.


@case("children start in order and stop in reverse")
async def order(sim: Simulation, world: World) -> str:
    async with opened(sim, world, world.children()):
        await world.stop()
        return world.said()


@case("a slow start")
async def slow_start(sim: Simulation, world: World) -> str:
    async with opened(sim, world, [world.child("a", begins=True, start_takes=5.0), world.child("b")]):
        return world.said()


@case("the second of three cannot start")
async def cannot_start(sim: Simulation, world: World) -> str:
    children = [world.child("a"), world.child("b", fails=lambda _: True), world.child("c")]
    return await refused(sim, world, children)


async def refused(sim: Simulation, world: World, children: Sequence[ChildSpec]) -> str:
    """Whether a supervisor starts at all."""
    try:
        async with opened(sim, world, children):
            return and_then(world.said(), "running")
    except HiveError:
        return and_then(world.said(), "refused")


@case("one added later cannot start")
async def added_cannot_start(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children("a")):
        answer = await world.ask(StartChild(world.child("b", fails=lambda _: True)))
        return and_then(world.said(), answer, world.state("b"))


@case("one added later starts")
async def added(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children()):
        answer = await world.ask(StartChild(world.child("d")))
        await world.stop()
        return and_then(answer, world.said())


class Unwilling:
    """Something that serves, and leaves before it has begun."""

    async def serve(self, *_: object, **__: object) -> None:
        """Return at once."""
        await trio.lowlevel.checkpoint()


@case("a child that does not want to run")
async def unwilling(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children("a")):
        answer = await world.ask(StartChild(ChildSpec("b", Unwilling)))
        return and_then(answer, world.state("b"))


@case("a start that never ends")
async def endless_start(sim: Simulation, world: World) -> str:
    return await refused(sim, world, [world.child("a", start_takes=600.0)])


@case("the first restart fails")
async def first_restart_fails(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, [world.child("a", fails=lambda life: life == 2)]):
        await world.tell("a", crash)
        return and_then(world.said(), world.runs)


@case("every restart fails, three are allowed")
async def restarts_fail(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, [world.child("a", fails=lambda life: life > 1)], Budget(3, 30)):
        await world.tell("a", crash)
        return and_then(world.said(), world.runs)


@case("one_for_all, another one fails at the restart", ALL, "b", "a")
@case("rest_for_one, a later one fails at the restart", REST, "c", "b")
async def other_fails(sim: Simulation, world: World, strategy: Strategy, bad: str, crashed: str) -> str:
    children = [world.child(name, fails=lambda life, name=name: name == bad and life == 2) for name in "abc"]
    async with quietly(sim, world, children, strategy=strategy):
        await world.tell(crashed, crash)
        return world.said()


@case("asked while a restart fails again and again")
async def hopeless(sim: Simulation, world: World) -> str:
    slow = world.child("a", fails=lambda life: life > 1, start_takes=1.0)
    async with quietly(sim, world, [slow], Budget(1_000_000, 30)):
        await world.tell("a", crash)
        await trio.sleep(3)
        before = world.state("a")
        answer = await world.ask(StopChild("a"))
        return and_then(before, answer, world.state("a"))


# Stopping.


@case("stop: no time is given", Grace(shutdown=0), partial(busy, 60.0))
@case("stop: it finishes within its limit", Grace(shutdown=LIMIT), partial(busy, 4.0))
@case("stop: it is busy beyond its limit", Grace(shutdown=LIMIT), partial(busy, 60.0))
@case("stop: no limit", Grace.unbounded_shutdown(10), partial(busy, 60.0))
@case("stop: it cannot be made to leave", Grace(shutdown=LIMIT), deaf)
async def stopping(
    sim: Simulation, world: World, grace: Grace, act: Callable[[Context], Awaitable[object]]
) -> str:
    async with quietly(sim, world, [world.child("a", grace=grace)]):
        world.hive.ref("a").tell(Do(act))
        await trio.sleep(0.5)
        took = await world.stop()
        if sim.facts.of(WillNotLeave, name="a"):
            return "told of, with where it is; it leaves when it can"
        gone = {0.0: "gone at once", LIMIT: "gone after the limit"}.get(took, "gone when it had finished")
        return and_then(gone, "cleaned up" if world.said() == "a down" else "no cleanup")


@case("stop: one fails while it leaves")
async def fails_while_leaving(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, [world.child("a"), world.child("b", stop_fails=True), world.child("c")]):
        await world.stop()
        (exited,) = sim.facts.of(ActorExited, name="sup")
        return and_then(world.said(), "shutdown" if exited.exit == Stopped() else "a crash")


@case("how long a child may take to leave unless told otherwise")
async def default_grace(_: Simulation, __: World) -> str:
    return f"{ChildSpec('a', Actor).grace.shutdown:.0f} s"


@case("when a child comes back unless told otherwise")
async def default_restart(_: Simulation, __: World) -> str:
    return ChildSpec("a", Actor).restart.value


# Requests.


@case("two children of one name")
async def same_name_twice(sim: Simulation, world: World) -> str:
    return await refused(sim, world, world.children("aa"))


@case("a spec that makes no sense")
async def nonsense(_: Simulation, __: World) -> str:
    try:
        ChildSpec("a", "nonsense")  # type: ignore[arg-type]
    except TypeError:
        return "refused"
    return "running"


@case("add one whose name runs", False)
@case("add one whose name is stopped", True)
async def add_a_second(sim: Simulation, world: World, stopped: bool) -> str:
    async with quietly(sim, world, world.children()):
        if stopped:
            await world.ask(StopChild("a"))
        return await world.ask(StartChild(world.child("a")))


@case("the same name under two supervisors")
async def name_below(sim: Simulation, world: World) -> str:
    return await refused(sim, world, [world.child("a"), family("family", world.children("a"))])


@case("stop one", StopChild("a"), ["said", "answer", "state"])
@case("stop one that is unknown", StopChild("x"), ["answer"])
@case("restart one that runs", RestartChild("a"), ["said", "answer", "state"])
@case("delete one that runs", DropChild("a"), ["said", "answer", "state"])
@case("delete one that is unknown", DropChild("x"), ["answer"])
async def request(sim: Simulation, world: World, asked: Asked, told: Sequence[str]) -> str:
    async with quietly(sim, world, world.children()):
        return await complied(world, asked, told)


@case("stop one that is stopped", StopChild("a"), ["answer"])
@case("restart one that is stopped", RestartChild("a"), ["said", "answer", "state"])
@case("delete one that is stopped", DropChild("a"), ["answer", "state"])
async def request_of_a_stopped(sim: Simulation, world: World, asked: Asked, told: Sequence[str]) -> str:
    async with quietly(sim, world, world.children()):
        await world.ask(StopChild("a"))
        world.said()
        return await complied(world, asked, told)


async def complied(world: World, asked: Asked, told: Sequence[str]) -> str:
    """What comes of a request, as far as the case tells."""
    answer = await world.ask(asked)
    words: Mapping[str, str] = {"said": world.said(), "answer": answer, "state": world.state("a")}
    return and_then(*(words[one] for one in told))


@case("stop a temporary one")
async def stop_temporary(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, [world.child("a", restart=Restart.TEMPORARY)]):
        return await complied(world, StopChild("a"), ["answer", "state"])


@case("restart one that cannot start")
async def restart_fails(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, [world.child("a", fails=lambda life: life > 1)]):
        await world.ask(StopChild("a"))
        world.said()
        return await complied(world, RestartChild("a"), ["said", "answer", "state"])


@case("restarts by request, four where two are allowed")
async def free_restarts(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children(), TWO):
        for _ in range(4):
            await world.ask(StopChild("a"))
            await world.ask(RestartChild("a"))
        return world.runs


# Looking.


@case("the order in which children are listed")
async def listed(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children()):
        return " ".join(of_actor(one).name for one in await world.hive.ref("sup").ask(ListChildren()))


@case("children are counted")
async def counted(sim: Simulation, world: World) -> str:
    children = [*world.children("ab"), family("family", world.children("x"))]
    async with quietly(sim, world, children):
        await world.ask(StopChild("b"))
        found = await world.hive.ref("sup").ask(ListChildren())
        active = sum(of_actor(one).status is Status.READY for one in found)
        supervisors = sum(isinstance(one, SupervisorSnapshot) for one in found)
        return f"{len(found)} {active} {supervisors} {len(found) - supervisors}"


# Ending when the work is done.


@case("the last transient child leaves", "a")
@case("a significant child leaves", "ab")
async def work_is_done(sim: Simulation, world: World, names: str) -> str:
    async with quietly(sim, world, world.children(names, restart=Restart.TRANSIENT)):
        await world.tell("a", leave)
        return and_then(world.said() if len(names) > 1 else "", world.runs)


@case("all significant children have left")
async def all_work_is_done(sim: Simulation, world: World) -> str:
    async with quietly(sim, world, world.children(restart=Restart.TRANSIENT)):
        await world.tell("a", leave)
        one = world.said(), world.runs
        await world.tell("b", leave)
        return and_then(*one, world.said(), world.runs)
