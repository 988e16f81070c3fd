"""The kernel's mailbox keeps the contract of mailboxes."""

from __future__ import annotations

from hive.actors import Mailbox, Overflow
from hive.testing.contracts import MailboxContract


class TestMailbox(MailboxContract):
    """The whole contract."""

    def make(self, capacity: int, overflow: Overflow) -> Mailbox:
        """The one that a spec gets unless it asks for another."""
        return Mailbox(capacity, overflow)
