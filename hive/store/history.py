"""Reading what has happened: pages of mail, turns, the journal, the streams.

Plain functions of a connection.  The rule kept here: what a page costs depends on its length and not on how
much history there is.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence

from attrs import frozen

from hive.protocol.mail import Mail
from hive.protocol.views import COSTS_BY, Cost, JournalRow, MailPage, StreamView, TurnView
from hive.store.rows import BY_ID, BY_NUMBER, DIGITS, mail_of, messages

FAR = 2**62
"""Beyond every number: where a first page begins."""

SEARCHED = 10_000
"""Messages a search looks through, at most; further back one gets by `before`."""

MAILBOX = messages("""
INDEXED BY message_box
WHERE recipient = :recipient AND number < :before
  AND number >= iif(:states = '[]' AND :text = '', 0, coalesce((
    SELECT number FROM message INDEXED BY message_box
    WHERE recipient = :recipient AND number < :before
    ORDER BY number DESC LIMIT 1 OFFSET :searched - 1), 0))
  AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
  AND (:text = '' OR instr(lower(body), :text) OR instr(lower(sender), :text))
ORDER BY number DESC LIMIT :limit
""")
TRAFFIC = messages("WHERE number < ? ORDER BY number DESC LIMIT ?")
DEAD = messages("INDEXED BY message_dead WHERE state = 'dead' ORDER BY number DESC LIMIT ?")
UNFINISHED = " UNION ALL ".join(
    (
        messages("INDEXED BY message_ready WHERE state = 'ready'"),
        messages("INDEXED BY message_claimed WHERE state = 'claimed'"),
        messages("INDEXED BY message_blocked WHERE state = 'blocked' ORDER BY number"),
    )
)
UNREAD = messages("""
INDEXED BY message_unread
WHERE recipient = 'operator' AND read_at IS NULL AND state = 'ready' ORDER BY number DESC LIMIT ?
""")
COSTS = {
    by: f"""
SELECT {column}, count(*), sum(ended_at - started_at),
  sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(cost_usd)
FROM turn INDEXED BY turn_ended WHERE ended_at >= ?
GROUP BY 1 ORDER BY sum(cost_usd) DESC, sum(output_tokens) DESC, 1
"""  # noqa: S608 - one of four expressions of ours
    for by, column in zip(COSTS_BY, ("agent", "model", "date(ended_at, 'unixepoch')", "cause"), strict=True)
}
"""By what: along the turns of the time asked for, however many there are."""
OPEN_TURNS = "SELECT * FROM turn INDEXED BY turn_open WHERE ended_at IS NULL ORDER BY number"
THREAD = " UNION ALL ".join(
    (
        messages("WHERE id = :thread"),
        messages("INDEXED BY message_replies WHERE thread = :thread AND thread <> id ORDER BY number"),
    )
)
STORY = """
SELECT * FROM journal INDEXED BY journal_subject WHERE subject = ? AND type LIKE 'msg.%' ORDER BY seq
"""
STREAM = "SELECT * FROM stream WHERE agent = ? AND n > ? ORDER BY n LIMIT ?"
PARTY = """
SELECT EXISTS (SELECT 1 FROM attached WHERE sender = :identity AND sha256 = :sha256)
  OR EXISTS (SELECT 1 FROM message INDEXED BY message_attachment
             WHERE attachment = :sha256 AND (recipient = :identity OR sender = :identity))
"""
HELD = """
SELECT message.id FROM turn_message JOIN message ON message.number = turn_message.message
WHERE turn_message.turn = ? ORDER BY turn_message.message
"""


def find(db: sqlite3.Connection, ref: str) -> sqlite3.Row | None:
    """The message with this id or number (`12` or `#12`)."""
    digits = ref.removeprefix("#")
    if digits.isascii() and digits.isdigit() and len(digits) <= DIGITS:
        return _row(db.execute(BY_NUMBER, (int(digits),)))
    return _row(db.execute(BY_ID, (ref,)))


def _row(cursor: sqlite3.Cursor) -> sqlite3.Row | None:
    found: sqlite3.Row | None = cursor.fetchone()
    return found


@frozen
class Search:
    """Which part of a mailbox is asked for."""

    states: Sequence[str] = ()
    """Empty for all."""

    text: str = ""
    """Part of a body or of a sender's name, in any case."""

    before: int | None = None
    limit: int = 50


def mailbox(db: sqlite3.Connection, recipient: str, search: Search) -> MailPage:
    """A page of one recipient's mail, newest first."""
    asked = {
        "recipient": recipient,
        "before": FAR if search.before is None else search.before,
        "states": json.dumps(tuple(search.states)),
        "text": search.text.lower(),
        "searched": SEARCHED,
        "limit": search.limit + 1,
    }
    return _page(db.execute(MAILBOX, asked), search.limit)


def traffic(db: sqlite3.Connection, before: int | None, limit: int) -> MailPage:
    """A page of everybody's mail, newest first."""
    return _page(db.execute(TRAFFIC, (FAR if before is None else before, limit + 1)), limit)


