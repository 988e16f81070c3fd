"""Simulations under pytest: seeds by marker and option, stories told twice, failures that can be repeated.

Every test runs a pytest of its own; where other plugins are at issue, in a process of its own.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path
from subprocess import run
from typing import TYPE_CHECKING

import pytest

# Loaded once: what a pytest within this process loads itself is forgotten after it.
import hive.testing.swarm  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Sequence

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = () if entry_points(group="pytest11", name="hive.pytest_plugin") else ("-p", "hive.pytest_plugin")

COUNTS = """
import pytest

@pytest.mark.seeds(5)
def test_counted(seed):
    print(f"seed <{seed}>")
"""

FAILS = """
import pytest, trio
from hive.testing import Faults, simulate

@pytest.mark.seeds(4)
@pytest.mark.parametrize("name", ["iris"])
def test_unlucky(seed, name):
    async def story(sim):
        await sim.spawn(name, "!say good morning")
        await (await sim.send(name, "wake up")).handled()
        await sim.send(name, "are you there?")
        assert seed != 2, "two is unlucky"

    simulate(story, seed, faults=Faults(drop_hint=0.5))

def test_grouped():
    async def fail():
        raise ValueError("inside a group")

    async def story(sim):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)

    simulate(story, 9)

def test_raises_nothing():
    async def story(sim):
        await sim.spawn("iris")
        with pytest.raises(ValueError):
            await sim.advance(seconds=1)

    simulate(story, 9)
"""

DIFFERS = """
import itertools
from hive.testing import simulate

counted = itertools.count()

def test_counts():
    async def story(sim):
        await sim.spawn("iris", "!say yes")
        await sim.send("iris", f"number {next(counted)}")

    simulate(story, 3)

def test_depends_on_nothing():
    async def story(sim):
        await sim.spawn("iris", "!say yes")
        await (await sim.send("iris", "a number")).handled()

    simulate(story, 3)
"""

BESIDE_OTHERS = """
import pytest, trio
from hypothesis import given, settings, strategies
from hive.testing import simulate

@pytest.mark.seeds(2)
def test_simulated(seed):
    async def story(sim):
        await sim.spawn("iris", "!say yes")
        await (await sim.send("iris", "hello")).handled()
    simulate(story, seed)

@pytest.mark.seeds(2)
@given(number=strategies.integers(0, 9))
@settings(max_examples=3, deadline=None)
def test_given(seed, number):
    async def story(sim):
        await trio.sleep(number)
        return trio.current_time()
    assert simulate(story, seed) == number

@pytest.mark.trio
@pytest.mark.seeds(2)
async def test_a_task_of_trio(seed):
    await trio.lowlevel.checkpoint()

@pytest.mark.anyio
@pytest.mark.seeds(2)
async def test_a_task_of_anyio(seed, anyio_backend_name):
    assert anyio_backend_name == "trio"

@pytest.fixture
def anyio_backend():
    return "trio"
