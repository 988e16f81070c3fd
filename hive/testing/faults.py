"""What may go wrong in a simulation, at which sites, how often, and in which order it did.

The rule kept here: whether a site fails depends on the seed and on how often it has been passed, on nothing
else.  So every fault has a name of its own, a run can be repeated with some of its faults left out, and a
story's own chance is the same with and without them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import inf, isfinite
from random import Random
from typing import Final, Self

from attrs import define, field, fields, frozen


class Site(StrEnum):
    """Where something can go wrong."""

    CRASH = "crash"
    HANG = "hang"
    CUT_STREAM = "cut_stream"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    DROP_HINT = "drop_hint"
    FAIL_COMMIT = "fail_commit"
    FULL_DISK = "full_disk"
    KILL_DAEMON = "kill_daemon"
    LOSE_BOX = "lose_box"
    LOSE_ANSWER = "lose_answer"
    JUMP_CLOCK = "jump_clock"


STEP_SITES: Final = (Site.CRASH, Site.KILL_DAEMON, Site.LOSE_BOX, Site.JUMP_CLOCK)
"""Passed before every step of any task; the others where what they spoil is done."""


@frozen
class Fault:
    """One thing that went wrong: at the `nth` pass of a site."""

    site: Site
    nth: int
    chance: float
    """From 0 to 1: decides whatever the site leaves open, as whom it hits, or for how long."""

    def __str__(self) -> str:
        """As `Faults.parse` reads it."""
        return f"{self.site}@{self.nth}:{self.chance!r}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `site@nth:chance`.  Raises `ValueError`."""
        site, _, rest = text.partition("@")
        nth, _, chance = rest.partition(":")
        fault = cls(Site(site), int(nth), float(chance))
        if fault.nth < 1 or not 0.0 <= fault.chance <= 1.0:
            raise ValueError(f"{text!r}: NTH counts from 1, and CHANCE is from 0 to 1")
        return fault


def _rate(default: float = 0.0) -> float:
    def check(_: object, attribute: object, value: float) -> None:
        if not 0.0 <= value <= 1.0:
            message = f"{getattr(attribute, 'name', 'a rate')} is a probability, from 0 to 1, not {value!r}"
            raise ValueError(message)

    return field(default=default, validator=check)


