"""The guard names the line that breaks the contract of determinism, and nothing else."""

# ruff: noqa: PLW0108 - a lambda is the line that the guard has to name

import _thread
import datetime as dt
import importlib
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime as imported_datetime
from pathlib import Path
from random import choice as imported_choice
from time import time as imported_time
from types import ModuleType

import pytest
import trio
import trio.testing

from hive.actors import Actor, ChildSpec, Context, Message, open_hive
from hive.testing import Note, Simulation, simulate
from hive.testing.forbidden import FORBIDDEN, Allowed
from hive.testing.guard import NotDeterministic, guarded
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm

HERE = Path(__file__).name
BOUND_EARLY = time.time


def found(act: Callable[[], object], *, strict: bool = False, allowed: tuple[Allowed, ...] = ()) -> str:
    """What the guard says of a story that does this, or nothing."""

    async def story(_: Simulation) -> None:
        act()

    return told(story, strict=strict, allowed=allowed)


def told(
    story: Callable[[Simulation], Awaitable[object]],
    *,
    strict: bool = False,
    allowed: tuple[Allowed, ...] = (),
) -> str:
    """What the guard says of a story, or nothing."""
    try:
        with guarded(strict=strict, allowed=allowed):
            simulate(story, 0)
    except NotDeterministic as error:
        return str(error)
    return ""


READS: dict[str, Callable[[], object]] = {
    "time.time()": lambda: time.time(),
    "time.time() ": lambda: imported_time(),
    "time.time_ns()": lambda: time.time_ns(),
    "time.monotonic()": lambda: time.monotonic(),
    "time.perf_counter()": lambda: time.perf_counter(),
    "time.clock_gettime()": lambda: time.clock_gettime(time.CLOCK_MONOTONIC),
    "time.clock_gettime_ns()": lambda: time.clock_gettime_ns(time.CLOCK_REALTIME),
    "time.thread_time()": lambda: time.thread_time(),
    "time.localtime()": lambda: time.localtime(),
    "time.gmtime()": lambda: time.gmtime(None),
    "time.strftime()": lambda: time.strftime("%H"),
    "datetime.datetime.now()": lambda: dt.datetime.now(dt.UTC),
    "datetime.datetime.now() ": lambda: imported_datetime.now(tz=dt.UTC),
    "datetime.datetime.utcnow()": lambda: imported_datetime.utcnow(),  # noqa: DTZ003 - what is looked for
    "datetime.date.today()": lambda: dt.date.today(),  # noqa: DTZ011 - what is looked for
    "datetime.date.today() ": lambda: imported_datetime.today(),  # noqa: DTZ002 - what is looked for
    "random.random()": lambda: random.random(),
    "random.choice()": lambda: imported_choice("ab"),
    "random.shuffle()": lambda: random.shuffle([]),
    "random.Random() without a seed": lambda: random.Random(),
    "random.SystemRandom.random()": lambda: random.SystemRandom(1).random(),
    "os.urandom()": lambda: os.urandom(1),
    "secrets.token_hex()": lambda: secrets.token_hex(),
    "secrets.choice()": lambda: secrets.choice("ab"),
    "uuid.uuid1()": lambda: uuid.uuid1(),
    "uuid.uuid4()": lambda: uuid.uuid4(),
}

ACTS: dict[str, Callable[[], object]] = {
    "time.sleep()": lambda: time.sleep(60),
    "threading.Thread.start()": lambda: threading.Thread(target=print).start(),
    "_thread.start_new_thread()": lambda: _thread.start_new_thread(print, ()),
    "socket.socket()": lambda: socket.socket(),
    "socket.getaddrinfo()": lambda: socket.getaddrinfo("localhost", 80),
    "subprocess.Popen()": lambda: subprocess.Popen(["true"]),
    "subprocess.Popen() ": lambda: subprocess.run(["true"], check=True),
    "os.fork()": lambda: os.fork(),
    "os.system()": lambda: os.system("true"),
}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", [*READS, *ACTS])
def test_what_would_differ_is_named_with_its_line_and_what_to_do_instead(name: str, *, strict: bool) -> None:
    """However it was imported, and whether it is written in Python or in C."""
    act = (READS | ACTS)[name]

    said = found(act, strict=strict).splitlines()[0]

    assert said.startswith(f"{name.strip()} at ")
    assert f"{HERE}:{act.__code__.co_firstlineno} in <lambda>: " in said
    assert len(said.rpartition(": ")[2]) > 5


def test_the_error_reads_like_this() -> None:
    """The whole sentence."""
    line = READS["time.time()"].__code__.co_firstlineno
    do = "take the wall clock from the simulation: sim.wall(), or ctx.wall() in an actor"
    assert found(READS["time.time()"]) == f"time.time() at tests/testing/{HERE}:{line} in <lambda>: {do}"


