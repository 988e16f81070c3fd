"""How far a log reaches is read from its index, and a cut takes only what nobody was promised."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest
from attrs import evolve

from hive.testing.torture.log import (
    INDEX_BYTES,
    SECTOR_BYTES,
    Mark,
    cut_log,
    damaged,
    log_of,
    parse,
    read_mark,
)

MARK = Mark(salt=(1, 2), page=4096, frames=10, copied=0)
CUTS = 40


@contextmanager
def opened(store: Path) -> Iterator[sqlite3.Connection]:
    """A database with a log."""
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, filling TEXT)")
        yield db


def add(db: sqlite3.Connection, rows: int) -> None:
    """So many commits."""
    for _ in range(rows):
        db.execute("INSERT INTO t (filling) VALUES (?)", ("x" * 500,))


def crashed(store: Path, folder: Path) -> Path:
    """The database as it would be if whoever has it open died now."""
    folder.mkdir()
    for end in ("", "-wal", "-shm"):
        shutil.copy(f"{store}{end}", folder / f"{store.name}{end}")
    return folder / store.name


def rows_in(store: Path) -> int:
    """How many rows survived."""
    with closing(sqlite3.connect(store)) as db:
        (number,) = db.execute("SELECT count(*) FROM t").fetchone()
    return int(number)


def test_a_mark_says_where_the_commits_end(tmp_path: Path) -> None:
    """So it is where a log that was never begun again ends too; each commit moves it."""
    store = tmp_path / "db"
    assert read_mark(store) is None
    with opened(store) as db:
        add(db, 3)
        first = read_mark(store)
        assert first is not None
        assert first.offset(first.frames) == log_of(store).stat().st_size
        add(db, 3)
        second = read_mark(store)
        assert second is not None
        assert (second.salt, second.frames > first.frames) == (first.salt, True)


def test_a_log_that_was_begun_again_has_another_salt(tmp_path: Path) -> None:
    """Whatever was marked before it is in the database, and a cut may take the log whole."""
    store = tmp_path / "db"
    with opened(store) as db:
        add(db, 20)
        before = read_mark(store)
        db.execute("PRAGMA wal_checkpoint")
        copied = read_mark(store)
        add(db, 1)
        after = read_mark(store)
        assert before is not None
        assert copied is not None
        assert after is not None
        assert (before.copied, copied.copied) == (0, copied.frames)
        assert after.salt != before.salt
        assert after.floor(before) == 0
        dead = crashed(store, tmp_path / "dead")
    log_of(dead).write_bytes(b"")
    assert rows_in(dead) == 20


@pytest.mark.parametrize(
    ("now", "synced", "floor"),
    [
        (MARK, None, 10),
        (MARK, evolve(MARK, frames=4), 4),
        (MARK, evolve(MARK, frames=4, salt=(1, 3)), 0),
        (evolve(MARK, copied=6), evolve(MARK, frames=4), 6),
    ],
    ids=["nothing known", "what was promised", "another log", "a checkpoint has begun"],
)
def test_the_floor_of_a_cut(now: Mark, synced: Mark | None, floor: int) -> None:
    """Nothing below it may be lost."""
    assert now.floor(synced) == floor


def test_a_cut_loses_what_was_not_synced_and_nothing_else(tmp_path: Path) -> None:
    """Sometimes more, sometimes less, never what was there at the mark; it says whether it took anything."""
    store, chance, left = tmp_path / "db", Random(5), set()
    with opened(store) as db:
        add(db, 5)
        synced = read_mark(store)
        add(db, 5)
        for number in range(CUTS):
            dead = crashed(store, tmp_path / f"{number}")
            taken = cut_log(log_of(dead), read_mark(dead), synced, chance)
            rows = rows_in(dead)
            assert 5 <= rows <= 10
            assert (taken > 0) == (rows < 10)
            left.add(rows)
    assert len(left) > 3


def test_a_cut_below_the_mark_does_lose_what_was_promised(tmp_path: Path) -> None:
    """So that the test above is known to be able to fail."""
    store = tmp_path / "db"
    with opened(store) as db:
        add(db, 5)
        synced = read_mark(store)
        assert synced is not None
        dead = crashed(store, tmp_path / "dead")
    log = log_of(dead)
    log.write_bytes(log.read_bytes()[: synced.offset(synced.frames) - 1])
    assert rows_in(dead) == 4


def test_where_everything_was_synced_a_cut_takes_nothing(tmp_path: Path) -> None:
    """At most the beginning of another commit."""
    store = tmp_path / "db"
    with opened(store) as db:
        add(db, 5)
        synced = read_mark(store)
        for number in range(10):
            dead = crashed(store, tmp_path / f"{number}")
            assert cut_log(log_of(dead), read_mark(dead), synced, Random(number)) == 0
            assert rows_in(dead) == 5
    assert cut_log(tmp_path / "none", None, None, Random(1)) == 0


def test_an_index_that_is_being_written_tells_nothing() -> None:
    """Its two copies differ, or it was never begun."""
    assert parse(bytes(INDEX_BYTES)) is None
    assert parse(b"\1" + bytes(INDEX_BYTES - 1)) is None


def test_a_disk_leaves_different_things_behind_a_cut() -> None:
    """What was before it stays; of the rest nothing, zeros, noise, or some sectors."""
    content, at = bytes([7]) * (20 * SECTOR_BYTES), 1000
    kinds = set()
    for seed in range(40):
        left = damaged(content, at, Random(seed))
        tail = left[at:]
        assert left[:at] == content[:at]
        assert tail[:SECTOR_BYTES] != content[at : at + SECTOR_BYTES]
        kinds.add(
            "nothing"
            if not tail
            else "zeros"
            if not any(tail)
            else "some"
            if set(tail) == {0, 7}
            else "noise"
        )
    assert kinds == {"nothing", "zeros", "noise", "some"}
