"""`hive torture` as it is typed: wrong usage, a real run, and an end that was asked for."""

import json
import math
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hive.cli.main import main
from hive.cli.status import Status
from hive.testing.torture import run
from hive.testing.torture.book import Book
from hive.testing.torture.daemon import DoesNotServe
from hive.testing.torture.findings import End, Kill
from hive.testing.torture.plan import Plan
from hive.testing.torture.verdict import Course, Verdict, judge
from tests.cli.person import HIVE, Person, until
from tests.cli.traces import Surroundings


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder with a short name."""
    with tempfile.TemporaryDirectory(prefix="hive-test-") as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        (["--minutes", "0"], "--minutes 0 is no torture"),
        (["--kills", "0"], "--kills 0 is no torture"),
        (["--kills", "-1"], "is not a whole number"),
        (["--kills", "some"], "is not a whole number"),
        (["--minutes", "1e9"], "between 0 and"),
        (["--minutes", "nan"], "between 0 and"),
        (["--seed", "x"], "is not a whole number"),
        (["--dir", "here"], "leave --dir away"),
        (["iris"], "unrecognized"),
    ],
)
def test_wrong_usage_is_said_before_anything_begins(
    capsys: pytest.CaptureFixture[str], typed: Sequence[str], complaint: str
) -> None:
    """In one sentence, with the status for it."""
    assert main(["torture", *typed]) == Status.USAGE
    assert complaint in capsys.readouterr().err


def a_verdict(*problems: str) -> Verdict:
    """What may come of a torture."""
    kills = (Kill(), Kill())
    course = Course(seed=7, seconds=60.0, interrupted=False, kills=kills, problems=problems)
    return judge(Book(), course, End((), {}, (), ()))


Comes = Callable[[Verdict | Exception | None], list[Plan]]


@pytest.fixture
def comes_of_it(monkeypatch: pytest.MonkeyPatch) -> Comes:
    """Have this come of a torture; the plans that were made are kept."""

    def comes(result: Verdict | Exception | None) -> list[Plan]:
        plans = []

        def torture(
            plan: Plan, begins: Callable[[Path], object], tell: Callable[[str], object]
        ) -> Verdict | None:
            plans.append(plan)
            begins(Path("/tmp/hive-torture-x"))
            tell("how far it is")
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(run, "torture", torture)
        return plans

    return comes


def test_the_verdict_decides_the_status(comes_of_it: Comes, capsys: pytest.CaptureFixture[str]) -> None:
    """0 only where nothing is wrong; with --json there is nothing but the object on standard output."""
    comes_of_it(a_verdict())
    assert main(["torture"]) == 0
    shown = capsys.readouterr()
    assert "no invariant is broken" in shown.out
    assert "in /tmp/hive-torture-x, seed " in shown.err
    assert "how far it is" not in shown.err, "nobody watches"
    comes_of_it(a_verdict("the daemon: gone"))
    assert main(["torture", "--json"]) == Status.REFUSED
    data = json.loads(capsys.readouterr().out)
    assert (data["ok"], data["problems"], data["kills"]["number"]) == (False, ["the daemon: gone"], 2)


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [
        ((), 60.0),
        (("--minutes", "0.5"), 30.0),
        (("--kills", "2"), math.inf),
        (("--kills", "2", "--minutes", "3"), 180.0),
    ],
)
def test_what_is_typed_becomes_the_plan(comes_of_it: Comes, typed: Sequence[str], seconds: float) -> None:
    """A minute, unless there is another limit; another seed each time, unless one is given."""
    plans = comes_of_it(a_verdict())
    assert main(["torture", *typed]) == main(["torture", *typed]) == 0
    assert main(["torture", *typed, "--seed", "5"]) == 0
    assert [plan.seconds for plan in plans] == [seconds] * 3
    assert plans[0].seed != plans[1].seed
    assert plans[2].seed == 5
    assert plans[0].enough([Kill(), Kill()]) == ("--kills" in typed)
    assert not plans[0].enough([Kill()])


def test_without_a_verdict_the_status_says_why(
    comes_of_it: Comes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody did not wait for it, or there was nothing to torture."""
    comes_of_it(None)
    assert main(["torture"]) == 130
    assert "nothing is left behind" in capsys.readouterr().err
    comes_of_it(DoesNotServe("no room"))
    assert main(["torture"]) == Status.REFUSED
    assert "never served: no room" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.real
def test_a_hive_is_killed_three_times_and_nothing_is_missing(base: Path) -> None:
    """The verdict is JSON and nothing else; nothing is left behind."""
    around = Surroundings(base)
    person = Person(around.hive, around.variables, around.work)
    with subprocess.Popen(
        [*HIVE, "torture", "--kills", "3", "--seed", "1", "--json"],
        env=person.environment,
        cwd=around.work,
        stdout=subprocess.PIPE,
    ) as child:
        printed, _ = child.communicate()
    verdict = json.loads(printed)
    assert child.returncode == 0
    assert verdict["ok"]
    assert verdict["seed"] == 1
    assert verdict["kills"]["number"] == 3
    assert verdict["messages"]["acknowledged"] == verdict["messages"]["accounted_for"] > 0
    assert verdict["messages"]["lost"] == 0
    assert (verdict["problems"], verdict["kept"]) == ([], None)
    around.hive.mkdir()
    assert around.left() == []


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("times", [1, 2])
def test_whoever_has_seen_enough_leaves_nothing_behind(base: Path, times: int) -> None:
    """Once gives the verdict so far, twice does not wait for it."""
    around = Surroundings(base)
    person = Person(around.hive, around.variables, around.work)
    with person.at_a_terminal("torture", "--minutes", "30") as screen:
        root = Path(screen.shows("tortures a hive of its own").partition(" in ")[2].partition(", seed")[0])
        # The one that tortures, a daemon, and boxes of agents with their commands.
        until(lambda: (root / "book.jsonl").exists() and '"killed"' in (root / "book.jsonl").read_text())
        until(lambda: around.look(screen.child.pid) > 5)
        screen.types("\x03")
        screen.mentions("Ctrl-C once more ends it at once")  # two signals that nobody has heard yet are one
        if times > 1:
            screen.types("\x03")
        status = screen.ends()
    assert status == (0 if times == 1 else 130), screen.text
    assert ("verdict: nothing that was acknowledged is missing" in screen.text) == (times == 1)
    assert "kills, " in screen.text, "progress was shown"
    around.hive.mkdir()
    assert around.left(root / "hive") == []
