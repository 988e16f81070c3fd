"""The protocol `hive.1`: its frames and their JSON, and nothing that moves them.

Text frames of one JSON object each, at most `FRAME_BYTES` either way, field `op` says which.  Lane `j` is the
journal (an event's number is the journal's `seq`); lane `a:<agent>` is one agent's stream.  Numbers of a lane
have no holes and survive restarts; within another `log_id` nothing remembered is valid.

From the client:

    hello   v, log_id?, at {lane: [n, boot]}, want [lane]
            open; `at` names the last applied event of each lane to resume after
    sub     lane, at? [n, boot]; open a lane, or ask again after a gap
    unsub   lane; close a lane
    cmd     id, name, args {}, expect {}; change something, idempotent by id (128 bit, hexadecimal)
    part    id, n, text, last; a piece of a long body that a later cmd names by `args.body_parts = id`
    get     id, what, args {}; read-only detail
    beat    at {lane: n}; every 10 s

From the server:

    welcome v, log_id, boot, now, who, role, version, operator, lanes {lane: "resumed" or "snapshot"}, health
    snap    lane, part "begin", n, boot; a snapshot that stands for event n follows
    snap    lane, part "rows", kind, rows []; at most 500 rows
    snap    lane, part "end", n; swap it in, at once and whole
    ev      lane, e [[n, at, type, data, command?], ...]; contiguous, n rising by one
    ack     id, ok, n, result?, error? {code, text}; n is the journal number to wait for
    got     id, ok, data?, error?; answer to get
    beat    at {lane: n}, now, health; what you should have, every 10 s
    resync  lane, why; a snapshot follows
    bye     code, why, retry_ms; the connection closes

`health` is {violations [{invariant, agent, text}], refusing (text or null), counts {accepted, ready, claimed,
blocked, done, dead, removed}}: figures without a history, so they travel with the beat.

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

from typing import Final

import orjson

VERSION: Final = 1
SUBPROTOCOL: Final = "hive.1"
FRAME_BYTES: Final = 256 * 1024
SNAPSHOT_ROWS: Final = 500
JOURNAL: Final = "j"
STREAM_PREFIX: Final = "a:"
BEAT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 60.0
LONGEST_ID: Final = 64
"""Characters of a client-made id."""


def frame(op: str, **fields: object) -> str:
    """One frame as text."""
    return orjson.dumps({"op": op, **fields}).decode()


def joined(lane: str, events: list[str]) -> str:
    """Events that are JSON already, as one `ev` frame."""
    return f'{{"op":"ev","lane":{orjson.dumps(lane).decode()},"e":[{",".join(events)}]}}'