@pytest.mark.parametrize(
    "act",
    [
        lambda: time.localtime(3),
        lambda: time.strftime("%H", time.gmtime(0)),
        lambda: dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        lambda: dt.datetime.fromtimestamp(5, tz=dt.UTC),
        lambda: random.Random(3).random(),
        lambda: random.Random(x=3).choice("ab"),
        lambda: uuid.UUID(int=random.Random(1).getrandbits(128), version=4),
        lambda: logging.getLogger("quiet").debug("a line"),
        lambda: trio.current_time(),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_what_comes_out_the_same_is_left_alone(act: Callable[[], object], *, strict: bool) -> None:
    """A time that was handed over, chance with a seed, and what only a person reads."""
    assert found(act, strict=strict) == ""


def test_a_log_line_may_bear_the_time() -> None:
    """Nothing in a story reads it."""
    logger = logging.getLogger("test of the guard")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.INFO)
    assert found(lambda: logger.info("said")) == ""


def test_one_run_shows_every_place_once() -> None:
    """What is only read does not stop the story; a loop over it is one place."""

    def act() -> None:
        for _ in range(3):
            time.time()
        random.random()

    assert [line.partition(" at ")[0] for line in found(act).splitlines()] == [
        "time.time()",
        "random.random()",
    ]


def test_more_places_than_anybody_reads_are_counted() -> None:
    """The first ten are named."""

    def act() -> None:
        for read in READS.values():
            read()

    lines = found(act).splitlines()
    assert len(lines) == 11
    assert lines[-1] == f"and {len(READS) - 10} more"


async def in_a_thread(_: Simulation) -> None:
    """Leave the only thread."""
    await trio.to_thread.run_sync(print)


async def through_trio(_: Simulation) -> None:
    """Trio uses a thread for files."""
    await trio.Path(__file__).exists()


async def run_a_program(_: Simulation) -> None:
    """Start a process."""
    await trio.run_process(["true"])


async def to_the_network(_: Simulation) -> None:
    """Open a connection."""
    await trio.open_tcp_stream("127.0.0.1", 9)


@pytest.mark.parametrize(
    ("story", "name"),
    [
        (in_a_thread, "trio.to_thread.run_sync()"),
        (through_trio, "trio's threads"),
        (run_a_program, "trio.run_process()"),
        (to_the_network, "socket.getaddrinfo()"),
    ],
)
def test_what_a_library_does_is_the_doing_of_whoever_asked_it(
    story: Callable[[Simulation], Awaitable[object]], name: str
) -> None:
    """The line named is the last one of the story, not one of the library."""
    said = told(story).splitlines()[0]

    assert said.startswith(f"{name} at ")
    assert f" in {story.__name__}: " in said


class Careless(Actor):
    """Looks at the clock."""

    async def handle(self, message: Message, ctx: Context) -> object:
        """As nobody should."""
        del message, ctx
        time.sleep(5)  # noqa: ASYNC251 - what is looked for
        return None


def test_an_actor_that_is_stopped_and_restarted_fails_the_run_all_the_same() -> None:
    """The supervisor survives the crash; the guard does not forget."""

    async def story(sim: Simulation) -> str:
        async with sim.hive(ChildSpec("careless", Careless)) as hive:
            hive.ref("careless").tell(Note("go"))
            await trio.sleep(10)
        return "the story was told"

    with pytest.raises(NotDeterministic, match=r"time\.sleep\(\) at .* in Careless\.handle"), guarded():
        simulate(story, 0)


def test_another_failure_is_the_cause_of_the_guards() -> None:
    """What failed may well have failed because of it."""

    async def story(_: Simulation) -> None:
        assert time.time() == 0

    with pytest.raises(NotDeterministic) as caught, guarded():
        simulate(story, 0)
    assert type(caught.value.__cause__) is AssertionError
    assert [one.what for one in caught.value.violations] == ["time.time"]


def test_a_story_that_only_fails_fails_as_it_would_without() -> None:
    """The guard says nothing about what is none of its business."""

    async def story(_: Simulation) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), guarded():
        simulate(story, 0)


def test_who_takes_hives_defaults_in_a_story_is_answerable_for_them() -> None:
    """`open_hive` has a clock and a chance of its own, for production."""

    async def story(_: Simulation) -> None:
        async with open_hive():
            pass

    assert f"random.Random() without a seed at tests/testing/{HERE}:" in told(story)


