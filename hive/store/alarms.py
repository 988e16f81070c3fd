"""How the operator is told of a broken invariant, and that it holds again.

The rule kept here: what has been told is in the journal, so each violation is told once while it lasts,
whoever asks and however often; the letter and the journal row are one commit.
"""

from collections.abc import Iterable, Mapping, Sequence

from hive.protocol.commands import Broken, TellAudit
from hive.protocol.mail import INLINE_BYTES, Kind
from hive.protocol.names import OPERATOR
from hive.protocol.views import Violation
from hive.store.audit import alarms
from hive.store.mailbox import Letter, Posted, post
from hive.store.texts import mended
from hive.store.transaction import Transaction

OPEN_ALARMS = 500
"""So many are told of at a time; beyond, the promise is broken all over, and the next tells no more."""

BROKEN = """hive's audit of itself has found what must never be: {what}.
Keep a copy (hive backup FILE), look at hive doctor, and report it: this is a fault of hive.
"""
MENDED = "What hive's audit of itself had found is in order again:\n"
MORE = "… and more: see the rows of type audit.broken in the journal.\n"


def tell_audit(tx: Transaction, command: TellAudit) -> int:
    """Write down and tell what is news; answers how many that were."""
    told = {one.key: one for one in alarms(tx.db)}
    room = OPEN_ALARMS - len(told)
    broken = [one for one in command.broken if one.key not in told][: max(0, room)]
    gone = [told[key] for key in command.gone if key in told]
    if broken:
        _alert(tx, broken)
    if gone:
        _all_clear(tx, gone)
    return len(broken) + len(gone)


def _alert(tx: Transaction, broken: Sequence[Broken]) -> None:
    what = f"{len(broken)} violation{'s' if len(broken) > 1 else ''} of its invariants"
    lines = (line for one in broken for line in (f"\nInvariant {one.invariant}: {one.text}", *_rows(one)))
    letter = _write(tx, BROKEN.format(what=what), lines)
    for one in broken:
        data = {"invariant": one.invariant, "text": mended(one.text), "message": one.message}
        tx.journal("audit.broken", one.agent, one.key, **data, rows=list(one.rows), told=letter.number)


def _all_clear(tx: Transaction, gone: Sequence[Violation]) -> None:
    letter = _write(tx, MENDED, (f"Invariant {one.invariant}: {one.text}" for one in gone))
    for one in gone:
        data = {"invariant": one.invariant, "text": mended(one.text), "message": one.message}
        tx.journal("audit.mended", one.agent, one.key, **data, told=letter.number)


def _rows(one: Broken) -> Sequence[str]:
    return [f"  {_row(row)}" for row in one.rows]


def _row(row: Mapping[str, object]) -> str:
    return " ".join(f"{value}" if name == "table" else f"{name}={value}" for name, value in row.items())


def _write(tx: Transaction, head: str, lines: Iterable[str]) -> Posted:
    """A letter to the operator with as many lines as travel inline."""
    body, room = head, INLINE_BYTES - len((head + MORE).encode())
    for line in lines:
        text = mended(line) + "\n"
        room -= len(text.encode())
        if room < 0:
            body += MORE
            break
        body += text
    return post(tx, Letter(body, len(body.encode()), kind=Kind.NOTIFY), OPERATOR)
