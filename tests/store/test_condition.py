"""What can be said of a store that nobody serves."""

import sqlite3
from pathlib import Path

import pytest

from hive.store.condition import condition
from hive.store.opening import Unusable
from hive.testing.desk import open_desk


def test_a_store_that_nobody_serves_tells_its_counts(tmp_path: Path) -> None:
    """And breaks no invariant by standing still."""
    with open_desk(tmp_path) as desk:
        desk.send("iris")
        path = desk.store.path
    found = condition(path)
    assert (found.counts.accepted, found.counts.ready) == (1, 1)
    assert found.violations == ()


@pytest.mark.parametrize("damage", ["index", "file"])
def test_a_damaged_store_is_unusable_and_the_sentence_says_so(tmp_path: Path, damage: str) -> None:
    """Found by a check of the whole file, or by the first look at it."""
    with open_desk(tmp_path) as desk:
        path = desk.store.path
    if damage == "index":
        db = sqlite3.connect(path)
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET rootpage = 3 WHERE name = 'message_dead'")
        db.commit()
        db.close()
    else:
        path.write_bytes(b"\xff" * 9_000)
    with pytest.raises(Unusable, match=r"is damaged|cannot be read"):
        condition(path)
