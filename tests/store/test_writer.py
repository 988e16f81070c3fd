"""The loop that commits may die anywhere; the queue and its promises do not."""

import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock, wait_all_tasks_blocked

from hive.protocol.commands import (
    AppendStream,
    BeginTurn,
    Command,
    Kick,
    NoteFact,
    Once,
    SetStatus,
    StreamRow,
)
from hive.protocol.errors import Conflict, StoreUnavailable
from hive.protocol.views import JournalRow, StreamView
from hive.store.batch import CLEARED, Asked, Committed, Committer, Failure, NotCommitted
from hive.store.handlers import HANDLERS
from hive.store.sqlite import SqliteStore, open_store
from hive.store.tickets import IN_DOUBT_SECONDS, PendingTicket
from hive.store.transaction import Transaction
from hive.store.writer import BATCH_COMMANDS, RETRY_CEILING_SECONDS
from hive.testing.desk import Desk, open_desk
from hive.testing.store_world import VERSION, World, a_send, bodies, served


def fact(n: int) -> NoteFact:
    """A verdict: it stays queued until it holds."""
    return NoteFact("hive.warning", None, {"code": "fact", "text": f"{n}"})


def facts(store: SqliteStore) -> list[int]:
    """Which of them hold, in order."""
    return [int(str(row.data["text"])) for row in store.reader.journal(0) if row.data.get("code") == "fact"]


def full() -> Exception:
    """What a commit raises on a full disk."""
    return sqlite3.OperationalError("database or disk is full")


def cleared(store: SqliteStore) -> int:
    """How often the journal tells that commits hold again."""
    return len([row for row in store.reader.journal(0) if row.data.get("code") == CLEARED])


class Restless(World):
    """A world whose pauses are a few scheduler steps long."""

    async def before_commit(self) -> None:
        """Two chances to be cancelled before anything has happened."""
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()

    async def after_commit(self) -> None:
        """Two chances to be cancelled before anybody is told."""
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("inline", [True, False])
async def test_a_writer_cancelled_at_every_step_settles_each_command_once(
    tmp_path: Path, *, inline: bool
) -> None:
    """Step by step, until one incarnation gets through: nothing is lost, repeated or out of order."""
    world, told = Restless(), list[JournalRow]()
    path = tmp_path / "hive.sqlite3"
    with open_store(path, wall=world.wall, random_=world.random, inline=inline, pauses=world) as store:
        store.recover(VERSION)
        store.subscribe(lambda rows, _: told.extend(rows))
        tickets, waiting = [], []
        for step in range(40):
            tickets.append(store.submit(fact(step)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.drain_forever)
                for _ in range(step % 10):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            waiting.append(not tickets[-1].settled)
        async with served(store):
            for ticket in tickets:
                await ticket.outcome()
        assert facts(store) == list(range(40))
        assert [row.seq for row in told] == list(range(2, 42))
        assert len(set(waiting)) == 2, "cancellations came before commits and after"


async def test_the_store_has_one_writer(desk: Desk) -> None:
    """A second loop is a mistake of whoever starts it, and says so."""
    async with served(desk.store):
        await wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="one writer"):
            await desk.store.drain_forever()


async def test_a_store_is_recovered_before_it_is_served(tmp_path: Path) -> None:
    """Otherwise rows would bear no boot."""
    with open_store(tmp_path / "hive.sqlite3", inline=True) as store:
        store.submit(fact(0))
        with pytest.raises(RuntimeError, match="recover"):
            await store.drain_forever()


async def test_one_transaction_takes_a_bounded_number_of_commands(tmp_path: Path) -> None:
    """What is beyond waits for the next."""
    with open_desk(tmp_path) as desk:
        commits: list[int] = []
        desk.store.subscribe(lambda rows, _: commits.append(len(rows)))
        tickets = [desk.store.submit(fact(n)) for n in range(BATCH_COMMANDS + 1)]
        async with served(desk.store):
            await tickets[-1].outcome()
        assert commits == [BATCH_COMMANDS, 1]


