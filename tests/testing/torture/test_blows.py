"""The course of a torture, told with a daemon that is none: real processes and a real file, and no hive."""

import errno
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import trio

from hive.cli.places import Place
from hive.testing.torture import blows, run
from hive.testing.torture.blows import Torture
from hive.testing.torture.book import Book
from hive.testing.torture.daemon import DoesNotServe
from hive.testing.torture.findings import Kill
from hive.testing.torture.load import Load
from hive.testing.torture.plan import Plan
from hive.testing.torture.senders import Gate
from hive.testing.torture.verdict import Verdict
from tests.testing.torture.conftest import LETTERS, LIVES, SERVES, Chamber, lived


def after(number: int) -> Callable[[Sequence[Kill]], bool]:
    """So many kills will do."""
    return lambda kills: len(kills) >= number


async def verdict_on(
    chamber: Chamber, plan: Plan, tell: Callable[[Torture], object] = lambda _: None
) -> Verdict:
    """Torture to the end."""
    async with chamber.torture(plan, tell) as torture:
        await torture.run()
    return torture.verdict()


async def test_it_kills_cuts_and_starts_again_until_it_is_enough(chamber: Chamber) -> None:
    """And nothing is wrong with a file that nobody touches."""
    verdict = await verdict_on(chamber, Plan(1, enough=after(4), cut_share=0.5, starting_share=0.5))
    assert verdict.problems == ()
    assert verdict.kills.number == 4
    assert 0 < verdict.log_cuts.number < 4
    assert verdict.kills.while_starting > 0
    assert verdict.restarts.number == 4 - verdict.kills.while_starting
    assert verdict.messages.accounted_for == LETTERS
    assert not verdict.interrupted


async def test_time_ends_it(chamber: Chamber) -> None:
    """Though there was no kill yet."""
    assert (await verdict_on(chamber, Plan(1, seconds=0.0))).kills.number == 0


async def test_whoever_has_seen_enough_ends_it(chamber: Chamber) -> None:
    """After the kill that was under way."""
    verdict = await verdict_on(chamber, Plan(1), lambda _torture: chamber.asked.set())
    assert verdict.ok
    assert verdict.interrupted
    assert verdict.kills.number == 1


async def test_a_row_that_goes_missing_ends_it(chamber: Chamber) -> None:
    """At the next kill, with the file as it was found."""

    def steal(torture: Torture) -> None:
        with closing(sqlite3.connect(torture.daemon.store, isolation_level=None)) as db:
            db.execute("DELETE FROM message WHERE number = 1")

    verdict = await verdict_on(chamber, Plan(1, enough=after(9), starting_share=0.0), steal)
    assert (verdict.kills.number, verdict.restarts.number) == (2, 1)
    assert verdict.messages.lost == 1
    assert any("was acknowledged and is gone" in problem for problem in verdict.problems)


async def test_a_file_that_cannot_be_read_ends_it(chamber: Chamber) -> None:
    """Then everything is missing."""

    def spoil(torture: Torture) -> None:
        torture.daemon.store.write_bytes(b"no database" * 1000)

    verdict = await verdict_on(chamber, Plan(1, enough=after(9), starting_share=0.0, cut_share=0.0), spoil)
    assert "cannot be read" in verdict.problems[0]
    assert verdict.messages.lost == LETTERS


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('no room', flush=True); raise SystemExit(3)", "ended with status 3: no room"),
        (f"{SERVES}; raise SystemExit(4)", "ended by itself, with status 4"),
    ],
    ids=["never serves again", "ends by itself"],
)
async def test_a_daemon_that_does_not_live_ends_it(
    chamber: Chamber, plays: Callable[..., None], program: str, said: str
) -> None:
    """With its last words."""
    plays(LIVES, program)
    verdict = await verdict_on(chamber, Plan(1, enough=after(9), starting_share=0.0))
    (problem,) = verdict.problems
    assert said in problem


async def test_a_daemon_that_does_not_stop_in_order_is_no_success(
    chamber: Chamber, plays: Callable[..., None]
) -> None:
    """Though nothing is missing."""
    plays(f"{SERVES}; import signal; signal.pause()")
    verdict = await verdict_on(chamber, Plan(1, enough=after(1)))
    assert "told to stop, it ended with status -15" in verdict.problems[0]


