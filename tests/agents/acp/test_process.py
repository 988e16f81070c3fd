"""An agent that speaks ACP and misbehaves, as a real process in a real box: one result, nothing survives."""

import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
import trio
from attrs import define, evolve, field, frozen

from hive.agents.backend import Prompt, SessionSpec
from hive.agents.cli.acp import AcpBackend
from hive.agents.cli.memory import WORD, SessionFile
from hive.agents.cli.process import COMPLAINT_BYTES, NOISE_LINES, BoxClis, Ladder, Rung
from hive.agents.events import ErrorClass, Noted, PromptAccepted, Result, Said, ToolCalled, TurnEvent
from hive.agents.gated import Starter
from hive.agents.tokens import CliSession
from hive.containers.port import Box
from hive.containers.processes import Identity, everything, is_alive, marked, read_stat
from hive.containers.subprocess import SubprocessDriver
from hive.protocol.commands import Settings
from hive.protocol.presets import Leaves, Preset, SettingsFile
from hive.testing.backend_world import the_result

LIMIT_SECONDS = 30.0
FAKE = Path(__file__).parent / "fake_acp.py"
QUICK = Ladder(0.2, (Rung(signal.SIGINT, 0.2), Rung(signal.SIGTERM, 0.2)))
PRESET = Preset("Fake", "fake", "it is not to be had")


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
    """A real box with an agent for it."""

    box: Box
    driver: SubprocessDriver
    record: Record
    mark: str

    def backend(self, how: str, preset: Preset = PRESET) -> AcpBackend:
        """A backend whose agent misbehaves so."""
        marks = count()
        starter = Starter(self.driver, self.record, lambda: f"{self.mark}-{next(marks)}")
        return AcpBackend(
            preset=preset,
            start=BoxClis(starter).start,
            url_of=lambda agent: f"http://127.0.0.1:9/mcp/{agent}",
            credentials=lambda _agent: {},
            memory_of=lambda box: SessionFile(box.state_dir / "session", WORD),
            wall=lambda: 0.0,
            program=(sys.executable, str(FAKE), how),
            ladder=QUICK,
        )

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
    """What a turn needs to know.  No endpoint is there, so that its tools were asked for is pretended."""
    return SessionSpec("iris", Settings(backend="fake"), CliSession("iris", "token", listed=True), place.box)


async def turn(
    place: Place, how: str, *, cancelled_at: type | None = None, preset: Preset = PRESET
) -> list[TurnEvent]:
    """All events of a turn of an agent that misbehaves so."""
    events: list[TurnEvent] = []
    backend = place.backend(how, preset)
    with trio.fail_after(LIMIT_SECONDS):
        async with backend.open(spec(place)) as session, session.turn(Prompt("hello", (3,))) as run:
            async for event in run:
                events.append(event)
                if cancelled_at is not None and isinstance(event, cancelled_at):
                    await run.cancel()
    assert place.left() == []
    return events


def said(events: list[TurnEvent]) -> list[str]:
    """What the model said."""
    return [event.text for event in events if isinstance(event, Said)]


async def test_an_agent_that_behaves_ends_well_and_is_gone_on_with(place: Place) -> None:
    """The session of the first turn is the one of the next, by way of the disk; its history is not news."""
    for _ in range(2):
        events = await turn(place, "well")
        assert the_result(events) == Result("done")
        assert said(events) == ["done"]
    assert (place.box.state_dir / "session").read_text() == "ses_fake\n"


async def test_a_session_that_is_unknown_gives_way_to_a_new_one(place: Place) -> None:
    """In the same process."""
    await turn(place, "forgets")
    events = await turn(place, "forgets")
    assert Noted("session", "a new one, without the old: no such session") in events
    assert the_result(events) == Result("done")


async def test_lines_that_are_not_json_are_notes(place: Place) -> None:
    """The first few of them; half a character is none, and nothing of it is a failure."""
    events = await turn(place, "garbage")
    notes = [event.text for event in events if isinstance(event, Noted)]
    assert notes[0].startswith("warning: ")
    assert notes[1] == "[1, 2]"
    assert len(notes) == NOISE_LINES
    assert said(events) == ["half ?"]
    assert the_result(events).error is None


async def test_a_line_without_an_end_ends_the_turn(place: Place) -> None:
    """Long before it is all in memory."""
    result = the_result(await turn(place, "large"))
    assert result.error is ErrorClass.PROTOCOL
    assert "more than 16777216 bytes" in result.detail


async def test_a_long_line_is_read(place: Place) -> None:
    """An agent may send a whole file in one."""
    assert the_result(await turn(place, "fitting")).error is None


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("dies", ErrorClass.CRASH, "status 7: xxx"),
        ("killed", ErrorClass.CRASH, "status -9"),
        ("never", ErrorClass.CRASH, "status 0"),
        ("lies", ErrorClass.PROTOCOL, "without a word"),
        ("fails politely", ErrorClass.CRASH, "all done"),
        ("children and dies", ErrorClass.CRASH, "status 7"),
    ],
)
async def test_a_turn_that_is_not_ended_well_has_one_result(
    how: str, error: ErrorClass, words: str, place: Place
) -> None:
    """Made by hive where the agent makes none."""
    result = the_result(await turn(place, how))
    assert result.error is error
    assert words in result.detail
    assert not result.text
    assert len(result.detail) < COMPLAINT_BYTES


