"""One client of the page over any number of daemons, and a network that does what a test wants.

The rule kept here: on the server's side everything is real: the store, the broker, the connection and its
conversation.  The client is `Mirror`, the network a queue of frames, and time is virtual.
"""

import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson
import trio
from attrs import define, field, frozen

from hive.actors import ChildSpec
from hive.actors.broker import Broker
from hive.actors.protocol import BROKER, WRITER
from hive.actors.writer import Writer
from hive.agents.logins import missing, variable_of
from hive.protocol.chaos import Plan
from hive.protocol.commands import AddAgent, Command, Settings
from hive.protocol.errors import HiveRefusal
from hive.protocol.grammar import Role
from hive.protocol.limits import Limits
from hive.protocol.names import OPERATOR
from hive.protocol.views import Credential
from hive.store.backup import backup, restore
from hive.store.batch import Handler
from hive.store.handlers import HANDLERS
from hive.store.sqlite import SqliteStore, open_store
from hive.store.transaction import Transaction
from hive.testing.deeds import AGENT, Play
from hive.testing.forbidden import Allowed
from hive.testing.mirror import Json, Mirror, Stream
from hive.testing.simulate import Simulation, simulate
from hive.testing.trouble import SeededPauses
from hive.web import wire
from hive.web.connection import Connection
from hive.web.conversation import Conversation
from hive.web.lanes import Lane, Lanes
from hive.web.login import Codes
from hive.web.parts import Login, Via, WebParts

LANES: Final = (wire.JOURNAL, wire.STREAM_PREFIX + AGENT)
ROOM_FRAMES: Final = 4
"""Frames that fit between the server and a client that does not read."""

SEND_SECONDS: Final = 5.0
"""A frame that finds no room for so long ends the connection, as the listener's own bound does."""

SILENCE_SECONDS: Final = 25.0
"""A client that has heard nothing for so long hangs up."""

BACKUP_SECONDS: Final = 0.2
REST_SECONDS: Final = 180
"""Time in which everything must have come to rest: the longest pause a client is told to make is 30 s."""

ORIGIN: Final = "http://127.0.0.1:7700"

DOCTOR = Allowed("hive.web.gets", "trio*", "the doctor looks at the machine in a thread")


@define(eq=False)
class Line:
    """One connection between the client and the server, as the server's socket.  Frames wait in `out`."""

    scope: trio.CancelScope = field(factory=trio.CancelScope)
    out: deque[str] = field(factory=deque)
    ended: bool = False
    _to_server: "trio.MemorySendChannel[str]" = field(init=False)
    _from_client: "trio.MemoryReceiveChannel[str]" = field(init=False)
    _room: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        """Make the road to the server, which is as long as it has to be."""
        self._to_server, self._from_client = trio.open_memory_channel[str](math.inf)

    def say(self, frame: Mapping[str, object]) -> None:
        """The client sends."""
        if not self.ended:
            self._to_server.send_nowait(orjson.dumps(frame).decode())

    def take(self) -> str | None:
        """The client reads."""
        self._room.set()
        return self.out.popleft() if self.out else None

    async def receive(self) -> str:
        """The server reads."""
        return await self._from_client.receive()

    async def send(self, data: str) -> None:
        """The server sends; it waits while there is no room, for a while."""
        with trio.move_on_after(SEND_SECONDS) as patience:
            await trio.lowlevel.checkpoint()
            while len(self.out) >= ROOM_FRAMES:
                self._room = trio.Event()
                await self._room.wait()
            self.out.append(data)
        if patience.cancelled_caught:
            self.scope.cancel(reason="the client does not read")

    async def close(self, code: int, reason: str) -> None:
        """The server says goodbye; a `bye` has told the client."""
        del code, reason
        await trio.lowlevel.checkpoint()


@define(eq=False)
class Switch:
    """The switch of chaos, with nothing behind it."""

    run: dict[str, object] | None = None
    """What it would say of itself."""

    def said(self) -> Mapping[str, object] | None:
        """As the real one does."""
        return self.run

    async def on(self, plan: Plan, by: str) -> Mapping[str, object]:
        """Note it."""
        await trio.lowlevel.checkpoint()
        self.run = {"on": True, "rate": plan.rate, "seed": plan.seed, "total": 0, "by": by}
        return self.run

    async def off(self, by: str) -> Mapping[str, object] | None:
        """Note it."""
        await trio.lowlevel.checkpoint()
        if self.run is not None:
            self.run = {**self.run, "on": False, "why": by}
        return self.run


