"""A look at a running store finds what is broken, in bounded steps, and the operator is told."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from attrs import evolve

from hive.protocol.commands import BeginTurn, EndTurn, Lease, Park, Resume, TellAudit
from hive.protocol.errors import StoreUnavailable
from hive.protocol.mail import INLINE_BYTES, Provenance
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from hive.protocol.views import Figures
from hive.store import alarms as telling, audit
from hive.store.audit import Order, Seen
from hive.store.invariants import GRACE_SECONDS, SHOWN
from hive.store.sqlite import open_store
from hive.testing.desk import Desk, open_desk

BOTH = (Order(agents=("iris",), messages=(1,)), Order(deep=True))
"""What the newest commits call for, and everything."""

how = pytest.mark.parametrize("order", BOTH, ids=["incremental", "full"])


def free() -> float:
    """A meter of a processor that costs nothing."""
    return 0.0


def look(desk: Desk, order: Order) -> Seen:
    """Look now."""
    return desk.reader.examine(order, free)


def broken(desk: Desk, order: Order) -> list[tuple[int, str | None, int | None]]:
    """What a look finds."""
    return [(one.invariant, one.agent, one.message) for one in look(desk, order).found]


def tell(desk: Desk, order: Order) -> int:
    """Look, and tell of it at once; answers how much was news."""
    seen = look(desk, order)
    gone = tuple(one.key for one in seen.told if one not in seen.found and seen.covers(one))
    return desk.do(TellAudit(tuple(seen.news.values()), gone))


def letters(desk: Desk) -> list[str]:
    """What the operator was written, oldest first."""
    page = desk.reader.mailbox("operator")
    assert all(mail.provenance is Provenance.SYSTEM for mail in page.mail)
    return [desk.reader.body(mail.id) or "" for mail in page.mail][::-1]


def handled(desk: Desk, agent: str = "iris") -> None:
    """One message that a turn has handled."""
    desk.send(agent)
    begun = desk.begin(agent)
    seen = tuple(one.mail.number for one in begun.messages)
    desk.do(EndTurn(begun.turn, Outcome.OK, seen=seen))


# --- every kind is found ---------------------------------------------------------------------------


def mail_that_waits(desk: Desk) -> tuple[int, str, int | None]:
    """Its agent has no reason to wait."""
    desk.send("iris")
    desk.wait(GRACE_SECONDS + 1)
    return 1, "iris", None


def a_claim_of_nobody(desk: Desk) -> tuple[int, str, int | None]:
    """Its turn holds another claim."""
    desk.send("iris")
    desk.begin("iris")
    desk.sql("UPDATE message SET claim = claim + 1")
    return 2, "iris", 1


def a_message_that_is_gone(desk: Desk) -> tuple[int, str, int | None]:
    """It was accepted."""
    handled(desk)
    desk.sql("UPDATE tally SET accepted = accepted + 1 WHERE agent = 'iris'")
    return 3, "iris", None


def done_by_nobody(desk: Desk) -> tuple[int, str, int | None]:
    """No turn was seen to give it."""
    handled(desk)
    desk.sql("UPDATE turn_message SET seen = 0")
    return 4, "iris", 1


Damage = Callable[[Desk], tuple[int, str, int | None]]
DAMAGES: tuple[Damage, ...] = (mail_that_waits, a_claim_of_nobody, a_message_that_is_gone, done_by_nobody)
a_damage = pytest.mark.parametrize("damage", DAMAGES)


@how
@a_damage
def test_each_broken_invariant_is_found(desk: Desk, damage: Damage, order: Order) -> None:
    """By a look at what was touched, and by a full check; where all is well, nothing is."""
    assert not broken(desk, order)
    what = damage(desk)
    handled(desk, "rosa")
    assert broken(desk, order) == [what]


@how
@a_damage
def test_it_is_told_once_and_once_more_when_it_returns(desk: Desk, damage: Damage, order: Order) -> None:
    """And that it is over, by whoever looks at all of it, is told too."""
    invariant, agent, message = damage(desk)
    assert [tell(desk, order), tell(desk, order)] == [1, 0]
    (told,) = desk.reader.alarms()
    assert (told.invariant, told.agent, told.message) == (invariant, agent, message)
    repair: dict[int, Callable[[], object]] = {
        1: lambda: desk.do(Park("iris", Reason.PAUSED)),
        2: lambda: desk.sql("UPDATE message SET claim = claim - 1 WHERE number = 1"),
        3: lambda: desk.sql("UPDATE tally SET accepted = accepted - 1 WHERE agent = 'iris'"),
        4: lambda: desk.sql("UPDATE turn_message SET seen = 1"),
    }
    repair[invariant]()
    assert [tell(desk, BOTH[1]), tell(desk, BOTH[1])] == [1, 0]
    assert not desk.reader.alarms()
    again: dict[int, Callable[[], object]] = {
        1: lambda: desk.do(Resume("iris", (Reason.PAUSED,))),
        2: lambda: desk.sql("UPDATE message SET claim = claim + 1 WHERE number = 1"),
        3: lambda: desk.sql("UPDATE tally SET accepted = accepted + 1 WHERE agent = 'iris'"),
        4: lambda: desk.sql("UPDATE turn_message SET seen = 0"),
    }
    again[invariant]()
    desk.wait(GRACE_SECONDS + 1)
    assert tell(desk, order) == 1
    found, over, returned = letters(desk)
    assert f"Invariant {invariant}: " in found
    assert found.startswith("hive's audit of itself has found what must never be: 1 violation")
    assert over.startswith("What hive's audit of itself had found is in order again")
    assert returned.splitlines()[0] == found.splitlines()[0]
    rows = [row for row in desk.reader.journal(0) if row.type.startswith("audit.")]
    assert [row.type for row in rows] == ["audit.broken", "audit.mended", "audit.broken"]
    assert {row.subject for row in rows} == {told.key}


def test_who_looked_at_the_same_time_tells_nothing_twice(desk: Desk) -> None:
    """What has been told is looked up in the commit itself."""
    a_message_that_is_gone(desk)
    news = TellAudit(tuple(look(desk, BOTH[0]).news.values()))
    assert [desk.do(news), desk.do(news)] == [1, 0]
    (told,) = desk.reader.alarms()
    gone = TellAudit(gone=(told.key, "audit:1:nobody"))
    assert [desk.do(gone), desk.do(gone)] == [1, 0]
    assert len(letters(desk)) == 2


def test_the_rows_involved_go_with_it_and_no_word_of_a_message(desk: Desk) -> None:
    """So that a person can look."""
    desk.send("iris", "the secret plan")
    begun = desk.begin("iris")
    desk.sql("UPDATE turn SET boot = 0")
    tell(desk, BOTH[0])
    (text,) = letters(desk)
    assert "message number=1" in text
    assert "state=claimed wakes=1 attempts=0 interruptions=0" in text
    assert f"turn number={begun.turn} agent=iris boot=0" in text
    assert "held turn=1 message=1 claim=1 seen=0" in text
    assert "claim number=1 message=1 turn=1" in text
    assert "secret" not in text
    row = next(row for row in desk.reader.journal(0) if row.type == "audit.broken")
    assert isinstance(row.data["rows"], list)
    assert {one["table"] for one in row.data["rows"]} == {"message", "held", "claim", "turn"}
    assert "secret" not in str(row)


def test_counts_that_drifted_apart_are_seen_by_the_full_check_only(desk: Desk) -> None:
    """Their sum is right; the evidence counts the messages."""
    handled(desk)
    desk.sql("UPDATE tally SET done = done - 1, dead = dead + 1 WHERE agent = 'iris'")
    assert not broken(desk, BOTH[0])
    assert broken(desk, BOTH[1]) == [(3, "iris", None)]
    tell(desk, BOTH[1])
    assert "messages state=done messages=1 first=1 last=1" in letters(desk)[0]
    assert tell(desk, BOTH[0]) == 0, "a look that does not count cannot say that the counts are well"
    assert [one.agent for one in desk.reader.alarms()] == ["iris"]


def test_a_mailbox_that_should_not_be_there_is_looked_at_too(desk: Desk) -> None:
    """By its count, by its message, or because the operator was told of it."""
    desk.send("iris")
    desk.sql("INSERT INTO tally (agent, accepted) VALUES ('ghost', 1)")
    assert (3, "ghost", None) in broken(desk, BOTH[1])
    desk.sql("UPDATE message SET recipient = 'spook'")
    assert (3, "spook", None) in broken(desk, BOTH[1])
    tell(desk, BOTH[1])
    desk.sql("DELETE FROM tally WHERE agent = 'ghost'")
    desk.sql("UPDATE message SET recipient = 'iris' WHERE number = 1")
    assert tell(desk, BOTH[1]) == 3
    assert not desk.reader.alarms()


def test_it_is_over_only_where_it_was_looked_for(desk: Desk) -> None:
    """A look elsewhere, or one whose list was full, says nothing of it."""
    for _ in range(SHOWN + 1):
        handled(desk)
    desk.sql("UPDATE turn_message SET seen = 0")
    numbers = tuple(range(1, SHOWN + 2))
    tell(desk, Order(agents=(), messages=numbers[1:]))
    assert len(desk.reader.alarms()) == SHOWN
    seen = look(desk, Order(agents=(), messages=numbers))
    assert [one.message for one in seen.found] == list(numbers[:-1])
    assert not any(seen.covers(one) for one in seen.told), "the last one was told, and is not in this list"
    desk.sql("UPDATE turn_message SET seen = 1 WHERE message = 1")
    assert tell(desk, Order(agents=("iris",))) == 0
    desk.sql("UPDATE turn_message SET seen = 1")
    assert tell(desk, Order(agents=("iris",))) == 0
    assert tell(desk, Order(agents=(), messages=(2, 3))) == 2


# --- bounded ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "agents", "ranges"),
    [
        (1, [("iris",), ("rosa",)], [range(1, 2), range(2, audit.LARGEST)]),
        (2, [("iris", "rosa")], [range(1, audit.LARGEST)]),
    ],
)
def test_a_look_ends_when_its_time_is_spent_and_names_the_rest(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    agents: list[tuple[str, ...]],
    ranges: list[range],
) -> None:
    """A step at a time, of so many messages, and nothing is left out or looked at twice."""
    monkeypatch.setattr(audit, "STEP", step)
    handled(desk)
    handled(desk, "rosa")
    ticking = itertools.count()
    order: Order | None = Order(messages=(1,), deep=True, seconds=0.5)
    seen: list[Seen] = []
    while order is not None:
        seen.append(desk.reader.examine(order, lambda: float(next(ticking))))
        order = seen[-1].rest
    assert [one.agents for one in seen if one.agents] == agents
    assert [one.messages for one in seen if one.messages] == [((1,),), *[(one,) for one in ranges]]
    assert len(seen) == 1 + len(agents) + len(ranges)
    assert look(desk, Order(agents=())).rest is None


def test_evidence_is_looked_at_in_ranges_of_so_many_messages(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the numbers lie, each in one of them."""
    for _ in range(5):
        handled(desk)
    desk.sql("UPDATE turn_message SET message = 70 WHERE message = 5")
    desk.sql("UPDATE message SET number = 70 WHERE number = 5")
    monkeypatch.setattr(audit, "STEP", 2)
    seen = look(desk, Order(agents=(), deep=True))
    assert seen.messages == (range(1, 3), range(3, 70), range(70, audit.LARGEST))
    assert not seen.found
    desk.sql("UPDATE turn_message SET seen = 0 WHERE message IN (2, 70)")
    assert [one.message for one in look(desk, Order(agents=(), deep=True)).found] == [2, 70]


