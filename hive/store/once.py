"""Commands that may be asked twice and hold once.

The rule kept here: the answer is stored in the savepoint of the command it answers, and a repeat gets it
word for word.  A refusal is not stored: asking again may succeed.
"""

import sqlite3
from typing import TypeVar

from attrs import frozen

from hive.protocol.commands import Command, KeepAnswer, Once
from hive.protocol.errors import Conflict
from hive.store.codec import answer_type, decode, encode
from hive.store.rows import message
from hive.store.transaction import Transaction

T = TypeVar("T")


@frozen
class Repeated:
    """The answer an earlier asking got."""

    answer: object


def recall(tx: Transaction, command: Command[object], once: Once) -> Repeated | None:
    """Find the answer given before under this key; `Conflict` where the key was used for something else."""
    row = tx.row(
        "SELECT digest, command, answer FROM answer WHERE scope = ? AND key = ? AND at > ?",
        once.scope,
        once.key,
        tx.now - tx.limits.answers_kept_seconds,
    )
    return None if row is None else Repeated(answer_of(row, type(command), once))


def answer_of(row: sqlite3.Row, command: type[Command[T]], once: Once) -> T:
    """The answer in a row of the table; `Conflict` where it answers something else."""
    if (row["digest"], row["command"]) != (once.digest, command.__name__):
        raise Conflict(
            f"The key {once.key[:80]!r} was used before for a request with other content; use a new key."
        )
    return decode(answer_type(command), row["answer"])


def check_expectation(tx: Transaction, once: Once) -> None:
    """Refuse a decision taken on something that has changed since."""
    if once.expected is None:
        return
    row = message(tx, once.expected.message)
    if row["state"] != once.expected.state:
        raise Conflict(
            f"{row['id']} is {row['state']} by now, not {once.expected.state[:40]!r}; nothing was done."
            " Look at it again before you decide."
        )


def keep_answer(_tx: Transaction, command: KeepAnswer) -> dict[str, object]:
    """Answer what is to be remembered."""
    return command.answer


def remember(tx: Transaction, command: Command[object], once: Once, answer: object) -> None:
    """Keep the answer for whoever asks again; an expired one under the same key gives way."""
    tx.execute(
        "INSERT OR REPLACE INTO answer (scope, key, digest, command, answer, at) VALUES (?, ?, ?, ?, ?, ?)",
        once.scope,
        once.key,
        once.digest,
        type(command).__name__,
        encode(answer),
        tx.now,
    )
