"""Stories under many seeds, in several processes at once, and their failures made smaller.

The rule kept here: a story may do anything to the process that tells it, and its seed is reported all the
same; a process is ended by its own id, and waited for so long and no longer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import trio
from attrs import define, evolve, field, frozen

from .lookup import NoStory
from .shrink import shrinking
from .simulate import difference
from .summary import DIFFERENCE, Shrunk, Summary, joined
from .tally import Told
from .telling import scratch

START_SECONDS = 120.0
"""How long a process may take to import the stories."""

END_SECONDS = 5.0
"""How long a process that was killed is waited for."""

CHUNK = 65_536


@frozen
class Plan:
    """What is to be told."""

    stories: tuple[str, ...]
    """Dealt out over the seeds in turn."""

    seeds: range
    faults: str = "none"
    jobs: int = 1
    seconds_per_seed: float = 120.0
    twice: bool = False
    stop_at: int | None = None
    shrink: bool = False

    def story(self, seed: int) -> str:
        """The story that this seed tells: the same one in whichever range of seeds."""
        return self.stories[seed % len(self.stories)]


@define(eq=False)
class Teller:
    """A process that tells stories; after it has died another one, when there is more to tell."""

    plan: Plan
    environment: Mapping[str, str]
    _process: trio.Process | None = field(default=None, init=False)
    _answers: trio.lowlevel.FdStream | None = field(default=None, init=False)
    _read: bytes = field(default=b"", init=False)

    async def tell(self, seed: int, faults: str, *, traced: bool = False) -> Told:
        """Have one seed told.  Raises `NoStory` where there is no such story.

        A process that dies, or says nothing for too long, is that seed's failure.
        """
        process = await self._started()
        with trio.move_on_after(self.plan.seconds_per_seed):
            order = {"name": self.plan.story(seed), "seed": seed, "faults": faults, "traced": traced}
            answer = await self._ask(order)
            if answer is not None:
                return Told(
                    **{**answer, "injected": tuple(answer["injected"]), "trace": tuple(answer["trace"])}
                )
            await process.wait()
            return await self._lost(seed, faults, f"the process that told it {_ended(process)}")
        seconds = self.plan.seconds_per_seed
        return await self._lost(
            seed, faults, f"it had not ended after {seconds:g} s, and its process was killed"
        )

    async def _lost(self, seed: int, faults: str, why: str) -> Told:
        await self.end()
        return Told(self.plan.story(seed), seed, faults, error=why, kind=why, text=why)

    async def _started(self) -> trio.Process:
        if self._process is not None:
            return self._process
        ours, theirs = os.pipe()
        self._answers, self._read = trio.lowlevel.FdStream(ours), b""
        command = [sys.executable, "-P", "-m", "hive.testing.worker", str(theirs), *self.plan.stories]
        try:
            # What a story prints must not mix with what we print; what it starts ends with it, as one group.
            self._process = process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=2,
                pass_fds=(theirs,),
                env=self.environment,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        names = ", ".join(self.plan.stories)
        with trio.move_on_after(START_SECONDS):
            greeting = await self._line()
            if greeting is None:
                await process.wait()
                raise NoStory(f"the process that imported {names} {_ended(process)}")
            if "wrong" in greeting:
                raise NoStory(greeting["wrong"])
            return process
        raise NoStory(f"{names} could not be imported within {START_SECONDS:g} s")

    async def _ask(self, order: Mapping[str, object]) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(trio.BrokenResourceError):
            await self._process.stdin.send_all(json.dumps(order).encode() + b"\n")
        return await self._line()

    async def _line(self) -> dict[str, Any] | None:
        """The next answer; None where there will be none."""
        assert self._answers is not None
        while b"\n" not in self._read:
            chunk = await self._answers.receive_some(CHUNK)
            if not chunk:
                return None
            self._read += chunk
        line, _, self._read = self._read.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def end(self) -> None:
        """End the process, if there is one; also where we are cancelled."""
        process, answers, self._process, self._answers = self._process, self._answers, None, None
        with trio.move_on_after(END_SECONDS, shield=True):
            if answers is not None:
                await answers.aclose()
            if process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
                if process.stdin is not None:
                    await process.stdin.aclose()


def _ended(process: trio.Process) -> str:
    """How a process ended, in words."""
    code = process.returncode
    assert code is not None
    return f"ended with status {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


@frozen(eq=False)
class Pair:
    """Who tells a seed, and who tells it once more where two runs are to be compared."""

    first: Teller
    second: Teller | None = None

    async def tell(self, seed: int, faults: str) -> Told:
        """Have one seed told, and compared.  Raises `NoStory`."""
        told = await self.first.tell(seed, faults, traced=self.second is not None)
        if self.second is None or told.error is not None:
            return told
        return _compared(told, await self.second.tell(seed, faults, traced=True))

    async def __aenter__(self) -> Self:
        """No process yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """None any more, whoever has cancelled us; it takes so long and no longer."""
        with trio.move_on_after(4 * END_SECONDS, shield=True):
            for teller in (self.first, self.second):
                if teller is not None:
                    await teller.end()


