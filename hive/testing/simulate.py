"""Simulations: a story about agents and actors, told in virtual time, the same each time for the same seed.

The rule kept here: nothing is replaced that promises anything.  The store, the tree of actors, the turns and
the MCP application are those of production; time, chance, boxes and the network between an agent and its
endpoint are the simulation's.  See docs/testing.md for how to write a story and docs/determinism.md for what
one may rely on.
"""

from __future__ import annotations

import math
import random as chance
from collections import deque
from contextlib import ExitStack
from itertools import zip_longest
from typing import TYPE_CHECKING, Generic, TypeVar

import trio
from attrs import define, evolve, field, frozen
from outcome import Error, Value

from hive.protocol.errors import NotFound
from hive.protocol.events import TYPES
from hive.protocol.mail import UNFINISHED
from hive.protocol.names import OPERATOR
from hive.retelling import TWICE

from .bound import Bound
from .faults import Faults, Injector, Site
from .guard import NotDeterministic, guarded
from .recorder import Journalled
from .stage import Stage, play
from .story import STRIKES_KEPT, Letter, Scene, Strike, explain, meant, replay_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from hive.actors import ChildSpec, Fact, Ref
    from hive.agents.tools import ToolAnswer
    from hive.mcp.tools import ToolSpec
    from hive.protocol.commands import Command
    from hive.protocol.limits import Limits
    from hive.protocol.mail import Mail
    from hive.protocol.views import AgentView, TurnView, Violation
    from hive.store.batch import Handlers
    from hive.store.port import Reader

    from .brains import Brain
    from .faults import Fault
    from .forbidden import Allowed
    from .recorder import FactLog
    from .swarm import Swarm

T = TypeVar("T")
C = TypeVar("C")

ALL = 10_000_000
"""More rows than any story makes."""

SETTLE_SECONDS = 6 * 3600.0
"""How long `settle` waits in virtual time: longer than any pause hive makes by itself."""


