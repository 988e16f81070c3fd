"""What `doctor` can tell of a hive whose daemon is down: from its files, without changing one.

The rule kept here: the store is judged as it was at its last commit, because nobody has attended to its mail
since.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from hive import config
from hive.directory import Directory, holder
from hive.protocol.errors import HiveRefusal
from hive.store.opening import connect_reader
from hive.store.sqlite import open_reader

LOW_BYTES = 512 * 1024 * 1024
BACKUP = "keep a copy of the directory, then put a backup elsewhere: hive restore FILE DIR"

Finding = dict[str, object]


def examine(directory: Directory) -> list[Finding]:
    """Findings, worst first."""
    found = [*_daemon(directory), *_settings(directory), *_store(directory), *_disk(directory)]
    return sorted(found, key=lambda finding: bool(finding["ok"]))


def _finding(what: str, cause: str, remedy: str = "") -> Finding:
    return {"ok": not remedy, "what": what, "cause": cause, "remedy": remedy}


def _daemon(directory: Directory) -> Iterator[Finding]:
    pid = holder(directory)
    if pid is None:
        yield _finding("daemon", f"no hive runs on {directory.root}", f"hive up --dir {directory.root}")
    else:
        yield _finding("daemon", f"process {pid} runs here, but does not answer", f"kill {pid}, then hive up")


def _settings(directory: Directory) -> Iterator[Finding]:
    try:
        config.load(directory.root)
    except HiveRefusal as refusal:
        yield _finding("settings", refusal.text, f"correct {directory.settings}")
    else:
        yield _finding("settings", f"{directory.settings} can be read")


def _store(directory: Directory) -> Iterator[Finding]:
    try:
        with closing(connect_reader(directory.store)) as db:
            whole = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if whole == "ok":
            yield _finding("store", f"{directory.store} is whole")
            yield from _contents(directory)
        else:
            yield _finding("store", f"{directory.store} is damaged: {whole}", BACKUP)
    except sqlite3.Error as error:
        yield _finding("store", f"{directory.store} cannot be read: {error}", BACKUP)


def _contents(directory: Directory) -> Iterator[Finding]:
    with open_reader(directory.store) as reader:
        head, counts = reader.head(), reader.counts()
        last = reader.journal(head.seq - 1, limit=1)
    waiting = counts.ready + counts.claimed
    yield _finding("mail", f"{counts.accepted} accepted, {waiting} to be handled, {counts.dead} dead letters")
    if not last:
        return
    with open_reader(directory.store, lambda: last[0].at) as reader:
        broken = reader.violations()
    for violation in broken:
        yield _finding(f"invariant {violation.invariant}", violation.text, "a fault of hive: report it")
    if not broken:
        yield _finding("invariants", "all four held at the last commit")


def _disk(directory: Directory) -> Iterator[Finding]:
    free = shutil.disk_usage(directory.root).free
    remedy = f"free space on the file system of {directory.root}" if free < LOW_BYTES else ""
    yield _finding("disk", f"{free // 1024**2} MiB free", remedy)
