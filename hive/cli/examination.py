"""What `doctor` can tell of a hive whose daemon is down: from its files, without changing one.

The rule kept here: every finding that is bad says what to do about it.
"""

import shutil
from collections.abc import Iterator

from hive import config
from hive.directory import Directory, holder
from hive.protocol.errors import HiveRefusal
from hive.store.condition import condition
from hive.store.opening import Unusable

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
        return
    remedy = f"hive down --dir {directory.root}, then hive up"
    if directory.operator_socket.exists():
        yield _finding("daemon", f"process {pid} runs here, but does not answer", remedy)
    else:
        cause = f"process {pid} runs here, but its socket {directory.operator_socket} is gone"
        yield _finding("daemon", cause, f"{remedy}, which makes it again")


def _settings(directory: Directory) -> Iterator[Finding]:
    try:
        config.load(directory.root)
    except HiveRefusal as refusal:
        yield _finding("settings", refusal.text, f"correct {directory.settings}")
    else:
        yield _finding("settings", f"{directory.settings} can be read")


def _store(directory: Directory) -> Iterator[Finding]:
    try:
        found = condition(directory.store)
    except Unusable as damage:
        yield _finding("store", damage.text, BACKUP)
        return
    counts = found.counts
    waiting = counts.ready + counts.claimed
    yield _finding("store", f"{directory.store} is whole")
    yield _finding("mail", f"{counts.accepted} accepted, {waiting} to be handled, {counts.dead} dead letters")
    for violation in found.violations:
        yield _finding(f"invariant {violation.invariant}", violation.text, "a fault of hive: report it")
    if not found.violations:
        yield _finding("invariants", "all four held at the last commit")


def _disk(directory: Directory) -> Iterator[Finding]:
    free = shutil.disk_usage(directory.root).free
    remedy = f"free space on the file system of {directory.root}" if free < LOW_BYTES else ""
    yield _finding("disk", f"{free // 1024**2} MiB free", remedy)