@define(eq=False)
class Simulation(Stage):
    """What a story has in hand.

    The daemon starts when the first agent or actor does; a story about bare actors may open a `hive` of its
    own instead.  After every commit the invariants are checked, and once more, over all history, at the end.
    """

    limit: trio.CancelScope = field(kw_only=True, repr=False)
    injector: Injector = field(factory=lambda: Injector(Faults(), 0), kw_only=True)
    limits: Limits | None = field(default=None, kw_only=True)
    tools: tuple[ToolSpec, ...] = field(default=(), kw_only=True)
    handlers: Handlers | None = field(default=None, kw_only=True)
    """The store's table of commands, if not its own: a wrong one shows whether a story can fail."""

    steps: int = field(default=0, init=False)
    """Steps of tasks so far."""

    _nursery: trio.Nursery = field(kw_only=True, repr=False)
    _kept: ExitStack = field(kw_only=True, repr=False)
    _swarm: Swarm | None = field(default=None, init=False, repr=False)
    reading: Reader | None = field(default=None, init=False, repr=False)
    """Committed state, whether or not a daemon runs; None until one has."""

    strikes: deque[Strike] = field(factory=lambda: deque(maxlen=STRIKES_KEPT), init=False, repr=False)
    """Where each of the last faults struck."""

    _failed: list[Exception] = field(factory=list, init=False, repr=False)

    # --- who there is ----------------------------------------------------------------------------

    async def spawn(
        self,
        name: str,
        brain: Brain = None,
        *,
        role: str = "agent",
        purpose: str = "",
        directives_from: Sequence[str] = ("operator",),
    ) -> None:
        """Add an agent that thinks with this brain.  Its box is up and its first turn may begin.

        Raises `Malformed` for a bad name, `Conflict` for one that is taken.
        """
        from hive.protocol.commands import Settings  # noqa: PLC0415 - actors need none of this

        from .brains import rules_of  # noqa: PLC0415

        swarm = await self.swarm()
        settings = Settings(
            role=role,
            backend=f"brain:{name}",
            rules=rules_of(brain),
            directives_from=tuple(directives_from),
            purpose=purpose,
        )
        swarm.give(settings.backend, brain, self._failed.append)
        await swarm.add(name, settings)

    async def actor(self, spec: ChildSpec) -> Ref:
        """Start an actor of your own in hive's tree; a daemon that is restarted starts it again."""
        from hive.actors import StartChild  # noqa: PLC0415

        swarm = await self.swarm()
        daemon = await swarm.daemon()
        await daemon.hive.root.ask(StartChild(spec))
        swarm.actors.append(spec)
        return daemon.hive.ref(spec.name)

    async def ref(self, name: str) -> Ref:
        """A ref to an actor of the daemon that runs, or of the next one.

        Raises `NotFound` where nobody is called so.
        """
        from hive.actors.protocol import harness_of  # noqa: PLC0415

        hive = (await (await self.swarm()).daemon()).hive
        # A daemon that has just begun has not started its agents yet.
        known = dict.fromkeys((*hive.names, *(harness_of(view.name) for view in self._read().agents())))
        if name not in known:
            raise NotFound(f"there is no actor {name!r}; {meant(name, known)}")
        return hive.ref(name)

    async def swarm(self) -> Swarm:
        """The hive below this simulation, started when it is asked for; for what is not offered here."""
        if self._swarm is None:
            from hive.store.sqlite import open_reader  # noqa: PLC0415 - actors need no store

            from .telling import scratch  # noqa: PLC0415 - nor MCP, which takes long to import

            self._swarm = swarm = self._swarm_in(self._kept.enter_context(scratch()))
            self._nursery.start_soon(swarm.live)
            await swarm.daemon()
            self.reading = self._kept.enter_context(open_reader(swarm.file, self.wall))
            self.injector.active = True
        await self._swarm.daemon()
        return self._swarm

    def _swarm_in(self, directory: Path) -> Swarm:
        """At the mercy of the faults, and looked after when it falls."""
        from hive.protocol.limits import Limits  # noqa: PLC0415 - as above
        from hive.store.handlers import HANDLERS  # noqa: PLC0415

        from .swarm import GRACE_SECONDS, GRACE_UNDER_FAULTS_SECONDS, Swarm  # noqa: PLC0415
        from .trouble import Trouble  # noqa: PLC0415

        return Swarm(
            self,
            directory,
            self.limits or Limits(),
            grace=GRACE_SECONDS if self.injector.plan.none else GRACE_UNDER_FAULTS_SECONDS,
            trouble=Trouble(injector=self.injector, on_fault=self._struck),
            tools=self.tools,
            restarted=True,
            handlers=self.handlers or HANDLERS,
        )

    # --- what a person or a client does ----------------------------------------------------------

    async def send(
        self, to: str, body: str, *, sender: str = "operator", in_reply_to: str | None = None
    ) -> Letter:
        """Send one message; it has been accepted when this returns.

        Raises what refuses it, as `NotFound` or `Refused`.  A daemon that dies meanwhile is asked again, by
        the same key.
        """
        swarm = await self.swarm()
        accepted = await swarm.send(to, body, sender=sender, in_reply_to=in_reply_to)
        return self.mail(accepted.id)

    async def call(self, agent: str, tool: str, /, **arguments: object) -> ToolAnswer:
        """Call a tool at an agent's endpoint, as its CLI does, with a session token of its own.

        A refusal is an answer with `ok` false.  Raises `ToolsDown` where the endpoint cannot be reached,
        `AssertionError` where there is no such agent.
        """
        swarm = await self.swarm()
        self.agent(agent)
        return await swarm.call(agent, tool, arguments)

    async def do(self, command: Command[C]) -> C:
        """Have a command of `hive.protocol.commands` carried out, as the page and the command line have.

        Raises its refusal.  Asked again, by the same key, until there is an answer.
        """
        return await (await self.swarm()).perform(command)

    # --- time ------------------------------------------------------------------------------------

    async def advance(
        self, *, days: float = 0.0, hours: float = 0.0, minutes: float = 0.0, seconds: float = 0.0
    ) -> None:
        """Let virtual time pass."""
        length = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if not 0 <= length < math.inf:
            raise ValueError(f"time passes forward, and not for ever: {length} seconds")
        self.limit.deadline += length
        await trio.sleep(length)

    async def settle(self, within: float = SETTLE_SECONDS) -> None:
        """Wait until nothing is due: no turn runs, no box is down, and no mail waits unless it is held.

        Raises `trio.TooSlowError` after so many virtual seconds.
        """
        await (await self.swarm()).settle(within)

    # --- what goes wrong -------------------------------------------------------------------------

    async def crash(self, name: str, *, at: str | type[Fact] | None = None) -> None:
        """End an actor's incarnation without its grace; an agent's name means its harness.

        `at` waits for the next fact first: a type of the journal's rows, as "turn.started", or a class of
        facts.  So do the other mishaps.  Raises `AssertionError` where nobody is called so.
        """
        from hive.actors.protocol import harness_of  # noqa: PLC0415

        swarm = await self._upon(at)
        is_agent = self._read().agent(name) is not None
        # Between two daemons nobody is there, and whoever was there has died already.
        if swarm.mortals and not is_agent and name not in swarm.mortals:
            raise NotFound(f"there is no agent and no actor {name!r}; there are {', '.join(swarm.mortals)}")
        swarm.kill_actor(harness_of(name) if is_agent else name)

    async def rebuild(self, agent: str, *, at: str | type[Fact] | None = None) -> None:
        """Have an agent's box replaced."""
        await (await self._upon(at, agent)).rebuild(agent)

    async def lose_box(self, agent: str, *, at: str | type[Fact] | None = None) -> None:
        """Have an agent's box die."""
        (await self._upon(at, agent)).kill_box(agent)

    async def cut_stream(self, agent: str, *, at: str | type[Fact] | None = None) -> None:
        """Break the connection between an agent's harness and what thinks, if a turn runs."""
        (await self._upon(at, agent)).kill_backend(agent)

    async def disconnect(self, seconds: float = 1.0, *, at: str | type[Fact] | None = None) -> None:
        """Break every connection to the agents' endpoint, and allow none for so long."""
        (await self._upon(at)).cut_tools(seconds)

    async def restart_daemon(self, *, at: str | type[Fact] | None = None) -> None:
        """Kill the daemon as with SIGKILL, and have another one start; returns when that one serves."""
        swarm = await self._upon(at)
        before = swarm.boots
        swarm.restart_daemon()
        await swarm.until(lambda: swarm.boots > before)

    async def _upon(self, at: str | type[Fact] | None, agent: str | None = None) -> Swarm:
        swarm = await self.swarm()
        if agent is not None:
            self.agent(agent)  # a mishap of nobody would be none
        if isinstance(at, str):
            if at not in TYPES:
                raise ValueError(f"the journal has no rows {at!r}, but these: {', '.join(sorted(TYPES))}")
            await self.facts.wait_for_next(Journalled, type=at)
        elif at is not None:
            await self.facts.wait_for_next(at)
        return swarm

    def calm(self) -> None:
        """From now on nothing goes wrong by chance."""
        self.injector.active = False
        if self._swarm is not None:
            self._swarm.trouble.end()

    # --- what can be seen ------------------------------------------------------------------------

    def agent(self, name: str) -> AgentView:
        """An agent as the store has it: its state, its park reasons, its open turn."""
        view = self._read().agent(name)
        if view is None:
            known = [one.name for one in self._read().agents()]
            raise AssertionError(f"there is no agent {name!r}; {meant(name, known)}")
        return view

    def inbox(self, name: str, *, finished: bool = True) -> tuple[Mail, ...]:
        """An agent's or the operator's mail, oldest first."""
        if name != OPERATOR:
            self.agent(name)  # the empty mailbox of nobody would please many an assertion
        page = self._read().mailbox(name, limit=ALL).mail
        return tuple(one for one in reversed(page) if finished or one.state in UNFINISHED)

    def turns(self, agent: str) -> tuple[TurnView, ...]:
        """An agent's turns, oldest first."""
        self.agent(agent)
        return tuple(reversed(self._read().turns(agent, limit=ALL)))

    def mail(self, message: str) -> Letter:
        """A message by its id, and its life story."""
        return Letter(message, self._read(), self.facts)

    def _read(self) -> Reader:
        assert self.reading is not None, "nothing runs yet: spawn an agent, or start an actor, first"
        return self.reading

    @property
    def scene(self) -> Scene:
        """Where the story has come to."""
        actors = () if self._swarm is None else tuple(spec.name for spec in self._swarm.actors)
        scene = (self.seed, self.injector, self.facts, self.reading, self.strikes, actors, self.wall())
        return Scene(*scene)

    def check(self) -> None:
        """Assert now what the end asserts: the invariants, over all history, and what brains assert."""
        if self._failed:
            raise self._failed[0]
        if self._swarm is not None:
            found = (*self._swarm.violations, *self._swarm.look(deep=True))
            assert not found, "\n".join(one.text for one in found)
            alarms = [str(row.data) for row in self._swarm.alarms]
            assert not alarms, f"hive's audit of itself raised an alarm: {alarms[0]}"
            assert not self._swarm.endpoint_errors, repr(self._swarm.endpoint_errors[0])

    # --- the run itself --------------------------------------------------------------------------

    async def tell(self, story: Callable[[Simulation], Awaitable[T]]) -> T:
        """Tell a story, and check what has to be true at its end."""
        result = await story(self)
        self.calm()
        if self._swarm is not None:
            await self._swarm.daemon()
        self.check()
        return result

    def strike(self, fault: Fault) -> None:
        """Carry out a fault that hits between two steps."""
        if (swarm := self._swarm) is None:
            return
        match fault.site:
            case Site.CRASH:
                self._struck(fault, whom := _pick(swarm.mortals, fault))
                swarm.kill_actor(whom)
            case Site.LOSE_BOX:
                self._struck(fault, whom := _pick(sorted(swarm.boxes.running), fault))
                swarm.kill_box(whom)
            case Site.KILL_DAEMON:
                self._struck(fault)
                swarm.restart_daemon()
            case Site.JUMP_CLOCK:
                self._struck(fault)
                swarm.jump_wall(7200.0 * fault.chance - 3600.0)
            case _:
                raise AssertionError(f"{fault.site} is no matter of steps")

    def _struck(self, fault: Fault, whom: str | None = None) -> None:
        facts = self.facts.forgotten + len(self.facts.facts)
        self.strikes.append(Strike(fault, self.steps, trio.current_time(), facts, whom))


