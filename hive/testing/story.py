"""The life of one message, and what is said about a story that failed.

The rule kept here: whoever reads a failure can repeat it from one line of it, and sees what led to it
without running anything.
"""

from __future__ import annotations

import inspect
import platform
import sqlite3
from collections import Counter
from datetime import UTC
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import trio
from attrs import define, field, frozen

from hive import __version__
from hive.actors import HandlingEnded
from hive.protocol.mail import UNFINISHED, State
from hive.protocol.names import near
from hive.protocol.wording import why_sentence
from hive.retelling import AGAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from hive.actors import Fact
    from hive.protocol.mail import Mail
    from hive.protocol.views import JournalRow, TurnView
    from hive.store.port import Reader

    from .faults import Fault, Faults, Injector
    from .recorder import FactLog

LAST_FACTS = 30
"""How many facts a failure shows."""

LAST_STRIKES = 30
"""How many of the faults that struck between these facts a failure shows."""

STRIKES_KEPT = 10_000
"""Where so many faults struck is remembered: a probability of one makes as many as there are steps."""

EARLIER_STRIKES = 10
"""How many of the faults that struck before these facts a failure shows."""

SHOWN_MAIL = 5
"""The life stories of so many messages are shown with a failure."""

WELL = ("Done", "Held")
"""The verdicts of a handling that went well."""

SKIPS = ("Skipped", "SkipTest")
"""What skips a test is no failure; known by name, for the kit needs no pytest."""

HANDLED_SECONDS = 6 * 3600.0
"""How long `handled` waits, in virtual time."""


@define(eq=False)
class Letter:
    """One message, as it is whenever it is looked at."""

    id: str
    _reader: Reader = field(repr=False)
    _facts: FactLog = field(repr=False)

    @property
    def now(self) -> Mail:
        """The message as the store has it."""
        mail = self._reader.mail(self.id)
        assert mail is not None, f"there is no message {self.id}"
        return mail

    @property
    def state(self) -> State:
        """Where it is."""
        return self.now.state

    @property
    def why(self) -> str | None:
        """Why it came there, in words."""
        return self.now.why

    @property
    def body(self) -> str:
        """The whole text."""
        return self._reader.body(self.id) or self.now.body

    @property
    def story(self) -> tuple[JournalRow, ...]:
        """Everything that happened to it, in order."""
        return self._reader.story(self.id)

    @property
    def turns(self) -> tuple[TurnView, ...]:
        """The turns that held it, in order."""
        numbers = dict.fromkeys(row.data["turn"] for row in self.story if row.data.get("turn"))
        found = [self._reader.turn(number) for number in numbers if isinstance(number, int)]
        return tuple(turn for turn in found if turn is not None)

    async def handled(self, within: float = HANDLED_SECONDS) -> Mail:
        """Wait until it is done or dead.  Raises `trio.TooSlowError` after so many virtual seconds."""
        with trio.fail_after(within):
            await self._facts.wait_until(lambda: self.now.state not in UNFINISHED)
        return self.now

    def __str__(self) -> str:
        """Its life story, a line for each thing that happened."""
        mail = self.now
        head = f"{mail.id} from {mail.sender} to {mail.recipient}, {mail.state}: {mail.body[:60]!r}"
        return "\n".join((head, *(f"  {_line(row)}" for row in self.story)))


def _line(row: JournalRow) -> str:
    data = {key: row.data[key] for key in ("state", "turn", "attempts", "why") if row.data.get(key)}
    about = " ".join(f"{key}={value}" for key, value in data.items())
    return f"{row.seq:>5} boot {row.boot} {row.type} {about}"


@frozen
class Strike:
    """A fault that struck, and where."""

    fault: Fault
    step: int
    """Of all tasks, counted from the begin of the run."""

    seconds: float
    """Virtual ones."""

    facts: int
    """How many facts there had been."""

    whom: str | None
    """None where it hits nobody in particular, as a commit."""

    def __str__(self) -> str:
        """In a line, by its name at the end."""
        whom = "" if self.whom is None else f" {self.whom or 'nobody'}"
        return (
            f"! {self.fault.site} struck{whom} at step {self.step}, after {self.seconds:.3f} s ({self.fault})"
        )


@frozen
class Scene:
    """Where a story had come to when it failed."""

    seed: int
    injector: Injector
    facts: FactLog
    reader: Reader | None
    strikes: Collection[Strike]
    actors: Collection[str]
    """Those that the story started itself: each of their handlings is shown."""

    now: float
    """The wall clock."""


