"""A copy of a live store is whole; a restored one is another history."""

import sqlite3
from pathlib import Path
from random import Random

import pytest

from hive.protocol.commands import NoteFact
from hive.store.backup import backup, restore
from hive.store.opening import Unusable
from hive.testing.desk import Desk, open_desk


def test_a_backup_of_a_live_store_is_restored_as_another_history(tmp_path: Path) -> None:
    """Same mail, same journal, new log id: no client goes on where the old one left off."""
    copy, place = tmp_path / "copy", tmp_path / "elsewhere"
    place.mkdir()
    with open_desk(tmp_path) as desk:
        name = desk.send("iris", "kept")
        backup(desk.store.path, copy)
        desk.send("iris", "too late")
        before = desk.reader.head()
    restore(copy, place / "hive.sqlite3", Random(7))
    with open_desk(place) as desk:
        assert [mail.id for mail in desk.reader.mailbox("iris").mail] == [name]
        assert desk.reader.head().log_id != before.log_id
        assert not desk.reader.violations(deep=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "elsewhere", "hive.sqlite3"]


def test_nothing_that_exists_is_replaced(desk: Desk, tmp_path: Path) -> None:
    """Neither by a backup nor by a restore, and it stays as it is."""
    copy = tmp_path / "copy"
    copy.write_text("mine")
    with pytest.raises(Unusable, match="not replaced"):
        backup(desk.store.path, copy)
    with pytest.raises(Unusable, match="not replaced"):
        restore(desk.store.path, copy)
    assert copy.read_text() == "mine"


@pytest.mark.parametrize("content", [None, b"", b"a letter\n" * 1_000])
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """In a sentence, and nothing is put in its place."""
    source, target = tmp_path / "copy", tmp_path / "hive.sqlite3"
    if content is not None:
        source.write_bytes(content)
    for verb in (backup, restore):
        with pytest.raises(Unusable, match="copy"):
            verb(source, target)
        assert not target.exists()


def test_a_damaged_backup_is_refused(desk: Desk, tmp_path: Path) -> None:
    """Damage in the middle of the file is found before anything is copied."""
    copy, target = tmp_path / "copy", tmp_path / "restored"
    for n in range(50):
        desk.do(NoteFact("hive.warning", None, {"code": "filler", "text": f"{n}" * 500}))
    backup(desk.store.path, copy)
    content = bytearray(copy.read_bytes())
    content[len(content) // 2 :: 7] = b"\xa5" * len(content[len(content) // 2 :: 7])
    copy.write_bytes(content)
    with pytest.raises(Unusable, match="damaged"):
        restore(copy, target)
    assert not target.exists()


def test_a_backup_whose_tables_and_indexes_disagree_is_refused(desk: Desk, tmp_path: Path) -> None:
    """Damage that only a check of the whole file finds."""
    copy, target = tmp_path / "copy", tmp_path / "restored"
    backup(desk.store.path, copy)
    db = sqlite3.connect(copy)
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_master SET rootpage = 3 WHERE name = 'message_dead'")
    db.commit()
    db.close()
    with pytest.raises(Unusable, match="damaged"):
        restore(copy, target)
    assert not target.exists()


def test_a_backup_of_a_newer_hive_leaves_no_target(desk: Desk, tmp_path: Path) -> None:
    """It is found out after the copy, and the copy is taken away again."""
    copy, target = tmp_path / "copy", tmp_path / "restored"
    backup(desk.store.path, copy)
    db = sqlite3.connect(copy)
    db.execute("UPDATE _sqlite_migrations SET name = 'm999_later' WHERE name = 'm002_send_less'")
    db.commit()
    db.close()
    with pytest.raises(Unusable, match="newer"):
        restore(copy, target)
    assert not target.exists()
