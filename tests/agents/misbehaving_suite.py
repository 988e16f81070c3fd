"""A CLI that misbehaves, as a real process in a real box: one result, and nothing survives.

The suite for the backend of every such CLI; what it does wrong is in `misbehaving`.
"""

import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import trio
from attrs import define, field, frozen

from hive.agents.backend import Backend, Prompt, SessionSpec
from hive.agents.cli.memory import SessionFile
from hive.agents.cli.process import COMPLAINT_BYTES, NOISE_LINES, BoxClis, Ladder, Rung, StartCli
from hive.agents.events import ErrorClass, Noted, PromptAccepted, Result, Said, TurnEvent
from hive.agents.gated import Starter
from hive.agents.tokens import CliSession
from hive.containers.port import Box
from hive.containers.processes import Identity, everything, is_alive, marked, read_stat
from hive.containers.subprocess import SubprocessDriver
from hive.protocol.commands import Settings
from hive.testing.backend_world import the_result

LIMIT_SECONDS: Final = 30.0
QUICK: Final = Ladder(0.2, (Rung(signal.SIGINT, 0.2), Rung(signal.SIGTERM, 0.2)))


@define(eq=False)
class Record:
    """Processes as they were recorded and forgotten."""

    running: list[Identity] = field(factory=list)

    async def record(self, _agent: str, process: Identity) -> None:
        """Note it."""
        await trio.lowlevel.checkpoint()
        self.running.append(process)

    def forget(self, _agent: str, process: Identity) -> None:
        """It must be dead by now."""
        assert not is_alive(process)
        self.running.remove(process)


