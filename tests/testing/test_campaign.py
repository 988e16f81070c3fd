"""Many seeds in several processes: what they come to, and what becomes of those that fail, die or hang."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from hive.containers.processes import read_stat
from hive.testing import Faults
from hive.testing.campaign import Campaign, Plan, Teller
from hive.testing.lookup import NoStory
from hive.testing.simulate import run
from hive.testing.worker import _failed, tell

if TYPE_CHECKING:
    from hive.testing import Simulation
    from hive.testing.summary import Summary
    from hive.testing.tally import Told

STORIES = '''
import os, signal

async def well(sim):
    """Nothing happens."""
    print("a story may print", flush=True)
    await sim.advance(minutes=1)

async def dies(sim):
    if sim.seed == 1:
        os._exit(3)
    if sim.seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)

async def hangs(sim):
    if sim.seed == 1:
        await sim.spawn("iris")
        while True:
            pass

async def hashes(sim):
    await sim.spawn("iris")
    await sim.send("iris", str({"red", "green", "blue", "yellow"}))

async def remembers(sim, told=[]):
    told.append(sim.seed)
    assert len(told) < 3, "too many"

async def buggy(sim):
    """Somebody thought that turns never fail."""
    await sim.spawn("iris", "!wait 5")
    for number in range(4):
        await sim.send("iris", f"letter {number}")
        await sim.advance(minutes=5)
    assert all(turn.outcome == "ok" for turn in sim.turns("iris")), "a turn has failed"

async def slips(sim):
    await sim.spawn("iris", "!wait 5")
    for number in range(4):
        await sim.send("iris", f"letter {number}")
        await sim.advance(minutes=5)
    sites = {fault.site for fault in sim.injector.injected}
    assert len(sites) < 2, "faults of two kinds"
    assert len(sites) < 1, "faults of one kind"

async def hopeless(sim):
    raise ValueError("always")
'''

FORKS = """
import os, subprocess

child = subprocess.Popen(["sleep", "300"])
with open("{pids}", "a") as pids:
    print(child.pid, file=pids)

async def story(sim):
    if sim.seed == 1:
        os._exit(3)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of stories."""
    path = tmp_path / "stories.py"
    path.write_text(STORIES)
    return path


async def told(file: Path, story: str, seeds: range, *, jobs: int = 1, **options: object) -> Summary:
    """What a campaign comes to."""
    plan = Plan((f"{file}:{story}",), seeds, jobs=jobs, **options)  # type: ignore[arg-type]
    return await Campaign(plan).run()


async def test_every_seed_is_told_once(file: Path) -> None:
    """By whichever process is free."""
    seen: list[int] = []
    campaign = Campaign(
        Plan((f"{file}:well",), range(10, 17), jobs=2), watch=lambda summary: seen.append(summary.all.told)
    )
    summary = await campaign.run()
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert summary.all.seconds == 7 * 60
    assert summary.failures == []


async def test_several_stories_are_dealt_out_over_the_seeds(file: Path) -> None:
    """A seed tells the same story whatever the range begins with, and one process tells all of them."""
    stories = tuple(f"{file}:{name}" for name in ("well", "hopeless", "dies"))
    summary = await Campaign(Plan(stories, range(4, 9))).run()
    assert [tally.told for tally in summary.each.values()] == [1, 2, 2]
    assert [(one.story, one.seed) for one in summary.failures] == [(stories[1], 4), (stories[1], 7)]
    assert f"replay: hive sim --story {stories[1]} --seeds 7..7 --faults none" in "\n".join(summary.lines())


async def test_a_process_that_dies_is_the_failure_of_its_seed(file: Path) -> None:
    """And another one goes on with the next."""
    summary = await told(file, "dies", range(5))
    assert summary.all.told == 5
    assert [(one.seed, one.error) for one in summary.failures] == [
        (1, "the process that told it ended with status 3"),
        (2, "the process that told it was ended by SIGKILL"),
    ]


async def test_a_story_that_hangs_is_ended_with_its_process(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had in memory goes too: the campaign names a directory for that, and removes it."""
    monkeypatch.setenv("HIVE_SCRATCH", str(tmp_path))
    summary = await told(file, "hangs", range(3), seconds_per_seed=5)
    assert [(one.seed, one.error) for one in summary.failures] == [
        (1, "it had not ended after 5 s, and its process was killed")
    ]
    assert summary.all.told == 3
    assert children() == []
    assert list(tmp_path.iterdir()) == [file]  # noqa: ASYNC240 - in memory


def children() -> list[str]:
    """The processes that this one has started and not ended."""
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


async def test_no_more_seeds_are_begun_after_so_many_failures(file: Path) -> None:
    """Those that failed are shown."""
    summary = await told(file, "hopeless", range(50), stop_at=2)
    assert summary.all.told == 2
    assert [one.error for one in summary.failures] == ["ValueError: always"] * 2


@pytest.mark.slow
async def test_a_second_process_finds_what_depends_on_hashes(file: Path) -> None:
    """The same process would tell it the same way again."""
    assert (await told(file, "hashes", range(1))).failures == []
    summary = await told(file, "hashes", range(1), twice=True, shrink=True)
    (failure,) = summary.failures
    assert summary.shrunk[0].faults == ()
    assert summary.shrunk[0].otherwise == ()
    assert failure.error is not None
    assert "two runs of the same seed differ" in failure.error
    assert "msg.sent" in failure.error
    assert (await told(file, "well", range(2), twice=True)).failures == []


