"""The suites work in anybody's project: with pytest and nothing else, and they say what was compared."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hive.testing import contracts

ROOT = Path(__file__).resolve().parent.parent.parent

RIGHT = """
from functools import partial
from pathlib import Path

from attrs import define, frozen

from hive.actors import Actor, ChildSpec, Mailbox, Message, Request
from hive.agents.events import Said
from hive.containers.fake import FakeDriver
from hive.store.sqlite import open_store
from hive.testing.contracts import (
    ActorContract, BackendContract, DriverContract, MailboxContract, StoreContract, Trial
)
from hive.testing.scripted_world import ScriptedWorld


@frozen
class Met(Message):
    name: str


@frozen
class HowMany(Request[int]):
    pass


@define(eq=False)
class Greeter(Actor):
    met = 0

    async def handle(self, message, ctx):
        self.met += isinstance(message, Met)
        return self.met


class TestGreeter(ActorContract):
    def make(self, sim):
        return Trial(ChildSpec("greeter", Greeter), messages=[Met("iris"), HowMany()])

    def check(self, request, answer):
        assert answer == 1


class TestBox(MailboxContract):
    def make(self, capacity, overflow):
        return Mailbox(capacity, overflow)


class TestDriver(DriverContract):
    def make(self, directory):
        return FakeDriver(directory)

    async def break_down(self, driver, agent):
        driver.break_down(agent)


class TestStore(StoreContract):
    def opened(self, path, world):
        return open_store(
            path / "mine.db", wall=world.wall, random_=world.random, inline=True, pauses=world,
            faults=world.faults,
        )


class TestBackend(BackendContract):
    def make(self):
        return ScriptedWorld()
"""

WRONG = (
    RIGHT.replace("answer == 1", "answer == 7")
    + """

class TestLosing(TestBox):
    def make(self, capacity, overflow):
        return Losing(capacity, overflow)


class Losing(Mailbox):
    def give_back(self):
        self._held.clear()
        return []
"""
)


def project(directory: Path, code: str, *options: str) -> tuple[int, str]:
    """What pytest says of somebody's project, with no plugin of anybody's and every warning an error."""
    (directory / "test_mine.py").write_text(code)
    plain = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(directory), "-W", "error"]
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", *plain, *options, "test_mine.py"],
        cwd=directory,
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_every_suite_runs_in_a_project_that_has_nothing_but_pytest(tmp_path: Path) -> None:
    """Without pytest-trio, without a configuration, and without a warning."""
    code, said = project(tmp_path, RIGHT)

    assert code == 0, said
    (passed,) = re.findall(r"(\d+) passed", said)
    assert int(passed) > 70


def test_a_failure_shows_what_was_compared(tmp_path: Path) -> None:
    """As in a test of one's own."""
    code, said = project(tmp_path, WRONG, "-k", "test_it_starts_answers or TestLosing and in_hand_comes_back")

    assert code == 1, said
    assert "assert 1 == 7" in said
    assert re.search(r"assert \[\] == \[.*Reply", said), said
    assert "2 failed" in said


@pytest.mark.parametrize("suite", contracts.SUITES)
def test_a_suite_shows_in_its_first_lines_how_it_is_used(suite: str) -> None:
    """With an example that is a program, however short."""
    docstring = sys.modules[suite].__doc__ or ""
    lines = [
        line.removeprefix("    ") for line in docstring.splitlines() if line.startswith("    ") or not line
    ]
    example = "\n".join(lines).strip()

    assert "from hive.testing.contracts import" in example
    classes = [node for node in ast.parse(example).body if isinstance(node, ast.ClassDef)]
    (base,) = classes[0].bases
    assert isinstance(base, ast.Name)
    suite_class = getattr(contracts, base.id)
    needed = {
        node.name for node in ast.walk(classes[0]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert all(hasattr(suite_class, name) for name in needed), "it shows what there is"


def test_all_suites_are_there_under_one_name() -> None:
    """One import for a stranger; every test of theirs is a plain function."""
    for name in contracts.__all__:
        suite = getattr(contracts, name)
        tests = [getattr(suite, one) for one in dir(suite) if one.startswith("test_")]
        assert all(not test.__code__.co_flags & 0x80 for test in tests), "a coroutine needs a plugin"
        assert tests or name == "Trial"
