"""The protocol `hive.1`: its frames and their JSON, and nothing that moves them.

Text frames of one JSON object each, at most `FRAME_BYTES` either way, field `op` says which.  Lane `j` is the
journal (an event's number is the journal's `seq`); lane `a:<agent>` is one agent's stream.  Numbers of a lane
have no holes and survive restarts; within another `log_id` nothing remembered is valid.

From the client:

| op    | fields                                        | meaning |
|-------|-----------------------------------------------|---------|
| hello | v, log_id?, at {lane: [n, boot]}, want [lane] | open; `at` names the last applied event of each lane to resume |
| sub   | lane, at? [n, boot]                           | open a lane, or ask again after a gap |
| unsub | lane                                          | close a lane |
| cmd   | id, name, args {}, expect {}                  | change something; idempotent by id (128 bit, hexadecimal) |
| part  | id, n, text, last                             | a piece of a long body; `args.body_parts = id` in a later cmd names it |
| get   | id, what, args {}                             | read-only detail |
| beat  | at {lane: n}                                  | every 10 s |

From the server:

| op      | fields                                           | meaning |
|---------|--------------------------------------------------|---------|
| welcome | v, log_id, boot, now, who, role, limits, lanes {lane: "resumed" or "snapshot"} | answer to hello |
| snap    | lane, part: "begin", n, boot                     | a snapshot that stands for event n follows |
| snap    | lane, part: "rows", kind, rows []                | at most 500 rows |
| snap    | lane, part: "end", n                             | swap it in, at once and whole |
| ev      | lane, e: [[n, at, type, data, command?], ...]    | contiguous, n rising by one |
| ack     | id, ok, n, result?, error? {code, text, data?}   | n is the journal number to wait for |
| got     | id, ok, data?, error?                            | answer to get |
| beat    | at {lane: n}, now                                | what you should have |
| resync  | lane ("*" for all), why, dropped                 | a snapshot follows; why: slow, gap, log, trimmed |
| bye     | code, why, retry_ms                              | the connection closes |

An event of lane `j` has as data the journal row's data plus `agent`, `subject` and `boot`; its type is the row's.
An event of lane `a:<agent>` has the stream row's kind as type and as data its data plus `turn`.

Rows of a snapshot of `j`, by kind (fields as the frozen views of `hive.protocol.views` and `hive.protocol.mail`
unstructure):

| kind       | rows |
|------------|------|
| agents     | `AgentView`, one for each agent |
| messages   | heads: `Mail` without `body`, with `head` (160 characters): everything unfinished, all unread of the operator (2,000 at most), and the newest 500 |
| turns      | `TurnView` of open turns and the newest 100 |
| counts     | one `Counts` |
| violations | `Violation`, one for each broken invariant |
| hive       | one {name, version, boot, operator, refusing} |

Rows of a snapshot of `a:<agent>`: kind `rows`, each [n, at, kind, data] with `turn` inside data.

Close codes: 4401 sign in, 4403 not allowed, 4406 upgrade, 4408 silent, 4413 too big, 4429 slow, 1012 restarting.
"""

from typing import Final

VERSION: Final = 1
SUBPROTOCOL: Final = "hive.1"
FRAME_BYTES: Final = 256 * 1024
SNAPSHOT_ROWS: Final = 500
JOURNAL: Final = "j"
STREAM_PREFIX: Final = "a:"
BEAT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 60.0
