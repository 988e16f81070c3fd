"""A file is ours, whole and of a schema we know, or it is refused in one sentence and left as it was."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from hive.protocol.commands import BeginTurn, ExpireLeases, Settings, TurnBegun
from hive.store.handlers import HANDLERS
from hive.store.opening import Unusable, open_database
from hive.store.rows import settings_text
from hive.store.schema import migrations
from hive.store.sqlite import open_store
from hive.store.transaction import Transaction
from hive.testing.desk import open_desk
from hive.testing.store_world import World


def value(path: Path, sql: str) -> object:
    """One value of a database."""
    db = sqlite3.connect(path)
    try:
        return db.execute(sql).fetchone()[0]
    finally:
        db.close()


def refusal(path: Path, known: Migrations = migrations) -> str:
    """How opening it is refused."""
    with pytest.raises(Unusable) as caught:
        open_database(path, World().random, known).close()
    return caught.value.text


def newer() -> Migrations:
    """The migrations of a later hive."""
    later = Migrations("hive")
    later._migrations = [*migrations._migrations]

    @later()
    def m999_more(db: Database) -> None:
        db.execute("CREATE TABLE more (x)")

    return later


def test_a_new_file_is_the_owners_alone_and_can_shrink(tmp_path: Path) -> None:
    """It holds everybody's mail, and retention gives its space back."""
    with open_desk(tmp_path) as desk:
        assert desk.store.path.stat().st_mode & 0o777 == 0o600
        assert desk.store.path.with_name("hive.sqlite3-wal").stat().st_mode & 0o777 == 0o600
        assert value(desk.store.path, "PRAGMA auto_vacuum") == 2
        assert value(desk.store.path, "PRAGMA journal_mode") == "wal"


def test_opening_again_keeps_the_history(tmp_path: Path) -> None:
    """The log id names it; the boots count on."""
    with open_desk(tmp_path) as desk:
        first = desk.reader.head()
    with open_desk(tmp_path) as desk:
        assert desk.reader.head().log_id == first.log_id
        assert desk.store.boot == first.boot + 1
    assert not list(tmp_path.glob("*before*")), "nothing was pending"


def test_a_pending_migration_comes_after_a_copy(tmp_path: Path) -> None:
    """The copy is the database as it was, named after the migration that comes next."""
    with open_desk(tmp_path) as desk:
        desk.send("iris")
        path = desk.store.path
    open_database(path, World().random, newer()).close()
    copy = path.with_name(f"hive.sqlite3.before-{len(migrations._migrations) + 1}")
    assert value(path, "SELECT count(*) FROM sqlite_master WHERE name = 'more'") == 1
    assert value(copy, "SELECT count(*) FROM sqlite_master WHERE name = 'more'") == 0
    assert value(copy, "SELECT count(*) FROM message") == 1
    assert value(copy, "PRAGMA integrity_check") == "ok"
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("known", range(1, len(migrations._migrations)))
def test_a_hive_of_every_older_schema_is_opened_and_goes_on(tmp_path: Path, known: int) -> None:
    """What it held is there, and mail can be sent and read at once."""
    older = Migrations("hive")
    older._migrations = migrations._migrations[:known]
    path = tmp_path / "hive.sqlite3"
    with closing(open_database(path, World().random, older)) as db:
        db.execute(
            "INSERT INTO agent (name, settings, added_at) VALUES ('otto', ?, 0)", (settings_text(Settings()),)
        )
        db.execute(
            "INSERT INTO message (id, sender, recipient, kind, size, thread, provenance, state, created_at,"
            " ready_at, body) VALUES ('m-1', 'operator', 'otto', 'message', 3, 'm-1', 'operator', 'ready',"
            " 0, 0, 'old')"
        )
        db.execute("INSERT INTO tally (agent, accepted) VALUES ('otto', 1)")
    with open_desk(tmp_path) as desk:
        desk.send("otto", "new")
        assert [mail.body for mail in desk.reader.thread("m-1")] == ["old"]
        begun = desk.do(BeginTurn("otto", 1))
        assert isinstance(begun, TurnBegun)
        assert [held.mail.body for held in begun.messages] == ["old", "new"]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    """And does not hide why."""
    with open_desk(tmp_path) as desk:
        path = desk.store.path
    broken = newer()

    @broken()
    def m1000_broken(db: Database) -> None:
        db.execute("CREATE TABLE half (x)")
        raise RuntimeError("a mistake in a migration")

    with pytest.raises(RuntimeError, match="mistake"):
        open_database(path, World().random, broken)
    assert value(path, "SELECT count(*) FROM sqlite_master WHERE name = 'half'") == 0
    open_database(path, World().random, newer()).close()


def test_a_database_of_a_newer_hive_is_refused(tmp_path: Path) -> None:
    """The sentence says which migration is not known here, and the file stays as it is."""
    with open_desk(tmp_path) as desk:
        path = desk.store.path
    open_database(path, World().random, newer()).close()
    before = path.read_bytes()
    assert "newer hive (it has m999_more)" in refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"this is a letter, not a database\n" * 500, b"SQLite format 3\0" + b"\xff" * 9_000]
)
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    """In one sentence that says what to do, and nothing is written into it."""
    path = tmp_path / "hive.sqlite3"
    path.write_bytes(content)
    assert "hive restore" in refusal(path)
    assert path.read_bytes() == content


def test_a_damaged_schema_is_refused(tmp_path: Path) -> None:
    """A page of the schema overwritten with noise."""
    with open_desk(tmp_path) as desk:
        path = desk.store.path
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xa5" * 3996
    path.write_bytes(content)
    assert "\n" not in refusal(path)


def test_a_boot_that_fails_has_not_begun(tmp_path: Path) -> None:
    """It is one transaction: the next attempt finds everything as it was left."""
    with open_desk(tmp_path) as desk:
        desk.send("iris")
        desk.begin("iris")
    world = World()

    def crash(tx: Transaction, command: object) -> object:
        raise RuntimeError("a mistake")

    broken = {**HANDLERS, ExpireLeases: crash}
    with open_store(desk.store.path, wall=world.wall, handlers=broken) as store:
        with pytest.raises(RuntimeError, match="mistake"):
            store.recover("0")
        assert store.boot == 0
        assert store.reader.head().boot == 1
        assert len(store.reader.open_turns()) == 1


def test_a_place_where_nothing_can_be_written_is_the_callers_to_hear_of(tmp_path: Path) -> None:
    """The operating system's own error says which path."""
    with pytest.raises(FileNotFoundError, match="missing"), open_store(tmp_path / "missing" / "hive.sqlite3"):
        pass


def test_a_locked_database_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else writes; the file is well."""
    with open_desk(tmp_path) as desk:
        path = desk.store.path
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("hive.store.opening.PRAGMAS", ("PRAGMA busy_timeout = 1",))
    with pytest.raises(Unusable, match=r"cannot be used now \(database is locked\)"):
        open_database(path, World().random)
    other.close()
