"""A disk that is full, fails or lies: a clear error, nothing lost, and hive goes on when it can."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# In a process of its own: a limit on the size of files is the only full disk that needs no rights.
PROGRAM = textwrap.dedent(
    """
    import resource, signal, sys
    from pathlib import Path

    import trio

    from hive.protocol.commands import NoteFact
    from hive.protocol.errors import StoreUnavailable
    from hive.store.sqlite import open_store
    from hive.testing.store_world import a_send, served
    from hive.protocol.commands import AddAgent

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    MANY = 4_000


    async def main(path):
        with open_store(path) as store:
            store.recover("0")
            async with served(store):
                await store.submit(AddAgent("iris")).outcome()
                size = path.with_name("hive.sqlite3-wal").stat().st_size
                resource.setrlimit(resource.RLIMIT_FSIZE, (size + 400_000, resource.RLIM_INFINITY))
                accepted = 0
                try:
                    for n in range(MANY):
                        await store.submit(a_send("iris", f"{n} " + "x" * 2_000)).outcome()
                        accepted += 1
                except StoreUnavailable as error:
                    print("refused:", error.text)
                assert 0 < accepted < MANY
                # Not even a small commit fits any more.
                resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
                verdict = store.submit(NoteFact("hive.warning", None, {"code": "verdict"}))
                assert store.refusing and not verdict.settled
                await trio.sleep(0.3)
                assert store.refusing and not verdict.settled
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                with trio.fail_after(10):
                    await verdict.outcome()
                    await store.submit(a_send("iris", "after")).outcome()
            counts = store.reader.counts()
            assert counts.accepted == counts.ready == accepted + 1, (counts, accepted)
            assert not store.reader.violations(deep=True)
            codes = [row.data.get("code") for row in store.reader.journal(0, limit=10_000)]
            assert codes.count("verdict") == 1
            assert codes.count("store_cleared") == 1
            print("whole:", accepted)


    trio.run(main, Path(sys.argv[1]))
    """
)


def run(program: str, path: Path, *more: int) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-B", "-c", program, str(path), *map(str, more)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )


def test_a_full_disk_refuses_sends_keeps_verdicts_and_ends_well(tmp_path: Path) -> None:
    """Every accepted message is there, no other is, and the verdict of the bad time holds once."""
    ran = run(PROGRAM, tmp_path / "hive.sqlite3")
    assert ran.returncode == 0, ran.stderr
    assert "refused: hive cannot write to its disk" in ran.stdout
    assert "whole:" in ran.stdout


FREE = -1
OPENING = """
import resource, signal, sys
from pathlib import Path
from hive.store.sqlite import open_store

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit(int(sys.argv[2]))
with open_store(Path(sys.argv[1])) as store:
    limit(int(sys.argv[3]))
    store.recover("0")
"""


@pytest.mark.parametrize(("opening", "booting"), [(0, FREE), (4_096, FREE), (20_000, FREE), (FREE, 0)])
def test_a_disk_without_room_for_a_database_is_told_at_once(
    tmp_path: Path, opening: int, booting: int
) -> None:
    """It is said what to do, and nothing is left that a later start would stumble over."""
    path = tmp_path / "hive.sqlite3"
    ran = run(OPENING, path, opening, booting)
    assert ran.returncode != 0
    assert re.search(r"Unusable: .* cannot be used now .*: free some space", ran.stderr), ran.stderr
    again = run(OPENING, path, FREE, FREE)
    assert again.returncode == 0, again.stderr
