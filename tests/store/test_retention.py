"""What is old goes, in small steps; what somebody may still need stays."""

from pathlib import Path

import pytest

from hive.protocol.commands import (
    AddWebSession,
    AppendStream,
    EndTurn,
    MarkDone,
    Once,
    SetStatus,
    StoreAttachment,
    StreamRow,
    Sweep,
)
from hive.protocol.limits import Limits
from hive.protocol.outcome import Outcome
from hive.store.retention import DAY_SECONDS
from hive.testing.desk import Desk, open_desk

LONG = "x" * 5_000


def swept(desk: Desk, rows: int = 200) -> int:
    """Sweep until nothing is left to go; how many rows went."""
    total = 0
    while gone := desk.do(Sweep(rows)):
        assert 0 < gone <= rows
        total += gone
    return total


def handle(desk: Desk, agent: str) -> None:
    """Let an agent handle all it has."""
    begun = desk.begin(agent)
    desk.do(EndTurn(begun.turn, Outcome.OK, seen=tuple(one.mail.number for one in begun.messages)))


def count(desk: Desk, table: str) -> int:
    """Rows of a table."""
    return int(desk.reader._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_done_mail_goes_after_thirty_days(desk: Desk) -> None:
    """Not a moment before; its turn, its journal and the counts stay."""
    name = desk.send("iris", LONG)
    handle(desk, "iris")
    story = desk.reader.story(name)
    desk.wait(30 * DAY_SECONDS - 1)
    assert swept(desk) == 0
    desk.wait(1)
    assert swept(desk) == 1 + 1, "the message, and then its attachment"
    assert desk.reader.mail(name) is None
    assert desk.reader.story(name) == story
    assert desk.reader.turns("iris")[0].messages == ()
    assert desk.reader.counts().removed == 1
    assert [count(desk, table) for table in ("turn_message", "claim", "attachment", "attached")] == [
        0,
        0,
        0,
        0,
    ]
    assert not desk.reader.violations(deep=True)


def test_mail_of_an_open_thread_stays(desk: Desk) -> None:
    """An unfinished answer keeps the question, whatever its age."""
    question = desk.send("iris", "question", sender="rosa")
    handle(desk, "iris")
    answer = desk.send("operator", "answer", sender="iris", reply=question)
    desk.wait(31 * DAY_SECONDS)
    assert swept(desk) == 0
    desk.do(MarkDone(answer))
    assert swept(desk) == 1
    assert desk.reader.mail(question) is None
    desk.wait(31 * DAY_SECONDS)
    assert swept(desk) == 1
    assert not desk.reader.violations(deep=True)


@pytest.mark.parametrize("state", ["claimed", "blocked"])
def test_an_answer_that_somebody_holds_or_that_is_held_back_keeps_its_question(
    desk: Desk, state: str
) -> None:
    """It is as unfinished as one that waits."""
    question = desk.send("iris", "question", sender="rosa")
    handle(desk, "iris")
    answer = desk.send("rosa", "answer", sender="iris", reply=question)
    if state == "claimed":
        desk.begin("rosa")
    else:
        desk.sql("UPDATE message SET state = 'blocked' WHERE id = ?", answer)
    desk.wait(31 * DAY_SECONDS)

    assert swept(desk) == 0
    assert desk.reader.mail(question) is not None


def test_only_what_is_done_goes(desk: Desk) -> None:
    """Ready, claimed and dead mail stays for ever."""
    desk.send("iris")
    desk.send("rosa")
    desk.begin("rosa")
    desk.send("operator", sender="iris")
    desk.sql("UPDATE message SET state = 'dead', settled_at = 0 WHERE recipient = 'operator'")
    desk.wait(1_000 * DAY_SECONDS)
    assert swept(desk) == 0


def test_a_shared_attachment_stays_while_one_message_names_it(desk: Desk) -> None:
    """A body is stored once for all who were sent it."""
    desk.send("iris", LONG)
    handle(desk, "iris")
    desk.wait(31 * DAY_SECONDS)
    kept = desk.send("rosa", LONG)
    assert swept(desk) == 1
    assert desk.reader.body(kept) == LONG


def test_an_attachment_that_was_never_sent_goes_after_a_week(desk: Desk) -> None:
    """Whoever stored it did not come back."""
    desk.do(StoreAttachment("iris", LONG))
    desk.wait(7 * DAY_SECONDS - 1)
    assert swept(desk) == 0
    desk.wait(2)
    assert swept(desk) == 1


def test_answers_and_sessions_go_when_they_have_expired(desk: Desk) -> None:
    """They would not be honoured any more."""
    desk.do(SetStatus("iris", "x"), Once("operator", "k", "d"))
    desk.do(AddWebSession("ab" * 32, "owner", desk.world.now + DAY_SECONDS))
    assert swept(desk) == 0
    desk.wait(DAY_SECONDS)
    assert swept(desk) == 1
    desk.wait(7 * DAY_SECONDS)
    assert swept(desk) == 1
    assert (count(desk, "answer"), count(desk, "web_session")) == (0, 0)


def test_streams_go_by_age(desk: Desk) -> None:
    """Fourteen days; numbers go on."""
    desk.do(AppendStream("iris", None, (StreamRow("text"),) * 3))
    desk.wait(10 * DAY_SECONDS)
    desk.do(AppendStream("iris", None, (StreamRow("text"),) * 2))
    desk.wait(4 * DAY_SECONDS)
    assert swept(desk, rows=2) == 3
    assert [row.n for row in desk.reader.stream("iris")] == [4, 5]


def test_streams_go_by_length(tmp_path: Path) -> None:
    """Each agent keeps its newest rows."""
    with open_desk(tmp_path, limits=Limits(stream_rows=10)) as desk:
        desk.do(AppendStream("iris", None, (StreamRow("text"),) * 25))
        desk.do(AppendStream("rosa", None, (StreamRow("text"),) * 10))
        assert swept(desk, rows=7) == 15
        assert [row.n for row in desk.reader.stream("iris")] == list(range(16, 26))
        assert len(desk.reader.stream("rosa")) == 10


def test_space_is_given_back(desk: Desk) -> None:
    """A little with each sweep that finds nothing to delete."""
    desk.do(AppendStream("iris", None, (StreamRow("text", {"text": LONG}),) * 400))
    desk.wait(15 * DAY_SECONDS)
    assert swept(desk) == 400
    free = desk.reader._db.execute("PRAGMA freelist_count").fetchone()[0]
    assert free > 200
    while desk.reader._db.execute("PRAGMA freelist_count").fetchone()[0]:
        desk.do(Sweep())
        left = desk.reader._db.execute("PRAGMA freelist_count").fetchone()[0]
        assert left < free
        free = left


@pytest.mark.parametrize("rows", [1, 3])
def test_a_sweep_takes_no_more_rows_than_it_may(desk: Desk, rows: int) -> None:
    """So that nobody waits long behind it."""
    for _ in range(7):
        desk.send("iris")
    handle(desk, "iris")
    desk.wait(31 * DAY_SECONDS)
    assert swept(desk, rows) == 7