"""


@pytest.fixture(autouse=True)
def _at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a build server pytest says everything twice."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("BUILD_NUMBER", raising=False)


def pytest_here(pytester: pytest.Pytester, *arguments: str) -> tuple[int, str]:
    """Run pytest within this process; returns its status and what it printed."""
    ran = pytester.runpytest_inprocess("-p", "hive.pytest_plugin", "-p", "no:cacheprovider", *arguments)
    return int(ran.ret), "\n".join((*ran.outlines, *ran.errlines))


def pytest_in_process(pytester: pytest.Pytester, *arguments: str) -> tuple[int, str]:
    """Run pytest in a process of its own; returns its status and what it printed."""
    command = [sys.executable, "-P", "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    ran = run(
        command,
        cwd=pytester.path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def seeds_of(said: str) -> list[int]:
    """The seeds that the test of `COUNTS` has printed."""
    return [int(part.partition(">")[0]) for part in said.split("seed <")[1:]]


@pytest.mark.parametrize(
    ("options", "seeds"),
    [
        ((), [0, 1, 2, 3, 4]),
        (("--hive-seeds", "7..9"), [7, 8, 9]),
        (("--hive-seed", "400"), [400]),
        (("--hive-seed", "0"), [0]),
    ],
    ids=str,
)
def test_a_marked_test_runs_once_for_each_seed(
    pytester: pytest.Pytester, options: Sequence[str], seeds: list[int]
) -> None:
    """Those it asks for, or those of the command line."""
    pytester.makepyfile(COUNTS)
    status, said = pytest_here(pytester, "-s", "-q", "--strict-markers", *options)
    assert status == 0, said
    assert seeds_of(said) == seeds


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--hive-seeds", "7"), "'7' is no range of seeds: write FIRST..LAST, as 0..99"),
        (("--hive-seeds", "a..b"), "'a' is no seed"),
        (("--hive-seeds", "9..7"), "'9..7' holds no seed"),
        (("--hive-seeds", f"0..{10**20}"), "holds too many seeds: 1000000000 is the most"),
        (("--hive-seed", "-1"), "'-1' is no seed: write a whole number from 0 on"),
        (("--hive-seed", "1", "--hive-seeds", "1..2"), "--hive-seed and --hive-seeds exclude each other"),
    ],
    ids=str,
)
def test_wrong_options_are_wrong_usage(pytester: pytest.Pytester, options: Sequence[str], why: str) -> None:
    """Said in a sentence, before anything runs."""
    pytester.makepyfile(COUNTS)
    status, said = pytest_here(pytester, *options)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert why in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("test", "why"),
    [
        ("@pytest.mark.seeds(3)\ndef test_it(): ...", "test_it is marked with seeds, but takes no seed"),
        ("@pytest.mark.seeds\ndef test_it(seed): ...", "takes how many there are, as pytest.mark.seeds(50)"),
        ("@pytest.mark.seeds(0)\ndef test_it(seed): ...", "takes how many there are"),
        ("@pytest.mark.seeds('3')\ndef test_it(seed): ...", "takes how many there are"),
        ("@pytest.mark.seeds(count=3)\ndef test_it(seed): ...", "takes how many there are"),
    ],
)
def test_a_wrong_mark_is_wrong_usage(pytester: pytest.Pytester, test: str, why: str) -> None:
    """The test is named, and what is wrong with it; nothing runs."""
    pytester.makepyfile(f"import pytest\n\n{test}\n")
    status, said = pytest_here(pytester)
    assert status == pytest.ExitCode.INTERRUPTED
    assert why in said
    assert "Traceback" not in said


def test_the_option_that_lists_marks_knows_it(pytester: pytest.Pytester) -> None:
    """With what it means."""
    status, said = pytest_here(pytester, "--markers")
    assert status == 0
    assert "@pytest.mark.seeds(count): run the test once for each seed" in said


@pytest.mark.parametrize("style", ["auto", "short", "native"])
def test_a_failure_says_how_to_repeat_it_and_what_led_to_it(pytester: pytest.Pytester, style: str) -> None:
    """Once: the command, the last facts, and the mail that was left."""
    pytester.makepyfile(FAILS)
    status, said = pytest_here(pytester, f"--tb={style}", "-k", "unlucky")
    assert status == pytest.ExitCode.TESTS_FAILED
    (replay,) = [line for line in said.splitlines() if "replay: " in line]
    file = "test_a_failure_says_how_to_repeat_it_and_what_led_to_it.py"
    assert f"replay: pytest '{file}::test_unlucky[2-iris]' --hive-seed 2  (seed 2, " in replay
    assert "faults drop_hint=0.5; " in replay
    assert "SQLite" in replay
    assert len(re.findall(r"the last \d+ facts:", said)) == 1
    assert said.count("from operator to iris, ready: 'are you there?'") == 1

    again = replay.partition("replay: pytest ")[2].partition("  (")[0].replace("'", "").split()
    status, said = pytest_here(pytester, *again)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "1 failed" in said
    assert "two is unlucky" in said


@pytest.mark.parametrize("test", ["test_grouped", "test_raises_nothing"])
def test_other_failures_say_so_too(pytester: pytest.Pytester, test: str) -> None:
    """An error in a nursery comes in a group; what pytest fails a test with is no Exception."""
    pytester.makepyfile(FAILS)
    status, said = pytest_here(pytester, "-k", test)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert said.count(f".py::{test}  (seed 9, faults none; hive ") == 1
    assert {"test_grouped": "inside a group", "test_raises_nothing": "DID NOT RAISE"}[test] in said


def test_a_story_may_skip_its_test(pytester: pytest.Pytester) -> None:
    """Nothing has failed, and nothing needs to be repeated."""
    pytester.makepyfile("""
        import pytest
        from hive.testing import simulate

        def test_it():
            async def story(sim):
                pytest.skip("not today")

            simulate(story, 1)
    """)
    status, said = pytest_here(pytester, "-rs")
    assert status == 0
    assert "1 skipped" in said
    assert "not today" in said
    assert "replay" not in said


def test_the_command_names_the_file_from_where_the_person_is(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though a test's id begins where pytest's root is."""
    below = pytester.mkdir("below")
    (below / "test_below.py").write_text(FAILS)
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    elsewhere = pytester.mkdir("elsewhere")
    monkeypatch.chdir(elsewhere)
    _, said = pytest_here(pytester, "../below", "-k", "grouped")
    assert "replay: pytest ../below/test_below.py::test_grouped  (" in said


def test_stories_told_twice_are_compared(pytester: pytest.Pytester) -> None:
    """The first fact that differs is named, and the command repeats the comparison."""
    pytester.makepyfile(DIFFERS)
    status, said = pytest_here(pytester)
    assert status == 0, said
    status, said = pytest_here(pytester, "--hive-twice")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 passed" in said
    assert "two runs of the same seed differ" in said
    assert "head='number 0'" in said
    assert "head='number 1'" in said
    assert "::test_counts --hive-twice  (seed 3, " in said


@pytest.mark.parametrize(
    "options",
    [
        ("-o", "trio_mode=true", "-p", "no:anyio", "-k", "not anyio", "-o", "markers=anyio"),
        pytest.param(("-o", "trio_mode=false"), marks=pytest.mark.slow),
        ("-n", "2", "-o", "trio_mode=false"),
        pytest.param(
            ("-p", "no:trio", "-p", "no:xdist", "-m", "not trio", "-o", "markers=trio"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_it_gets_along_with_other_plugins(pytester: pytest.Pytester, options: Sequence[str]) -> None:
    """Those of Trio, anyio, Hypothesis and xdist, with warnings as errors."""
    pytester.makepyfile(BESIDE_OTHERS)
    status, said = pytest_in_process(pytester, "-W", "error", "--strict-markers", *options)
    assert status == 0, said
    assert "passed" in said


def test_loading_it_loads_no_simulation(pytester: pytest.Pytester) -> None:
    """Other projects of this machine wait for pytest too."""
    pytester.makepyfile("""
        import sys

        def test_what_is_loaded():
            assert "hive.pytest_plugin" in sys.modules
            assert not {"trio", "attrs", "hive.testing", "hive.actors"} & set(sys.modules)
    """)
    others = [
        part for name in ("trio", "anyio", "hypothesispytest", "xdist") for part in ("-p", f"no:{name}")
    ]
    status, said = pytest_in_process(pytester, *others)
    assert status == 0, said