def _page(rows: Iterable[sqlite3.Row], limit: int) -> MailPage:
    """One row more than asked for says that there is more."""
    mail = tuple(map(mail_of, rows))
    return MailPage(mail[:limit], more=len(mail) > limit)


def dead(db: sqlite3.Connection, limit: int) -> tuple[Mail, ...]:
    """Dead letters, newest first."""
    return tuple(map(mail_of, db.execute(DEAD, (limit,))))


def unfinished(db: sqlite3.Connection) -> tuple[Mail, ...]:
    """Every ready, claimed or blocked message, oldest first."""
    return tuple(map(mail_of, db.execute(UNFINISHED)))


def unread(db: sqlite3.Connection, limit: int) -> tuple[Mail, ...]:
    """The operator's unread mail, newest first."""
    return tuple(map(mail_of, db.execute(UNREAD, (limit,))))


def thread(db: sqlite3.Connection, name: str) -> tuple[Mail, ...]:
    """One conversation, oldest first."""
    return tuple(map(mail_of, db.execute(THREAD, {"thread": name})))


def is_party_to(db: sqlite3.Connection, sha256: str, identity: str) -> bool:
    """Whether somebody stored an attachment, sent it or was sent it."""
    return bool(db.execute(PARTY, {"sha256": sha256, "identity": identity}).fetchone()[0])


def turn_of(db: sqlite3.Connection, row: sqlite3.Row) -> TurnView:
    """A row of the turn table, with the messages it held that are still there."""
    messages = tuple(held["id"] for held in db.execute(HELD, (row["number"],)))
    told = dict(zip(row.keys(), row, strict=True))
    return TurnView(**{**told, "tools": json.loads(row["tools"])}, messages=messages)


def turns(db: sqlite3.Connection, agent: str | None, limit: int) -> tuple[TurnView, ...]:
    """Turns of one agent, or of all, newest first."""
    if agent is None:
        rows = db.execute("SELECT * FROM turn ORDER BY number DESC LIMIT ?", (limit,)).fetchall()
    else:
        sql = "SELECT * FROM turn INDEXED BY turn_agent WHERE agent = ? ORDER BY number DESC LIMIT ?"
        rows = db.execute(sql, (agent, limit)).fetchall()
    return tuple(turn_of(db, row) for row in rows)


def costs(db: sqlite3.Connection, by: str, since: float) -> tuple[Cost, ...]:
    """What turns that ended since then used, dearest first; `by` is one of `COSTS_BY`."""
    return tuple(Cost(*row) for row in db.execute(COSTS[by], (since,)))


def open_turns(db: sqlite3.Connection) -> tuple[TurnView, ...]:
    """Turns that have not ended, oldest first."""
    return tuple(turn_of(db, row) for row in db.execute(OPEN_TURNS).fetchall())


def last_seq(db: sqlite3.Connection) -> int:
    """Number of the newest journal row; 0 before the first."""
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0])


def journal(db: sqlite3.Connection, after: int, limit: int) -> tuple[JournalRow, ...]:
    """Journal rows beyond `after`, in order."""
    rows = db.execute("SELECT * FROM journal WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
    return tuple(map(_journal_row, rows))


def story(db: sqlite3.Connection, message: str) -> tuple[JournalRow, ...]:
    """The life of one message, oldest first."""
    return tuple(map(_journal_row, db.execute(STORY, (message,))))


def _journal_row(row: sqlite3.Row) -> JournalRow:
    return JournalRow(
        seq=row["seq"],
        boot=row["boot"],
        at=row["at"],
        type=row["type"],
        agent=row["agent"],
        subject=row["subject"],
        data=json.loads(row["data"]),
        command=row["command"],
    )


def stream(db: sqlite3.Connection, agent: str, after: int, limit: int) -> tuple[StreamView, ...]:
    """Stream rows beyond `after`, in order."""
    return tuple(map(_stream_row, db.execute(STREAM, (agent, after, limit))))


def stream_tail(db: sqlite3.Connection, agent: str, limit: int) -> tuple[StreamView, ...]:
    """The newest stream rows, in order."""
    rows = db.execute("SELECT * FROM stream WHERE agent = ? ORDER BY n DESC LIMIT ?", (agent, limit))
    return tuple(map(_stream_row, rows))[::-1]


def _stream_row(row: sqlite3.Row) -> StreamView:
    return StreamView(row["n"], row["turn"], row["at"], row["kind"], json.loads(row["data"]))


def wake_latencies(db: sqlite3.Connection, limit: int) -> tuple[float, ...]:
    """Seconds from deliverable to held by a turn, of messages held for the first time, newest first."""
    sql = "SELECT waited FROM turn_message WHERE first = 1 AND waited IS NOT NULL ORDER BY turn DESC LIMIT ?"
    return tuple(row["waited"] for row in db.execute(sql, (limit,)))
