"""The verdict must be able to fail: each thing that can be wrong is found, and nothing else."""

import json
from collections.abc import Mapping, Sequence
from random import Random

import pytest
from attrs import asdict, evolve

from hive.testing.torture.book import Book, Letter
from hive.testing.torture.findings import End, Found, Kill
from hive.testing.torture.senders import compose
from hive.testing.torture.verdict import Course, Verdict, judge, percentile
from hive.testing.torture.words import progress, said

KEYS = ("a" * 32, "b" * 32, "c" * 32)
COURSE = Course(seed=7, seconds=61.0, interrupted=False, kills=(Kill(), Kill(cut=True, bytes_cut=5)))


def kept(keys: Sequence[str] = KEYS) -> Book:
    """A book of letters that were all accepted, the last of which leaves a trace."""
    book = Book()
    for number, key in enumerate(keys):
        letter = Letter(key, "worker-1", f"!note {key}", leaves_trace=number == len(keys) - 1)
        book.offer(letter)
        assert book.hear(letter, f"accepted as #{number} (m-{number})")
    return book


def done(keys: Sequence[str] = KEYS) -> tuple[Found, ...]:
    """The messages they became, all handled."""
    return tuple(Found(key, f"m-{number}", "done") for number, key in enumerate(keys))


def end(
    found: Sequence[Found] = done(),
    traces: Mapping[str, int] = {KEYS[-1]: 1},
    settled_twice: Sequence[str] = (),
    violations: Sequence[str] = (),
) -> End:
    """An end at which everything is well, but for what is given."""
    return End(found, traces, settled_twice, violations)


def test_where_everything_is_there_and_handled_nothing_is_wrong() -> None:
    """And whatever was acknowledged is accounted for."""
    verdict = judge(kept(), COURSE, end())
    assert verdict.ok
    assert verdict.messages.accounted_for == verdict.messages.acknowledged == verdict.messages.done == 3
    assert "nothing that was acknowledged is missing" in said(verdict)


FOUND = done()
WRONG = [
    ("lost", end(FOUND[1:]), KEYS[0], "lost"),
    ("another in its place", end((evolve(FOUND[0], id="m-9"), *FOUND[1:])), KEYS[0], "lost"),
    ("twice", end((*FOUND, Found(KEYS[0], "m-9", "done"))), KEYS[0], "twice"),
    ("waits", end((*FOUND[:2], evolve(FOUND[2], state="ready"))), KEYS[2], "unheard"),
    ("done without a trace", end(traces={}), KEYS[2], "unheard"),
    ("settled twice", end(settled_twice=("message m-1: msg.done after msg.done",)), "m-1", "handled_twice"),
]