@frozen
class Place:
    """A real box with a CLI for it."""

    box: Box
    driver: SubprocessDriver
    record: Record
    mark: str

    def start(self) -> StartCli:
        """How CLIs are started in it, so that they are found again."""
        marks = count()
        return BoxClis(Starter(self.driver, self.record, lambda: f"{self.mark}-{next(marks)}")).start

    def left(self) -> list[str]:
        """What is still there of all that was started."""
        stats = everything()
        found = set().union(*(marked(f"HIVE_COMMAND={self.mark}-{number}", stats) for number in range(3)))
        child = self.box.state_dir / "child"
        if child.exists():
            stat = read_stat(int(child.read_text()))
            found |= {stat.identity} if stat is not None and not stat.dead else set()
        return [str(identity) for identity in {*found, *self.record.running}]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A box that is taken down again."""
    driver = SubprocessDriver(tmp_path)
    box = await driver.start("iris")
    yield Place(box, driver, Record(), f"{os.getpid()}-{uuid.uuid4()}")
    await driver.kill("iris")


def spec(place: Place) -> SessionSpec:
    """What a turn needs to know."""
    return SessionSpec("iris", Settings(), CliSession("iris", "token"), place.box)


def memory(box: Box) -> SessionFile:
    """Where its session is kept."""
    return SessionFile(box.state_dir / "session")


class MisbehavingCli:
    """The suite: subclass it and say what backend misbehaves so."""

    def backend(self, place: Place, how: str) -> Backend:
        """A backend whose CLI misbehaves so."""
        raise NotImplementedError

    async def turn(self, place: Place, how: str, *, cancelled_at: type | None = None) -> list[TurnEvent]:
        """All events of a turn of a CLI that misbehaves so."""
        events: list[TurnEvent] = []
        backend = self.backend(place, how)
        with trio.fail_after(LIMIT_SECONDS):
            async with backend.open(spec(place)) as session, session.turn(Prompt("hello", (3,))) as run:
                async for event in run:
                    events.append(event)
                    if cancelled_at is not None and isinstance(event, cancelled_at):
                        await run.cancel()
        assert place.left() == []
        return events

    async def test_a_cli_that_behaves_ends_well_and_is_gone_on_with(self, place: Place) -> None:
        """The session of the first turn is the one of the next, by way of the disk."""
        for _ in range(2):
            assert the_result(await self.turn(place, "well")) == Result("done")
        (kept,) = (place.box.state_dir / "session").read_text().split()
        assert str(uuid.UUID(kept)) == kept

    async def test_a_session_that_is_unknown_gives_way_to_a_new_one(self, place: Place) -> None:
        """The CLI says so before it leaves, and only its status tells it from a crash."""
        await self.turn(place, "forgets")
        before = (place.box.state_dir / "session").read_text()
        events = await self.turn(place, "forgets")
        assert Noted("session", "a new one, without the old: no such session") in events
        assert the_result(events) == Result("done")
        assert (place.box.state_dir / "session").read_text() != before

    async def test_lines_that_are_not_json_are_notes(self, place: Place) -> None:
        """The first few of them; half a character is none, and nothing of it is a failure."""
        events = await self.turn(place, "garbage")
        notes = [event.text for event in events if isinstance(event, Noted)]
        assert notes[0].startswith("warning: ")
        assert notes[1] == "[1, 2]"
        assert len(notes) == NOISE_LINES
        assert Said("half ?") in events
        assert the_result(events).error is None

    async def test_a_line_without_an_end_ends_the_turn(self, place: Place) -> None:
        """Long before it is all in memory."""
        result = the_result(await self.turn(place, "large"))
        assert result.error is ErrorClass.PROTOCOL
        assert "more than 16777216 bytes" in result.detail

    async def test_a_long_line_is_read(self, place: Place) -> None:
        """A CLI may send a whole file in one."""
        assert the_result(await self.turn(place, "fitting")).error is None

    @pytest.mark.parametrize(
        ("how", "error", "words"),
        [
            ("dies", ErrorClass.CRASH, "status 7: xxx"),
            ("killed", ErrorClass.CRASH, "status -9"),
            ("never", ErrorClass.CRASH, "status 0"),
            ("lies", ErrorClass.CRASH, "all done"),
            ("children and dies", ErrorClass.CRASH, "status 7"),
        ],
    )
    async def test_a_turn_that_is_not_ended_well_has_one_result(
        self, how: str, error: ErrorClass, words: str, place: Place
    ) -> None:
        """Made by hive where the CLI makes none."""
        result = the_result(await self.turn(place, how))
        assert result.error is error
        assert words in result.detail
        assert len(result.detail) < COMPLAINT_BYTES

    async def test_of_two_results_the_first_counts(self, place: Place) -> None:
        """The turn is over with it."""
        assert the_result(await self.turn(place, "twice")) == Result("done")

    @pytest.mark.parametrize("how", ["children", "stays"])
    async def test_what_stays_after_the_result_is_ended(
        self, how: str, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The CLI itself, after a while, and whatever it left behind."""
        monkeypatch.setattr("hive.agents.cli.process.LEAVE_SECONDS", 0.5)
        # What holds the CLI's output open is killed, not waited for.
        monkeypatch.setattr("hive.agents.cli.process.DRAIN_SECONDS", 10 * LIMIT_SECONDS)
        assert the_result(await self.turn(place, how)) == Result("done")

    @pytest.mark.parametrize(
        ("how", "told"),
        [
            ("silent", ["asked it to stop", "sent SIGINT"]),
            (
                "deaf",
                [
                    "asked it to stop",
                    "sent SIGINT",
                    "sent SIGTERM",
                    "killed it and everything it had started",
                ],
            ),
            (
                "children and deaf",
                [
                    "asked it to stop",
                    "sent SIGINT",
                    "sent SIGTERM",
                    "killed it and everything it had started",
                ],
            ),
        ],
    )
    async def test_it_is_stopped_by_ever_harder_means(self, how: str, told: list[str], place: Place) -> None:
        """And each that was needed is told."""
        events = await self.turn(place, how, cancelled_at=PromptAccepted)
        assert [event.text for event in events if isinstance(event, Noted) and event.what == "stop"] == told
        assert the_result(events).error is ErrorClass.CANCELLED

    @pytest.mark.parametrize("how", ["silent", "deaf", "children and deaf", "large"])
    async def test_a_block_that_is_left_takes_everything_with_it(self, how: str, place: Place) -> None:
        """Without asking, and without waiting for what the CLI would do."""
        backend = self.backend(place, how)
        with trio.fail_after(LIMIT_SECONDS):
            async with backend.open(spec(place)) as session, session.turn(Prompt("hello", (3,))) as run:
                async for event in run:
                    if isinstance(event, PromptAccepted):
                        break
        assert place.left() == []

    @pytest.mark.parametrize("after", [0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4])
    async def test_a_turn_cancelled_at_any_moment_leaves_nothing(self, after: float, place: Place) -> None:
        """Also while it starts."""
        with trio.move_on_after(after):
            await self.turn(place, "children and deaf")
        assert place.left() == []

    async def test_a_program_that_is_not_there_is_told_from_a_crash(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The gate says so."""
        monkeypatch.setattr(sys, "executable", "/nowhere/claude")
        assert the_result(await self.turn(place, "well")).error is ErrorClass.NO_START

    async def test_a_box_that_is_down_is_told_from_a_crash(self, place: Place) -> None:
        """Nothing of the CLI's is to blame."""
        await place.driver.kill("iris")
        assert the_result(await self.turn(place, "well")).error is ErrorClass.BOX_GONE
