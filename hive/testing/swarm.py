"""A whole hive in virtual time: the real store, actors and scripted agents, and a hand that kills them.

The rule kept here: nothing is faked that promises anything.  Boxes are in memory, and so is the network
between an agent's client and its endpoint; the store, the tree, the turns and the endpoint are those that
run in production.  After every commit the invariants are checked.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Never, TypeVar

import trio
from attrs import define, evolve, field, frozen

from hive.actors import (
    ROOT,
    ActorCrashed,
    ActorSnapshot,
    ActorStopped,
    ChildSpec,
    Hive,
    HiveError,
    NoSuchActor,
    RestartsExhausted,
    StartChild,
    SupervisorSnapshot,
)
from hive.actors.auditor import Audit
from hive.actors.boxes import Boxes
from hive.actors.chaos import Chaos, Reach
from hive.actors.look import LOOK_SECONDS
from hive.actors.protocol import (
    AUDITOR,
    BROKER,
    HARNESS_PREFIX,
    JANITOR,
    STEWARD,
    WATCHER,
    WRITER,
    Perform,
    Performs,
    Rebuild,
    harness_of,
)
from hive.actors.records import begin_boot
from hive.actors.sites import Sites
from hive.actors.tree import core_specs
from hive.actors.turn import Parts
from hive.agents.backend import Backend
from hive.agents.registry import BackendParts, make_backend
from hive.agents.rules import Rules
from hive.agents.scripted import RULES, ScriptedBackend
from hive.agents.tokens import Sessions
from hive.agents.tools import OpenTools, ToolAnswer
from hive.containers.fake import FakeDriver
from hive.mcp.app import EndpointApp
from hive.mcp.parts import McpParts
from hive.mcp.server import Incarnation
from hive.mcp.serving import CHILD as MCP
from hive.mcp.tools import TOOLS, ToolSpec
from hive.protocol.chaos import LARGEST_SEED
from hive.protocol.commands import AddAgent, Command, Once, Send, Settings
from hive.protocol.errors import HiveRefusal, StoreUnavailable
from hive.protocol.limits import Limits
from hive.protocol.mail import Accepted, Mail, Provenance
from hive.protocol.parking import EXITS, Reason
from hive.protocol.views import AgentView, JournalRow, StreamView, Violation
from hive.store.batch import Handlers
from hive.store.handlers import HANDLERS
from hive.store.sqlite import SqliteStore, open_store
from hive.testing.brains import OWN_RULES, Brain, BrainParts, backend_of
from hive.testing.endpoint import Endpoint, Network
from hive.testing.fake_tools import NoShell
from hive.testing.recorder import Journalled
from hive.testing.stage import Stage
from hive.testing.trouble import CutBackend, SeededPauses, Trouble

T = TypeVar("T")

GRACE_SECONDS = 15.0
GRACE_UNDER_FAULTS_SECONDS = 90.0
"""How long mail may wait for no visible reason: what restarts take, and what faults may add to it."""

AGAIN_SECONDS = 0.25
"""How soon a client asks again that got no answer."""

CLIENT_SECONDS = 120.0
"""How long a client goes on asking before its test fails."""


@frozen
class Daemon:
    """One start of the daemon."""

    store: SqliteStore
    hive: Hive
    boxes: Boxes
    sessions: Sessions
    chaos: Chaos
    broker: Performs
    """The road that clients take."""


@define(eq=False, repr=False)  # a failing assertion would show the whole hive
class Swarm:
    """One hive over any number of daemons, and everything a test may do to it."""

    stage: Stage
    directory: Path
    limits: Limits = Limits()
    grace: float = GRACE_SECONDS
    """How long mail may wait without a visible reason before a check fails, in seconds."""

    deaf: bool = False
    """Every hint is lost."""

    handlers: Handlers = HANDLERS
    """The store's table of commands: a test may put a wrong one in, to see that it is found out."""

    checked: bool = True
    """Whether every commit checks the invariants."""

    meter: Callable[[], float] = lambda: 0.0
    """Seconds of processor, as the audit is told: the real ones would make no two runs the same."""

    backends: dict[str, Backend] = field(factory=dict)
    """Backends of a test's own, by the word in an agent's settings."""

    visitors: list[Callable[[SqliteStore], None]] = field(factory=list)
    """Each is shown every store that is opened, once it is recovered and before anybody works on it."""

    trouble: Trouble = field(factory=Trouble)
    tools: tuple[ToolSpec, ...] = ()
    """Tools beyond hive's own."""

    actors: list[ChildSpec] = field(factory=list)
    """Children of a story's own, which every daemon has besides hive's."""

    restarted: bool = False
    """Whether a daemon whose restarts are exhausted is followed by the next, as where something looks after
    it; otherwise that fails the story."""

    boxes: FakeDriver = field(init=False)
    journal: list[JournalRow] = field(factory=list, init=False)
    violations: list[Violation] = field(factory=list, init=False)
    boots: int = field(default=0, init=False)
    network: Network = field(init=False)
    open_tools: OpenTools = field(init=False)
    alarms: list[JournalRow] = field(factory=list, init=False)
    """What hive's audit of itself has told."""

    endpoint_errors: list[BaseException] = field(factory=list, init=False)
    """What went wrong inside the endpoint and was nobody's death."""

    audit: Audit = field(factory=Audit, init=False)
    _daemon: Daemon | None = field(default=None, init=False)
    _process: tuple[SqliteStore, trio.CancelScope] | None = field(default=None, init=False)
    """What a daemon can be killed by, from the moment it has opened its store."""

    _news: trio.Event = field(factory=trio.Event, init=False)
    """Set by every commit and every start of a daemon."""

    _up: trio.Event = field(factory=trio.Event, init=False)
    _keys: int = field(default=0, init=False)
    _lenient_until: float = field(default=0.0, init=False)
    """The clock was set: until then nobody can tell from times of day how long something has waited."""

    def __attrs_post_init__(self) -> None:
        """Make the boxes and the network, which outlive every daemon."""
        self.network = Network(self.trouble)
        self.boxes = FakeDriver(self.directory, self._pause)
        self.open_tools = self.network.tools(lambda: f"use-{self.stage.random.getrandbits(64):016x}")

    async def _pause(self, _where: str) -> None:
        await trio.sleep(self.stage.random.choice((0.0, 0.01 * self.stage.random.random())))

    # --- the daemon ------------------------------------------------------------------------------

    async def live(self) -> None:
        """Run one daemon after another: each killed one is followed by the next."""
        while True:
            with trio.CancelScope() as scope:
                try:
                    await self._live_once(scope)
                except RestartsExhausted:
                    if not self.restarted:
                        raise
            if self._up.is_set():  # else one that died while it started left somebody waiting for it
                self._up = trio.Event()
            self.boxes.break_all()

    async def _live_once(self, scope: trio.CancelScope) -> None:
        pauses = SeededPauses(self.stage.random, delay=self.trouble.delay)

        def on_commit() -> None:
            self.trouble.deafen(store.hints, otherwise=self.deaf)
            self.trouble.on_commit()

        with open_store(
            self.file,
            wall=self.stage.wall,
            random_=self.stage.random,
            limits=self.limits,
            inline=True,
            pauses=pauses,
            handlers=self.handlers,
            faults=on_commit,
            meter=self.meter,
        ) as store:
            store.hints.deaf = self.deaf
            self._process = store, scope
            try:
                await self._serve(store)
            finally:
                self._daemon = self._process = None

    async def _serve(self, store: SqliteStore) -> Never:
        store.subscribe(self._on_commit)
        await begin_boot(store, "simulated")
        for visit in self.visitors:
            visit(store)
        self.boots += 1
        boxes = Boxes(store, {"fake": self.boxes, "subprocess": self.boxes})
        sites = Sites(store.hints, self.trouble.commits)
        parts = self._parts(store, boxes, sites)
        async with self.stage.hive(*core_specs(store, parts, self.audit)) as hive:
            broker = sites.broker(hive.ref(BROKER))
            await self._open_endpoint(parts, hive, broker)
            for spec in self.actors:
                await hive.root.ask(StartChild(spec))
            chaos = self._chaos(store, boxes, sites, hive)
            self._daemon = Daemon(store, hive, boxes, parts.sessions, chaos, broker)
            self._up.set()
            self._tell_news()
            await trio.sleep_forever()

    def _chaos(self, store: SqliteStore, boxes: Boxes, sites: Sites, hive: Hive) -> Chaos:
        reach = Reach(store, sites, boxes, hive.snapshot, hive.kill)
        return Chaos(hive.root, reach, self.stage.wall, lambda: self.stage.random.randrange(LARGEST_SEED))

    def _parts(self, store: SqliteStore, boxes: Boxes, sites: Sites) -> Parts:
        return Parts(
            store=store,
            hints=store.hints,
            boxes=boxes,
            sessions=Sessions(lambda: f"{self.stage.random.getrandbits(128):032x}"),
            backend=sites.backends(self._backend),
            wall=self.stage.wall,
            limits=self.limits,
        )

    def _backend(self, settings: Settings) -> Backend:
        if settings.backend in self.backends:
            return self.backends[settings.backend]
        parts = BackendParts(self.open_tools, NoShell(), self.stage.wall)
        return CutBackend(make_backend(settings.backend, parts), self.trouble)

    async def _open_endpoint(self, parts: Parts, hive: Hive, broker: Performs) -> None:
        mcp = McpParts(
            store=parts.store,
            broker=broker,
            sessions=parts.sessions,
            hints=parts.hints,
            wall=parts.wall,
            version="simulated",
            limits=parts.limits,
            on_error=self._on_endpoint_error,
        )
        # Looking for installed tools takes longer than the rest of the start, and there are none.
        app = EndpointApp(mcp, incarnate=lambda parts: Incarnation(parts, (*TOOLS, *self.tools)))
        endpoint = Endpoint(app, self.network, self._on_endpoint_error)
        await hive.root.ask(StartChild(ChildSpec(MCP, lambda: endpoint)))

    def _on_endpoint_error(self, error: BaseException) -> None:
        # That somebody it asked is dead is what the endpoint is told all the time here.
        if not isinstance(error, HiveError | trio.TooSlowError):
            self.endpoint_errors.append(error)

    def _on_commit(self, rows: Sequence[JournalRow], _stream: Sequence[tuple[str, StreamView]]) -> None:
        self.journal.extend(rows)
        self.alarms.extend(row for row in rows if row.type == "audit.broken")
        for row in rows:
            self.stage.facts.note(Journalled(row.type, row.agent, row.subject, row))
        if self._daemon is not None and rows and self.checked:
            self.violations.extend(self.look())
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def look(self, *, deep: bool = False) -> tuple[Violation, ...]:
        """Every invariant that does not hold now."""
        lenient = trio.current_time() < self._lenient_until
        grace = float("inf") if lenient else self.grace
        return self.store.reader.violations(grace=grace, deep=deep)

    async def daemon(self) -> Daemon:
        """The daemon that runs, as soon as one does."""
        while self._daemon is None:
            await self._up.wait()
        return self._daemon

    @property
    def starting(self) -> bool:
        """Whether a daemon has opened its store and does not serve yet."""
        return self._process is not None and self._daemon is None

    @property
    def file(self) -> Path:
        """Where the store lies."""
        return self.directory / "hive.sqlite3"

    @property
    def accepted(self) -> int:
        """How many messages have been accepted since the last daemon began, and before."""
        return sum(row.type == "msg.sent" for row in self.journal)

    @property
    def mortals(self) -> tuple[str, ...]:
        """Who can crash: everybody below the root."""
        return () if self._daemon is None else tuple(name for name in self._daemon.hive.names if name != ROOT)

    @property
    def store(self) -> SqliteStore:
        """The store of the daemon that runs."""
        assert self._daemon is not None, "no daemon runs at the moment"
        return self._daemon.store

    def agent(self, name: str) -> AgentView:
        """An agent as the store has it."""
        view = self.store.reader.agent(name)
        assert view is not None, f"there is no agent {name}"
        return view

    def incarnation(self, name: str) -> int:
        """How often an actor has been started by the daemon that runs."""
        assert self._daemon is not None, "no daemon runs at the moment"
        snapshot = self._daemon.hive.snapshot()
        assert isinstance(snapshot, SupervisorSnapshot)
        found = snapshot.find(name)
        assert isinstance(found, ActorSnapshot), f"there is no actor {name}"
        return found.incarnation

    @property
    def harnesses(self) -> tuple[str, ...]:
        """The harnesses there are, by the names of their actors."""
        if self._daemon is None:
            return ()
        return tuple(name for name in self._daemon.hive.names if name.startswith(HARNESS_PREFIX))

    # --- what clients do -------------------------------------------------------------------------

    async def perform(self, command: Command[T]) -> T:
        """Ask the broker, and ask again under the same key until there is an answer: a careful client.

        Refusals other than an unavailable store are raised.
        """
        self._keys += 1
        once = Once("test", f"key-{self._keys}", repr(command))
        answer = await self._perform(command, once)
        if self.trouble.repeats():
            repeated = await self._perform(command, once)
            assert repeated == answer, f"a repeated {command} was answered otherwise: {repeated}"
        return answer

    async def _perform(self, command: Command[T], once: Once) -> T:
        with trio.fail_after(CLIENT_SECONDS):
            while True:
                daemon = await self.daemon()
                with suppress(ActorCrashed, ActorStopped, NoSuchActor, StoreUnavailable):
                    return await daemon.broker.ask(Perform(command, once))
                await trio.sleep(AGAIN_SECONDS)

    async def add(self, name: str, settings: Settings | None = None) -> None:
        """Add an agent."""
        await self.perform(AddAgent(name, evolve(settings or Settings(), driver="fake")))

    async def send(
        self,
        to: str,
        body: str,
        *,
        sender: str = "operator",
        label: str | None = None,
        in_reply_to: str | None = None,
    ) -> Accepted:
        """Send one message; it has been accepted when this returns."""
        provenance = Provenance.OPERATOR if sender == "operator" else Provenance.AGENT
        command = Send(sender, to, body, provenance, label=label, in_reply_to=in_reply_to)
        return (await self.perform(command)).accepted[0]

    async def call(self, agent: str, tool: str, arguments: Mapping[str, object]) -> ToolAnswer:
        """Call a tool as an agent's CLI, with a session token made for this call."""
        sessions = (await self.daemon()).sessions
        session = sessions.mint(agent)
        try:
            async with self.open_tools(session) as tools:
                return await tools.call(tool, arguments)
        finally:
            sessions.end(session)

    def give(self, backend: str, brain: Brain, on_bug: Callable[[Exception], None]) -> None:
        """Have agents of this backend think with this brain."""
        parts = BrainParts(self.open_tools, self._scripted, self.stage.random, self.stage.wall, on_bug)
        self.backends[backend] = CutBackend(backend_of(brain, parts), self.trouble)

    def _scripted(self, rules: Rules | None) -> ScriptedBackend:
        tables = RULES if rules is None else {**RULES, OWN_RULES: rules}
        return ScriptedBackend(self.open_tools, NoShell(), self.stage.wall, rules=tables)

    async def rebuild(self, agent: str) -> None:
        """Have an agent's box replaced; asked again until the intent is committed."""
        with trio.fail_after(CLIENT_SECONDS):
            while True:
                daemon = await self.daemon()
                with suppress(ActorCrashed, ActorStopped, NoSuchActor, HiveRefusal):
                    await daemon.hive.ref(WATCHER).ask(Rebuild(agent))
                    return
                await trio.sleep(AGAIN_SECONDS)

    def drove_a_turn(self, ref: str) -> bool:
        """Whether a turn that ended well held this message and was seen to show it to the model."""
        mail = self.mail(ref)
        turns = self.store.reader.turns(mail.recipient, limit=1_000)
        seen = {row.data["turn"] for row in self.store.reader.story(ref) if row.type == "msg.seen"}
        return any(
            turn.outcome == "ok" and mail.id in turn.messages and turn.number in seen for turn in turns
        )

    def mail(self, ref: str) -> Mail:
        """A message as the store has it."""
        mail = self.store.reader.mail(ref)
        assert mail is not None, f"there is no message {ref}"
        return mail

    # --- waiting ---------------------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Whether nothing is left to do: no turn runs, no box is down, no mail waits unless it is held."""
        return self._daemon is not None and all(_is_quiet(view) for view in self.store.reader.agents())

    async def settle(self, seconds: float = 300.0) -> None:
        """Wait in virtual time until the swarm is quiet.  `trio.TooSlowError` after so many seconds."""
        with trio.move_on_after(seconds):
            # Time alone makes nobody quiet: only a commit does, or a daemon that is there again.
            while not self.quiet:
                await self._news.wait()
                await trio.sleep(AGAIN_SECONDS)
            return
        raise trio.TooSlowError(f"the hive is not quiet after {seconds:g} virtual seconds: {self._restless}")

    @property
    def _restless(self) -> str:
        if self._daemon is None:
            return "no daemon runs"
        names = [view.name for view in self.store.reader.agents() if not _is_quiet(view)]
        return f"a turn runs, a box is down or mail waits at {', '.join(names) or 'nobody any more'}"

    async def until(self, condition: Callable[[], bool], seconds: float = 300.0) -> None:
        """Wait in virtual time until this holds while a daemon runs; at most so many seconds."""
        with trio.fail_after(seconds):
            # Looking again and again costs nothing in virtual time, and works when hints are lost.
            while self._daemon is None or not condition():  # noqa: ASYNC110
                await trio.sleep(AGAIN_SECONDS)

    # --- the hand that kills ---------------------------------------------------------------------

    def kill_actor(self, name: str) -> None:
        """End an actor's incarnation without its grace.  Nothing where it is not there."""
        if self._daemon is not None:
            with suppress(HiveError):
                self._daemon.hive.kill(name)

    def kill_loop(self, agent: str) -> None:
        """Kill an agent's harness."""
        self.kill_actor(harness_of(agent))

    def kill_broker(self) -> None:
        """Kill the broker."""
        self.kill_actor(BROKER)

    def kill_writer(self) -> None:
        """Kill the loop that commits."""
        self.kill_actor(WRITER)

    def kill_watcher(self) -> None:
        """Kill who looks after the boxes."""
        self.kill_actor(WATCHER)

    def kill_steward(self) -> None:
        """Kill who looks after the harnesses."""
        self.kill_actor(STEWARD)

    def kill_janitor(self) -> None:
        """Kill who looks after due times."""
        self.kill_actor(JANITOR)

    def kill_auditor(self) -> None:
        """Kill who looks whether the promise is kept."""
        self.kill_actor(AUDITOR)

    def kill_backend(self, agent: str) -> None:
        """Cut the event stream of the turn that runs, if one does."""
        if (reading := self.trouble.reading.get(agent)) is not None:
            reading.cancel(reason="cut by the test")

    def cut_tools(self, seconds: float = 1.0) -> None:
        """Break every connection to the endpoint, and let no agent make a new one for so long."""
        self.trouble.tools_back_at = trio.current_time() + seconds
        self.network.cut()

    def kill_endpoint(self) -> None:
        """Kill the child that serves the agents' tools."""
        self.kill_actor(MCP)

    def kill_box(self, agent: str) -> None:
        """Break an agent's box."""
        self.boxes.break_down(agent)

    def restart_daemon(self) -> None:
        """Kill the daemon as with SIGKILL: nothing more is written, every box is gone, another one starts.

        One that is still starting is killed too.
        """
        if self._process is not None:
            store, scope = self._process
            store.kill()
            scope.cancel(reason="killed by the test")
            self.boxes.break_all()

    def fill_disk(self, *, full: bool = True) -> None:
        """Let every commit fail, or hold again."""
        self.trouble.commits.full = full

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back."""
        self.stage.jump_wall(seconds)
        # Nobody is told of it: due times are read anew by the look that comes every half minute.
        self._lenient_until = trio.current_time() + LOOK_SECONDS + self.grace


def _is_quiet(view: AgentView) -> bool:
    if view.removed_at is not None:
        return True
    down = any(parked.reason is Reason.BOX_DOWN for parked in view.parked)
    # A reason that time lifts is something to wait for; one that a person lifts is not.
    held = any(not EXITS[parked.reason].timed for parked in view.parked)
    return view.open_turn is None and not down and (not view.deliverable or held)
