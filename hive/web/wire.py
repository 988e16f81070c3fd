"""The protocol `hive.1`: its frames and their JSON, and nothing that moves them.

Text frames of one JSON object each, at most `FRAME_BYTES` either way, field `op` says which.  Lane `j` is the
journal (an event's number is the journal's `seq`); lane `a:<agent>` is one agent's stream.  Numbers of a lane
have no holes and survive restarts; within another `log_id` nothing remembered is valid.

From the client:

    hello   v, log_id?, at {lane: [n, boot]}, want [lane]
            open; `at` names the last applied event of each lane to resume after, and its boot: of lane `j`
            the event's own, of a stream that of its snapshot
    sub     lane, at? [n, boot]; open a lane, or ask again after a gap
    unsub   lane; close a lane
    cmd     id, name, args {}, expect {state?}; change something, idempotent by id (128 bit, hexadecimal);
            refused as a conflict where the message in `args` is not in that state by then
    part    id, n, text, last; piece n, from 0, of a long body that a later cmd names by
            `args.body_parts = id`; piece 0 begins anew
    get     id, what, args {}; read-only detail
    beat    at {lane: n}; every 10 s

From the server:

    welcome v, log_id, boot, now, who, role, version, operator, lanes {lane: "resumed" or "snapshot"}, health;
            a lane that does not exist is not named
    snap    lane, part "begin", n, boot; a snapshot that stands for event n follows
    snap    lane, part "rows", kind, rows []; at most 500 rows
    snap    lane, part "end", n; swap it in, at once and whole
    ev      lane, e [[n, at, type, data, command?], ...]; contiguous, n rising by one
    ack     id, ok, n, result?, error? {code, text}; n is the journal number to wait for
    got     id, ok, data?, error?; answer to get
    beat    at {lane: n}, now, health; every 10 s: the numbers that went out before this frame
    resync  lane, why "slow" or "trimmed"; a snapshot follows
    bye     code, why, retry_ms; the connection closes

`health` is {violations [{invariant, agent, text, message}], refusing (text or null), counts {accepted, ready,
claimed, blocked, done, dead, removed}, audit {looks, full_at (or null), full_seconds}, chaos (null, or while
it is on {rate, total, until, kinds, seed, since, by, struck {kind: number}})}: figures without a history, so
they travel with the beat.

A text of more than 8,192 characters is cut in events and snapshots; the whole of it comes by `get`.
An event of lane `j` has as data the journal row's data plus `agent`, `subject`, `boot`; its type is the
row's.
An event of lane `a:<agent>` has the stream row's kind as type and as data its data plus `turn`.

Rows of a snapshot of `j`, by kind; every field is one that events keep up to date:

    agents    name, settings, added_at, status, status_at, parked [{reason, since, until, detail}],
              turn (number of the open one, or null), epoch
    turns     number, agent, started_at, ended_at, outcome, error, text, stop, messages [id]:
              the open ones and the newest 100
    messages  id, number, from, to, kind, thread, head, size, hops, in_reply_to, priority, provenance, label,
              broadcast, wakes, not_before, cause, state, attempts, turn, why, at, read:
              everything unfinished, the operator's unread (2,000 at most), and the newest 500

Rows of a snapshot of `a:<agent>`: kind `rows`, each [n, at, kind, data] with `turn` inside data.

Close codes: 4400 not understood, 4401 sign in, 4406 upgrade, 4408 silent, 4413 too big, 4429 slow,
1012 restarting.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

import orjson

VERSION: Final = 1
SUBPROTOCOL: Final = "hive.1"
FRAME_BYTES: Final = 256 * 1024
ENVELOPE_BYTES: Final = 1024
"""What a frame has besides its events or rows, at most."""

ITEM_BYTES: Final = 64 * 1024
"""One event or one row of a snapshot."""

LONGEST_TEXTS: Final = (8 * 1024, 1024, 64, 1)
"""Characters of a text and entries of a list in an item: the first, then what is tried if that is long."""

SHALLOW_TEXTS: Final = 64
"""The same near the top, where events and rows have their own fields: never less than this."""

DEEPEST: Final = 8
"""So many lists in lists, and what lies deeper in an item that has to be cut is left out."""

SNAPSHOT_ROWS: Final = 500
JOURNAL: Final = "j"
STREAM_PREFIX: Final = "a:"
BEAT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 60.0
LONGEST_ID: Final = 64
"""Characters of a client-made id."""


def size(text: str) -> int:
    """Bytes of a text on the wire."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def encoded(value: object) -> str:
    """A value as JSON."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # Half a surrogate pair or a giant number, which SQLite and browsers take: told rather than lost.
        return json.dumps(value, default=str)


def frame(op: str, **fields: object) -> str:
    """One frame as text."""
    return encoded({"op": op, **fields})


def item(value: object) -> str:
    """An event or a row as JSON of at most `ITEM_BYTES`; what is too long in it is cut."""
    text = encoded(value)
    if len(text) <= LONGEST_TEXTS[0]:
        return text
    for longest in LONGEST_TEXTS:
        text = encoded(_cut(value, longest))
        if size(text) <= ITEM_BYTES:
            break
    return text


def joined(lane: str, events: Iterable[str]) -> str:
    """Events that are JSON already, as one `ev` frame."""
    return f'{{"op":"ev","lane":{encoded(lane)},"e":[{",".join(events)}]}}'


def rows(lane: str, kind: str, some: Iterable[str]) -> str:
    """Rows that are JSON already, as one `snap` frame."""
    head = f'{{"op":"snap","lane":{encoded(lane)},"part":"rows","kind":{encoded(kind)},"rows":['
    return f"{head}{','.join(some)}]}}"


def fitting(items: Sequence[str], most: int, start: int = 0) -> int:
    """Where a run of items from `start` ends that fits one frame and has at most `most` of them."""
    room = FRAME_BYTES - ENVELOPE_BYTES
    for index in range(start, min(len(items), start + most)):
        room -= size(items[index]) + 1
        if room < 0:
            return index
    return min(len(items), start + most)


def _cut(value: object, longest: int, depth: int = 0) -> object:
    """The value with nothing longer than that in it, but for the fields of an event or a row."""
    shallow = max(longest, SHALLOW_TEXTS)
    if depth >= DEEPEST and not isinstance(value, str):
        return None
    match value:
        case str():
            return value[: longest if depth > 2 else shallow]  # noqa: PLR2004 - [n, at, type, {field: text}]
        case Mapping():
            some = islice(value.items(), longest if depth > 1 else shallow)
            return {name[:shallow]: _cut(entry, longest, depth + 1) for name, entry in some}
        case list() | tuple():
            return [_cut(entry, longest, depth + 1) for entry in value[: longest if depth else shallow]]
        case _:
            return value