@define(eq=False)
class Campaign:
    """Tells stories under many seeds, and adds up what came of them."""

    plan: Plan
    watch: Callable[[Summary], None] = lambda _: None
    """Called whenever another seed has been told."""

    note: Callable[[str], None] = lambda _: None
    """Called with a line about what is done after the last seed."""

    summary: Summary = field(init=False)
    _seeds: Iterator[int] = field(init=False)
    _wrong: NoStory | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with the first seed."""
        self.summary, self._seeds = Summary(self.plan.stories), iter(self.plan.seeds)

    async def run(self) -> Summary:
        """Tell all seeds, or until a person ends it by a signal.  Raises `NoStory`."""
        with scratch() as directory, trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed, signals, nursery.cancel_scope)
                with suppress(NoStory):
                    await self._carry_out(directory)
                nursery.cancel_scope.cancel(reason="all is told")
        if self._wrong is not None:
            raise self._wrong
        return self.summary

    async def _heed(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for _ in signals:
            self.summary.interrupted = True
            scope.cancel(reason="a person has ended it")

    async def _carry_out(self, directory: Path) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(min(self.plan.jobs, len(self.plan.seeds))):
                nursery.start_soon(self._work, directory, nursery.cancel_scope)
        if self.plan.shrink and self._wrong is None:
            for told in self.summary.firsts():
                try:
                    self.summary.shrunk[told.seed] = await self._shrink(told, directory)
                except NoStory as wrong:
                    self.note(f"seed {told.seed} is not made smaller: {wrong}")

    def _pair(self, directory: Path) -> Pair:
        environment = {**os.environ, "HIVE_SCRATCH": str(directory)}
        if not self.plan.twice:
            return Pair(Teller(self.plan, environment))
        # Two processes hash differently: what depends on the order of a set shows only so.
        first, second = (Teller(self.plan, {**environment, "PYTHONHASHSEED": hashes}) for hashes in "12")
        return Pair(first, second)

    async def _work(self, directory: Path, everybody: trio.CancelScope) -> None:
        """One of several that take seed after seed."""
        async with self._pair(directory) as pair:
            for seed in self._seeds:
                if self._enough:
                    return
                try:
                    told = await pair.tell(seed, self.plan.faults)
                except NoStory as wrong:
                    self._wrong = wrong
                    everybody.cancel(reason="there is nothing to tell")
                    return
                self.summary.add(told)
                self.watch(self.summary)

    @property
    def _enough(self) -> bool:
        return self.plan.stop_at is not None and len(self.summary.failures) >= self.plan.stop_at

    async def _shrink(self, told: Told, directory: Path) -> Shrunk:
        """Look for fewer faults with which a seed fails in the same way."""
        tries, of, search = 0, len(told.injected), shrinking(told.injected)
        asked, otherwise = next(search), dict[str, Told]()
        async with self._pair(directory) as pair:
            while True:
                tries += 1
                self.note(f"seed {told.seed}: try {tries}, with {len(asked)} of {of} faults")
                again = await pair.tell(told.seed, joined(asked))
                if again.error is not None and again.kind != told.kind:
                    otherwise.setdefault(again.kind, again)
                try:
                    asked = search.send(again.injected if again.kind == told.kind else None)
                except StopIteration as found:
                    return Shrunk(of, found.value, tries, tuple(otherwise.values()))


def _compared(first: Told, second: Told) -> Told:
    """The first of two runs of one seed, which failed where the second is another."""
    told = evolve(first, trace=())
    if second.error is not None:
        return evolve(
            told, error=f"only a second process failed: {second.error}", kind=second.kind, text=second.text
        )
    if (found := difference(first.trace, second.trace)) is None:
        return told
    found = " ".join(found.split())
    return evolve(told, error=found, kind=DIFFERENCE, text=found)
