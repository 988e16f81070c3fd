"""The tables of a hive and how they came to be, one numbered migration after another.

A migration that has been released is never edited; a new one is added.  Numbers that people are shown come
from AUTOINCREMENT, so none is used twice.  Indexes that the hot path depends on are partial and are pinned
in the statements with INDEXED BY: a missing one is then an error and not a slow query.  Long texts are the
last column of their tables: whatever is read before them costs no overflow pages.
"""

from sqlite_utils import Database, Migrations

migrations = Migrations("hive")

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA wal_autocheckpoint = 4000",
)


def run_script(db: Database, script: str) -> None:
    """Run statements one by one inside the migration's transaction (`executescript` would commit it)."""
    for statement in script.split(";\n"):
        if statement.strip():
            db.execute(statement)


SPINE = """
CREATE TABLE hive (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE boot (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  started_at REAL NOT NULL, served_at REAL, ended_at REAL, version TEXT NOT NULL
) STRICT;

CREATE TABLE journal (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  boot INTEGER NOT NULL, at REAL NOT NULL, type TEXT NOT NULL,
  agent TEXT, subject TEXT, command TEXT, data TEXT NOT NULL
) STRICT;
CREATE INDEX journal_subject ON journal (subject, seq) WHERE subject IS NOT NULL;

CREATE TABLE agent (
  name TEXT PRIMARY KEY,
  settings TEXT NOT NULL, added_at REAL NOT NULL, removed_at REAL,
  status TEXT NOT NULL DEFAULT '', status_at REAL,
  batch_limit INTEGER NOT NULL DEFAULT 32,
  failures INTEGER NOT NULL DEFAULT 0,
  dead_in_a_row INTEGER NOT NULL DEFAULT 0,
  interruptions INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0,
  stream_head INTEGER NOT NULL DEFAULT 0,
  idle_since REAL NOT NULL DEFAULT 0,
  client_token TEXT, client_seen_at REAL
) STRICT;

CREATE TABLE park (
  agent TEXT NOT NULL REFERENCES agent (name),
  reason TEXT NOT NULL, since REAL NOT NULL, until REAL, detail TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (agent, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE claim (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  message INTEGER NOT NULL, turn INTEGER, holder TEXT, claimed_at REAL NOT NULL, ends_at REAL
) STRICT;
CREATE INDEX claim_message ON claim (message, number);

CREATE TABLE message (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  sender TEXT NOT NULL, label TEXT, recipient TEXT NOT NULL, kind TEXT NOT NULL,
  size INTEGER NOT NULL, attachment TEXT,
  in_reply_to TEXT, thread TEXT NOT NULL, cause TEXT,
  provenance TEXT NOT NULL, urgent INTEGER NOT NULL DEFAULT 0, not_before REAL,
  state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, interruptions INTEGER NOT NULL DEFAULT 0,
  hops INTEGER NOT NULL DEFAULT 0, broadcast INTEGER NOT NULL DEFAULT 0, wakes INTEGER NOT NULL DEFAULT 1,
  created_at REAL NOT NULL, ready_at REAL NOT NULL, settled_at REAL, read_at REAL, why TEXT,
  claim INTEGER, turn INTEGER, lease_ends_at REAL, redriven_as TEXT,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX message_ready ON message (recipient, urgent DESC, number) WHERE state = 'ready';
CREATE INDEX message_due ON message (not_before) WHERE state = 'ready' AND not_before IS NOT NULL;
CREATE INDEX message_claimed ON message (recipient, turn) WHERE state = 'claimed';
CREATE INDEX message_leased ON message (lease_ends_at) WHERE state = 'claimed' AND lease_ends_at IS NOT NULL;
CREATE INDEX message_blocked ON message (recipient, number) WHERE state = 'blocked';
CREATE INDEX message_dead ON message (number) WHERE state = 'dead';
CREATE INDEX message_done ON message (settled_at) WHERE state = 'done';
CREATE INDEX message_box ON message (recipient, number);
CREATE INDEX message_sender ON message (sender, recipient, created_at);
CREATE INDEX message_sent ON message (sender, number);
CREATE INDEX message_thread ON message (thread, number);
CREATE INDEX message_cause ON message (cause, number) WHERE cause IS NOT NULL;
CREATE INDEX message_attachment ON message (attachment) WHERE attachment IS NOT NULL;
CREATE INDEX message_unread ON message (number) WHERE recipient = 'operator' AND read_at IS NULL;

CREATE TABLE tally (
  agent TEXT PRIMARY KEY,
  accepted INTEGER NOT NULL DEFAULT 0, removed INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE turn (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  agent TEXT NOT NULL, boot INTEGER NOT NULL, incarnation INTEGER NOT NULL,
  started_at REAL NOT NULL, ended_at REAL, outcome TEXT, stop_requested TEXT,
  final_text TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '', hops INTEGER NOT NULL DEFAULT 0,
  input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
  cost_usd REAL NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX turn_open ON turn (agent) WHERE ended_at IS NULL;
CREATE INDEX turn_agent ON turn (agent, number);

CREATE TABLE turn_message (
  turn INTEGER NOT NULL, message INTEGER NOT NULL, claim INTEGER NOT NULL,
  seen INTEGER NOT NULL DEFAULT 0, verdict TEXT, first INTEGER NOT NULL DEFAULT 0, waited REAL,
  PRIMARY KEY (turn, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX turn_message_message ON turn_message (message, turn);

CREATE TABLE stream (
  agent TEXT NOT NULL, n INTEGER NOT NULL, turn INTEGER, at REAL NOT NULL,
  kind TEXT NOT NULL, data TEXT NOT NULL,
  PRIMARY KEY (agent, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX stream_age ON stream (at);

CREATE TABLE answer (
  scope TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, command TEXT NOT NULL,
  answer TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_age ON answer (at);

CREATE TABLE attachment (
  sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, at REAL NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE TABLE attached (
  sender TEXT NOT NULL, sha256 TEXT NOT NULL REFERENCES attachment (sha256),
  PRIMARY KEY (sender, sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE process (
  agent TEXT NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL,
  boot INTEGER NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (pid, started)
) STRICT, WITHOUT ROWID;

CREATE TABLE web_session (
  sha256 TEXT PRIMARY KEY, role TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""


SEND_LESS = """
DROP INDEX message_sent;
DROP INDEX message_thread;
CREATE INDEX message_replies ON message (thread, number) WHERE thread <> id;
ALTER TABLE agent ADD COLUMN heard_hops INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agent ADD COLUMN heard_at REAL NOT NULL DEFAULT 0;
CREATE INDEX message_riding ON message (recipient, number) WHERE state = 'ready' AND wakes = 0
"""


COUNT_TURNS = """
ALTER TABLE turn ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turn ADD COLUMN context_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turn ADD COLUMN context_window INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turn ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE turn ADD COLUMN cause TEXT NOT NULL DEFAULT '';
ALTER TABLE turn ADD COLUMN tools TEXT NOT NULL DEFAULT '{}';
CREATE INDEX turn_ended ON turn (ended_at) WHERE ended_at IS NOT NULL
"""


@migrations()
def m001_spine(db: Database) -> None:
    """Agents, mail, turns, streams, the journal and what keeps them honest."""
    run_script(db, SPINE)


@migrations()
def m002_send_less(db: Database) -> None:
    """Fewer indexes for every message, one for notes that ride along; what an agent was given lately."""
    run_script(db, SEND_LESS)


@migrations()
def m003_count_turns(db: Database) -> None:
    """What a turn took of its model's room, by what it was woken, and which tools it called."""
    run_script(db, COUNT_TURNS)