async def test_of_two_answers_the_first_counts(place: Place) -> None:
    """The turn is over with it."""
    assert the_result(await turn(place, "twice")) == Result("done")


async def test_what_belongs_to_others_is_not_ours(place: Place) -> None:
    """Neither another session's words nor an answer to what was not asked."""
    events = await turn(place, "strangers")
    assert said(events) == ["done"]
    assert not [event for event in events if isinstance(event, ToolCalled)]


async def test_files_terminals_and_commands_are_refused(place: Place) -> None:
    """With an answer: it would wait for ever."""
    permission, file, terminal = said(await turn(place, "asks"))
    assert json.loads(permission) == {"outcome": {"outcome": "selected", "optionId": "no"}}
    assert json.loads(file)["code"] == json.loads(terminal)["code"] == -32601


@pytest.mark.parametrize(
    ("how", "leaves"),
    [
        ("children", Leaves.EOF),
        ("stays", Leaves.EOF),
        ("stays", Leaves.TERM),
        ("stays and is deaf", Leaves.TERM),
        ("stays and is deaf", Leaves.KILL),
    ],
)
async def test_what_stays_after_the_answer_is_ended(
    how: str, leaves: Leaves, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent itself, by what its preset says and then by force, and whatever it left behind."""
    monkeypatch.setattr("hive.agents.cli.process.LEAVE_SECONDS", 0.5)
    # What holds the agent's output open is killed, not waited for.
    monkeypatch.setattr("hive.agents.cli.process.DRAIN_SECONDS", 10 * LIMIT_SECONDS)
    assert the_result(await turn(place, how, preset=evolve(PRESET, leaves=leaves))) == Result("done")


async def test_nobody_waits_for_an_agent_that_only_death_ends(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its preset says so."""
    monkeypatch.setattr("hive.agents.cli.process.LEAVE_SECONDS", 10 * LIMIT_SECONDS)
    preset = evolve(PRESET, leaves=Leaves.KILL)
    assert the_result(await turn(place, "stays and is deaf", preset=preset)) == Result("done")


EVERY_STEP = ["asked it to stop", "sent SIGINT", "sent SIGTERM", "killed it and everything it had started"]


@pytest.mark.parametrize(
    ("how", "told"),
    [("silent", EVERY_STEP[:2]), ("deaf", EVERY_STEP), ("children and deaf", EVERY_STEP)],
)
async def test_an_agent_is_stopped_by_ever_harder_means(how: str, told: list[str], place: Place) -> None:
    """And each that was needed is told."""
    events = await turn(place, how, cancelled_at=PromptAccepted)
    assert [event.text for event in events if isinstance(event, Noted) and event.what == "stop"] == told
    assert the_result(events).error is ErrorClass.CANCELLED


@pytest.mark.parametrize("how", ["silent", "deaf", "children and deaf", "large"])
async def test_a_block_that_is_left_takes_everything_with_it(how: str, place: Place) -> None:
    """Without asking, and without waiting for what the agent would do."""
    backend = place.backend(how)
    with trio.fail_after(LIMIT_SECONDS):
        async with backend.open(spec(place)) as session, session.turn(Prompt("hello", (3,))) as run:
            async for event in run:
                if isinstance(event, PromptAccepted | Result):
                    break
    assert place.left() == []


@pytest.mark.parametrize("how", ["mute", "unshown", "children and deaf"])
@pytest.mark.parametrize("after", [0.0, 0.02, 0.1, 0.4])
async def test_a_turn_cancelled_at_any_moment_leaves_nothing(how: str, after: float, place: Place) -> None:
    """Also while it starts, and where nothing was ever answered."""
    with trio.move_on_after(after):
        await turn(place, how)
    assert place.left() == []


async def test_an_agent_that_never_answers_can_be_cancelled(place: Place) -> None:
    """Before there is a session that could be told to stop."""
    backend = place.backend("mute")
    with trio.fail_after(LIMIT_SECONDS):
        async with backend.open(spec(place)) as session, session.turn(Prompt("hello", (3,))) as run:
            await trio.sleep(0.2)
            await run.cancel()
            assert the_result([event async for event in run]).error is ErrorClass.CANCELLED
    assert place.left() == []


async def test_settings_are_put_where_the_agent_looks_for_them(place: Place) -> None:
    """Anew for every turn, in the place of whatever it has put there, and without following it."""
    settings = SettingsFile(".settings.json", "{}\n")
    preset = evolve(PRESET, settings=settings)
    elsewhere = place.box.state_dir.parent / "elsewhere"
    elsewhere.write_text("mine")
    file = place.box.state_dir / settings.name
    file.symlink_to(elsewhere)
    assert the_result(await turn(place, "well", preset=preset)) == Result("done")
    assert (file.read_text(), elsewhere.read_text()) == ("{}\n", "mine")
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_program_that_is_not_there_is_told_from_a_crash(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate says so."""
    monkeypatch.setattr(sys, "executable", "/nowhere/agent")
    assert the_result(await turn(place, "well")).error is ErrorClass.NO_START


async def test_a_box_that_is_down_is_told_from_a_crash(place: Place) -> None:
    """Nothing of the agent's is to blame."""
    await place.driver.kill("iris")
    assert the_result(await turn(place, "well")).error is ErrorClass.BOX_GONE