async def test_a_signal_ends_it_in_order(file: Path) -> None:
    """With what was found so far; no process is left."""

    def interrupt(summary: Summary) -> None:
        if summary.all.told == 3:
            signal.raise_signal(signal.SIGINT)

    summary = await Campaign(Plan((f"{file}:well",), range(100_000)), watch=interrupt).run()
    assert summary.interrupted
    assert 3 <= summary.all.told < 100
    assert children() == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import nowhere", "No module named 'nowhere'"),
        ("import os; os._exit(4)", "the process that imported .* ended with status 4"),
    ],
)
async def test_a_story_that_is_not_there_is_nobodys_failure(tmp_path: Path, text: str, why: str) -> None:
    """All processes are ended."""
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(NoStory, match=why):
        await Campaign(Plan((f"{path}:story",), range(9), jobs=2)).run()
    assert children() == []


async def test_what_a_story_has_started_ends_with_the_process_that_told_it(tmp_path: Path) -> None:
    """Also where that process ended by itself."""
    path, pids = tmp_path / "forks.py", tmp_path / "pids"
    path.write_text(FORKS.format(pids=pids))
    summary = await told(path, "story", range(1, 3), jobs=1)
    assert summary.all.failed == 1
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 2
    for _ in range(6_000):  # a signal takes its time to arrive
        if not any(map(runs, started)):
            return
        await trio.sleep(0.01)
    raise AssertionError(f"still there: {started}")


def runs(pid: int) -> bool:
    """Whether there is such a process, and not only its exit status."""
    stat = read_stat(pid)
    return stat is not None and not stat.dead


async def test_a_failure_is_made_smaller_and_fails_again(file: Path) -> None:
    """A story with a mistake is found by some seed, shrunk, and replayed from what was printed."""
    summary = await told(file, "buggy", range(4), faults="some*3", shrink=True)
    (first,) = summary.firsts()
    shrunk = summary.shrunk[first.seed]
    assert first.error == "AssertionError: a turn has failed"
    assert shrunk.faults is not None
    assert 0 < len(shrunk.faults) < shrunk.of
    again = await told(file, "buggy", range(first.seed, first.seed + 1), faults=",".join(shrunk.faults))
    assert [one.kind for one in again.failures] == [first.kind]
    assert again.failures[0].injected == shrunk.faults
    assert f"--faults {','.join(shrunk.faults)}" in "\n".join(summary.lines())


async def test_what_is_kept_is_the_same_failure_and_another_one_is_named(file: Path) -> None:
    """With half of the faults the story fails too, at its next line: that is somebody else's failure."""
    summary = await told(file, "slips", range(1), faults="some", shrink=True)
    assert [one.error for one in summary.failures] == ["AssertionError: faults of two kinds"]
    shrunk = summary.shrunk[0]
    assert shrunk.faults is not None
    assert len({name.partition("@")[0] for name in shrunk.faults}) == 2
    (other,) = shrunk.otherwise
    assert other.error == "AssertionError: faults of one kind"
    again = await told(file, "slips", range(1), faults=other.faults)
    assert [one.kind for one in again.failures] == [other.kind]


async def test_a_failure_that_needs_no_fault_says_so(file: Path) -> None:
    """Nothing is looked for."""
    summary = await told(file, "hopeless", range(2, 3), faults="some", shrink=True)
    assert [one.error for one in summary.failures] == ["ValueError: always"]
    assert summary.shrunk[2].faults == ()


async def test_one_that_fails_only_after_others_says_so(file: Path) -> None:
    """It is the story that remembers."""
    summary = await told(file, "remembers", range(3), shrink=True)
    assert [one.seed for one in summary.failures] == [2]
    assert summary.shrunk[2].faults is None


async def test_a_teller_that_is_told_to_end_twice_does(file: Path) -> None:
    """The second time there is nothing to do."""
    teller = Teller(Plan((f"{file}:well",), range(1)), os.environ)
    assert (await teller.tell(0, "none")).error is None
    await teller.end()
    await teller.end()
    assert children() == []


def test_what_a_process_tells_is_what_the_run_came_to() -> None:
    """Told within this process."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        await sim.send("iris", "hello")
        await sim.settle()

    expected = run(story, 3, faults=Faults.some())
    seen: Told = tell("file.py:story", story, 3, "some", traced=True)
    assert (seen.steps, seen.messages, seen.boots) == (expected.steps, expected.messages, expected.boots)
    assert seen.injected == tuple(map(str, expected.injected))
    assert list(seen.trace) == expected.trace()
    assert seen.error is None


def test_a_failure_tells_its_kind_and_how_to_have_it_again() -> None:
    """A group by what is in it."""

    async def fail() -> None:
        raise ValueError("first line\nsecond line")

    async def story(_: Simulation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 9)
            nursery.start_soon(fail)

    seen = tell("my file.py:story", story, 3, "some", traced=False)
    assert seen.error == "ValueError: first line"
    assert seen.kind == f"ValueError@{__file__}:{fail.__code__.co_firstlineno + 1}:fail"
    assert "replay: hive sim --story 'my file.py:story' --seeds 3..3 --faults some  (" in seen.text
    assert seen.trace == ()


def test_an_error_without_text_is_told_by_its_type() -> None:
    """As TimeoutError often is."""
    told_one = tell("file.py:story", _nothing, 0, "none", traced=False)
    assert _failed(told_one, TimeoutError(), ()).error == "TimeoutError"


async def _nothing(_: Simulation) -> None:
    await trio.lowlevel.checkpoint()
