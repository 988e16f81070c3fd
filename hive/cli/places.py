"""Which hive is meant: `--dir`, HIVE_DIR, $XDG_DATA_HOME/hive, /var/lib/hive, in that order.

The rule kept here: a place that was named is the only one tried; the others are tried in order.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from hive.directory import Directory, holder

SYSTEM_WIDE = Path("/var/lib/hive")


@frozen
class Place:
    """A directory that may hold a hive, and why it is looked at."""

    directory: Path
    because: str


def places(named: str | None, environment: Mapping[str, str] | None = None) -> Sequence[Place]:
    """Where to look, first things first."""
    environment = os.environ if environment is None else environment
    if named is not None:
        return (Place(Path(named).absolute(), "--dir"),)
    if environment.get("HIVE_DIR"):
        return (Place(Path(environment["HIVE_DIR"]).absolute(), "HIVE_DIR"),)
    data = environment.get("XDG_DATA_HOME") or str(
        Path(environment.get("HOME", "~")).expanduser() / ".local/share"
    )
    return (Place(Path(data) / "hive", "$XDG_DATA_HOME/hive"), Place(SYSTEM_WIDE, "system-wide"))


def place_to_create(named: str | None, environment: Mapping[str, str] | None = None) -> Path:
    """Where `hive up` runs: an existing hive of those places, else the first of them."""
    candidates = places(named, environment)
    existing = (place for place in candidates if has_hive(place))
    return next(existing, candidates[0]).directory


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