def _pick(choices: Sequence[str], fault: Fault) -> str:
    """Whom a fault hits; nobody, by the name of nobody, where there is nobody."""
    return choices[int(fault.chance * len(choices)) % len(choices)] if choices else ""


@define(eq=False)
class _Steps(trio.abc.Instrument):
    """Counts the steps of all tasks, and lets faults strike between them."""

    simulation: Simulation | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - any task
        if (simulation := self.simulation) is None:
            return
        simulation.steps += 1
        if simulation.injector.active:
            for fault in simulation.injector.on_step():
                simulation.strike(fault)


@frozen
class Run(Generic[T]):
    """One story, told once, whether it went well or not."""

    outcome: Value[T] | Error
    seed: int
    faults: Faults
    """Those that were asked for."""

    injected: tuple[Fault, ...]
    """Those that struck, in order: with `Faults(exactly=…)` they strike again."""

    seconds: float
    """How much virtual time it took."""

    steps: int
    """How many steps of tasks."""

    messages: int
    """How many messages were accepted."""

    boots: int
    """How many daemons it took."""

    violations: tuple[Violation, ...]
    facts: FactLog = field(repr=False)

    @property
    def error(self) -> BaseException | None:
        """What it failed with."""
        return self.outcome.error if isinstance(self.outcome, Error) else None

    def trace(self) -> list[str]:
        """The run as text.  Two runs of one seed must have the same."""
        end = f"the end: {self.steps} steps, {self.seconds!r} s, {len(self.injected)} faults"
        return [*self.facts.trace(), end]


