"""What is accepted, from whom, for whom, and what the sender is told."""

import hashlib
from typing import TYPE_CHECKING

import pytest

from hive.protocol.commands import BeginTurn, EndTurn, Park, Pause, RemoveAgent, Send, StoreAttachment
from hive.protocol.errors import Forbidden, HiveRefusal, Malformed, NotFound, Refused
from hive.protocol.events import MESSAGE_FIELDS, SENT_FIELDS
from hive.protocol.mail import (
    ATTACHMENT_BYTES,
    INLINE_BYTES,
    Kind,
    Priority,
    Provenance,
    Standing,
    State,
)
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from hive.store import rows

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk


def test_a_message_opens_a_thread_of_its_own_and_is_written_down(desk: "Desk") -> None:
    """An accepted message is a ready row with its own id as thread, and the journal says all of it."""
    sent = desk.send("operator", "iris", "x" * 500, label="from the page")

    mail = desk.mail(sent.id)
    assert (mail.state, mail.thread, mail.number, mail.size) == (State.READY, sent.id, sent.number, 500)
    (row,) = desk.rows("msg.sent")
    assert (row.agent, row.subject) == ("iris", sent.id)
    assert set(row.data) == {*MESSAGE_FIELDS, *SENT_FIELDS}
    assert (row.data["from"], row.data["label"], row.data["head"]) == ("operator", "from the page", "x" * 160)


@pytest.mark.parametrize("by_number", [False, True])
def test_a_reply_joins_the_thread_of_what_it_answers(desk: "Desk", *, by_number: bool) -> None:
    """`in_reply_to` may be an id or a number; the thread is that of the first message."""
    first = desk.send("operator", "iris")
    second = desk.send("iris", "operator", in_reply_to=f"#{first.number}" if by_number else first.id)
    third = desk.send("operator", "iris", in_reply_to=str(second.number))

    assert desk.mail(second.id).in_reply_to == first.id
    assert desk.mail(third.id).thread == first.id


@pytest.mark.parametrize("ref", ["m-nope", "4711", "#4711", "9" * 30, "\ud800", ""])
def test_a_reply_to_nothing_is_refused(desk: "Desk", ref: str) -> None:
    """Whatever was meant, there is no such message."""
    with pytest.raises(NotFound, match="There is no message"):
        desk.send("iris", "rose", in_reply_to=ref)


@pytest.mark.parametrize(
    ("to", "hint"),
    [
        ("irsi", "Did you mean iris"),
        ("Iris", "Did you mean iris"),
        ("opertor", "operator"),
        ("zzzzzzzz", "There are: boss, iris, rose\\.$"),
        ("system", "There is no agent 'system'. That is hive itself"),
        ("hive", "There is no agent 'hive'. That is hive itself"),
        ("all", "There is no agent 'all'. For everybody, write to `\\*`"),
        ("", "There is no agent ''"),
        ("\ud800", "There is no agent"),
    ],
)
def test_unknown_and_reserved_names_are_refused_with_near_ones(desk: "Desk", to: str, hint: str) -> None:
    """Nothing is stored for a name nobody bears; the text names whom it might have meant."""
    with pytest.raises(NotFound, match=hint):
        desk.send("rose", to)
    assert desk.value("SELECT count(*) FROM message") == 0


def test_where_no_name_is_near_the_first_of_all_are_listed(desk: "Desk") -> None:
    """A hundred names would drown the sentence; none at all is a sentence of its own."""
    desk.add(*[f"a{n:02}" for n in range(20)])
    with pytest.raises(NotFound, match=r"There are: a00, .*, a19 and 3 more\.$"):
        desk.send("rose", "zzzzzzzz")
    for name in rows.live_names(desk.tx()):
        desk.do(RemoveAgent(name))
    with pytest.raises(NotFound, match="no agents yet"):
        desk.send("operator", "zzzzzzzz")
    with pytest.raises(NotFound, match=r"has no manager. This hive has no agents yet."):
        desk.send("operator", "manager")


def test_a_removed_agent_neither_gets_nor_sends_mail(desk: "Desk") -> None:
    """Its name is as good as unknown, and a process of it that is still there is told so."""
    desk.do(RemoveAgent("rose"))

    with pytest.raises(NotFound, match="rose"):
        desk.send("iris", "rose")
    with pytest.raises(Forbidden, match="'rose' is no agent"):
        desk.send("rose", "iris")


def test_mail_to_the_manager_goes_to_whoever_has_the_role(desk: "Desk") -> None:
    """`manager` is a role; without one it is a name nobody bears."""
    assert desk.send("iris", "manager").recipient == "boss"

    desk.do(RemoveAgent("boss"))

    with pytest.raises(NotFound, match="has no manager"):
        desk.send("iris", "manager")


