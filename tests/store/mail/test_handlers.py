"""The table of handlers is whole, and what it writes uses words the protocol knows."""

from typing import TYPE_CHECKING

from hive.protocol import commands
from hive.protocol.commands import Command, Send
from hive.protocol.events import MESSAGE_FIELDS, TYPES
from hive.protocol.mail import Provenance
from hive.protocol.outcome import Outcome
from hive.store.handlers import HANDLERS

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk


def test_every_command_of_the_protocol_is_handled() -> None:
    """And nothing else is."""
    asked = {
        value
        for value in vars(commands).values()
        if isinstance(value, type) and issubclass(value, Command) and value is not Command
    }
    assert set(HANDLERS) == asked


def test_every_journal_row_has_a_known_type_and_its_fields(desk: "Desk") -> None:
    """Readers of the journal rely on both."""
    desk.adjust(attempts=1)
    desk.do(Send("rose", "*", "all", Provenance.AGENT))
    for outcome in (Outcome.RATE_LIMIT, Outcome.OK, Outcome.FAILED):
        desk.send("rose", "iris")
        desk.now += 3600
        desk.end(desk.begin("iris"), outcome)
    assert {row.type for row in desk.journal} <= set(TYPES)
    for row in desk.journal:
        if row.type.startswith("msg."):
            assert set(MESSAGE_FIELDS) <= set(row.data)
            assert row.agent == row.data["to"]
            assert row.subject == desk.mail(str(row.data["number"])).id