@define(eq=False)
class OpenVault:
    """Credentials that nobody hides; an agent of the backend `claude` needs one."""

    kept: dict[str, dict[str, str]] = field(factory=dict)

    def credentials(self) -> Sequence[Credential]:
        """Their names and variables."""
        return [Credential(name, tuple(sorted(kept)), 0.0) for name, kept in sorted(self.kept.items())]

    def variable_of(self, name: str) -> str:
        """As hive has it."""
        return variable_of(name)

    def missing(self, settings: Settings) -> str:
        """As hive has it."""
        return missing(settings, self.kept.get(settings.login, ()))

    async def put(self, name: str, variable: str, value: str) -> tuple[str, ...]:
        """Keep it, in a while."""
        await trio.lowlevel.checkpoint()
        self.kept.setdefault(name, {})[variable] = value
        return tuple(sorted(self.kept[name]))

    async def remove(self, name: str, variable: str | None = None) -> tuple[str, ...]:
        """Forget it, in a while."""
        await trio.lowlevel.checkpoint()
        kept = self.kept.pop(name)
        left = {key: value for key, value in kept.items() if variable not in (None, key)}
        if left:
            self.kept[name] = left
        return tuple(sorted(left))


@define(eq=False)
class Powers:
    """What the owner may ask for, counted."""

    backups: "Counter[str]" = field(factory=Counter)
    stops: int = 0
    """How often it has been asked to stop."""

    stopping: bool = False
    chaos: Switch = field(factory=Switch)
    secrets: OpenVault = field(factory=OpenVault)

    def endpoint(self, agent: str) -> Mapping[str, object]:
        """Nowhere."""
        return {"agent": agent, "url": f"http://127.0.0.1:7701/mcp/{agent}", "socket": f"/run/{agent}"}

    async def backup(self, file: Path) -> Mapping[str, object]:
        """Take a while over it."""
        await trio.sleep(BACKUP_SECONDS)
        self.backups[str(file)] += 1
        return {"file": str(file), "bytes": 4096}

    def stop(self, why: str) -> None:
        """Note it."""
        del why
        self.stops += 1
        self.stopping = True

    def diagnosis(self, agents: Sequence[Settings]) -> list[Mapping[str, object]]:
        """Nothing to find."""
        del agents
        return []

    def tree(self) -> object:
        """No tree."""
        return None


@frozen(eq=False)
class Boot:
    """One start of the daemon."""

    store: SqliteStore
    parts: WebParts
    nursery: trio.Nursery
    stopping: trio.Event = field(factory=trio.Event)