def test_a_broadcast_reaches_every_agent_but_its_sender(desk: "Desk") -> None:
    """One row each, the manager included, the operator not, in one thread each, marked as a broadcast."""
    answer = desk.do(Send("iris", "*", "all of you", Provenance.AGENT))

    assert [one.recipient for one in answer.accepted] == ["boss", "rose"]
    assert all(desk.mail(one.id).broadcast for one in answer.accepted)
    assert desk.box("operator") == desk.box("iris") == ()


def test_a_full_recipient_does_not_stop_a_broadcast(desk: "Desk") -> None:
    """It is named in the answer, the others get theirs."""
    desk.adjust(mailbox_messages=1)
    desk.send("iris", "rose")

    answer = desk.do(Send("iris", "*", "all of you", Provenance.AGENT))

    assert [one.recipient for one in answer.accepted] == ["boss"]
    (refused,) = answer.refused
    assert (refused.recipient, refused.code) == ("rose", "refused")
    assert "full" in refused.why


def test_a_broadcast_of_the_only_agent_reaches_nobody(new_desk: "type[Desk]") -> None:
    """An empty answer says so."""
    desk = new_desk()
    desk.add("iris")
    answer = desk.do(Send("iris", "*", "anybody?", Provenance.AGENT))
    assert (answer.accepted, answer.refused) == ((), ())


def test_a_full_mailbox_refuses_agents_and_nobody_else(desk: "Desk") -> None:
    """Ready, claimed and blocked mail count; the operator and hive itself always get through."""
    desk.adjust(mailbox_messages=2)
    desk.send("rose", "iris")
    begun = desk.begin("iris")
    desk.send("rose", "iris")

    with pytest.raises(Refused, match=r"iris's mailbox is full: 2 messages are unread.*Wait until"):
        desk.send("rose", "iris")
    assert desk.send("operator", "iris").ahead == 2
    assert desk.send("system", "iris").ahead == 3

    desk.end(begun)
    desk.end(desk.begin("iris"))
    assert desk.send("rose", "iris").ahead == 0


