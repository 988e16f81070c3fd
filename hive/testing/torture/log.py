"""The log of a SQLite file, and what a power cut may leave of it.

How far it was synced is told by its index, read as an acknowledgement arrives: whatever was acknowledged
lies before that.  The rule kept here: a cut takes only what the machine need not have kept, so never what
was acknowledged, and never what a checkpoint has begun to copy.
"""

import struct
from pathlib import Path
from random import Random
from typing import Final

from attrs import frozen

HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
SECTOR_BYTES: Final = 512
BEYOND_FRAMES: Final = 32
"""How far behind the last commit a cut may fall: there may be part of another one."""

# https://www.sqlite.org/walformat.html, "The WAL-Index File Format"; numbers in the machine's own order.
INDEX_HEADER: Final = struct.Struct("=3I2BH8I")
ATTEMPTED: Final = struct.Struct("=I")
ATTEMPTED_AT: Final = 128
INDEX_BYTES: Final = ATTEMPTED_AT + ATTEMPTED.size
LARGEST_PAGE: Final = 65_536
TRIES: Final = 20


@frozen
class Mark:
    """How far a log reaches at a moment."""

    salt: tuple[int, int]
    """Another one whenever the log is begun again from its front."""

    page: int
    """Bytes."""

    frames: int
    """Committed."""

    copied: int
    """Of these, how many a checkpoint may have begun to copy; they were synced before."""

    def offset(self, frames: int) -> int:
        """Where in the file so many frames end."""
        return HEADER_BYTES + frames * (FRAME_HEADER_BYTES + self.page)

    def floor(self, synced: "Mark | None") -> int:
        """How many frames a power cut leaves where so much was synced; all where nobody knows."""
        if synced is None:
            return self.frames
        return max(synced.frames if synced.salt == self.salt else 0, self.copied)


def log_of(store: Path) -> Path:
    """The log beside a database."""
    return store.with_name(f"{store.name}-wal")


def read_mark(store: Path) -> Mark | None:
    """How far a database's log reaches, which another process may be writing; None where none can tell."""
    try:
        with store.with_name(f"{store.name}-shm").open("rb", buffering=0) as index:
            for _ in range(TRIES):
                index.seek(0)
                read = index.read(INDEX_BYTES)
                if len(read) == INDEX_BYTES and (mark := parse(read)):
                    return mark
    except FileNotFoundError:
        pass
    return None


def parse(index: bytes) -> Mark | None:
    """A mark from the beginning of an index; None where it is being written."""
    size = INDEX_HEADER.size
    if index[:size] != index[size : 2 * size]:
        return None
    _version, _, _change, is_init, _order, page, frames, _, *_checksum, salt_1, salt_2, _, _ = (
        INDEX_HEADER.unpack(index[:size])
    )
    if not is_init:
        return None
    (attempted,) = ATTEMPTED.unpack_from(index, ATTEMPTED_AT)
    # A page of 64 KiB does not fit into its two bytes, and is written as 1.
    return Mark((salt_1, salt_2), LARGEST_PAGE if page == 1 else page, frames, min(attempted, frames))


def cut_log(log: Path, now: Mark | None, synced: Mark | None, chance: Random) -> int:
    """Cut a log that nobody has open, of which so much was there and so much synced when it was killed.

    Returns how many bytes of commits that takes.  `now` is to be read before anybody opens the database
    again: whoever does takes all of it for synced.
    """
    if now is None or not log.exists():
        return 0
    content = log.read_bytes()
    begin, end = now.offset(now.floor(synced)), now.offset(now.frames)
    if begin >= end:
        # Everything committed was synced: what can be lost is the beginning of another commit.
        end = now.offset(now.frames + BEYOND_FRAMES)
    at = chance.randrange(begin, end + 1)
    log.write_bytes(damaged(content, min(at, len(content)), chance))
    return max(0, now.offset(now.frames) - at)


def damaged(content: bytes, at: int, chance: Random) -> bytes:
    """A log cut here, with what a disk may leave behind the cut: nothing, zeros, noise, or some sectors."""
    kept, tail = content[:at], content[at:]
    match chance.randrange(4):
        case 0:
            return kept
        case 1:
            return kept + bytes(len(tail))
        case 2:
            return kept + chance.randbytes(len(tail))
        case _:
            return kept + _some_sectors(tail, chance)


def _some_sectors(tail: bytes, chance: Random) -> bytes:
    """The tail with each sector there or not, the first one not."""
    sectors = [tail[start : start + SECTOR_BYTES] for start in range(0, len(tail), SECTOR_BYTES)]
    return b"".join(
        sector if number and chance.getrandbits(1) else bytes(len(sector))
        for number, sector in enumerate(sectors)
    )
