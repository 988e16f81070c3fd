"""What a file says is found whatever has been done to it behind the back of hive: a doctored directory.

The store is a real one, in which letters were sent and handled; then rows are changed by hand.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hive.testing.torture import evidence
from hive.testing.torture.book import Book
from hive.testing.torture.findings import End
from hive.testing.torture.verdict import Course, judge
from tests.testing.torture.conftest import LETTERS, lived

COURSE = Course(seed=1, seconds=1.0, interrupted=False, kills=())


def found_in(folder: Path, book: Book) -> End:
    """What its file says, as if every program had left its trace."""
    store = folder / "hive.sqlite3"
    with evidence.looked_into(store) as db:
        traces = dict.fromkeys(book.offered, 1)
        return End(evidence.messages(db), traces, evidence.settled_twice(db), evidence.violations(store))


def test_a_hive_that_was_left_alone_is_found_to_be_well(tmp_path: Path) -> None:
    """Or what follows would mean nothing."""
    book = lived(tmp_path)
    verdict = judge(book, COURSE, found_in(tmp_path, book))
    assert verdict.problems == ()
    assert verdict.messages.done == LETTERS
    with evidence.looked_into(tmp_path / "hive.sqlite3") as db:
        committed, in_part = evidence.there(db, book.offered.keys())
        assert (committed, in_part) == (book.acknowledged, ())
        assert evidence.counted(db, evidence.WAITING) == evidence.counted(db, evidence.CLAIMED) == 0
        assert evidence.first_claim(db) is not None


TWICE = """
CREATE TEMP TABLE copied AS SELECT * FROM message WHERE number = 1;
UPDATE copied SET number = 99, id = 'm-other';
INSERT INTO message SELECT * FROM copied
"""
DOCTORED = [
    ("a row is gone", "DELETE FROM message WHERE number = 1", "not there"),
    ("a row is there twice", TWICE, "more than once"),
    ("a verdict was taken back", "UPDATE message SET state = 'ready' WHERE number = 1", "neither handled"),
    ("a claim is not on record", "DELETE FROM journal WHERE type = 'msg.claimed'", "settled twice"),
    ("a count is off", "UPDATE tally SET accepted = accepted + 1", "invariant 3"),
    ("nobody was given it", "UPDATE turn_message SET seen = 0", "invariant 4"),
]


@pytest.mark.parametrize(
    ("statement", "expected"), [one[1:] for one in DOCTORED], ids=[one[0] for one in DOCTORED]
)
def test_whatever_is_done_to_its_file_is_found(tmp_path: Path, statement: str, expected: str) -> None:
    """The verdict fails, and says why."""
    book = lived(tmp_path)
    with closing(sqlite3.connect(tmp_path / "hive.sqlite3", isolation_level=None)) as db:
        db.executescript(statement)
        assert db.total_changes > 0
    verdict = judge(book, COURSE, found_in(tmp_path, book))
    assert not verdict.ok
    assert any(expected in problem for problem in verdict.problems), verdict.problems


@pytest.mark.parametrize("table", ["message", "answer", "journal"])
def test_a_send_that_is_there_in_part_is_found(tmp_path: Path, table: str) -> None:
    """It is a message, an event and an answer, all or none."""
    book = lived(tmp_path)
    with closing(sqlite3.connect(tmp_path / "hive.sqlite3", isolation_level=None)) as db:
        db.execute(f"DELETE FROM {table}")
    with evidence.looked_into(tmp_path / "hive.sqlite3") as db:
        _, in_part = evidence.there(db, book.offered.keys())
    assert len(in_part) == LETTERS


def make_history(db: sqlite3.Connection, steps: tuple[str, ...]) -> None:
    """A journal of one message."""
    db.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, type TEXT, agent TEXT, subject TEXT)")
    for step in steps:
        row = (f"msg.{step}", "worker-1", "m-1")
        db.execute("INSERT INTO journal (type, agent, subject) VALUES (?, ?, ?)", row)


@pytest.mark.parametrize(
    ("history", "wrong"),
    [
        (("claimed", "released", "claimed", "retried", "claimed", "done"), 0),
        (("claimed", "done", "released"), 1),
        (("claimed", "claimed", "done"), 1),
        (("done",), 1),
    ],
)
def test_a_second_verdict_is_found(history: tuple[str, ...], wrong: int) -> None:
    """And so is a claim of what is claimed."""
    with closing(sqlite3.connect(":memory:")) as db:
        make_history(db, history)
        assert len(evidence.settled_twice(db)) == wrong


def test_traces_are_counted(tmp_path: Path) -> None:
    """Where nobody left one, there is none."""
    file = tmp_path / "traces"
    count: Callable[[], object] = lambda: evidence.traces_in(file)  # noqa: E731
    assert count() == {}
    file.write_text("a\nb\na\n")
    assert count() == {"a": 2, "b": 1}
