"""Commands in a box, as real processes: on record before they run, and nothing left when they have ended."""

import os
import subprocess
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
import trio
from attrs import define, field

from hive.agents.backend import Prompt, SessionSpec
from hive.agents.events import ErrorClass, ToolCalled, ToolReturned
from hive.agents.scripted import ScriptedBackend
from hive.agents.shell import GATE, OUTPUT_BYTES, BoxShell
from hive.agents.tokens import CliSession
from hive.containers.port import Box, BoxDown
from hive.containers.processes import Identity, is_alive, read_stat
from hive.containers.subprocess import SubprocessDriver
from hive.protocol.commands import Settings
from hive.protocol.mail import Mail, Provenance
from hive.testing.backend_world import the_result
from hive.testing.fake_tools import FakeTools

LIMIT_SECONDS = 20.0

ESCAPES = {
    "in the background": "sleep 300 & echo $! > child",
    "in a session of its own": "setsid sleep 300 & echo $! > child",
    "orphaned": "(setsid sh -c 'echo $$ > child; exec sleep 300' &)",
    "without its environment": "env -i setsid sleep 300 & echo $! > child; sleep 0.2",
    "deaf": "sh -c 'trap \"\" TERM HUP INT; sleep 300; sleep 300' & echo $! > child",
}


@define(eq=False)
class Record:
    """Processes as they were recorded and forgotten."""

    directory: Path
    running: list[Identity] = field(factory=list)
    all: list[Identity] = field(factory=list)
    ran_too_soon: bool = False
    broken: bool = False

    async def record(self, _agent: str, process: Identity) -> None:
        """Take a while, as a commit does, and look whether the command waits for it."""
        await trio.sleep(0.05)
        self.ran_too_soon |= (self.directory / "ran").exists()
        if self.broken:
            raise OSError("the store is full")
        self.running.append(process)
        self.all.append(process)

    def forget(self, _agent: str, process: Identity) -> None:
        """It must be dead by now."""
        assert not is_alive(process)
        if process in self.running:
            self.running.remove(process)


@define(eq=False)
class Place:
    """A real box, and a shell into it."""

    box: Box
    shell: BoxShell
    record: Record
    driver: SubprocessDriver

    def child(self) -> Identity | None:
        """The process whose pid the command wrote down, if it lives."""
        stat = read_stat(int((self.box.state_dir / "child").read_text()))
        return None if stat is None or stat.dead else stat.identity

    async def has(self, name: str) -> None:
        """Wait until the command has written that file."""
        while not (path := self.box.state_dir / name).exists() or not path.read_text().strip():  # noqa: ASYNC110 - a process writes it
            await trio.sleep(0.01)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A box that is taken down again."""
    driver = SubprocessDriver(tmp_path)
    box = await driver.start("iris")
    record = Record(box.state_dir)
    marks = count()
    yield Place(box, BoxShell(driver, record, lambda: f"{os.getpid()}-{next(marks)}"), record, driver)
    await driver.kill("iris")


async def test_a_command_runs_in_the_state_directory_and_is_heard(place: Place) -> None:
    """Both streams, the exit status, and nobody at its input."""
    with trio.fail_after(LIMIT_SECONDS):
        answer = await place.shell.run(place.box, "pwd; echo oops >&2; echo $HIVE_AGENT; cat; exit 3")
    assert sorted(answer.text.split()) == sorted([str(place.box.state_dir), "oops", "iris"])
    assert answer.status == 3


async def test_a_command_is_on_record_before_it_runs_and_off_it_when_it_is_dead(place: Place) -> None:
    """So that whoever cleans up after a crash of hive knows of it."""
    with trio.fail_after(LIMIT_SECONDS):
        await place.shell.run(place.box, "touch ran")
    assert (place.box.state_dir / "ran").exists()
    assert len(place.record.all) == 1
    assert not place.record.ran_too_soon
    assert place.record.running == []


async def test_a_command_that_cannot_be_recorded_never_runs(place: Place) -> None:
    """It dies at its gate."""
    place.record.broken = True
    with trio.fail_after(LIMIT_SECONDS), pytest.raises(OSError, match="the store is full"):
        await place.shell.run(place.box, "touch ran")
    assert not (place.box.state_dir / "ran").exists()


def test_a_gate_whose_keeper_is_gone_stays_shut(tmp_path: Path) -> None:
    """Hive dies between start and record: the input ends, and with it the process."""
    done = subprocess.run([*GATE, "touch ran"], cwd=tmp_path, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode != 0
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("way", ESCAPES)
async def test_nothing_outlives_its_command(way: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a child tries to get away, it is dead before its command has ended, and holds nothing up."""
    monkeypatch.setattr("hive.agents.shell.DRAIN_SECONDS", 10 * LIMIT_SECONDS)
    with trio.fail_after(LIMIT_SECONDS):
        await place.shell.run(place.box, f"{ESCAPES[way]}; while ! test -s child; do sleep 0.01; done")
    assert place.child() is None


@pytest.mark.parametrize("way", ESCAPES)
async def test_a_cancelled_command_is_dead_with_all_it_started(way: str, place: Place) -> None:
    """Before the cancellation goes on."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.shell.run, place.box, f"{ESCAPES[way]}; sleep 300")
        with trio.fail_after(LIMIT_SECONDS):
            await place.has("child")
            await trio.sleep(0.1)
        assert place.child() is not None
        nursery.cancel_scope.cancel()
    assert place.child() is None
    assert place.record.running == []


async def test_a_command_killed_from_outside_has_ended(place: Place) -> None:
    """Its status is the signal's, as the shell of a person would tell."""
    with trio.fail_after(LIMIT_SECONDS):
        answer = await place.shell.run(place.box, "kill -9 $$")
    assert answer.status == -9


async def test_long_output_is_cut_and_counted(place: Place) -> None:
    """The command is not held up by it."""
    with trio.fail_after(LIMIT_SECONDS):
        answer = await place.shell.run(place.box, f"head -c {OUTPUT_BYTES + 100_000} /dev/zero | tr '\\0' x")
    assert answer.text == "x" * OUTPUT_BYTES + "\n(100000 more bytes)"


async def test_a_box_that_is_down_runs_nothing(place: Place) -> None:
    """And says so as the port promises."""
    await place.driver.kill("iris")
    with pytest.raises(BoxDown):
        await place.shell.run(place.box, "touch ran")


def script(text: str) -> Prompt:
    """A prompt with one message of the operator."""
    mail = Mail(1, "m-1", "operator", "iris", text, "m-1", Provenance.OPERATOR, 0.0)
    return Prompt("", (1,), (mail,))


@pytest.mark.parametrize("leave", ["cancel", "leave"])
async def test_a_turn_that_is_stopped_takes_its_command_with_it(leave: str, place: Place) -> None:
    """Through the whole backend: nothing survives the block, whichever way it ends."""
    backend = ScriptedBackend(FakeTools().open, place.shell, lambda: 0.0)
    spec = SessionSpec("iris", Settings(allow_shell=True), CliSession("iris", "token"), place.box)

    events = []
    with trio.fail_after(LIMIT_SECONDS):
        async with (
            backend.open(spec) as session,
            session.turn(script(f"!sh {ESCAPES['orphaned']}; sleep 300")) as run,
        ):
            async for event in run:
                events.append(event)
                if isinstance(event, ToolCalled):
                    await place.has("child")
                    if leave == "leave":
                        break
                    await run.cancel()
    assert place.child() is None
    assert place.record.running == []
    assert not any(isinstance(event, ToolReturned) for event in events)
    if leave == "cancel":
        assert the_result(events).error is ErrorClass.CANCELLED