@define(eq=False, repr=False)
class World:
    """A daemon, a client, and whatever comes between."""

    simulation: Simulation
    folder: Path
    file: Path
    """The store.  A restored one is another file."""

    limits: Limits = Limits()

    mirror: Mirror = field(factory=Mirror, init=False)
    line: Line | None = field(default=None, init=False)
    powers: Powers = field(factory=Powers, init=False)
    carried_out: "Counter[str]" = field(factory=Counter, init=False)
    """How often the store has carried out a command, by its key."""

    counts: "Counter[str]" = field(factory=Counter, init=False)
    """How often what happened, so that a test can say that it did."""

    _talking: int = field(default=0, init=False)
    _all_have_left: trio.Event = field(factory=trio.Event, init=False)
    _boot: Boot | None = field(default=None, init=False)
    _stack: AsyncExitStack = field(factory=AsyncExitStack, init=False)
    _retry_at: float = field(default=0.0, init=False)
    _heard: float = field(default=0.0, init=False)
    _files: int = field(default=0, init=False)

    @property
    def boot(self) -> Boot:
        """The daemon that runs."""
        assert self._boot is not None, "no daemon runs at the moment"
        return self._boot

    @property
    def random(self) -> Random:
        """The one source of chance."""
        return self.simulation.random

    def new_file(self) -> Path:
        """A path nobody has used."""
        self._files += 1
        return self.folder / f"{self._files}.sqlite3"

    # --- daemons ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator["World"]:
        """A daemon, and the client connected to it."""
        try:
            await self.start()
            for lane in LANES:
                self.mirror.want(lane)
            yield self
        finally:
            await self._stack.aclose()

    async def start(self) -> None:
        """Start the daemon; the client dials by itself."""
        self._boot = await self._stack.enter_async_context(self._serving())

    async def stop(self, *, ordered: bool) -> None:
        """Stop the daemon in order, or as if it had been killed."""
        if ordered:
            self.boot.stopping.set()
            if self._talking:
                await self._all_have_left.wait()
        else:
            self.boot.store.kill()
        await self._stack.aclose()
        self._boot = None
        if not ordered:
            self.hang_up()

    async def restart(self, *, ordered: bool) -> None:
        """Stop the daemon and start it again."""
        self.counts["restarts"] += 1
        await self.stop(ordered=ordered)
        await self.start()

    async def power_cut(self, deeds: Sequence[Command[object]]) -> None:
        """The disk keeps what was synced.  These unsynced deeds the client sees, and nobody after it."""
        self.counts["power cuts"] += 1
        await trio.sleep(1.0)
        kept = self.new_file()
        backup(self.file, kept)
        for deed in deeds:
            await self.do(deed)
            self.deliver(2, repeating=False)
            await trio.sleep(0.05)
        await self.stop(ordered=False)
        for path in self.folder.glob(f"{self.file.name}*"):
            path.unlink()
        kept.rename(self.file)
        await self.start()

    async def restore(self, copy: Path, carried_out: "Counter[str]") -> None:
        """Go on from a backup, in another log; `carried_out` is what it knows of."""
        self.counts["restores"] += 1
        await self.stop(ordered=True)
        self.file = self.new_file()
        restore(copy, self.file, self.random)
        self.carried_out = carried_out.copy()
        await self.start()

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[Boot]:
        with open_store(
            self.file,
            wall=self.simulation.wall,
            random_=self.random,
            limits=self.limits,
            inline=True,
            pauses=SeededPauses(self.random),
            handlers={command: self._counting(handler) for command, handler in HANDLERS.items()},
        ) as store:
            store.recover("simulated")
            lanes = Lanes(Lane(store.reader.head().seq))
            store.subscribe(lanes.on_commit)
            specs = (
                ChildSpec(WRITER, lambda: Writer(store.drain_forever)),
                ChildSpec(BROKER, lambda: Broker(store)),
            )
            async with self.simulation.hive(*specs) as hive, trio.open_nursery() as nursery:
                parts = WebParts(
                    store=store,
                    lanes=lanes,
                    broker=hive.ref(BROKER),
                    powers=self.powers,
                    codes=Codes(self._secret, self.simulation.wall),
                    wall=self.simulation.wall,
                    new_secret=self._secret,
                    version="0",
                    operator="the operator",
                    origins=lambda: (ORIGIN,),
                    check_settings=lambda _settings: None,
                    on_error=self._failed,
                )
                yield Boot(store, parts, nursery)
                nursery.cancel_scope.cancel(reason="the daemon is gone")
            store.stop("asked by the test")

    def _secret(self) -> str:
        return f"{self.random.getrandbits(256):064x}"

    def _failed(self, error: BaseException) -> None:
        raise error

    def _counting(self, handler: Handler) -> Handler:
        def counted(tx: Transaction, command: Command[object]) -> object:
            answer = handler(tx, command)
            if tx.command_key is not None:
                self.carried_out[tx.command_key] += 1
            return answer

        return counted

    # --- the store -------------------------------------------------------------------------------

    @property
    def play(self) -> Play:
        """What deeds are chosen with."""
        return Play(self.boot.store.reader, self.random)

    async def do(self, deed: Command[object]) -> None:
        """Let something happen; what the store refuses has not."""
        with suppress(HiveRefusal):
            await self.boot.store.submit(deed).outcome()

    # --- the client ------------------------------------------------------------------------------

    def dial(self) -> None:
        """Connect, and say hello."""
        line = self.line = Line()
        self._heard = trio.current_time()
        self._talking += 1
        self._all_have_left = trio.Event()
        self.boot.nursery.start_soon(self._converse, line, self.boot)
        line.say(self.mirror.hello())

    async def _converse(self, line: Line, boot: Boot) -> None:
        login = Login(OPERATOR, Role.OWNER, Via.PAGE)
        try:
            with line.scope:
                conversation = Conversation(line, Connection(login, boot.parts), boot.parts)
                await conversation.run(boot.stopping)
        finally:
            line.ended = True
            self._talking -= 1
            if not self._talking:
                self._all_have_left.set()

    def hang_up(self) -> None:
        """The connection is gone, with everything that was on its way."""
        if self.line is not None:
            self.line.scope.cancel(reason="cut")
            self._lost()

    def _lost(self) -> None:
        self.line = None
        self.mirror.lost()

    def deliver(self, frames: int, *, repeating: bool = True) -> None:
        """Let so many frames arrive."""
        for _ in range(frames):
            if self.line is None or (text := self.line.take()) is None:
                break
            self._heard = trio.current_time()
            self._hear(orjson.loads(text), repeating=repeating)
        if self.line is not None and self.line.ended and not self.line.out:
            self._lost()

    def _hear(self, frame: Json, *, repeating: bool) -> None:
        if frame["op"] == "bye":
            self._retry_at = trio.current_time() + frame["retry_ms"] / 1000
            self.counts[f"bye {frame['code']}"] += 1
        self.say(
            one for one in self.mirror.hear(frame, trio.current_time()) if repeating or one["op"] != "cmd"
        )

    def say(self, frames: Iterable[Json]) -> None:
        """Send what the client has to say."""
        for frame in frames:
            if self.line is not None:
                self.line.say(frame)

    async def spend(self, seconds: float) -> None:
        """Let time pass; the client looks at its clock."""
        await trio.sleep(seconds)
        if self.powers.stopping:
            self.powers.stopping = False
            await self.restart(ordered=True)
        now = trio.current_time()
        if self.line is None:
            if now >= self._retry_at:
                self.dial()
        elif now - self._heard >= SILENCE_SECONDS:
            self.hang_up()
        else:
            self.say(self.mirror.tick(now))

    # --- at the end ------------------------------------------------------------------------------

    def resting(self, name: str) -> bool:
        """Whether a lane is whole and has everything there is."""
        lane, reader = self.mirror.lanes[name], self.boot.store.reader
        connected = self.line is not None and not self.line.ended and self.mirror.live
        if not connected or not lane.whole:
            return False
        if name == wire.JOURNAL:
            return lane.reached == reader.head().seq
        view = reader.agent(AGENT)
        return view is not None and lane.reached == view.stream_head

    async def rest(self) -> None:
        """Let everything arrive.  Fails where it does not come to rest."""
        for _ in range(REST_SECONDS):
            await self.spend(1.0)
            while self.line is not None and self.line.out:
                self.deliver(ROOM_FRAMES)
                await trio.sleep(0.02)
            if all(map(self.resting, LANES)) and not self.mirror.unanswered():
                return
        states = {name: self.mirror.lanes[name] for name in LANES}
        raise AssertionError(f"never came to rest: {states}, {self.mirror.unanswered()}")

    def fresh(self) -> Mirror:
        """What a client that has just come is told."""
        connection = Connection(Login(OPERATOR, Role.OWNER, Via.PAGE), self.boot.parts)
        mirror, now = Mirror(), trio.current_time()
        for lane in LANES:
            mirror.want(lane)
        connection.receive(orjson.dumps(mirror.hello()).decode())
        while (text := connection.next()) is not None:
            mirror.hear(orjson.loads(text), now)
        return mirror

    def compare(self) -> None:
        """A lane that is whole and up to date says what a fresh snapshot says."""
        resting = [name for name in LANES if self.resting(name)]
        if not resting:
            return
        fresh, now = self.fresh(), self.simulation.wall()
        for name in resting:
            self.counts["comparisons"] += 1
            window, ours = fresh.lanes[name].data, self.mirror.lanes[name].data
            if isinstance(window, Stream) and isinstance(ours, Stream):
                ours = ours.since(window.rows[0][0] if window.rows else math.inf)
            expected, said = window.said(now), ours.said(now)
            assert expected == said, f"lane {name}: a snapshot says {_beyond(expected, said)}"


def in_world(folder: Path, story: Callable[[World], Awaitable[None]], seed: int = 0) -> None:
    """Tell a story of one hive with the agents iris and rosa, in virtual time."""

    async def main(simulation: Simulation) -> None:
        async with World(simulation, folder, folder / "hive.sqlite3").running() as world:
            for name in ("iris", "rosa"):
                await world.do(AddAgent(name))
            await story(world)

    simulate(main, seed, allowed=[DOCTOR])


def _beyond(expected: Mapping[str, Sequence[Any]], said: Mapping[str, Sequence[Any]]) -> str:
    """What one says and the other does not."""
    return "; ".join(
        f"{kind} {[row for row in expected[kind] if row not in said[kind]]}"
        f" and not {[row for row in said[kind] if row not in expected[kind]]}"
        for kind in expected
        if expected[kind] != said[kind]
    )