def test_a_letter_holds_as_much_as_travels_inline_and_only_so_many_are_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has the rest."""
    for _ in range(SHOWN):
        handled(desk)
    desk.sql("UPDATE turn_message SET seen = 0")
    monkeypatch.setattr(telling, "OPEN_ALARMS", SHOWN - 5)
    assert tell(desk, BOTH[1]) == SHOWN - 5
    assert tell(desk, BOTH[1]) == 0
    (text,) = letters(desk)
    assert "15 violations" in text
    assert len(text.encode()) <= INLINE_BYTES
    assert text.endswith("see the rows of type audit.broken in the journal.\n")


# --- what time alone can break ---------------------------------------------------------------------


def breaks_in(desk: Desk) -> float | None:
    """Seconds until iris's mailbox can break by itself."""
    at = look(desk, Order(agents=("iris",))).breaks_at.get("iris")
    return None if at is None else round(at - desk.world.now, 6)


def test_a_look_says_when_time_alone_can_break_what_it_saw(desk: Desk) -> None:
    """Then, and not before, has somebody to look again though nothing was committed."""
    assert breaks_in(desk) is None
    desk.send("iris")
    assert breaks_in(desk) == GRACE_SECONDS
    desk.wait(10)
    assert breaks_in(desk) == GRACE_SECONDS - 10
    desk.do(Park("iris", Reason.LIMIT, until=desk.world.now + 100))
    assert breaks_in(desk) == 100 + GRACE_SECONDS
    desk.do(Park("iris", Reason.PAUSED))
    assert breaks_in(desk) is None
    desk.do(Resume("iris", (Reason.PAUSED,)))
    desk.wait(100)
    begun = desk.do(BeginTurn("iris", 1))
    assert breaks_in(desk) is None, begun


