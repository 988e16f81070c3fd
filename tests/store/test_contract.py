"""The store's contract on SQLite: in place, as a simulation commits, and in a thread, as a daemon does."""

from contextlib import AbstractContextManager
from pathlib import Path

from hive.store.sqlite import SqliteStore, open_store
from hive.testing.contracts import StoreContract
from hive.testing.store_world import World


def sqlite(path: Path, world: World, *, inline: bool) -> AbstractContextManager[SqliteStore]:
    """Open the store of one test."""
    return open_store(
        path / "hive.sqlite3",
        wall=world.wall,
        random_=world.random,
        inline=inline,
        pauses=world,
        faults=world.faults,
    )


class TestInPlace(StoreContract):
    """Commits on Trio's thread."""

    def opened(self, path: Path, world: World) -> AbstractContextManager[SqliteStore]:
        """Open the store inline."""
        return sqlite(path, world, inline=True)


class TestInAThread(StoreContract):
    """Commits in a worker thread."""

    def opened(self, path: Path, world: World) -> AbstractContextManager[SqliteStore]:
        """Open the store as a daemon does."""
        return sqlite(path, world, inline=False)