async def test_retries_come_after_doubling_pauses_up_to_a_ceiling(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A tenth of a second, then twice as long each time, never more than five; success starts anew."""
    with open_desk(tmp_path) as desk:
        moments: list[float] = []

        def note() -> Exception:
            moments.append(trio.current_time())
            return full()

        desk.world.failing = note
        ticket = desk.store.submit(fact(0))
        async with served(desk.store):
            await trio.sleep(20)
            desk.world.failing = None
            await ticket.outcome()
            waits = [round(after - before, 3) for before, after in pairwise(moments)]
            assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
            assert cleared(desk.store) == 1

            desk.world.failing = note
            moments.clear()
            desk.store.submit(fact(1))
            await trio.sleep(0.15)
            assert len(moments) == 2
        assert autojump_clock.current_time() > RETRY_CEILING_SECONDS


async def test_the_disk_is_tried_again_although_nothing_waits(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A probe finds it well, and the journal says how long it was not."""
    with open_desk(tmp_path) as desk:
        desk.world.failing = full
        async with served(desk.store):
            with pytest.raises(StoreUnavailable, match="full"):
                await desk.store.submit(a_send("iris", "lost")).outcome()
            desk.world.failing = None
            await trio.sleep(0.2)
            assert desk.store.refusing is None
        assert cleared(desk.store) == 1
        assert autojump_clock.current_time() > 0


async def test_a_subscriber_that_fails_costs_the_callers_nothing(desk: Desk) -> None:
    """Its error ends the loop, after everybody has been answered."""

    def broken(rows: Sequence[JournalRow], stream: Sequence[tuple[str, StreamView]]) -> None:
        raise ValueError("a subscriber's mistake")

    end = desk.store.subscribe(broken)
    ticket = desk.store.submit(fact(0))
    with pytest.raises(ValueError, match="mistake"):
        await desk.store.drain_forever()
    assert ticket.settled
    end()
    async with served(desk.store):
        await desk.store.submit(fact(1)).outcome()
    assert facts(desk.store) == [0, 1]


async def test_stream_rows_are_told_with_their_agent(desk: Desk) -> None:
    """A lane of its own, without a journal row."""
    told: list[tuple[str, int]] = []
    desk.store.subscribe(lambda _, stream: told.extend((agent, row.n) for agent, row in stream))
    async with served(desk.store):
        await desk.store.submit(AppendStream("iris", None, (StreamRow("text"), StreamRow("text")))).outcome()
    assert told == [("iris", 1), ("iris", 2)]


# --- stopping ------------------------------------------------------------------------------------


def test_an_ordered_stop_commits_what_is_queued(tmp_path: Path) -> None:
    """Verdicts of the last moment are not lost, and the journal says that it was a stop."""
    with open_desk(tmp_path) as desk:
        tickets = [desk.store.submit(fact(n)) for n in range(3)]
        desk.store.stop("asked to")
        assert all(ticket.settled for ticket in tickets)
        assert facts(desk.store) == [0, 1, 2]
        assert desk.reader.journal(0)[-1].type == "hive.stopped"


def test_a_stop_on_a_failing_disk_is_a_stop_all_the_same(tmp_path: Path) -> None:
    """What cannot be written stays queued and is refused at the end."""
    with open_desk(tmp_path) as desk:
        desk.world.failing = full
        ticket = desk.store.submit(fact(0))
        desk.sql("PRAGMA query_only = ON")
        desk.store.stop("asked to")
        assert not ticket.settled
        assert desk.reader.journal(0)[-1].type != "hive.stopped"
    with pytest.raises(StoreUnavailable, match="stopping"):
        trio.run(ticket.outcome)


async def test_a_killed_store_writes_nothing_more(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Not even the warning it owes."""
    with open_desk(tmp_path) as desk:
        desk.world.failing = full
        async with served(desk.store):
            ticket = desk.store.submit(fact(0))
            await trio.sleep(0.05)
            desk.store.kill()
            desk.world.failing = None
            await trio.sleep(60)
            before = desk.reader.head()
            with pytest.raises(StoreUnavailable, match="stopping"):
                await ticket.outcome()
        desk.store.stop("too late")
        assert desk.reader.head() == before
        assert cleared(desk.store) == 0
        assert autojump_clock.current_time() > 60


# --- tickets -------------------------------------------------------------------------------------


async def test_a_cancelled_caller_waits_at_most_five_seconds(autojump_clock: MockClock) -> None:
    """A store that does not answer cannot hold up the end of a task for ever."""
    ticket = PendingTicket[int](lambda _: None)
    with trio.move_on_after(1):
        await ticket.outcome()
    assert trio.current_time() == 1 + IN_DOUBT_SECONDS
    assert autojump_clock.current_time() == trio.current_time()


async def test_an_answer_nobody_took_is_disowned_once(autojump_clock: MockClock) -> None:
    """Whether it came before the caller left, or after, or several callers left."""
    disowned: list[str] = []
    late = PendingTicket[str](disowned.append)
    with trio.move_on_after(0):
        await late.outcome()
    assert disowned == []
    late.settle("late")
    assert disowned == ["late"]

    early = PendingTicket[str](disowned.append)
    early.settle("early")
    for _ in range(2):
        with trio.move_on_after(0):
            await early.outcome()
    assert disowned == ["late", "early"]

    refused = PendingTicket[str](disowned.append)
    refused.fail(Conflict("no"))
    with trio.move_on_after(0):
        await refused.outcome()
    assert disowned == ["late", "early"]
    assert autojump_clock.current_time() > 0


async def test_an_answer_that_was_taken_stays_taken() -> None:
    """It may be read again."""
    ticket = PendingTicket[str](lambda _: pytest.fail("it has an owner"))
    ticket.settle("mine")
    assert await ticket.outcome() == await ticket.outcome() == "mine"


# --- one transaction -----------------------------------------------------------------------------


def commit(desk: Desk, *commands: Command[object], once: Once | None = None) -> Committed | NotCommitted:
    """Carry out all of them in one transaction."""
    return desk.store._committer.commit([Asked(one, once, one.promise) for one in commands])


def replaced(desk: Desk, handler: object) -> Committer:
    """Let another implementation of SetStatus loose on the store."""
    committer = desk.store._committer
    committer.handlers = {**committer.handlers, SetStatus: handler}  # type: ignore[dict-item]
    return committer


def test_a_crash_of_one_command_is_its_outcome_and_on_record(desk: Desk) -> None:
    """What it wrote is undone, its neighbours hold, and the record quotes nothing of the error."""

    def crash(tx: Transaction, command: SetStatus) -> None:
        tx.journal("agent.status", command.agent, None)
        tx.stream_rows.append((command.agent, StreamView(1, None, 0.0, "text")))
        raise ValueError("the token is hunter2")

    replaced(desk, crash)
    result = commit(desk, fact(0), SetStatus("iris", "secret"), fact(1))
    assert isinstance(result, Committed)
    assert isinstance(result.outcomes[1], Failure)
    assert isinstance(result.outcomes[1].error, ValueError)
    rows = desk.reader.journal(result.journal[0].seq - 1)
    assert rows == tuple(result.journal)
    assert [row.data["code"] for row in rows] == ["fact", "command_failed", "fact"]
    assert "ValueError at test_writer.py" in str(rows[1].data["text"])
    assert "hunter2" not in str(rows)
    assert not result.stream


def test_a_disk_that_fails_within_a_command_fails_the_whole_transaction(desk: Desk) -> None:
    """It is nobody's fault in particular, so everybody hears the same."""

    def fail(tx: Transaction, command: SetStatus) -> None:
        tx.execute("PRAGMA query_only = ON")
        try:
            tx.execute("UPDATE agent SET status = 'x'")
        finally:
            tx.execute("PRAGMA query_only = OFF")

    replaced(desk, fail)
    result = commit(desk, fact(0), SetStatus("iris", "x"))
    assert isinstance(result, NotCommitted)
    assert facts(desk.store) == []
    assert isinstance(commit(desk, fact(1)), Committed)


def test_a_statement_that_is_wrong_is_its_commands_fault(desk: Desk) -> None:
    """A constraint or a syntax error does not look like a full disk."""

    def fail(tx: Transaction, command: SetStatus) -> None:
        tx.execute("INSERT INTO agent (name, settings, added_at) VALUES ('iris', '{}', 0)")

    replaced(desk, fail)
    result = commit(desk, SetStatus("iris", "x"), fact(0))
    assert isinstance(result, Committed)
    assert facts(desk.store) == [0]


def test_a_keyed_refusal_is_on_record_under_its_key(desk: Desk) -> None:
    """So that whoever asked, on whatever connection, learns of it."""
    result = commit(desk, SetStatus("nobody", "x"), once=Once("operator", "k1", "d"))
    assert isinstance(result, Committed)
    (row,) = result.journal
    assert (row.type, row.command, row.data["code"]) == ("command.refused", "k1", "not_found")


def test_journal_rows_bear_the_key_of_their_own_command(desk: Desk) -> None:
    """A page recognises its own effect, and nobody else's."""
    committer = desk.store._committer
    asked = [
        Asked(SetStatus("iris", "a"), Once("operator", "k1", "d"), SetStatus.promise),
        Asked(SetStatus("rosa", "b"), None, SetStatus.promise),
    ]
    result = committer.commit(asked)
    assert isinstance(result, Committed)
    assert [row.command for row in result.journal] == ["k1", None]


@pytest.mark.parametrize(
    ("command", "once"),
    [
        (NoteFact("hive.warning", None, {"what": object()}), None),
        (NoteFact("hive.warning", "\ud800"), None),
        (a_send("iris", "x"), Once("operator", "\ud800", "d")),
        (SetStatus("nobody", "x"), Once("operator", "\ud800", "d")),
    ],
)
def test_a_command_that_cannot_be_written_down_fails_alone(
    desk: Desk, command: Command[object], once: Once | None
) -> None:
    """Its neighbours in the transaction hold, and the next transaction does not meet it again."""
    sound = SetStatus("iris", "a")
    asked = [Asked(command, once, command.promise), Asked(sound, None, sound.promise)]
    result = desk.store._committer.commit(asked)
    assert isinstance(result, Committed)
    failed, held = result.outcomes
    assert isinstance(failed, Failure)
    assert not isinstance(held, Failure)
    assert desk.reader.journal(0)[-1].data == {"text": "a"}


def test_the_journal_has_no_hole_where_a_command_was_refused(desk: Desk) -> None:
    """What a refused command had journalled is gone, and its number goes to the next one."""
    before = desk.reader.journal(0)[-1].seq

    def half_done(tx: Transaction, command: Command[object]) -> None:
        tx.journal("agent.status", "iris", None, text="never")
        raise Conflict("no")

    committer = evolve(desk.store._committer, handlers={**HANDLERS, Kick: half_done})
    committer.boot = desk.store.boot
    asked = [
        Asked(one, None, one.promise)
        for one in (SetStatus("iris", "a"), Kick("iris"), SetStatus("iris", "b"))
    ]
    result = committer.commit(asked)
    assert isinstance(result, Committed)
    assert [(row.seq, row.data["text"]) for row in result.journal] == [(before + 1, "a"), (before + 2, "b")]
    assert desk.reader.journal(before) == tuple(result.journal)


def test_a_journal_row_can_hold_what_no_text_of_a_message_may(desk: Desk) -> None:
    """Half a surrogate pair, a number beyond 64 bits: hive never fails over its own words."""
    tx = desk.store._committer.transaction()
    tx.journal("hive.warning", None, None, code="odd", text="\ud800", number=2**70)
    tx.write_journal()
    assert desk.reader.journal(0)[-1].data == {"code": "odd", "text": "\ud800", "number": 2**70}


@pytest.mark.parametrize(
    ("command", "level"),
    [(a_send("iris", "x"), 2), (BeginTurn("iris", 1), 1), (fact(0), 1)],
)
def test_only_what_is_promised_waits_for_the_disk(desk: Desk, command: Command[object], level: int) -> None:
    """A batch is synced as its strongest promise says: 2 is FULL, 1 is NORMAL."""
    db = desk.store._committer.db
    commit(desk, command, fact(1))
    assert db.execute("PRAGMA synchronous").fetchone()[0] == level


def test_a_rollback_that_fails_is_made_up_for(desk: Desk) -> None:
    """A transaction left open by a failing disk does not stop the next one for good."""
    desk.sql("BEGIN")
    assert isinstance(commit(desk, fact(0)), NotCommitted)
    assert isinstance(commit(desk, fact(0)), Committed)
    assert facts(desk.store) == [0]
    assert bodies(desk.reader, "iris") == []
