"""Which hive is meant: `--dir`, HIVE_DIR, $XDG_DATA_HOME/hive, /var/lib/hive, in that order.

The rule kept here: a place that was named is the only one tried; the others are tried in order.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from hive.cli.status import Failed, Status
from hive.directory import Directory, holder

SYSTEM_WIDE = Path("/var/lib/hive")


@frozen
class Place:
    """A directory that may hold a hive, and why it is looked at."""

    directory: Path
    because: str


def named(text: str, what: str) -> Path:
    """The place a person names.  Raises `Failed` where that is no name."""
    if not text:
        raise Failed(Status.USAGE, f"{what} is empty: name one, '.' for the current directory")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Failed(Status.USAGE, f"{what} is not valid UTF-8: {text!r}") from None
    return Path(text).absolute()


def check_directory(path: Path) -> None:
    """Refuse what can never be a hive's directory.  Raises `Failed`."""
    if os.path.lexists(path) and not path.is_dir():
        found = "a link that leads nowhere" if path.is_symlink() and not path.exists() else "no directory"
        raise Failed(Status.REFUSED, f"{path} is {found}: move it away, or name another one with --dir")


def places(directory: str | None, environment: Mapping[str, str] | None = None) -> Sequence[Place]:
    """Where to look, first things first."""
    environment = os.environ if environment is None else environment
    if directory is not None:
        return (Place(named(directory, "--dir"), "--dir"),)
    if environment.get("HIVE_DIR"):
        return (Place(named(environment["HIVE_DIR"], "HIVE_DIR"), "HIVE_DIR"),)
    data = environment.get("XDG_DATA_HOME") or str(
        Path(environment.get("HOME", "~")).expanduser() / ".local/share"
    )
    return (Place(Path(data) / "hive", "$XDG_DATA_HOME/hive"), Place(SYSTEM_WIDE, "system-wide"))


def place_to_create(directory: str | None, environment: Mapping[str, str] | None = None) -> Path:
    """Where `hive up` runs: an existing hive of those places, else the first of them.

    Raises `Failed` where none can be.
    """
    candidates = places(directory, environment)
    existing = (place for place in candidates if has_hive(place))
    found = next(existing, candidates[0]).directory
    check_directory(found)
    return found


def has_hive(place: Place) -> bool:
    """Whether a hive has run there, as far as we may know."""
    try:
        return Directory(place.directory).store.exists()
    except OSError:
        return False  # somebody else's is none of ours


def place_that_runs(candidates: Sequence[Place]) -> tuple[Place, int] | None:
    """The first of the places where a daemon runs, and its process."""
    for place in candidates:
        with suppress(PermissionError, NotADirectoryError):
            if pid := holder(Directory(place.directory)):
                return place, pid
    return None