def test_leases_and_delayed_mail_have_their_times(desk: Desk) -> None:
    """Each with the grace; the earlier one counts."""
    desk.send("iris")
    desk.do(Lease("iris", "client", seconds=60))
    assert breaks_in(desk) == 60 + GRACE_SECONDS
    desk.sql(
        "INSERT INTO message SELECT 9, 'm-9', sender, label, recipient, kind, size, attachment, in_reply_to,"
        " thread, cause, provenance, urgent, ?, 'ready', attempts, interruptions, hops, broadcast, wakes,"
        " created_at, ready_at, settled_at, read_at, why, NULL, NULL, NULL, redriven_as, body FROM message",
        desk.world.now + 20,
    )
    assert breaks_in(desk) == 20 + GRACE_SECONDS
    desk.wait(20 + GRACE_SECONDS + 1)
    assert breaks_in(desk) == 60 - 20 - 1
    desk.wait(1_000)
    assert breaks_in(desk) is None


# --- off the loop ----------------------------------------------------------------------------------


async def test_a_running_store_is_looked_at_in_a_thread(tmp_path: Path) -> None:
    """With what that took of the processor; in a simulation it happens in place."""
    with open_desk(tmp_path) as desk:
        assert (await desk.store.audit(BOTH[1])).seen.agents == ("iris", "rosa")
    with open_store(tmp_path / "hive.sqlite3") as store:
        looked = await store.audit(BOTH[1])
    assert looked.seen.agents == ("iris", "rosa")
    assert 0 < looked.spent < 10


