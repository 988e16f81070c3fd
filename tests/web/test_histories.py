"""Whatever happens between a client and its hive, both end up saying the same, and nothing is done twice.

A history is a list of what happens, drawn by Hypothesis: deeds of the hive, frames that arrive, are lost or
come twice, time that passes, daemons that end, disks that go back in time.  Everything on the server's side
is real; bounds are small, so that a short history reaches them.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Protocol

import pytest
from attrs import evolve, field, frozen
from hypothesis import HealthCheck, given, settings, strategies as st

from hive.protocol import commands as ask
from hive.protocol.limits import Limits
from hive.protocol.parking import Reason
from hive.store.backup import backup
from hive.testing.deeds import AGENT, DEEDS, NAMES, Play, stream
from hive.testing.desk import open_desk
from hive.testing.mirror import REPEATED, Asked, Json
from hive.testing.page_world import LANES, World
from hive.testing.simulate import Simulation, simulate
from hive.web import feed, lanes, wire

BOUNDS = (
    (feed, "BEHIND_EVENTS", 12),
    (feed, "FRAME_EVENTS_BYTES", 2_000),
    (feed, "PAGE_EVENTS", 5),
    (feed, "RESUMED_EVENTS", 40),
    (lanes, "KEPT_EVENTS", 20),
    (lanes, "TRIMMED_AT_ONCE", 5),
    (wire, "SNAPSHOT_ROWS", 3),
)
LIMITS = Limits(stream_rows=8)
NEVER = 1_000
"""So many events further on than any of these histories gets."""

PER_BOOT = {"client.token", "session.link"}
"""Their answers hold a secret, which is shown by the boot that made it and kept by nobody."""

OUTSIDE = {"hive.backup", "hive.stop", "session.link"}
"""The store does not carry these out."""


class Step(Protocol):
    """One thing that happens."""

    async def take(self, scene: "Scene") -> None:
        """Let it happen."""
        ...


@frozen
class Scene:
    """A world, and what steps leave for later ones."""

    world: World
    backups: list[tuple[Path, "Counter[str]", dict[str, bool]]] = field(factory=list)
    """Copies of the store: the file, what it had carried out, and what had been answered: whether it held."""

    forgotten: set[str] = field(factory=set)
    """Commands of logs that are no more."""

    def copy(self) -> None:
        """Back the store up."""
        world, file = self.world, self.world.new_file()
        backup(world.file, file)
        answered = {key: one.held for key, one in world.mirror.commands.items() if not one.open}
        self.backups.append((file, world.carried_out.copy(), answered))


# --- what happens --------------------------------------------------------------------------------


@frozen
class Happen:
    """Deeds, while the client reads nothing: the more of them, the further it falls behind."""

    deeds: int
    seed: int

    async def take(self, scene: Scene) -> None:
        """Any deeds at all."""
        chance = Random(self.seed)
        for _ in range(self.deeds):
            play = evolve(scene.world.play, random=chance)
            await scene.world.do(chance.choice(DEEDS)(play))


@frozen
class Do:
    """One deed that was thought of."""

    deed: ask.Command[None]

    async def take(self, scene: Scene) -> None:
        """Do it."""
        await scene.world.do(self.deed)


@frozen
class Renew:
    """Notes that coalesce: left twice, with time between, before anybody takes them."""

    agent: str
    box: bool

    async def take(self, scene: Scene) -> None:
        """Leave it twice."""
        deed = ask.BoxStarted(self.agent, "renewed", wakes=False) if self.box else ask.Kick(self.agent)
        for _ in range(2):
            await scene.world.do(deed)
            await scene.world.spend(1.0)
        scene.world.counts["renewed"] += 1


@frozen
class Forget:
    """Retention takes the old rows of long streams; no event tells of it."""

    seed: int

    async def take(self, scene: Scene) -> None:
        """Say a good deal, and forget most of it."""
        play = Play(scene.world.boot.store.reader, Random(self.seed))
        for deed in (*[stream(play) for _ in range(5)], ask.Sweep()):
            await scene.world.do(deed)
        scene.world.counts["forgotten"] += 1


@frozen
class Deliver:
    """Frames arrive."""

    frames: int

    async def take(self, scene: Scene) -> None:
        """Let the server refill what is read."""
        for _ in range(self.frames):
            scene.world.deliver(1)
            await scene.world.spend(0.02)


@frozen
class Spend:
    """Time passes, and the client reads nothing."""

    seconds: float

    async def take(self, scene: Scene) -> None:
        """Let it pass."""
        await scene.world.spend(self.seconds)


@frozen
class Cut:
    """The connection breaks."""

    async def take(self, scene: Scene) -> None:
        """Break it."""
        scene.world.hang_up()
        scene.world.counts["cuts"] += 1


@frozen
class Meddle:
    """A numbered frame on its way is lost, comes twice, or comes late."""

    how: str
    where: int

    async def take(self, scene: Scene) -> None:
        """Meddle with one that waits."""
        await Happen(1, self.where).take(scene)
        await scene.world.do(stream(scene.world.play))
        await scene.world.spend(0.1)
        out = [] if scene.world.line is None else list(scene.world.line.out)
        found = [n for n, frame in enumerate(out) if frame.startswith(('{"op":"ev"', '{"op":"beat"'))]
        if scene.world.line is None or not found:
            return
        frame = out.pop(found[self.where % len(found)])
        if self.how == "double":
            out.insert(0, frame)
        if self.how != "drop":
            out.insert(self.where % (len(out) + 1), frame)
        scene.world.line.out.clear()
        scene.world.line.out.extend(out)
        scene.world.counts[self.how] += 1


@frozen
class Restart:
    """The daemon ends, in order or not, and another one begins."""

    ordered: bool

    async def take(self, scene: Scene) -> None:
        """Restart it."""
        await scene.world.restart(ordered=self.ordered)


@frozen
class PowerCut:
    """The disk goes back to what was synced, after the client was told more than that."""

    deeds: int
    seed: int

    async def take(self, scene: Scene) -> None:
        """Only what nobody was promised is lost."""
        play = Play(scene.world.boot.store.reader, Random(self.seed))
        lost = [ask.Park(AGENT, Reason.LOGIN, detail=f"{self.seed}"), stream(play)] * self.deeds
        await scene.world.power_cut(lost)


@frozen
class Copy:
    """Somebody makes a backup."""

    async def take(self, scene: Scene) -> None:
        """Make it."""
        scene.copy()


@frozen
class Restore:
    """The hive is restored: from the first backup there is, or as it stands."""

    async def take(self, scene: Scene) -> None:
        """Another log begins."""
        if not scene.backups:
            scene.copy()
        file, carried_out, known = scene.backups[0]
        await scene.world.restore(file, carried_out)
        commands = scene.world.mirror.commands
        scene.forgotten.update(key for key, one in commands.items() if known.get(key) is not one.held)
        scene.backups.clear()


@frozen
class Forge:
    """The client comes back with a position that nobody has ever been at."""

    lane: str
    boots: int

    async def take(self, scene: Scene) -> None:
        """Resume from there."""
        lane = scene.world.mirror.lanes[self.lane]
        if lane.at is None:
            return
        n, boot = lane.at
        ahead = NEVER if self.boots == 0 or self.lane != wire.JOURNAL else 0
        lane.at = (n + ahead, None if boot is None else boot + self.boots)
        scene.world.hang_up()
        scene.world.counts["forged"] += 1


COMMANDS: tuple[str, ...] = (
    "message.send",
    "message.send",
    "message.done",
    "message.read",
    "message.bury",
    "message.release",
    "message.redrive",
    "agent.pause",
    "agent.resume",
    "agent.kick",
    "client.token",
    "session.link",
    "hive.backup",
    "hive.stop",
)
STATES = {"message.done": "ready", "message.bury": "ready", "message.release": "blocked"}


def arguments_of(name: str, key: str, play: Play, file: Path) -> tuple[Json, Json]:
    """What a command is given, and what it expects to find."""
    match name:
        case "message.send":
            return {"to": play.random.choice([*NAMES, "operator"]), "body": key}, {}
        case "client.token":
            return {"agent": AGENT, "rotate": True}, {}
        case "hive.backup":
            return {"file": str(file)}, {}
        case "session.link" | "hive.stop":
            return {}, {}
        case _ if name.startswith("agent."):
            return {"agent": play.agent()}, {}
        case _:
            state = STATES.get(name)
            message = play.message(*([state] if state else []))
            return {"message": message}, {"state": state} if state and play.perhaps(2) else {}


@frozen
class Command:
    """The client asks for something, as often as not twice at once."""

    name: str
    seed: int
    times: int

    async def take(self, scene: Scene) -> None:
        """Ask."""
        world, chance = scene.world, Random(self.seed)
        key = f"{len(world.mirror.commands)}-{chance.getrandbits(64):016x}"
        play = Play(world.boot.store.reader, chance)
        given, expected = arguments_of(self.name, key, play, world.folder / key)
        world.say(world.mirror.command(key, self.name, given, expected, self.times))
        world.counts[self.name] += 1


@frozen
class Repeat:
    """The client asks again under the id of an earlier command, answered or not."""

    which: int

    async def take(self, scene: Scene) -> None:
        """Ask again, where it is still the same log."""
        mirror = scene.world.mirror
        mine = [one for one in mirror.commands.values() if one.log_id == mirror.log_id]
        if mine and mirror.live:
            scene.world.say(mine[self.which % len(mine)].ask(1))
            scene.world.counts["repeated"] += 1


seeds = st.integers(0, 2**16)
few = st.integers(1, 6)
spend = st.builds(Spend, st.sampled_from([0.02, 0.5, 1.0, 4.0, 12.0, 40.0]))
ODDS: tuple[tuple[int, st.SearchStrategy[Step]], ...] = (
    (2, spend),
    (5, st.builds(Happen, st.sampled_from([1, 2, 3, 5, 30]), seeds)),
    (6, st.builds(Deliver, few)),
    (5, st.builds(Command, st.sampled_from(COMMANDS), seeds, st.sampled_from([1, 1, 2]))),
    (2, st.builds(Repeat, few)),
    (3, st.builds(Meddle, st.sampled_from(["drop", "double", "late"]), few)),
    (1, st.builds(Renew, st.sampled_from(NAMES), st.booleans())),
    (1, st.builds(Forget, seeds)),
    (1, st.builds(Cut)),
    (1, st.builds(Forge, st.sampled_from(LANES), st.sampled_from([0, NEVER, -1]))),
    (1, st.builds(Restart, st.booleans())),
    (1, st.builds(PowerCut, few, seeds) | st.builds(Copy) | st.builds(Restore)),
)
"""How often each is drawn; the simplest comes first."""

steps: st.SearchStrategy[Step] = st.sampled_from([one for odds, one in ODDS for _ in range(odds)]).flatmap(
    lambda one: one
)


# --- what must hold ------------------------------------------------------------------------------


def check_command(world: World, key: str, asked: Asked) -> None:
    """It was carried out once where it was said to be, and answered the same every time."""
    name = asked.frame["name"]
    told = [ack for ack in asked.acks if ack["ok"] or ack["error"]["code"] not in REPEATED]
    held = [ack for ack in told if ack["ok"]]
    answers = {(ack["boot"] if name in PER_BOOT else 0, repr(ack["result"])) for ack in held}
    assert len(answers) == len({boot for boot, _ in answers}), f"{asked.frame} was answered {answers}"
    assert told[len(told) - len(held) :] == held, f"{asked.frame} had held and was refused: {told}"
    done = world.powers.backups[asked.frame["args"]["file"]] if name == "hive.backup" else None
    if name not in OUTSIDE:
        done = world.carried_out[key]
    assert done in (None, int(bool(held))), f"{asked.frame} was carried out {done} times: {told}"


def check_commands(scene: Scene) -> None:
    """Every command of the log that is."""
    world = scene.world
    asked = {
        key: one
        for key, one in world.mirror.commands.items()
        if key not in scene.forgotten and (one.log_id == world.mirror.log_id or not one.open)
    }
    for key, one in asked.items():
        check_command(world, key, one)
    stops = [one for one in asked.values() if one.frame["name"] == "hive.stop"]
    if not world.counts["restores"]:
        assert world.powers.stops == len(stops)


async def live(sim: Simulation, template: Path, folder: Path, history: list[Step]) -> "Counter[str]":
    """Live through a history, and let everything come to rest."""
    file = folder / "hive.sqlite3"
    shutil.copy(template, file)
    async with World(sim, folder, file, LIMITS).running() as world:
        scene = Scene(world)
        begin: tuple[Step, ...] = (Spend(0.02), Deliver(6))
        for step in (*begin, *history):
            await step.take(scene)
            world.compare()
        await world.rest()
        world.compare()
        check_commands(scene)
        for lane in world.mirror.lanes.values():
            counted = {"gaps": lane.gaps, "snapshots": lane.snapshots, "resyncs": lane.resyncs}
            world.counts.update(counted)
        return world.counts


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A store with two agents, made once; in memory where there is such a place: this is not about disks."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        with open_desk(Path(folder)):
            pass
        copied = Path(folder) / "template.sqlite3"
        backup(Path(folder) / "hive.sqlite3", copied)
        yield copied


@pytest.fixture(scope="module", autouse=True)
def bounds() -> Iterator[None]:
    """Bounds that a short history reaches."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in BOUNDS:
            patch.setattr(module, name, value)
        yield


