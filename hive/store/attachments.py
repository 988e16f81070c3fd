"""Long bodies: kept once by their SHA-256, travelling as an excerpt and a handle.

The rule kept here: a body that several messages share counts once for each sender of it.
"""

import hashlib

from attrs import frozen

from hive.protocol.commands import StoreAttachment
from hive.protocol.errors import Malformed, Refused
from hive.protocol.mail import ATTACHMENT_BYTES, INLINE_BYTES
from hive.store.texts import EXCERPT_CHARACTERS, check_text
from hive.store.transaction import Transaction


@frozen
class Body:
    """A checked body, in the form in which its message row carries it."""

    text: str
    """The whole body, or its excerpt when `sha256` names the rest."""

    sha256: str | None = None


def check_body(text: str) -> int:
    """Return the size of a body in bytes; `Malformed` for one that can never be stored."""
    if not text.strip():
        raise Malformed("The body is empty; write what the recipient should know or do.")
    size = len(check_text(text, "The body").encode())
    if size > ATTACHMENT_BYTES:
        raise Malformed(
            f"The body has {size} bytes; {ATTACHMENT_BYTES} is the most."
            " Put it into a file the recipient can read and send the path, or send it in parts."
        )
    return size


def keep_body(tx: Transaction, sender: str, text: str, size: int, *, bounded: bool) -> Body:
    """Store a checked body if it is long.  `Refused` where it would pass a `bounded` sender's share."""
    if size <= INLINE_BYTES:
        return Body(text)
    return Body(text[:EXCERPT_CHARACTERS], _keep(tx, sender, text, size, bounded=bounded))


def store_attachment(tx: Transaction, command: StoreAttachment) -> str:
    """Keep a body before the command that names it."""
    size = check_body(command.body)
    return _keep(tx, command.sender, command.body, size, bounded=True)


def _keep(tx: Transaction, sender: str, text: str, size: int, *, bounded: bool) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    known = tx.row("SELECT 1 FROM attached WHERE sender = ? AND sha256 = ?", sender, digest) is not None
    if bounded and not known and (used := _used(tx, sender)) + size > tx.limits.attached_bytes_per_sender:
        raise Refused(
            f"Your attachments take {used} of {tx.limits.attached_bytes_per_sender} bytes"
            f" and this one has {size}. Shorten the body to {INLINE_BYTES} bytes,"
            " or put it into a file and send the path."
        )
    # Whoever stores it again is about to name it: retention counts from now.
    tx.execute(
        "INSERT INTO attachment (sha256, body, size, at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET at = excluded.at",
        *(digest, text, size, tx.now),
    )
    tx.execute("INSERT INTO attached (sender, sha256) VALUES (?, ?) ON CONFLICT DO NOTHING", sender, digest)
    return digest


def _used(tx: Transaction, sender: str) -> int:
    sql = "SELECT coalesce(sum(size), 0) AS n FROM attached JOIN attachment USING (sha256) WHERE sender = ?"
    row = tx.row(sql, sender)
    return 0 if row is None else int(row["n"])