@pytest.mark.parametrize(
    ("ended", "named", "count"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_what_is_wrong_with_a_message_is_found_and_named(ended: End, named: str, count: str) -> None:
    """It is counted where it belongs, and in one sentence."""
    verdict = judge(kept(), COURSE, ended)
    assert not verdict.ok
    assert getattr(verdict.messages, count) == 1
    (problem,) = verdict.problems
    assert named in problem


def test_a_dead_letter_and_a_parked_agent_are_shown_and_no_loss() -> None:
    """That is the other half of the promise."""
    shown = end(
        (
            evolve(FOUND[0], state="dead", why="expired"),
            evolve(FOUND[1], state="ready", why="paused"),
            FOUND[2],
        )
    )
    verdict = judge(kept(), COURSE, shown)
    assert verdict.ok
    assert (verdict.messages.done, verdict.messages.shown_why_not, verdict.messages.accounted_for) == (
        1,
        2,
        3,
    )


def test_what_was_not_acknowledged_may_be_there_or_not_but_once() -> None:
    """Whoever was told nothing was promised nothing."""
    book = kept(KEYS[:2])
    book.offer(Letter("d" * 32, "worker-1", ""))
    told = end(done(KEYS[:2]), traces={KEYS[1]: 1})
    assert judge(book, COURSE, told).ok
    assert judge(book, COURSE, evolve(told, found=(*told.found, Found("d" * 32, "m-3", "done")))).ok
    twice = evolve(told, found=(*told.found, *(Found("d" * 32, f"m-{number}", "done") for number in (3, 4))))
    assert judge(book, COURSE, twice).messages.twice == 1


def test_what_was_in_the_file_after_a_kill_stays_there() -> None:
    """Though its sender had not heard of it."""
    seen = evolve(COURSE, kills=(Kill(committed={"e" * 32: "m-5"}),))
    (problem,) = judge(kept(), seen, end()).problems
    assert "e" * 32 in problem


def test_another_answer_to_the_same_letter_is_found() -> None:
    """Whoever repeats a send is told the same word for word."""
    book = kept()
    book.hear(book.offered[KEYS[0]], "accepted as #9 (m-9)")
    (problem,) = judge(book, COURSE, end()).problems
    assert KEYS[0] in problem


@pytest.mark.parametrize(
    "course",
    [evolve(COURSE, problems=("the daemon: gone",)), evolve(COURSE, outlived=("process 12",))],
    ids=["a daemon that does not start", "a child that lives on"],
)
def test_what_went_wrong_on_the_way_is_no_success(course: Course) -> None:
    """Even if nothing is missing."""
    verdict = judge(kept(), course, end())
    assert not verdict.ok
    assert not judge(kept(), COURSE, end(violations=("invariant 3: it is broken",))).ok


def test_what_nobody_had_time_for_may_wait() -> None:
    """A torture that stopped at what is wrong leaves mail behind."""
    ended = evolve(end((*FOUND[:2], evolve(FOUND[2], state="claimed"))), worked_off=False)
    assert judge(kept(), COURSE, ended).messages.unheard == 0


def test_a_failure_says_where_to_look_and_how_to_repeat_it() -> None:
    """With the seed and the number of kills; and so many single problems that they can be read."""
    keys = [f"{number:032x}" for number in range(50)]
    verdict = evolve(judge(kept(keys), COURSE, end(())), kept="/tmp/hive-torture-x")
    text = said(verdict)
    assert "hive torture --kills 2 --seed 7" in text
    assert "kept in /tmp/hive-torture-x" in text
    assert "acknowledged, and not there: and 30 more" in text
    assert verdict.messages.lost == 50


def test_machines_get_the_whole_verdict() -> None:
    """As JSON."""
    verdict: Verdict = judge(kept(), evolve(COURSE, restarts=(1.0, 2.0, 9.0)), end())
    data = json.loads(json.dumps(asdict(verdict)))
    assert data["log_cuts"] == {"number": 1, "took_commits": 1, "bytes": 5, "events": 0}
    assert data["restarts"] == {"number": 3, "seconds_p50": 2.0, "seconds_p99": 9.0}
    assert percentile((), 0.5) is None


def test_a_kill_that_hit_everything_is_told_from_others() -> None:
    """All four kinds of victims must have been there."""
    everything = Kill({"k": "mcp/tcp"}, {"k": "mcp/tcp"}, {}, claimed=1, children=1)
    assert everything.hit_everything
    assert "1 sends in flight (1 mcp/tcp), 1 awaiting commit; 1 claimed, 1 children" in str(everything)
    assert not evolve(everything, in_flight={"k": "hive.1"}).hit_everything
    assert not evolve(everything, awaiting_commit={}).hit_everything
    assert not evolve(everything, claimed=0).hit_everything
    assert not evolve(everything, children=0).hit_everything


def test_the_book_writes_everything_down() -> None:
    """As it happens, a line each; what accepts nothing is no promise."""
    lines: list[str] = []
    book = Book(lines.append)
    letter = compose(Random(1), ["worker-1"])
    book.offer(letter)
    assert not book.hear(letter, "worker-1's mailbox is full")
    assert book.hear(letter, "accepted as #4 (m-4)")
    assert [json.loads(line)["what"] for line in lines] == ["offered", "refused", "answered"]
    assert (book.acknowledged, book.refusals) == ({letter.key: "m-4"}, 1)


def test_progress_is_one_short_line() -> None:
    """A terminal of eighty columns holds it."""
    line = progress(1234, 300, 123_456, 123_450, 3723.0)
    assert len(line) < 100
    assert "\n" not in line
    assert line.startswith("62:03")
