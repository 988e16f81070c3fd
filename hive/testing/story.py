"""The life of one message, and what is said about a story that failed.

The rule kept here: whoever reads a failure can repeat it from one line of it, and sees what led to it
without running anything.
"""

from __future__ import annotations

import inspect
import platform
import sqlite3
from collections import Counter
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import trio
from attrs import define, field, frozen

from hive import __version__
from hive.protocol.mail import UNFINISHED, State
from hive.retelling import AGAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hive.protocol.mail import Mail
    from hive.protocol.views import JournalRow, TurnView
    from hive.store.port import Reader

    from .faults import Fault, Faults, Injector
    from .recorder import FactLog

LAST_FACTS = 30
"""How many facts a failure shows."""

SHOWN_MAIL = 5
"""The life stories of so many messages are shown with a failure."""

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
class Scene:
    """Where a story had come to when it failed."""

    seed: int
    injector: Injector
    facts: FactLog
    reader: Reader | None


def explain(error: BaseException, scene: Scene, story: Callable[..., object]) -> None:
    """Add to an error how to repeat its run, its last facts, and the mail that was left unfinished."""
    if type(error).__name__ in SKIPS:
        return
    error.add_note(replay_line(scene.seed, scene.injector.plan, scene.injector.injected, story))
    if facts := scene.facts.facts[-LAST_FACTS:]:
        error.add_note("\n".join((f"the last {len(facts)} facts:", *(f"  {one}" for one in facts))))
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


def _involved(scene: Scene) -> Iterator[Letter]:
    if scene.reader is not None:
        unhappy = [mail.id for mail in (*scene.reader.unfinished(), *scene.reader.dead())]
        for message in unhappy[:SHOWN_MAIL]:
            yield Letter(message, scene.reader, scene.facts)
