"""What is forgotten, and when.

The rule kept here: a message goes only when it is done, old, and nothing unfinished in its conversation
could still refer to it; that it existed stays in the counts and in the journal.
"""

from hive.protocol.commands import Sweep
from hive.store.transaction import Transaction

DAY_SECONDS = 24 * 3600.0

FREE_PAGES = 256
"""Pages given back to the file system in one batch, at most."""

EXPIRED_ANSWERS = """
DELETE FROM answer WHERE (scope, key) IN (
  SELECT scope, key FROM answer INDEXED BY answer_age WHERE at <= ? LIMIT ?)
"""
EXPIRED_SESSIONS = """
DELETE FROM web_session WHERE sha256 IN (SELECT sha256 FROM web_session WHERE expires_at <= ? LIMIT ?)
"""
OLD_STREAM = """
DELETE FROM stream WHERE (agent, n) IN (
  SELECT agent, n FROM stream INDEXED BY stream_age WHERE at <= ? LIMIT ?)
"""
LONG_STREAM = """
DELETE FROM stream WHERE (agent, n) IN (
  SELECT stream.agent, n FROM agent JOIN stream ON stream.agent = agent.name AND n <= stream_head - ? LIMIT ?)
"""
OLD_MAIL = """
SELECT number, recipient, attachment FROM message AS old INDEXED BY message_done
WHERE state = 'done' AND settled_at <= ? AND NOT EXISTS (
  SELECT 1 FROM message INDEXED BY message_replies
  WHERE thread = old.thread AND thread <> id AND state IN ('ready', 'claimed', 'blocked'))
  AND NOT EXISTS (
  SELECT 1 FROM message AS first WHERE id = old.thread AND first.state IN ('ready', 'claimed', 'blocked'))
ORDER BY settled_at LIMIT ?
"""
ORPHANED = """
SELECT sha256 FROM attachment AS body WHERE NOT EXISTS (
  SELECT 1 FROM message INDEXED BY message_attachment WHERE attachment = body.sha256)
"""
COUNTED = "UPDATE tally SET done = done - 1, removed = removed + 1 WHERE agent = ?"


def sweep(tx: Transaction, command: Sweep) -> int:
    """Delete one small batch of what is past its time; answers how many rows went."""
    for step in (_answers, _sessions, _old_stream, _long_stream, _mail, _attachments):
        if gone := step(tx, command.rows):
            return gone
    tx.execute(f"PRAGMA incremental_vacuum({FREE_PAGES})").fetchall()
    return 0


def _answers(tx: Transaction, rows: int) -> int:
    return tx.execute(EXPIRED_ANSWERS, tx.now - tx.limits.answers_kept_seconds, rows).rowcount


def _sessions(tx: Transaction, rows: int) -> int:
    return tx.execute(EXPIRED_SESSIONS, tx.now, rows).rowcount


def _old_stream(tx: Transaction, rows: int) -> int:
    return tx.execute(OLD_STREAM, tx.now - tx.limits.stream_days * DAY_SECONDS, rows).rowcount


def _long_stream(tx: Transaction, rows: int) -> int:
    return tx.execute(LONG_STREAM, tx.limits.stream_rows, rows).rowcount


def _mail(tx: Transaction, rows: int) -> int:
    old = tx.rows(OLD_MAIL, tx.now - tx.limits.done_mail_days * DAY_SECONDS, rows)
    for row in old:
        for sql in (
            "DELETE FROM turn_message WHERE message = ?",
            "DELETE FROM claim WHERE message = ?",
            "DELETE FROM message WHERE number = ?",
        ):
            tx.execute(sql, row["number"])
        tx.execute(
            "UPDATE tally SET done = done - 1, removed = removed + 1 WHERE agent = ?", row["recipient"]
        )
    return len(old)


def _attachments(tx: Transaction, rows: int) -> int:
    """Bodies that no message names any more, or that were stored for one that never came."""
    before = tx.now - tx.limits.answers_kept_seconds
    gone = tx.rows(f"{ORPHANED} AND at <= ? LIMIT ?", before, rows)
    for row in gone:
        tx.execute("DELETE FROM attached WHERE sha256 = ?", row["sha256"])
        tx.execute("DELETE FROM attachment WHERE sha256 = ?", row["sha256"])
    return len(gone)
