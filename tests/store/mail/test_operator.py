"""What the operator does with single messages."""

from typing import TYPE_CHECKING

import pytest

from hive.protocol.commands import Bury, Kick, MarkDone, MarkRead, Redrive, RemoveAgent
from hive.protocol.errors import Conflict, NotFound
from hive.protocol.mail import INLINE_BYTES, Kind, Priority, Provenance, State
from hive.protocol.outcome import Outcome

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk


def test_mail_to_the_operator_is_unread_read_and_done_by_command(desk: "Desk") -> None:
    """Each step is written down once; reading is not doing."""
    sent = desk.send("iris", "operator")
    desk.do(MarkRead(sent.id))
    desk.do(MarkRead(str(sent.number)))
    assert (desk.mail(sent.id).state, desk.mail(sent.id).read_at) == (State.READY, desk.now)
    desk.do(MarkRead(sent.id, unread=True))
    assert desk.mail(sent.id).read_at is None
    desk.do(MarkDone(sent.id))
    desk.do(MarkDone(sent.id))
    mail = desk.mail(sent.id)
    assert (mail.state, mail.why, mail.read_at, mail.settled_at) == (
        State.DONE,
        "operator",
        desk.now,
        desk.now,
    )
    assert desk.types(sent.id) == ["msg.sent", "msg.read", "msg.unread", "msg.done"]
    assert {row.agent for row in desk.journal if row.subject == sent.id} == {"operator"}


def test_the_operator_marks_only_the_operators_mail(desk: "Desk") -> None:
    """What is in an agent's mailbox is the agent's to handle; what is dead stays dead."""
    sent = desk.send("iris", "rose")
    for command in (MarkRead(sent.id), MarkDone(sent.id)):
        with pytest.raises(NotFound, match="belongs to rose"):
            desk.do(command)
    own = desk.send("iris", "operator")
    desk.do(Bury(own.id))
    with pytest.raises(Conflict, match="is dead"):
        desk.do(MarkDone(own.id))


def test_burying_makes_a_dead_letter_and_tells_its_sender(desk: "Desk") -> None:
    """Only of what nobody holds."""
    sent = desk.send("iris", "rose")
    desk.do(Bury(sent.id, why="out of \ud800 date"))
    assert (desk.mail(sent.id).state, desk.mail(sent.id).why) == (State.DEAD, "out of ? date")
    assert desk.box("iris")[0].kind is Kind.UNDELIVERED
    with pytest.raises(Conflict, match="is dead"):
        desk.do(Bury(sent.id))

    held = desk.send("operator", "rose")
    begun = desk.begin("rose")
    with pytest.raises(Conflict, match="is claimed; only mail that waits"):
        desk.do(Bury(held.id))
    desk.end(begun)


def test_blocked_mail_can_be_buried(desk: "Desk") -> None:
    """It is one of the two ways out of the loop guard."""
    desk.adjust(hops=0)
    sent = desk.send("iris", "rose")
    desk.do(Bury(sent.id))
    assert desk.mail(sent.id).state is State.DEAD


def test_a_dead_letter_is_brought_back_once_as_a_fresh_copy(desk: "Desk") -> None:
    """Same sender, provenance and thread, nothing charged; the original stays what it is."""
    first = desk.send("rose", "iris", "first")
    sent = desk.send("rose", "iris", "do it", label="L", in_reply_to=first.id)
    desk.db.execute("UPDATE message SET hops = 7, attempts = 2 WHERE number = ?", (sent.number,))
    desk.do(Bury(sent.id))

    fresh = desk.do(Redrive(sent.id))

    assert (fresh.state, fresh.attempts, fresh.hops, fresh.cause) == (State.READY, 0, 0, f"redrive:{sent.id}")
    original = desk.mail(sent.id)
    kept = ("sender", "recipient", "provenance", "thread", "label", "body", "in_reply_to", "kind")
    assert [getattr(fresh, name) for name in kept] == [getattr(original, name) for name in kept]
    assert (original.state, original.why) == (State.DEAD, "buried by the operator")
    (row,) = desk.rows("msg.redriven")
    assert (row.subject, row.data["as"], row.data["state"]) == (sent.id, fresh.id, "dead")
    with pytest.raises(Conflict, match=f"redriven already, as {fresh.id}"):
        desk.do(Redrive(sent.id))
    with pytest.raises(Conflict, match="is ready; only a dead letter"):
        desk.do(Redrive(fresh.id))


def test_a_dead_letter_can_go_to_somebody_else_with_other_words(desk: "Desk") -> None:
    """As when its recipient has been removed."""
    long = "x" * (INLINE_BYTES + 1)
    sent = desk.send("rose", "iris", long)
    desk.do(RemoveAgent("iris"))
    with pytest.raises(NotFound, match="iris"):
        desk.do(Redrive(sent.id))
    with pytest.raises(NotFound):
        desk.do(Redrive(sent.id, to="*"))

    fresh = desk.do(Redrive(sent.id, to="manager", body=long + "!"))

    assert (fresh.recipient, fresh.size) == ("boss", INLINE_BYTES + 2)
    assert fresh.attachment != desk.mail(sent.id).attachment is not None


def test_an_attachment_goes_along(desk: "Desk") -> None:
    """The copy names the same body."""
    sent = desk.send("rose", "iris", "x" * (INLINE_BYTES + 1))
    desk.do(Bury(sent.id))
    assert desk.do(Redrive(sent.id)).attachment == desk.mail(sent.id).attachment is not None


def test_a_redriven_note_does_not_vanish_into_another(desk: "Desk") -> None:
    """A copy is a message of its own, also where its kind coalesces."""
    desk.do(Kick("iris", text="one"))
    (kick,) = desk.box("iris")
    desk.do(Bury(kick.id))
    desk.do(Kick("iris", text="two"))
    assert desk.do(Redrive(kick.id)).kind is Kind.MESSAGE
    assert [mail.body for mail in desk.box("iris")] == ["one", "two", "one"]


def test_a_full_mailbox_does_not_refuse_what_the_operator_brings_back(desk: "Desk") -> None:
    """Mail of the operator's making is never refused."""
    desk.adjust(mailbox_messages=1)
    sent = desk.send("operator", "iris", priority=Priority.URGENT)
    desk.do(Bury(sent.id))
    desk.send("rose", "iris")
    fresh = desk.do(Redrive(sent.id))
    assert (fresh.priority, fresh.provenance) == (Priority.URGENT, Provenance.OPERATOR)
    desk.end(desk.begin("iris"), Outcome.OK)
