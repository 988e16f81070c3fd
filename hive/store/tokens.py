"""Who may come in: client tokens and the browsers that have logged in.

The rule kept here: only hashes are kept, and not even those are journalled.
"""

import re

from hive.protocol.commands import AddWebSession, RevokeWebSession, SetClientToken, TouchClient
from hive.protocol.errors import Malformed
from hive.store.rows import live_agent
from hive.store.transaction import Transaction

SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def set_client_token(tx: Transaction, command: SetClientToken) -> None:
    """Keep the hash of a client token, in place of an older one."""
    live_agent(tx, command.agent)
    tx.execute("UPDATE agent SET client_token = ? WHERE name = ?", _checked(command.sha256), command.agent)
    tx.journal("client.token", command.agent, command.agent, by=command.by)


def touch_client(tx: Transaction, command: TouchClient) -> None:
    """Note that a client was here."""
    tx.execute("UPDATE agent SET client_seen_at = ? WHERE name = ?", tx.now, command.agent)


def add_web_session(tx: Transaction, command: AddWebSession) -> None:
    """A browser has logged in."""
    tx.execute(
        "INSERT OR REPLACE INTO web_session (sha256, role, created_at, expires_at) VALUES (?, ?, ?, ?)",
        *(_checked(command.sha256), command.role, tx.now, command.expires_at),
    )
    tx.journal("session.added", None, None, role=command.role)


def revoke_web_session(tx: Transaction, command: RevokeWebSession) -> bool:
    """Log one browser out, or all of them."""
    gone = tx.execute("DELETE FROM web_session WHERE ?1 IS NULL OR sha256 = ?1", command.sha256)
    if gone.rowcount:
        tx.journal("session.revoked", None, None, sessions=gone.rowcount)
    return gone.rowcount > 0


def _checked(sha256: str) -> str:
    if not SHA256.match(sha256):
        raise Malformed("A token is kept as its SHA-256: 64 hexadecimal digits in lower case.")
    return sha256
