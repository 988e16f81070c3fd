"""Commits that are made to fail, as a disk would make them."""

from pathlib import Path

import pytest
import trio

from hive.protocol.commands import NoteFact, SetStatus
from hive.protocol.errors import StoreUnavailable
from hive.store.faults import CommitFaults
from hive.store.sqlite import open_store


@pytest.mark.parametrize("inline", [True, False])
async def test_one_commit_fails_and_the_next_holds(tmp_path: Path, *, inline: bool) -> None:
    """Who waits is told, a verdict waits for the next, and the fault is used up."""
    faults = CommitFaults()
    with open_store(tmp_path / "hive.sqlite3", inline=inline, faults=faults.on_commit) as store:
        store.recover("test")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.drain_forever)
            faults.next_fails = True
            verdict = store.submit(NoteFact("hive.warning", None, {"code": "a", "text": "b"}))
            with pytest.raises(StoreUnavailable, match="this commit was made to fail"):
                await store.submit(SetStatus("iris", "here")).outcome()
            refusing = [store.refusing]
            await verdict.outcome()
            refusing.append(store.refusing)
            nursery.cancel_scope.cancel()
        assert "made to fail" in (refusing[0] or "")
        assert refusing[1] is None
        assert not faults.next_fails


def test_on_a_full_disk_every_commit_fails_until_there_is_room() -> None:
    """And nothing fails where nothing is asked for."""
    faults = CommitFaults(full=True)
    for _ in range(2):
        with pytest.raises(Exception, match="disk is full"):
            faults.on_commit()
    faults.full = False
    faults.on_commit()