def test_what_a_library_does_while_it_is_imported_is_not_the_importers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The MCP SDK draws a key when it is first imported; what the importer does itself is judged as ever."""
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "draws_at_import.py").write_text("import os\nkey = os.urandom(8)\n")
    monkeypatch.syspath_prepend(library)

    assert found(lambda: importlib.import_module("draws_at_import")) == ""
    assert found(lambda: os.urandom(8))


def test_an_exception_is_declared_with_its_reason() -> None:
    """By module and name."""
    allowed = (Allowed(f"*{Path(__file__).stem}", "time.*", "this test is about exceptions"),)

    assert found(lambda: time.time(), allowed=allowed) == ""
    assert found(lambda: random.random(), allowed=allowed)
    assert found(lambda: time.time(), allowed=(Allowed("elsewhere", "*", "not here"),))


def test_strict_finds_what_was_put_aside_before_the_guard_was_up() -> None:
    """By default only names of modules are replaced: a default or an attribute keeps the real thing."""

    def act(wall: Callable[[], float] = BOUND_EARLY) -> float:
        return wall()

    kept: dict[str, Callable[[], object]] = {
        "draw": uuid.uuid4,
        "now": imported_datetime.now,
        "chance": random.random,
    }
    assert found(act) == ""
    assert found(act, strict=True).startswith("time.time() at ")
    assert found(lambda: kept["draw"](), strict=True).startswith("uuid.uuid4() at ")
    assert found(lambda: kept["now"](), strict=True).startswith("datetime.datetime.now() at ")
    assert found(lambda: kept["chance"](), strict=True).startswith("random.random() at ")


def test_outside_of_the_run_and_in_other_threads_everything_is_allowed() -> None:
    """Only simulated code is judged: not the test around it, nor a real loop beside it."""

    async def real() -> None:
        seen.append(uuid.uuid4())

    seen: list[uuid.UUID] = []
    with guarded():
        assert time.time() > 0
        assert random.Random().random() < 1
        thread = threading.Thread(target=trio.run, args=[real])
        thread.start()
        thread.join()
    assert len(seen) == 1


def test_a_virtual_clock_is_not_slowed_down() -> None:
    """It asks for the time at every step. Guards the private name of Trio that this rests on."""
    real = time.perf_counter
    with guarded():
        assert time.perf_counter is not real
        assert trio.testing.MockClock()._real_clock is real
    assert vars(trio._core._mock_clock)["time"] is time


def test_everything_is_as_it_was_afterwards() -> None:
    """Also after a failure; and a guard in a guard is still one guard."""
    before = _everything()
    profile = sys.getprofile()
    with pytest.raises(ZeroDivisionError), guarded(strict=True), guarded():
        assert _everything() != before
        raise ZeroDivisionError

    assert _everything() == before
    assert imported_time is time.time is BOUND_EARLY
    assert sys.getprofile() is profile
    assert "connect" not in vars(socket.socket)


def _everything() -> list[object]:
    known = [what for what in FORBIDDEN if what.owner is not None and hasattr(what.owner, what.attribute)]
    assert len(known) > 60
    return [getattr(what.owner, what.attribute) for what in known]


def test_a_guard_that_was_imported_by_a_story_under_way_still_works(tmp_path: Path) -> None:
    """A module that is first imported within a run keeps what stood in."""
    (tmp_path / "late_import_of_time.py").write_text(
        "from time import time\ndef late():\n    return time()\n"
    )

    def act() -> None:
        module = ModuleType("late_import_of_time")
        file = tmp_path / "late_import_of_time.py"
        exec(compile(file.read_text(), file, "exec"), vars(module))
        module.late()
        kept.append(module.late)

    kept: list[Callable[[], float]] = []
    assert "late_import_of_time.py:3 in late" in found(act)
    assert kept[0]() > 0
    assert "late_import_of_time.py:3 in late" in found(kept[0])


def test_a_subclass_of_datetime_still_makes_its_own_kind() -> None:
    """Nothing but the noting changes."""

    class Mine(dt.datetime):
        """A datetime of ours."""

    made: list[object] = []
    found(lambda: made.extend([Mine.now(dt.UTC), Mine.today(), imported_datetime.today()]))  # noqa: DTZ002
    assert [type(one) for one in made] == [Mine, Mine, imported_datetime]


async def a_day_at_work(swarm: Swarm) -> None:
    """Mail, turns, tools and a death."""
    await swarm.add("iris")
    await swarm.add("boss")
    await swarm.send("iris", '!call hive/send {"to": "boss", "body": "x"}\n!say done')
    await swarm.settle()
    swarm.restart_daemon()
    await swarm.send("iris", "!call hive/recv {}\n!say done")
    await swarm.settle()


@pytest.mark.parametrize("strict", [False, True])
def test_hive_itself_keeps_the_contract(*, strict: bool) -> None:
    """The real store, actors, turns and endpoint, with nothing to excuse but what the table says."""
    with guarded(a_day_at_work, strict=strict):
        run_swarm(a_day_at_work, 0)


@pytest.mark.parametrize("strict", [False, True])
def test_a_temporary_file_may_have_any_name(monkeypatch: pytest.MonkeyPatch, *, strict: bool) -> None:
    """Also the first one of a process, with which the generator of the names is made."""
    monkeypatch.setattr(tempfile, "_name_sequence", None)

    def make() -> None:
        with tempfile.TemporaryDirectory():
            pass

    assert not found(make, strict=strict)
