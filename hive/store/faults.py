"""Commits that fail because somebody wants them to: for simulations, and for chaos on a live hive.

The rule kept here: it is looked at before every COMMIT, in the writer's thread, and while nothing is asked
of it that is all it costs.
"""

import sqlite3

from attrs import define


@define(eq=False)
class CommitFaults:
    """What keeps commits from holding besides the disk."""

    full: bool = False
    """Every commit fails."""

    next_fails: bool = False
    """One does, which takes this back."""

    failed: int = 0
    """How many have, by `next_fails`."""

    def on_commit(self) -> None:
        """Raise what a disk that cannot be written does, where that is wanted."""
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        if self.next_fails:
            self.next_fails = False
            self.failed += 1
            raise sqlite3.OperationalError("this commit was made to fail")
