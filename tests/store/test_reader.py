"""What can be read, and that reading it takes the index it was given."""

import sqlite3
from pathlib import Path
from threading import current_thread

import pytest
from attrs import fields_dict

from hive.protocol.commands import (
    AddAgent,
    AddWebSession,
    AppendStream,
    EndTurn,
    ForgetProcess,
    Lease,
    MarkRead,
    Park,
    RecordProcess,
    RemoveAgent,
    Send,
    SetClientToken,
    SetStatus,
    Settings,
    StreamRow,
    Usage,
)
from hive.protocol.mail import Mail, Priority, Provenance, State
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from hive.protocol.views import COSTS_BY, Counts, Head, Identity, Process
from hive.store import audit, figures, history, invariants, reader, rows
from hive.store.sqlite import open_reader, open_store
from hive.testing.desk import Desk

LONG = "x" * 5_000


def test_an_agent_is_seen_with_its_mail_its_turns_and_its_reasons(desk: Desk) -> None:
    """One view holds everything a harness decides by."""
    desk.do(SetStatus("iris", "reading"))
    desk.send("iris", "one")
    first = desk.begin("iris")
    desk.do(EndTurn(first.turn, Outcome.OK, seen=(first.messages[0].mail.number,), usage=Usage(3, 2, 0.5)))
    desk.send("iris", "two")
    second = desk.begin("iris")
    desk.wait(10)
    desk.send("iris", "three")
    desk.do(Send("operator", "iris", "later", Provenance.OPERATOR, not_before=desk.world.now + 500))
    desk.do(Park("iris", Reason.LOGIN, detail="no key"))
    desk.do(Park("iris", Reason.LIMIT, until=desk.world.now + 100))

    view = desk.reader.agent("iris")
    assert view is not None
    assert (view.deliverable, view.ready, view.claimed, view.done, view.dead) == (1, 2, 1, 1, 0)
    assert view.deliverable_since == desk.world.now
    assert view.next_due == desk.world.now + 100
    assert [one.reason for one in view.parked] == [Reason.LIMIT, Reason.LOGIN]
    assert view.status == "reading"
    assert view.open_turn is not None
    assert view.open_turn.messages == (second.messages[0].mail.id,)
    assert view.last_turn is not None
    assert (view.last_turn.outcome, view.last_turn.input_tokens) == ("ok", 3)

    desk.wait(101)
    later = desk.reader.agent("iris")
    assert later is not None
    assert [one.reason for one in later.parked] == [Reason.LOGIN]
    assert later.next_due == desk.world.now + 399
    assert desk.reader.open_turns() == (view.open_turn,)


def test_an_agent_without_mail_is_seen_too(desk: Desk) -> None:
    """Nothing counts as nothing."""
    view = desk.reader.agent("rosa")
    assert view is not None
    assert (view.deliverable, view.deliverable_since, view.next_due) == (0, None, None)
    assert view.open_turn is None
    assert view.last_turn is None


def test_an_agent_is_read_again_when_something_is_new_and_only_then(desk: Desk) -> None:
    """A commit is new, a time that has come is, and so is one that is no more: nothing else."""
    later = desk.world.now + 500
    desk.do(Send("operator", "iris", "later", Provenance.OPERATOR, not_before=later))
    desk.do(Park("iris", Reason.LIMIT, until=desk.world.now + 100))
    view = desk.reader.agent("iris")
    assert view is not None
    assert [one.reason for one in view.parked] == [Reason.LIMIT]
    desk.wait(99)
    assert desk.reader.agent("iris") is view
    assert desk.reader.agents()[0] is desk.reader.agents()[0]

    desk.wait(2)
    assert [one.parked for one in desk.reader.agents()] == [(), ()]
    desk.wait(-2)
    assert [one.parked for one in desk.reader.agents()] == [view.parked, ()]
    desk.wait(500)
    due = desk.reader.agent("iris")
    assert due is not None
    assert due.deliverable == 1

    desk.do(SetStatus("rosa", "reading"))
    assert [one.status for one in desk.reader.agents()] == ["", "reading"]
    assert desk.reader.agent("nobody") is None


def test_agents_lists_who_has_not_been_removed(desk: Desk) -> None:
    """A removed one is still found by its name."""
    desk.do(AddAgent("anna", Settings(role="manager")))
    assert desk.reader.manager() == "anna"
    desk.do(RemoveAgent("anna"))
    assert [view.name for view in desk.reader.agents()] == ["iris", "rosa"]
    assert desk.reader.manager() is None
    gone = desk.reader.agent("anna")
    assert gone is not None
    assert gone.removed_at is not None
    assert desk.reader.agent("nobody") is None


