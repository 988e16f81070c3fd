"""When a login was last changed, so that a turn refused with the one before is known for that.

The rule kept here: it is written in the transaction of the change, so whatever commits with it sees it.
"""

from hive.store.transaction import Transaction

NOTED = "INSERT INTO hive (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def note_credential_changed(tx: Transaction, credential: str) -> None:
    """A credential has other variables now."""
    tx.execute(NOTED, f"credential:{credential}", repr(tx.now))


def note_login_changed(tx: Transaction, agent: str) -> None:
    """An agent uses another credential now."""
    tx.execute(NOTED, f"login:{agent}", repr(tx.now))


def login_changed_at(tx: Transaction, agent: str, credential: str) -> float:
    """When what logs an agent in was last changed, wall clock; 0 where that was never."""
    row = tx.row(
        "SELECT max(CAST(value AS REAL)) AS at FROM hive WHERE key IN (?, ?)",
        *(f"credential:{credential}", f"login:{agent}"),
    )
    return 0.0 if row is None or row["at"] is None else float(row["at"])