def run(template: Path, history: list[Step], seed: int) -> "Counter[str]":
    """Live through a history in virtual time, in a folder of its own; tells how often what happened."""
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        return simulate(lambda sim: live(sim, template, Path(folder), history), seed)


READ: tuple[Step, ...] = (Spend(1.0), Deliver(6), Deliver(6), Deliver(6))

TRAPS: Mapping[str, tuple[tuple[Step, ...], ...]] = {
    "a restored log has the same number from the same boot, with something else in it": (
        (Copy(), Restart(ordered=True), *READ, *[Do(ask.SetStatus("rosa", "before"))] * 3, *READ),
        (Restore(), *[Do(ask.SetStatus("iris", "after"))] * 9, *READ),
    ),
    "a power cut is followed by as many events as it took": (
        (*READ, PowerCut(3, 1), *[Do(ask.SetStatus("rosa", "after"))] * 9, *READ),
    ),
    "the last event is lost, and only a beat tells": ((*READ, Meddle("drop", 0), Spend(0.1)),),
    "a gap is noticed when the snapshot that mends it has already begun": (
        (Happen(30, 0), Meddle("drop", 2)),
    ),
    "a long stream is forgotten while the client is away": (
        (*READ, Cut(), Forget(1), Forget(2), Restart(ordered=True), *READ),
    ),
    "a backup is asked for again after a restart": (
        (*READ, Command("hive.backup", 1, 1), *READ),
        (Restart(ordered=False), *READ, Repeat(0), *READ),
    ),
    "a refused command is asked again and holds, and the answer does not arrive": (
        (*[Spend(0.02)] * 6, Happen(1, 2), Command("message.redrive", 0, 1), *[Spend(0.02)] * 6),
        (Happen(3, 593), Spend(4.0), Repeat(1)),
    ),
    "a stop is answered, and the answer does not arrive": (
        (*READ, Command("hive.stop", 1, 1), Spend(0.5), Cut()),
        (*READ, Repeat(0), *READ),
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_history_that_was_thought_of_ends_where_a_snapshot_would(template: Path, trap: str) -> None:
    """What chance meets seldom, every time."""
    run(template, [step for steps in TRAPS[trap] for step in steps], 0)


STRUCK = (
    *("cuts", "drop", "double", "late", "forged", "repeated", "renewed", "forgotten"),
    *("restarts", "power cuts", "restores", "bye 1012"),
    *("gaps", "snapshots", "resyncs", "comparisons"),
    *COMMANDS,
)

TOUR: tuple[Step, ...] = (
    *(step for name in COMMANDS[:-1] for step in (Command(name, 1, 2), *READ, Repeat(1), *READ)),
    *(Happen(5, 4), *READ, Renew("iris", box=True), *READ, Copy(), Forget(1), *READ),
    *(step for how in ("drop", "double", "late") for step in (Meddle(how, 1), *READ, *READ)),
    *(step for seed in range(8) for step in (Happen(30, seed), *READ)),
    *(step for lane in LANES for step in (Spend(40.0), *READ, Forge(lane, 0), *READ)),
    *(Spend(40.0), *READ * 8, Command("hive.stop", 1, 1), *READ * 8, Restart(ordered=True), *READ * 8),
    *(PowerCut(2, 1), *READ, Cut(), *READ, Restore(), *READ),
)


def test_a_tour_of_all_that_can_happen_meets_all_of_it(template: Path) -> None:
    """What the histories are drawn from does happen: they are no idle talk."""
    struck = run(template, [*TOUR], 0)
    assert [one for one in STRUCK if not struck[one]] == [], struck


def live_through(template: Path, examples: int, longest: int) -> None:
    """Live through so many histories of at most so many steps."""

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(history=st.lists(steps, min_size=12, max_size=longest), seed=seeds)
    def histories(history: list[Step], seed: int) -> None:
        run(template, history, seed)

    histories()


def test_whatever_happens_a_client_ends_where_a_snapshot_would(template: Path) -> None:
    """In every lane it has open; and each command is carried out once, and answered the same every time."""
    live_through(template, 150, 20)


@pytest.mark.slow
def test_whatever_happens_for_long_a_client_ends_where_a_snapshot_would(template: Path) -> None:
    """The same, in longer histories and more of them."""
    live_through(template, 1_000, 60)