def test_mail_is_found_by_id_and_by_number(desk: Desk) -> None:
    """With or without the #; what is neither is not found."""
    name = desk.send("iris")
    mail = desk.reader.mail(name)
    assert mail is not None
    assert desk.reader.mail(f"#{mail.number}") == mail == desk.reader.mail(f"{mail.number}")
    for unknown in ("#99", "m-unknown", "", "9" * 40):
        assert desk.reader.mail(unknown) is None
        assert desk.reader.body(unknown) is None


def test_a_long_body_is_read_whole_by_those_who_may(desk: Desk) -> None:
    """Sender, recipient and operator; nobody else."""
    name = desk.send("iris", LONG, sender="rosa")
    mail = desk.reader.mail(name)
    assert mail is not None
    assert mail.attachment is not None
    assert len(mail.body) < len(LONG)
    assert desk.reader.body(name) == LONG == desk.reader.attachment(mail.attachment)
    assert desk.reader.body(desk.send("iris", "short")) == "short"
    allowed = [
        who
        for who in ("iris", "rosa", "operator", "lena")
        if desk.reader.may_read_attachment(mail.attachment, who)
    ]
    assert allowed == ["iris", "rosa", "operator"]
    assert not desk.reader.may_read_attachment("0" * 64, "operator")
    assert desk.reader.attachment("0" * 64) is None


def test_a_mailbox_is_read_in_pages_newest_first(desk: Desk) -> None:
    """Each page says whether there is more; states and text narrow it."""
    for n in range(5):
        desk.send("iris", f"Message {n}", sender="rosa")
    begun = desk.begin("iris")
    desk.do(EndTurn(begun.turn, Outcome.OK, seen=(1, 2)))

    page = desk.reader.mailbox("iris", limit=3)
    assert [mail.number for mail in page.mail] == [5, 4, 3]
    assert page.more
    rest = desk.reader.mailbox("iris", before=3, limit=3)
    assert [mail.number for mail in rest.mail] == [2, 1]
    assert not rest.more
    assert [mail.number for mail in desk.reader.mailbox("iris", states=[State.DONE]).mail] == [2, 1]
    assert [mail.number for mail in desk.reader.mailbox("iris", text="MESSAGE 4").mail] == [5]
    assert len(desk.reader.mailbox("iris", text="ros").mail) == 5
    assert not desk.reader.mailbox("iris", text="%").mail
    assert [mail.number for mail in desk.reader.unfinished()] == [3, 4, 5]