def run(  # noqa: PLR0913 - each by its name, and each optional
    story: Callable[[Simulation], Awaitable[T]],
    seed: int,
    *,
    faults: Faults | None = None,
    limits: Limits | None = None,
    tools: Sequence[ToolSpec] = (),
    allowed: Sequence[Allowed] = (),
    instruments: Sequence[trio.abc.Instrument] = (),
) -> Run[T]:
    """Tell a story once and say how it went.  An error of the story is part of the answer and is not raised.

    An error bears notes: how to repeat the run, its last facts, and the life of the mail it left unfinished.
    """
    told = None
    try:
        with guarded(story, allowed=allowed):
            told = _run(story, seed, faults or Faults(), limits, tuple(tools), instruments)
    except NotDeterministic as error:
        if told is None:  # the story's own source is at fault, or there is nothing to tell of it
            raise
        error.__cause__ = told.error
        error.add_note(replay_line(seed, told.faults, told.injected, story))
        return evolve(told, outcome=Error(error))
    return told


def _run(  # noqa: PLR0913, PLR0917 - as it was given
    story: Callable[[Simulation], Awaitable[T]],
    seed: int,
    plan: Faults,
    limits: Limits | None,
    tools: tuple[ToolSpec, ...],
    instruments: Sequence[trio.abc.Instrument],
) -> Run[T]:
    steps, bound = _Steps(), Bound(Injector(plan, seed))
    cut_short: list[Run[T]] = []
    over: list[Run[T]] = []

    async def main(limit: trio.CancelScope) -> Run[T]:
        bound.limit = limit
        with ExitStack() as kept:
            return await told(limit, kept)

    async def told(limit: trio.CancelScope, kept: ExitStack) -> Run[T]:
        async with trio.open_nursery() as nursery:
            steps.simulation = bound.steps = simulation = Simulation(
                seed,
                chance.Random(seed),
                limit=limit,
                injector=bound.injector,
                limits=limits,
                tools=tools,
                nursery=nursery,
                kept=kept,
            )
            began = trio.current_time()
            outcome: Value[T] | Error
            try:
                outcome = Value(await simulation.tell(story))
            except KeyboardInterrupt as error:
                outcome = Error(error)
            except trio.Cancelled:
                cut_short.append(_too_slow(simulation, story, trio.current_time() - began, bound.error()))
                raise
            # Raised by `simulate`, where no nursery wraps it.  What pytest fails a test with is no Exception.
            except BaseException as error:  # noqa: BLE001
                explain(error, simulation.scene, story)
                outcome = Error(error)
            over.append(result := _told(simulation, outcome, trio.current_time() - began))
            nursery.cancel_scope.cancel(reason="the story is over")
        return result

    try:
        result = play(main, seed, instruments=[steps, bound, *instruments])
    except Exception as error:
        if not (ended := cut_short or (over if bound.reason else [])):
            raise
        result = _ended_by(error, ended[0])
    return _judged(result, bound, story)