async def test_nobody_waits_for_a_look_that_nobody_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that is long gives up when whoever asked is cancelled."""
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    monkeypatch.setattr(audit, "BOXES", endless)
    with open_desk(tmp_path):
        pass
    with open_store(tmp_path / "hive.sqlite3") as store:
        with trio.move_on_after(0.1) as scope:
            await store.audit(Order())
        assert scope.cancelled_caught
        monkeypatch.setattr(audit, "BOXES", "SELECT name FROM nothing")
        with pytest.raises(StoreUnavailable, match="cannot look at its store"):
            await store.audit(Order())


def test_figures_are_of_what_is_unfinished(desk: Desk) -> None:
    """Agents, open turns, reasons in force, and the mailboxes with the most in them first."""
    handled(desk)
    for to in ("iris", "rosa", "rosa"):
        desk.send(to)
    desk.begin("iris")
    desk.do(Park("rosa", Reason.PAUSED))
    desk.do(Park("iris", Reason.LIMIT, until=desk.world.now + 10))
    now = desk.reader.figures()
    assert now == Figures(2, 1, ("limit", "paused"), (("rosa", 2), ("iris", 1)))
    desk.wait(11)
    assert desk.reader.figures() == evolve(now, parked=("paused",))


def test_an_order_has_no_end_by_itself() -> None:
    """Whoever wants a bound says so."""
    assert Order().seconds == math.inf