def test_a_search_goes_back_so_far_and_no_further(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is older is found from where the search ended: no page costs more than its bound."""
    monkeypatch.setattr(history, "SEARCHED", 2)
    for word in ("rare", "plain", "plain", "plain"):
        desk.send("iris", word)
    assert not desk.reader.mailbox("iris", text="rare", limit=1).mail
    assert [mail.number for mail in desk.reader.mailbox("iris", text="rare", limit=1, before=3).mail] == [1]
    assert len(desk.reader.mailbox("iris", limit=4).mail) == 4


def test_traffic_threads_and_dead_letters(desk: Desk) -> None:
    """Each is a projection of the same table."""
    first = desk.send("iris", "question", sender="rosa")
    desk.send("rosa", "answer", sender="iris", reply=first)
    desk.do(RemoveAgent("iris"))
    traffic = desk.reader.traffic()
    assert [mail.body for mail in desk.reader.thread(first)] == ["question", "answer", traffic.mail[0].body]
    assert [mail.number for mail in desk.reader.dead()] == [1]
    assert [mail.number for mail in traffic.mail] == sorted(
        (mail.number for mail in traffic.mail), reverse=True
    )
    assert desk.reader.traffic(before=2, limit=1).mail[0].number == 1


def test_the_operators_mail_is_unread_until_it_is_read(desk: Desk) -> None:
    """Reading it is a command."""
    name = desk.send("operator", sender="iris")
    assert desk.reader.unread() == 1
    assert [mail.id for mail in desk.reader.unread_mail()] == [name]
    desk.do(MarkRead(name))
    assert desk.reader.unread() == 0
    assert not desk.reader.unread_mail()
    desk.do(MarkRead(name, unread=True))
    assert desk.reader.unread() == 1


def test_the_journal_is_read_after_a_row_that_one_knows(desk: Desk) -> None:
    """Rows beyond it, in order, each with the boot that wrote it."""
    head = desk.reader.head()
    name = desk.send("iris")
    (row,) = desk.reader.journal(head.seq)
    assert (row.seq, row.type, row.subject) == (head.seq + 1, "msg.sent", name)
    assert desk.reader.boot_of(row.seq) == 1
    assert desk.reader.boot_of(row.seq + 1) is None
    assert len(desk.reader.journal(0, limit=2)) == 2
    assert desk.reader.head() == Head(head.log_id, 1, row.seq)


def test_a_story_is_the_life_of_one_message(desk: Desk) -> None:
    """And of no turn that happens to have its number."""
    name = desk.send("iris")
    begun = desk.begin("iris")
    desk.do(EndTurn(begun.turn, Outcome.OK, seen=(1,)))
    words = [row.type for row in desk.reader.story("#1")]
    assert words[0] == "msg.sent"
    assert words[-1] == "msg.done"
    assert desk.reader.story(name) == desk.reader.story("1")
    assert desk.reader.story("m-unknown") == ()
    desk.send("iris")
    for _ in range(2):
        desk.do(EndTurn(desk.begin("iris").turn, Outcome.OK))
    assert desk.reader.turn(3) is not None
    assert desk.reader.story("3") == ()


def test_a_stream_is_read_after_a_row_and_from_its_end(desk: Desk) -> None:
    """`n` counts from 1 for each agent."""
    desk.do(AppendStream("iris", None, tuple(StreamRow("text", {"n": n}) for n in range(5))))
    desk.do(AppendStream("rosa", None, (StreamRow("text"),)))
    assert [row.n for row in desk.reader.stream("iris", after=2)] == [3, 4, 5]
    assert [row.data["n"] for row in desk.reader.stream_tail("iris", limit=2)] == [3, 4]
    assert [row.n for row in desk.reader.stream("iris", limit=1)] == [1]


def test_turns_are_read_by_number_and_newest_first(desk: Desk) -> None:
    """Of one agent or of all."""
    for agent in ("iris", "rosa"):
        desk.send(agent)
        desk.do(EndTurn(desk.begin(agent).turn, Outcome.INTERRUPTED))
    desk.begin("iris")
    assert [turn.number for turn in desk.reader.turns()] == [3, 2, 1]
    assert [turn.number for turn in desk.reader.turns("iris")] == [3, 1]
    assert desk.reader.turn(2) == desk.reader.turns("rosa")[0]
    assert desk.reader.turn(9) is None


def test_wakes_are_measured_for_mail_held_for_the_first_time(desk: Desk) -> None:
    """A redelivery is no wake."""
    desk.send("iris")
    desk.wait(2)
    desk.do(EndTurn(desk.begin("iris").turn, Outcome.INTERRUPTED))
    desk.wait(3)
    desk.begin("iris")
    assert desk.reader.wake_latencies() == (2.0,)


def test_tokens_sessions_and_leases_are_valid_in_their_time(desk: Desk) -> None:
    """Only hashes are kept."""
    assert desk.reader.identity("iris") == Identity("agent")
    desk.do(SetClientToken("iris", "ab" * 32))
    assert desk.reader.identity("iris") == Identity("agent", "ab" * 32)
    assert desk.reader.identity("nobody") is None
    desk.do(AddWebSession("cd" * 32, "owner", desk.world.now + 60))
    assert desk.reader.web_session("cd" * 32) == "owner"
    desk.do(AddAgent("lena"))
    desk.do(SetClientToken("lena", "ef" * 32))
    desk.do(RemoveAgent("lena"))
    assert desk.reader.identity("lena") is None
    assert desk.reader.next_lease_end() is None
    desk.send("iris")
    desk.do(Lease("iris", "client", seconds=30))
    assert desk.reader.next_lease_end() == desk.world.now + 30
    desk.wait(60)
    assert desk.reader.web_session("cd" * 32) is None
    assert desk.reader.web_session("ef" * 32) is None


def test_processes_are_listed_until_they_are_gone(desk: Desk) -> None:
    """With the boot that recorded them."""
    desk.do(RecordProcess("iris", 70, 80))
    assert desk.reader.processes() == (Process("iris", 70, 80, 1),)
    desk.do(ForgetProcess("iris", 70, 80))
    assert desk.reader.processes() == ()


def test_counts_are_the_sums_of_everything_accepted(desk: Desk) -> None:
    """Whoever it was for."""
    desk.send("iris")
    desk.send("rosa")
    desk.begin("rosa")
    assert desk.reader.counts() == Counts(
        accepted=2, ready=1, claimed=1, blocked=0, done=0, dead=0, removed=0
    )


def test_a_view_is_of_one_moment(desk: Desk) -> None:
    """What is committed between two statements of a moment is not seen in it."""
    with desk.reader.moment():
        before = desk.reader.head()
        desk.send("iris")
        assert desk.reader.head() == before
        assert not desk.reader.mailbox("iris").mail
    assert desk.reader.head().seq == before.seq + 1


def test_a_reader_cannot_write(desk: Desk) -> None:
    """Nor can one opened beside a running hive."""
    with pytest.raises(sqlite3.OperationalError):
        desk.reader._db.execute("DELETE FROM message")
    desk.send("iris")
    with open_reader(desk.store.path, desk.world.wall) as beside:
        assert beside.counts() == desk.reader.counts()


async def test_a_heavy_question_is_answered_in_a_thread(tmp_path: Path) -> None:
    """From a connection of its own; in place where there are to be no threads."""
    for inline in (False, True):
        with open_store(tmp_path / f"{inline}.sqlite3", inline=inline) as store:
            where = await store.study(lambda reader: (reader.counts().ready, current_thread()))
            assert where[0] == 0
            assert (where[1] is current_thread()) is inline


HOT = {
    name: value
    for module in (reader, history, invariants, audit, figures)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str) and ("SELECT" in value)
}
PARAMETERS = (
    "code agent agents now recipient before states searched text limit since identity sha256 grace shown"
    " recent thread numbers first beyond step"
)
WALKING = {
    "NEWS": "along the journal from its end, as far as the grace goes back",
    "COUNTS": "the counts of each agent",
    "UNCOUNTED": "the counts of each agent",
    "MISCOUNTED": "everything: only a deep look asks it",
    "UNPROVEN": "what it has itself selected",
    "DEPTHS": "what it has itself selected",
    "BOXES": "the names it has itself found, one seek each, and the counts of each agent",
    "HELD": "all park reasons: a few for each agent",
}


@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize("name", sorted(HOT))
def test_no_question_walks_through_the_history(desk: Desk, name: str, *, some: bool) -> None:
    """Each is answered by seeking in an index, or by walking along one that holds only live rows."""
    connection = desk.store._committer.db
    sql = invariants.scoped(HOT[name], some=some)
    asked = dict.fromkeys(PARAMETERS.split(), 0) if ":" in sql else (0,) * sql.count("?")
    plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", asked)]
    walked = [step for step in plan if step.startswith("SCAN") and not _bounded(step)]
    assert bool(walked) == (name in WALKING), plan


FEW_ROWS = ("SCAN agent", "SCAN json_each", "SCAN CONSTANT ROW")


def _bounded(step: str) -> bool:
    """Whether a scan is of few rows, or of some at the end of an index: live mail, open turns, agents."""
    small = ("message_ready", "message_claimed", "message_blocked", "message_done", "message_dead")
    few = ("message_unread", "message_leased", "turn_open")
    return any(name in step for name in (*small, *few)) or step.startswith(FEW_ROWS)


def test_a_message_is_read_with_every_column_it_has(desk: Desk) -> None:
    """Columns are listed to be read by their places; a new one is not to be forgotten."""
    table = desk.reader._db.execute("PRAGMA table_info(message)").fetchall()
    assert sorted(rows.COLUMNS) == sorted(column["name"] for column in table)


def test_each_field_of_a_message_is_read_from_the_column_of_its_name(desk: Desk) -> None:
    """By places, which nothing but this compares with names."""
    sent = desk.send("iris", "a word")
    row = desk.reader._db.execute("SELECT * FROM message").fetchone()
    mail = desk.reader.mail(sent)
    assert mail is not None
    for field in fields_dict(Mail):
        assert getattr(mail, field) == (Priority.NORMAL if field == "priority" else row[field])


def test_what_turns_used_is_added_up_by_what_they_have_in_common(desk: Desk) -> None:
    """Dearest first; what ended earlier, or runs still, is not in it."""
    day = 24 * 3600.0
    for agent, model, cost in (("iris", "opus", 1.0), ("iris", "haiku", 0.25), ("rosa", "opus", 2.0)):
        desk.send(agent)
        begun = desk.begin(agent)
        usage = Usage(100, 10, cost, cached_tokens=50)
        seen = (begun.messages[0].mail.number,)
        desk.do(EndTurn(begun.turn, Outcome.OK, usage=usage, seen=seen, model=model))
        desk.wait(day)
    desk.send("iris")
    desk.begin("iris")
    reader = desk.reader
    found = {by: [(one.of, one.turns, one.cost_usd) for one in reader.costs(by, 0.0)] for by in COSTS_BY}
    assert found["agent"] == [("rosa", 1, 2.0), ("iris", 2, 1.25)]
    assert found["model"] == [("opus", 2, 3.0), ("haiku", 1, 0.25)]
    assert found["cause"] == [("operator", 3, 3.25)]
    assert [cost for _, _, cost in found["day"]] == [2.0, 1.0, 0.25]
    (late,) = reader.costs("agent", desk.world.now - day)
    assert (late.of, late.input_tokens, late.output_tokens, late.cached_tokens) == ("rosa", 100, 10, 50)
