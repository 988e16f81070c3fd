"""What simulated code must not call, what it calls instead, and who may all the same.

The rule kept here: each entry can be argued with. A name stands here because two runs of one seed could
differ by it; an exception stands here with the reason why they cannot.
"""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from sys import modules
from typing import Final

from attrs import frozen

Arguments = Callable[[tuple[object, ...], Mapping[str, object]], bool]


def always(_given: tuple[object, ...], _named: Mapping[str, object]) -> bool:
    """Whatever the arguments are."""
    return True


def _without(position: int, name: str) -> Arguments:
    def missing(given: tuple[object, ...], named: Mapping[str, object]) -> bool:
        value = given[position] if len(given) > position else named.get(name)
        return value is None

    return missing


@frozen
class Forbidden:
    """One thing that simulated code must not call."""

    module: str
    path: str
    """The attribute of the module, dotted where it belongs to a class."""

    instead: str
    when: Arguments = always
    acts: bool = False
    """Whether it reaches out of the simulation: then it is stopped, not only noted."""

    shown: str = ""
    """What it is called in an error, where that is not module and path."""

    @property
    def name(self) -> str:
        """What it is called in an error."""
        return self.shown or f"{self.module}.{self.path}"

    @property
    def owner(self) -> object | None:
        """The module or class that has it, if it has been imported."""
        owner: object = modules.get(self.module)
        for part in self.path.split(".")[:-1]:
            owner = getattr(owner, part, None)
        return owner

    @property
    def attribute(self) -> str:
        """What its owner calls it."""
        return self.path.rpartition(".")[2]


@frozen
class Allowed:
    """An exception: code of these modules may call these things, for a reason that is written down.

    `module` and `what` are patterns as of `fnmatch`: `"shop.clock"`, `"time.*"`.
    """

    module: str
    what: str
    why: str

    def covers(self, module: str, name: str) -> bool:
        """Whether this excuses such a call."""
        return fnmatchcase(module, self.module) and fnmatchcase(name, self.what)


WALL: Final = "take the wall clock from the simulation: sim.wall(), or ctx.wall() in an actor"
CLOCK: Final = "take virtual time: trio.current_time(), or ctx.now() in an actor"
CHANCE: Final = "take chance from the simulation: sim.random, or ctx.random in an actor"
IDS: Final = "draw ids from the simulation's chance: uuid.UUID(int=sim.random.getrandbits(128), version=4)"
TASKS: Final = "run a task: a nursery's start_soon, or ctx.spawn in an actor"
NETWORK: Final = "put the network behind a port, and give the simulation one in memory"
PROGRAMS: Final = "put the program behind a port, and give the simulation a stand-in"

_RANDOM: Final = (
    "betavariate choice choices expovariate gammavariate gauss getrandbits lognormvariate normalvariate "
    "paretovariate randbytes randint random randrange sample seed shuffle triangular uniform vonmisesvariate "
    "weibullvariate"
)


def _each(module: str, paths: str, instead: str, *, acts: bool = False) -> tuple[Forbidden, ...]:
    return tuple(Forbidden(module, path, instead, acts=acts) for path in paths.split())


FORBIDDEN: Final = (
    *_each("time", "time time_ns", WALL),
    *_each("time", "monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns", CLOCK),
    *_each("time", "clock_gettime clock_gettime_ns thread_time thread_time_ns", CLOCK),
    Forbidden("time", "sleep", "await trio.sleep(...): virtual time passes at once", acts=True),
    *(Forbidden("time", name, WALL, _without(0, "")) for name in ("localtime", "gmtime", "ctime", "asctime")),
    Forbidden("time", "strftime", WALL, _without(1, "")),
    *_each("datetime", "datetime.now datetime.utcnow date.today", WALL),
    *_each("random", _RANDOM, CHANCE),
    Forbidden("random", "Random.seed", CHANCE, _without(1, "a"), shown="random.Random() without a seed"),
    *_each("random", "SystemRandom.random SystemRandom.getrandbits SystemRandom.randbytes", CHANCE),
    *_each("secrets", "choice randbelow randbits token_bytes token_hex token_urlsafe", CHANCE),
    *_each("uuid", "uuid1 uuid4 uuid6 uuid7", IDS),
    *_each("os", "urandom getrandom", CHANCE),
    *_each("os", "fork forkpty posix_spawn posix_spawnp system popen", PROGRAMS, acts=True),
    Forbidden("subprocess", "Popen.__init__", PROGRAMS, acts=True, shown="subprocess.Popen"),
    *_each("trio", "run_process lowlevel.open_process", PROGRAMS, acts=True),
    Forbidden("threading", "Thread.start", TASKS, acts=True),
    # The older name of the first and, from Python 3.13 on, what `Thread.start` itself takes.
    *_each("_thread", "start_new_thread start_new start_joinable_thread", TASKS, acts=True),
    *_each("trio", "to_thread.run_sync from_thread.run from_thread.run_sync", TASKS, acts=True),
    # What Trio does in threads of its own accord (files, name service) comes by here.
    Forbidden(
        "trio._core._thread_cache", "ThreadCache.start_thread_soon", TASKS, acts=True, shown="trio's threads"
    ),
    Forbidden("concurrent.futures.thread", "ThreadPoolExecutor.submit", TASKS, acts=True),
    Forbidden("concurrent.futures.process", "ProcessPoolExecutor.submit", TASKS, acts=True),
    *_each("asyncio", "run new_event_loop", TASKS, acts=True),
    Forbidden("socket", "socket.__init__", NETWORK, acts=True, shown="socket.socket"),
    *_each("socket", "socket.connect socket.connect_ex socket.bind getaddrinfo", NETWORK, acts=True),
)
"""Everything the guard looks for."""

ALLOWED: Final = (
    Allowed("hive.testing.guard", "*", "a forbidden call calls others, and has been noted already"),
    Allowed("trio._core._mock_clock", "time.perf_counter", "it makes the virtual clock, at rate zero"),
    Allowed("logging", "time.*", "a log line bears the time at which a person sees it; nothing reads it"),
    Allowed("logging.*", "time.*", "as above"),
    Allowed("tempfile", "random.Random*", "the names of temporary files, which are not to be foreseen"),
    Allowed(
        "hive.store.opening", "*", "sqlite-utils notes when a migration ran and draws a savepoint's name"
    ),
    Allowed("hive.mcp.server", "os.urandom", "the key of a seal: what it seals is opened, never compared"),
    Allowed("mcp.client.client", "uuid.uuid4", "the name of a client's own cache, never sent"),
    Allowed("_pytest.*", "*", "the test runner is not simulated"),
    Allowed("hypothesis.*", "*", "it has a seed of its own"),
)
"""Exceptions that hold in every simulation. A story's own are handed to the guard."""

PASS_ON: Final = frozenset({"hive.actors._core.hive", "hive.store.sqlite"})
"""Modules that take real chance unless they are handed another: whoever calls them is answerable."""
