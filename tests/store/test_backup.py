"""A copy of a live store is whole; a restored one is another history."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from hive.protocol.commands import NoteFact
from hive.protocol.errors import Refused
from hive.store.backup import backup, restore
from hive.store.opening import Unusable
from hive.store.sqlite import open_reader
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
    with pytest.raises(Refused, match="not replaced"):
        backup(desk.store.path, copy)
    with pytest.raises(Refused, match="not replaced"):
        restore(desk.store.path, copy)
    assert copy.read_text() == "mine"


@pytest.mark.parametrize("name", ["", "-wal", "-shm", "-journal"])
def test_no_copy_is_made_where_another_database_left_its_log(desk: Desk, tmp_path: Path, name: str) -> None:
    """SQLite would take it for the copy's own.  Not even a link that leads nowhere is replaced."""
    target = tmp_path / "copy"
    left = tmp_path / f"copy{name}"
    left.symlink_to("nowhere")
    for source in (desk.store.path, tmp_path / "no backup"):
        with pytest.raises(Refused, match=f"{left} exists and is not replaced"):
            (backup if source is desk.store.path else restore)(source, target)
    assert left.is_symlink()


@pytest.mark.parametrize("name", ["-journal", "-wal2", ".before-3", "-wal"])
def test_the_stores_own_names_are_not_for_copies(desk: Desk, tmp_path: Path, name: str) -> None:
    """Whether such a file exists at the moment or not; a name elsewhere is as good as any."""
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(Refused, match=r"hive's own files|not replaced"):
        backup(desk.store.path, tmp_path / "link" / f"hive.sqlite3{name}")
    backup(desk.store.path, tmp_path / "elsewhere" / f"hive.sqlite3{name}")
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.parametrize("place", ["/proc/x", "missing/copy", "n" * 300, "n" * 250, "file/copy", "nul\0"])
def test_a_place_where_nothing_can_be_is_refused(desk: Desk, tmp_path: Path, place: str) -> None:
    """With what the machine says, and what to do; nothing is left behind."""
    (tmp_path / "file").touch()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Refused, match=r"No copy was made at .*: .+\. Choose") as refused:
        backup(desk.store.path, tmp_path / place)
    assert type(refused.value) is Refused
    assert sorted(tmp_path.iterdir()) == before


FULL = """
import resource, signal, sys
from pathlib import Path
from hive.protocol.errors import Refused
from hive.store.backup import backup, restore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
source = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
for verb in (backup, restore):
    try:
        verb(source, source.parent / "place" / "copy")
    except Refused as refused:
        print(refused.code, refused.text)
"""


@pytest.mark.parametrize("limit", [0, 4_096, 20_000])
def test_a_full_disk_refuses_a_copy_and_keeps_nothing_of_it(tmp_path: Path, limit: int) -> None:
    """Neither a part of the copy nor a log of it."""
    place = tmp_path / "place"
    place.mkdir()
    with open_desk(tmp_path) as desk:
        desk.send("iris", "kept")
        ran = subprocess.run(
            [sys.executable, "-B", "-c", FULL.replace("LIMIT,", f"{limit},"), str(desk.store.path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
    said = f"refused No copy was made at '{place}/copy': "
    assert [line.startswith(said) for line in ran.stdout.splitlines()] == [True] * 2
    assert list(place.iterdir()) == []


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


def test_what_is_open_is_saved_where_its_files_were_taken_away(tmp_path: Path) -> None:
    """The live store still holds everything; the paths lead nowhere."""
    with open_desk(tmp_path) as desk:
        desk.send("iris", "still here")
        for file in tmp_path.glob("hive.sqlite3*"):
            file.unlink()
        backup(desk.store.path, tmp_path / "copy", desk.store.open_connection)
    restore(tmp_path / "copy", tmp_path / "restored")
    with open_reader(tmp_path / "restored") as reader:
        assert [mail.body for mail in reader.mailbox("iris").mail] == ["still here"]


def test_a_source_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    """The place is to blame: here its log is a folder."""
    with open_desk(tmp_path) as desk:
        source = desk.store.path
    source.with_name(f"{source.name}-wal").mkdir()
    with pytest.raises(Refused, match="unable to open"):
        restore(source, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
