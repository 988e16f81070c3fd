"""What the file of a hive says, asked in words of our own.

The rule kept here: rows are read, and no count that hive keeps is believed.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from hive.mcp.sending import fingerprint
from hive.store.sqlite import open_reader
from hive.testing.torture.findings import Found
from hive.testing.torture.load import WORKER

KEY: Final = re.compile(r"!note ([0-9a-f]{32})")

MESSAGES: Final = """
SELECT id, state, substr(body, 1, 80) AS body,
  CASE state WHEN 'dead' THEN why
    ELSE (SELECT group_concat(reason) FROM park WHERE agent = recipient) END AS why
FROM message WHERE recipient LIKE :workers ORDER BY number
"""
CLAIMED: Final = "SELECT count(*) FROM message WHERE recipient LIKE :workers AND state = 'claimed'"
WAITING: Final = """
SELECT count(*) FROM message WHERE recipient LIKE :workers AND state IN ('ready', 'claimed', 'blocked')
"""
EVENTS: Final = "SELECT coalesce(max(seq), 0) FROM journal"
FIRST_CLAIM: Final = """
SELECT min(at) FROM journal WHERE type = 'msg.claimed' AND boot = (SELECT max(boot) FROM journal)
"""
TWO_VERDICTS: Final = """
SELECT subject, seq, type, before FROM (
  SELECT subject, seq, type, lag(type) OVER (PARTITION BY subject ORDER BY seq) AS before FROM journal
  WHERE type IN ('msg.claimed', 'msg.done', 'msg.dead', 'msg.released', 'msg.retried')
    AND agent LIKE :workers
) WHERE (type = 'msg.claimed') = (coalesce(before, '') = 'msg.claimed')
"""
"""Claims and verdicts of a message must alternate, a claim first: every row that breaks this."""

ASKED: Final = {"workers": f"{WORKER}%"}


@contextmanager
def looked_into(store: Path) -> Iterator[sqlite3.Connection]:
    """A file, for questions."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        yield db


def messages(db: sqlite3.Connection) -> tuple[Found, ...]:
    """Every message that a letter became."""
    found = []
    for id_, state, body, why in db.execute(MESSAGES, ASKED):
        if key := KEY.search(body):
            found.append(Found(key[1], id_, state, why))
    return tuple(found)


def counted(db: sqlite3.Connection, question: str) -> int:
    """The number that answers a question."""
    (number,) = db.execute(question, ASKED if ":workers" in question else {}).fetchone()
    return int(number)


def first_claim(db: sqlite3.Connection) -> float | None:
    """When the newest boot claimed mail for the first time, in wall-clock seconds."""
    (at,) = db.execute(FIRST_CLAIM).fetchone()
    return None if at is None else float(at)


def settled_twice(db: sqlite3.Connection) -> tuple[str, ...]:
    """A sentence for each verdict that no claim of its own precedes, and each claim that none follows."""
    return tuple(
        f"message {subject}: {type_} (event {seq}) after {before or 'nothing'}"
        for subject, seq, type_, before in db.execute(TWO_VERDICTS, ASKED)
    )


def there(db: sqlite3.Connection, keys: Collection[str]) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Of these keys those whose message is there, with its id; and a sentence for each that is so in part.

    A send is a message, a row of the journal and a kept answer, all or none.
    """
    ids = [(one.key, one.id) for one in messages(db) if one.key in keys]
    answers = Counter(key for (key,) in db.execute("SELECT key FROM answer"))
    sent = Counter(
        subject for (subject,) in db.execute("SELECT subject FROM journal WHERE type = 'msg.sent'")
    )
    in_part = []
    for key in keys:
        mine = [id_ for one, id_ in ids if one == key]
        # As hive.1 keeps it, and as the key or the tool use of a client is kept.
        parts = (len(mine), answers[key] + answers[fingerprint(key)], sum(sent[id_] for id_ in mine))
        if parts not in ((0, 0, 0), (1, 1, 1)):
            in_part.append(f"send {key}: {parts[0]} messages, {parts[1]} answers, {parts[2]} events")
    return dict(ids), tuple(in_part)


def violations(store: Path) -> tuple[str, ...]:
    """A sentence for each broken invariant, over all history."""
    with open_reader(store) as reader:
        return tuple(f"invariant {one.invariant}: {one.text}" for one in reader.violations(deep=True))


def traces_in(path: Path) -> Counter[str]:
    """How often each letter left its trace."""
    return Counter(path.read_text().split()) if path.exists() else Counter()