async def test_a_daemon_that_cannot_be_used_is_no_success(
    chamber: Chamber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves, and nobody answers."""

    async def resume(_place: object) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("nobody answers")

    monkeypatch.setattr(blows, "resume", resume)
    verdict = await verdict_on(chamber, Plan(1, enough=after(1), starting_share=0.0))
    assert any("cannot be used: nobody answers" in problem for problem in verdict.problems)


async def test_a_book_that_cannot_be_written_ends_it(chamber: Chamber) -> None:
    """A full disk, mostly; what is known is told, though nothing is worked off any more."""

    def fill(torture: Torture) -> None:
        def write(_line: str) -> None:
            raise OSError(errno.ENOSPC, "no space left")

        torture.book.write = write

    verdict = await verdict_on(chamber, Plan(1, enough=after(9), starting_share=0.0, cut_share=0.0), fill)
    (problem,) = verdict.problems
    assert "book cannot be written: [Errno 28] no space left" in problem
    assert verdict.kills.number == 2
    assert verdict.messages.accounted_for == LETTERS


async def test_a_machine_that_starts_no_process_ends_it(
    chamber: Chamber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a verdict, and no traceback."""

    def begin(_daemon: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "no process to be had")

    def prevent(torture: Torture) -> None:
        monkeypatch.setattr(type(torture.daemon), "begin", begin)

    verdict = await verdict_on(chamber, Plan(1, enough=after(9), starting_share=0.0), prevent)
    (problem,) = verdict.problems
    assert "no process to be had" in problem


# --- from the directory to the verdict -------------------------------------------------------------


@pytest.fixture
def hired(monkeypatch: pytest.MonkeyPatch, chamber: Chamber) -> Chamber:
    """Hives that have lived when they begin; nobody sends."""

    async def hire(place: Place, _chance: object, book: Book) -> Load:
        await trio.lowlevel.checkpoint()
        old = lived(place.directory)
        book.offered.update(old.offered)
        book.answers.update(old.answers)
        (place.directory / "shared").mkdir()
        (place.directory / "shared" / "traces").write_text("\n".join(old.offered))
        return Load(place, book, (), Gate())

    monkeypatch.setattr(run, "hire", hire)
    monkeypatch.setattr("tempfile.tempdir", str(chamber.base))
    return chamber


def test_where_everything_holds_nothing_is_left(hired: Chamber) -> None:
    """Whoever asked is told how far it is, after every kill."""
    bases: list[Path] = []
    lines: list[str] = []
    verdict = run.torture(Plan(1, enough=after(2)), bases.append, lines.append)
    assert verdict is not None
    assert verdict.ok
    assert len(lines) == 2
    assert f"2 kills, {verdict.log_cuts.number} log cuts; 6 offered, 6 acknowledged" in lines[1]
    assert not bases[0].exists()


def test_where_something_is_wrong_everything_is_kept(hired: Chamber, plays: Callable[..., None]) -> None:
    """The file, the log, and the book."""
    plays(LIVES, "raise SystemExit(3)")
    verdict = run.torture(Plan(1, enough=after(2)), lambda _base: None, lambda _line: None)
    assert verdict is not None
    assert verdict.kept is not None
    assert {path.name for path in Path(verdict.kept).iterdir()} == {"book.jsonl", "hive", "hive.log"}


def test_a_disk_that_is_full_from_the_start_is_one_error(
    hired: Chamber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a group of them, which nobody would put into a sentence."""

    def write_text(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(Path, "write_text", write_text)
    with pytest.raises(OSError, match="no space left"):
        run.torture(Plan(1), lambda _base: None, lambda _line: None)


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_an_end_before_anybody_listens_leaves_nothing(hired: Chamber, error: type[BaseException]) -> None:
    """Ctrl-C while it is being said what begins, or nobody to whom it could be said."""
    bases: list[Path] = []

    def interrupted(base: Path) -> None:
        bases.append(base)
        raise error

    with pytest.raises(error):
        run.torture(Plan(1), interrupted, lambda _line: None)
    assert not bases[0].exists()


def test_a_hive_that_never_serves_is_no_verdict(hired: Chamber, plays: Callable[..., None]) -> None:
    """The directory is kept here too."""
    plays("print('no room', flush=True); raise SystemExit(3)")
    bases: list[Path] = []
    with pytest.raises(DoesNotServe, match="no room"):
        run.torture(Plan(1), bases.append, lambda _line: None)
    assert bases[0].exists()