def test_the_operators_mailbox_has_a_rate_for_each_sender_and_no_bound(desk: "Desk") -> None:
    """A minute holds so many messages of one sender; the refusal says when to try again."""
    desk.adjust(mailbox_messages=0, operator_mail_per_minute=2)
    desk.send("iris", "operator")
    desk.now += 20
    desk.send("iris", "operator", kind=Kind.NOTIFY)

    with pytest.raises(Refused, match="in 40 seconds"):
        desk.send("iris", "operator")
    assert desk.send("rose", "operator").standing is Standing.PERSON
    desk.send("system", "operator")
    desk.now += 40
    assert desk.send("iris", "operator").ahead == 4


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"body": ""}, "empty"),
        ({"body": " \n\t"}, "empty"),
        ({"body": "a\0b"}, "The body contains a NUL"),
        ({"body": "a\ud800b"}, "half of a surrogate pair"),
        ({"body": "x" * (ATTACHMENT_BYTES + 1)}, "in parts"),
        ({"body": "é" * (ATTACHMENT_BYTES // 2 + 1)}, f"has {ATTACHMENT_BYTES + 2} bytes"),
        ({"label": "x" * 201}, "201 characters"),
        ({"label": "\0"}, "The label contains a NUL"),
        ({"priority": Priority.URGENT}, "Only the operator may send urgent"),
        ({"not_before": float("nan")}, "seconds since 1970"),
        ({"not_before": float("inf")}, "seconds since 1970"),
        ({"kind": Kind.NEXT_TURN}, "for oneself only"),
    ],
)
def test_what_can_never_be_accepted_is_malformed(desk: "Desk", options: dict[str, object], hint: str) -> None:
    """The text says what was wrong and what to do; nothing is stored."""
    with pytest.raises(Malformed, match=hint):
        desk.send("iris", "rose", **options)
    assert desk.box("rose") == ()


@pytest.mark.parametrize("sender", ["operator", "system"])
def test_hive_and_the_operator_may_send_urgent_mail(desk: "Desk", sender: str) -> None:
    """Urgency is a matter of who stands behind the message."""
    assert desk.mail(desk.send(sender, "iris", priority=Priority.URGENT).id).priority is Priority.URGENT


# --- what the sender is told -----------------------------------------------------------------------


def test_the_answer_says_whether_the_recipient_runs_idles_or_is_parked(desk: "Desk") -> None:
    """Parked wins over running, and of several reasons the one that lasts longest is named."""
    assert desk.send("rose", "iris").standing is Standing.IDLE
    begun = desk.begin("iris")
    running = desk.send("rose", "iris")
    assert (running.standing, running.ahead) == (Standing.RUNNING, 1)

    desk.do(Park("iris", Reason.LIMIT, until=desk.now + 60))
    desk.do(Park("iris", Reason.BACKOFF, until=desk.now + 30))
    parked = desk.send("rose", "iris")
    assert (parked.standing, parked.parked_for, parked.parked_until) == (
        Standing.PARKED,
        "limit",
        desk.now + 60,
    )

    desk.do(Pause("iris"))
    assert desk.send("rose", "iris").parked_for == "paused"
    desk.end(begun)


# --- long bodies -----------------------------------------------------------------------------------


def test_a_body_is_kept_in_its_row_up_to_a_limit_and_beside_it_beyond(desk: "Desk") -> None:
    """A long body is stored once by its hash; the row carries an excerpt cut between characters."""
    short = desk.mail(desk.send("iris", "rose", "é" * (INLINE_BYTES // 2)).id)
    text = "é" * INLINE_BYTES
    long = desk.mail(desk.send("iris", "rose", text).id)
    again = desk.mail(desk.send("rose", "iris", text).id)

    assert (short.attachment, short.size) == (None, INLINE_BYTES)
    assert (long.attachment, long.size) == (hashlib.sha256(text.encode()).hexdigest(), 2 * INLINE_BYTES)
    assert long.body == text[:600]
    assert again.attachment == long.attachment
    assert desk.value("SELECT body FROM attachment") == text


def test_attachments_are_bounded_for_each_sender_and_a_shared_one_counts_once(desk: "Desk") -> None:
    """What an agent has attached already it may send again; the operator is never refused."""
    desk.adjust(attached_bytes_per_sender=3 * INLINE_BYTES)
    text = "x" * (2 * INLINE_BYTES)
    sha256 = desk.do(StoreAttachment("iris", text))

    assert desk.mail(desk.send("iris", "rose", text).id).attachment == sha256
    with pytest.raises(Refused, match=f"take {2 * INLINE_BYTES} of {3 * INLINE_BYTES} bytes"):
        desk.send("iris", "rose", "y" * (2 * INLINE_BYTES))
    desk.now += 60
    desk.send("rose", "iris", text)
    assert desk.value("SELECT at FROM attachment") == desk.now, "retention counts from the last naming"
    desk.send("operator", "iris", "z" * (4 * INLINE_BYTES))
    with pytest.raises(Malformed):
        desk.do(StoreAttachment("iris", ""))


# --- what coalesces --------------------------------------------------------------------------------


def test_requests_for_a_next_turn_are_one_message_until_it_is_claimed(desk: "Desk") -> None:
    """The newest words win; the highest hops stay; a delay never outlives a wish for now."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    first = desk.send("iris", "iris", "go on", kind=Kind.NEXT_TURN, turn=begun.turn, not_before=desk.now + 9)
    later = desk.send("iris", "iris", "go on, sooner", kind=Kind.NEXT_TURN, not_before=desk.now + 5)
    mail = desk.mail(first.id)
    assert later.number == first.number
    assert (mail.body, mail.hops, mail.not_before) == ("go on, sooner", 1, desk.now + 5)

    desk.send("iris", "iris", "go on now", kind=Kind.NEXT_TURN)
    assert desk.mail(first.id).not_before is None
    assert [row.data.get("coalesced") for row in desk.rows("msg.sent")] == [None, None, True, True]

    desk.end(begun)
    desk.begin("iris")
    assert desk.send("iris", "iris", kind=Kind.NEXT_TURN).number != first.number


def test_a_blocked_request_for_a_next_turn_stays_one_message(desk: "Desk") -> None:
    """An agent that asks again and again cannot fill its own mailbox with blocked mail."""
    desk.adjust(hops=0)
    first = desk.send("iris", "iris", kind=Kind.NEXT_TURN)
    again = desk.send("iris", "iris", kind=Kind.NEXT_TURN)
    assert again.blocked == first.blocked == "0 hops without input from outside"
    assert again.number == first.number


def test_what_a_client_and_a_turn_wish_for_stays_apart(desk: "Desk") -> None:
    """Words from outside never appear as those of the agent itself."""
    inside = desk.send("iris", "iris", kind=Kind.NEXT_TURN)
    outside = desk.send("iris", "iris", kind=Kind.NEXT_TURN, provenance=Provenance.OUTSIDE, own_token=True)
    assert inside.number != outside.number


def test_a_refused_send_leaves_nothing_behind(desk: "Desk") -> None:
    """Not even the attachment it brought."""
    with pytest.raises(HiveRefusal):
        desk.send("iris", "nobody", "x" * (2 * INLINE_BYTES))
    assert desk.value("SELECT count(*) FROM attachment") == 0


def test_the_cause_of_what_a_turn_sends_is_that_turn(desk: "Desk") -> None:
    """So that a redelivered message can say what an earlier turn has sent already."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    assert desk.mail(desk.send("iris", "rose", turn=begun.turn).id).cause == f"turn:{begun.turn}"
    assert desk.mail(desk.send("system", "rose", cause="reminder:3").id).cause == "reminder:3"
    desk.do(EndTurn(begun.turn, Outcome.OK))
    desk.do(BeginTurn("iris", 1))