def _judged(told: Run[T], bound: Bound, story: Callable[..., object]) -> Run[T]:
    """A run whose story was over, and which was not: something stayed behind, deaf to its end."""
    if (error := bound.error()) is None or told.error is not None:
        return told
    error.add_note(replay_line(told.seed, told.faults, told.injected, story))
    return evolve(told, outcome=Error(error))


def _ended_by(error: Exception, told: Run[T]) -> Run[T]:
    """A story that was cut short: by time, or because the whole hive below it fell."""
    if isinstance(error, trio.TooSlowError) or told.error is None:
        return told
    for note in told.error.__notes__:
        error.add_note(note)
    return evolve(told, outcome=Error(error))


def _too_slow(
    simulation: Simulation, story: Callable[..., object], seconds: float, ended: trio.TooSlowError | None
) -> Run[T]:
    error = ended or trio.TooSlowError(
        f"the story is not over after {seconds:.0f} virtual seconds: one day more than it let pass itself"
    )
    explain(error, simulation.scene, story)
    return _told(simulation, Error(error), seconds)


def _told(simulation: Simulation, outcome: Value[T] | Error, seconds: float) -> Run[T]:
    swarm = simulation._swarm  # noqa: SLF001 - this module's own
    return Run(
        outcome,
        simulation.seed,
        simulation.injector.plan,
        tuple(simulation.injector.injected),
        seconds,
        simulation.steps,
        0 if swarm is None else swarm.accepted,
        0 if swarm is None else swarm.boots,
        () if swarm is None else tuple(swarm.violations),
        simulation.facts,
    )


def simulate(  # noqa: PLR0913 - each by its name, and each optional
    story: Callable[[Simulation], Awaitable[T]],
    seed: int,
    *,
    faults: Faults | None = None,
    limits: Limits | None = None,
    tools: Sequence[ToolSpec] = (),
    allowed: Sequence[Allowed] = (),
    instruments: Sequence[trio.abc.Instrument] = (),
) -> T:
    """Tell a story in virtual time and return what it returns.  The same seed gives the same run.

    `faults` go wrong besides, by this seed; `tools` are had by the agents beside hive's own; `allowed` are
    exceptions from the rules of docs/determinism.md.  Raises what the story raises, `NotDeterministic` where
    it breaks those rules, `AssertionError` where an invariant does not hold, and `trio.TooSlowError` if the
    story is not over after a virtual day besides the time it lets pass itself, or goes on for millions of
    steps without a second passing.
    """
    told = run(
        story, seed, faults=faults, limits=limits, tools=tools, allowed=allowed, instruments=instruments
    )
    # An instrument is told of one run, and may remember it.
    if TWICE.get() and told.error is None and not instruments:
        again = run(story, seed, faults=faults, limits=limits, tools=tools, allowed=allowed)
        if (found := difference(told.trace(), again.trace())) is not None:
            error = AssertionError(found)
            error.add_note(replay_line(seed, told.faults, told.injected, story))
            raise error
    return told.outcome.unwrap()


def difference(first: Sequence[str], second: Sequence[str]) -> str | None:
    """Where the traces of two runs of one seed part, in words; None where they do not."""
    for number, (one, other) in enumerate(zip_longest(first, second, fillvalue="(nothing more)")):
        if one != other:
            return (
                "two runs of the same seed differ: something in the story takes time, chance or order from"
                f" outside; see docs/determinism.md. They part at fact {number}:\n"
                f"  first:  {one}\n  second: {other}"
            )
    return None