def explain(error: BaseException, scene: Scene, story: Callable[..., object]) -> None:
    """Add to an error how to repeat its run, what led to it, who is held, and the mail left unfinished."""
    if type(error).__name__ in SKIPS:
        return
    error.add_note(replay_line(scene.seed, scene.injector.plan, scene.injector.injected, story))
    for note in (*_led_to_it(scene), *_held(scene)):
        error.add_note(note)
    for letter in _involved(scene):
        error.add_note(str(letter))


def replay_line(seed: int, plan: Faults, injected: Sequence[Fault], story: Callable[..., object]) -> str:
    """One line from which the same run can be had again."""
    said = f"hive {__version__}, Python {platform.python_version()}"
    said += f", trio {trio.__version__}, SQLite {sqlite3.sqlite_version}"
    if struck := Counter(fault.site for fault in injected):
        kinds = ", ".join(f"{site} {count}" for site, count in sorted(struck.items()))
        said = f"{struck.total()} faults struck: {kinds}; {said}"
    command = AGAIN.get() or _simulated(seed, plan, story)
    if not command or " --faults " not in command:
        said = f"seed {seed}, faults {plan}; {said}"
    return f"replay: {command}  ({said})" if command else f"replay: {said}"


def _simulated(seed: int, plan: Faults, story: Callable[..., object]) -> str | None:
    """The command that tells this story alone; None for one that a file does not show by its name."""
    name = name_of(story)
    how = f"--seeds {seed}..{seed} --faults {quote(str(plan))}"
    return None if name is None else f"hive sim --story {quote(name)} {how}"


def name_of(story: Callable[..., object]) -> str | None:
    """FILE.py:NAME of a story that stands in a file of its own right; None for one inside a function."""
    name = getattr(story, "__qualname__", "")
    if not name.isidentifier() or (file := inspect.getsourcefile(inspect.unwrap(story))) is None:
        return None
    path = Path(file)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{name}"


def _telling(scene: Scene) -> list[tuple[int, Fact]]:
    """The last facts that say something, each with the number of those before it."""
    found: list[tuple[int, Fact]] = []
    for number, fact in zip(_downwards(scene.facts), reversed(scene.facts.facts), strict=False):
        if not _goes_without_saying(fact, scene):
            found.append((number, fact))
        if len(found) == LAST_FACTS:
            break
    return found[::-1]


def _downwards(facts: FactLog) -> Iterator[int]:
    return iter(range(facts.forgotten + len(facts.facts) - 1, -1, -1))


def _goes_without_saying(fact: Fact, scene: Scene) -> bool:
    """Whether it is one of hive's own handlings, and went well: there are dozens between two commits."""
    if scene.reader is None or not isinstance(fact, HandlingEnded) or fact.name in scene.actors:
        return False
    return not fact.attempts and fact.verdict in WELL


def _led_to_it(scene: Scene) -> Iterator[str]:
    """The last facts, between them the faults that struck, and some of those that struck before."""
    facts = _telling(scene)
    begin = facts[0][0] if facts else scene.facts.forgotten + len(scene.facts.facts)
    among = [one for one in scene.strikes if one.facts > begin][-LAST_STRIKES:]
    before = [one for one in scene.strikes if one.facts <= begin][-EARLIER_STRIKES:]
    if before:
        struck = len(scene.injector.injected) - len(among)
        yield _listed(f"the last {len(before)} of {struck} faults that struck before:", before)
    if facts:
        lines: list[tuple[int, Fact | Strike]] = [(number + 1, fact) for number, fact in facts]
        lines += [(one.facts, one) for one in among]
        lines.sort(key=lambda line: line[0])
        yield _listed(f"the last {len(facts)} facts:", [one for _, one in lines])


def _listed(head: str, lines: Sequence[object]) -> str:
    return "\n".join((head, *(f"  {line}" for line in lines)))


def _held(scene: Scene) -> Iterator[str]:
    """Who is parked, and why."""
    agents = () if scene.reader is None else scene.reader.agents()
    held = [why_sentence(view, scene.now, UTC) for view in agents if view.parked and view.removed_at is None]
    if held:
        yield _listed("agents that are held:", held)


def meant(name: str, known: Iterable[str]) -> str:
    """What somebody may have meant who wrote a name that nobody bears; in words."""
    known = list(known)
    if similar := near(name, known):
        return f"did you mean {' or '.join(similar)}?"
    return f"there are {', '.join(known) or 'none'}"


def _involved(scene: Scene) -> Iterator[Letter]:
    if scene.reader is not None:
        unhappy = [mail.id for mail in (*scene.reader.unfinished(), *scene.reader.dead())]
        for message in unhappy[:SHOWN_MAIL]:
            yield Letter(message, scene.reader, scene.facts)
