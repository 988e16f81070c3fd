"""No statement of mail's daily business reads more of a table than it needs."""

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hive.protocol.commands import (
    Ack,
    BeginTurn,
    Bury,
    ClaimIntoTurn,
    Command,
    ExpireLeases,
    ExtendLeases,
    Kick,
    Lease,
    MarkSeen,
    Redrive,
    Release,
    RemoveAgent,
    Send,
    Withdraw,
)
from hive.protocol.mail import Kind, Provenance
from hive.protocol.outcome import Outcome

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk

LARGE = re.compile(
    r"SCAN (message|claim|turn|turn_message|journal|attachment|stream)\b"
    r"(?! USING (COVERING )?INDEX turn_open)"
)
"""Tables that grow with the life of a hive; agents, park reasons and open turns are few."""


def busy_day(desk: "Desk") -> None:
    """Use every road that mail can take."""
    desk.do(Send("iris", "*", "x" * 5000, Provenance.AGENT))
    desk.send("operator", "iris", not_before=desk.now - 1)
    begun = desk.begin("iris")
    desk.send("iris", "rose", turn=begun.turn, in_reply_to="3")
    desk.send("iris", "iris", kind=Kind.NEXT_TURN, turn=begun.turn)
    desk.do(ClaimIntoTurn(begun.turn))
    desk.do(MarkSeen(begun.turn, (3,)))
    desk.do(Withdraw(begun.turn, (5,)))
    desk.end(begun, Outcome.FAILED)
    desk.do(Kick("iris"))
    desk.end(desk.begin("iris"))
    desk.adjust(max_running_turns=1)
    desk.do(BeginTurn("iris", 1))
    desk.do(Lease("rose", "client", 2))
    desk.send("rose", "operator", own_token=True, provenance=Provenance.OUTSIDE)
    desk.do(ExtendLeases("rose", "client", 1))
    commands: tuple[Command[object], ...] = (Ack("rose", "2"), Release("rose", "4"), ExpireLeases())
    for command in (*commands, Bury("4"), Redrive("4"), RemoveAgent("rose")):
        desk.do(command)


def test_nothing_scans_a_table_that_grows(desk: "Desk") -> None:
    """Each statement that ran is explained, and none of them walks through a large table."""
    statements: list[str] = []
    desk.db.set_trace_callback(statements.append)
    busy_day(desk)
    desk.db.set_trace_callback(None)

    asked = {
        sql for sql in statements if sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH"))
    }
    assert len(asked) > 100
    for sql in asked:
        for step in desk.db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall():
            assert not LARGE.match(step["detail"]), f"{step['detail']}\n{sql}"


@pytest.mark.parametrize(
    "index", ["message_ready", "message_claimed", "message_riding", "message_sender", "turn_open"]
)
def test_a_missing_index_is_an_error_and_not_a_slow_query(new_desk: "type[Desk]", index: str) -> None:
    """The statements name the indexes they need."""
    desk = new_desk()
    desk.add("iris", "rose")
    desk.add("boss", role="manager")
    with closing(desk.db):
        desk.db.execute(f"DROP INDEX {index}")
        with pytest.raises(sqlite3.OperationalError, match=f"no such index: {index}"):
            busy_day(desk)