@frozen(kw_only=True)
class Faults:
    """For each site the probability that it fails when it is passed; by default nothing goes wrong."""

    crash: float = _rate()
    """At each step of a task: some actor's incarnation ends, without its grace."""

    hang: float = _rate()
    """At each event of a turn: its agent says nothing more, until a watchdog has had enough."""

    cut_stream: float = _rate()
    """At each event of a turn: the connection to the agent breaks."""

    delay: float = _rate()
    """At each commit and each request to an endpoint: it takes up to ten seconds longer."""

    duplicate: float = _rate()
    """At each command and each request that may be repeated: it arrives twice."""

    drop_hint: float = _rate()
    """At each commit: nobody is told to look."""

    fail_commit: float = _rate()
    """At each commit: it fails, once."""

    full_disk: float = _rate()
    """At each commit: it fails, and so do all for up to half a minute."""

    kill_daemon: float = _rate()
    """At each step of a task: the daemon is killed, as by SIGKILL, and started again."""

    lose_box: float = _rate()
    """At each step of a task: some agent's box is gone."""

    lose_answer: float = _rate()
    """At each answer of an endpoint: its client never reads it."""

    jump_clock: float = _rate()
    """At each step of a task: the wall clock is set, by up to an hour either way."""

    exactly: tuple[Fault, ...] | None = None
    """If given, these go wrong and nothing else: the way a run is repeated."""

    @classmethod
    def some(cls, scale: float = 1.0) -> Self:
        """Of everything a little, at rates that a swarm at work gets through; `scale` is a factor for all."""
        return cls(**{site: min(1.0, rate * scale) for site, rate in SOME.items()})  # type: ignore[arg-type]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a command line says: `none`, `some`, `some*3`, `crash=0.01,hang=0.1`, or faults by name.

        Raises `ValueError`, whose text says what can be written.
        """
        words = [word for word in text.split(",") if word]
        match words:
            case ["none"] | []:
                return cls()
            case [some] if some.partition("*")[0] == "some":
                return cls.some(_number(some.partition("*")[2] or "1"))
            case _ if all("@" in word for word in words):
                faults = tuple(_named(word) for word in words)
                _check_once(f"{fault.site}@{fault.nth}" for fault in faults)
                return cls(exactly=faults)
            case _:
                rates = [_given(word) for word in words]
                _check_once(site for site, _ in rates)
                return cls(**dict(rates))  # type: ignore[arg-type]

    def __str__(self) -> str:
        """As `parse` reads it."""
        if self.exactly is not None:
            return ",".join(map(str, self.exactly)) or "none"
        rates = {name: rate for name, rate in self.rates.items() if rate}
        return ",".join(f"{name}={rate!r}" for name, rate in rates.items()) or "none"

    @property
    def none(self) -> bool:
        """Whether nothing ever goes wrong."""
        return self.exactly is None and not any(self.rates.values())

    @property
    def rates(self) -> Mapping[Site, float]:
        """The probability of every site."""
        return {site: getattr(self, site.value) for site in Site}


HOW: Final = (
    "write none, some, some*FACTOR, SITE=PROBABILITY,… or SITE@NTH:CHANCE,…; the sites are " + ", ".join(Site)
)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number; {HOW}") from None
    if not isfinite(number):  # min(1.0, nan) would be certainty
        raise ValueError(f"{text!r} is no number to reckon with; {HOW}")
    return number


def _named(word: str) -> Fault:
    try:
        return Fault.parse(word)
    except ValueError:
        raise ValueError(
            f"{word!r} names no fault: NTH counts from 1, and CHANCE is from 0 to 1; {HOW}"
        ) from None


def _check_once(names: Iterable[str]) -> None:
    """Whoever writes a thing twice means one of the two, and nobody knows which."""
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{name} is there twice; {HOW}")


def _given(word: str) -> tuple[str, float]:
    site, equals, rate = word.partition("=")
    if not equals or site not in [one.value for one in Site]:
        raise ValueError(f"{word!r} says nothing about a site; {HOW}")
    return site, _number(rate)


SOME: Final[Mapping[Site, float]] = {
    Site.CRASH: 0.001,
    Site.HANG: 0.008,
    Site.CUT_STREAM: 0.02,
    Site.DELAY: 0.05,
    Site.DUPLICATE: 0.08,
    Site.DROP_HINT: 0.2,
    Site.FAIL_COMMIT: 0.02,
    Site.FULL_DISK: 0.006,
    Site.KILL_DAEMON: 0.0005,
    Site.LOSE_BOX: 0.001,
    Site.LOSE_ANSWER: 0.1,
    Site.JUMP_CLOCK: 0.0005,
}
"""A swarm at work takes some ten thousand steps in an hour; so this is a few faults of each kind."""

assert {one.name for one in fields(Faults)} == {*Site, "exactly"}

AHEAD_STEPS: Final = 1_000
"""For so many steps at most it is drawn ahead whether one of them meets a fault."""


@define(eq=False)
class Injector:
    """Decides at every pass of a site whether it fails, and keeps a list of those that did."""

    plan: Faults
    seed: int
    injected: list[Fault] = field(factory=list, init=False)
    active: bool = field(default=False, init=False)
    """Only an active one counts passes."""

    _passed: Counter[Site] = field(factory=Counter, init=False)
    _chance: dict[Site, Random] = field(init=False)
    _rates: Mapping[Site, float] = field(init=False)
    _exactly: Mapping[tuple[Site, int], Fault] | None = field(init=False)
    _steps: int = field(default=0, init=False)
    _ahead: dict[Site, tuple[float, Fault | None]] = field(init=False)
    """Of each site of steps: the step up to which is known what happens, and what happens at that one."""

    _known: float = field(init=False)
    """Nothing happens before this step."""

    def __attrs_post_init__(self) -> None:
        """Give each site a chance of its own, so that leaving one out changes no other."""
        self._rates = self.plan.rates
        self._chance = {site: Random(f"{self.seed} {site}") for site in Site}
        exactly = self.plan.exactly
        self._exactly = None if exactly is None else {(one.site, one.nth): one for one in exactly}
        self._ahead = {site: self._look_ahead(site) for site in STEP_SITES}
        self._known = min(step for step, _ in self._ahead.values())

    def at(self, site: Site) -> Fault | None:
        """Pass a site, not one of steps: the fault it meets there, if any."""
        if not self.active:
            return None
        self._passed[site] += 1
        nth = self._passed[site]
        fault = self._drawn(site, nth) if self._exactly is None else self._exactly.get((site, nth))
        if fault is not None:
            self.injected.append(fault)
        return fault

    def _drawn(self, site: Site, nth: int) -> Fault | None:
        rate, chance = self._rates[site], self._chance[site].random
        return Fault(site, nth, chance()) if rate and chance() < rate else None

    def on_step(self) -> Sequence[Fault]:
        """Pass the sites of steps, before a step of any task: the faults it meets there.

        Steps are many, and almost none meets one: what is drawn is drawn ahead.
        """
        if not self.active:
            return ()
        self._steps += 1
        return () if self._steps < self._known else self._due()

    def _due(self) -> Sequence[Fault]:
        due = [site for site, (step, _) in self._ahead.items() if step == self._steps]
        faults = [fault for site in due if (fault := self._ahead[site][1]) is not None]
        self._ahead.update((site, self._look_ahead(site)) for site in due)
        self._known = min(step for step, _ in self._ahead.values())
        self.injected += faults
        return faults

    def _look_ahead(self, site: Site) -> tuple[float, Fault | None]:
        """The next step at which this site fails, or one before which it does not."""
        if self._exactly is not None:
            named = [nth for one, nth in self._exactly if one is site and nth > self._steps]
            return (min(named), self._exactly[site, min(named)]) if named else (inf, None)
        if not self._rates[site]:
            return inf, None
        beyond = self._steps + AHEAD_STEPS
        drawn = (self._drawn(site, nth) for nth in range(self._steps + 1, beyond + 1))
        fault = next((one for one in drawn if one is not None), None)
        return (beyond, None) if fault is None else (fault.nth, fault)
