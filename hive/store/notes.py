"""What hive itself writes to agents about their mail and their boxes.

The rule kept here: mail of provenance system never causes system mail, so no note can ever bounce.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from hive.protocol.mail import Kind, Provenance
from hive.store.mailbox import Letter, post
from hive.store.rows import Row, is_live
from hive.store.texts import one_line
from hive.store.transaction import Transaction

LISTED = 10
"""So many messages a note names one by one."""

WORDS = 60


def tell_undelivered(tx: Transaction, dead: Iterable[Row], why: str) -> None:
    """Tell each agent whose mail became a dead letter, in one note."""
    for sender, mail in _by_sender(tx, dead).items():
        text = (
            f"Not delivered, because {why}: {_list(mail)}."
            " Nobody will act on it. If it still matters, send it to somebody else,"
            " or ask the operator to redrive it."
        )
        _note(tx, sender, Kind.UNDELIVERED, text, mail)


def tell_cancelled(tx: Transaction, agent: str, done: Iterable[Row]) -> None:
    """Tell each agent whose mail was in a turn that a person cancelled, in one note."""
    others = (row for row in done if row["sender"] != agent)
    for sender, mail in _by_sender(tx, others).items():
        text = (
            f"The operator cancelled the turn in which {agent} was working on {_list(mail)}."
            " It may have been handled in part. Do not send it again unless the operator asks for it."
        )
        _note(tx, sender, Kind.CANCELLED, text, mail)


def leave_restart_note(tx: Transaction, agent: str, text: str, *, wakes: bool) -> None:
    """Leave the one note that says an agent was restarted."""
    size = len(text.encode())
    post(tx, Letter(text, size, kind=Kind.RESTARTED, wakes=wakes), agent)


def _by_sender(tx: Transaction, mail: Iterable[Row]) -> dict[str, list[Row]]:
    """Messages by those of their senders that can be told."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in mail:
        if row["provenance"] != Provenance.SYSTEM and is_live(tx, row["sender"]):
            found[row["sender"]].append(row)
    return found


def _list(mail: Sequence[Row]) -> str:
    names = [
        f"your message #{row['number']} ({row['id']}) to {row['recipient']}: {one_line(row['body'], WORDS)!r}"
        for row in mail[:LISTED]
    ]
    more = [f"and {len(mail) - LISTED} more"] if len(mail) > LISTED else []
    return "; ".join(names + more)


def _note(tx: Transaction, to: str, kind: Kind, text: str, about: Sequence[Row]) -> None:
    first = about[0]
    note = Letter(
        body=text,
        size=len(text.encode()),
        kind=kind,
        in_reply_to=first["id"],
        thread=first["thread"],
        cause=f"message:{first['id']}",
    )
    post(tx, note, to)
