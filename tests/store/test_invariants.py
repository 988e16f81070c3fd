"""Each invariant holds in good order and is seen to be broken when something breaks it."""

import pytest

from hive.protocol.commands import (
    Ack,
    EndTurn,
    Lease,
    Lift,
    MarkDone,
    NoteFact,
    Park,
    RemoveAgent,
    Send,
)
from hive.protocol.mail import Provenance
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from hive.store.invariants import GRACE_SECONDS, Look, violations
from hive.testing.desk import Desk


def broken(desk: Desk, *, grace: float = 0.0) -> list[tuple[int, str | None]]:
    """Numbers of the invariants that do not hold, with their agents."""
    return [(one.invariant, one.agent) for one in desk.reader.violations(grace=grace, deep=True)]


def test_deliverable_mail_may_wait_for_the_grace_and_no_longer(desk: Desk) -> None:
    """Thirty seconds exactly, and none where hints are known to work."""
    desk.wait(100)
    desk.send("iris")
    assert not broken(desk)
    desk.wait(GRACE_SECONDS)
    assert not broken(desk, grace=GRACE_SECONDS)
    assert broken(desk) == [(1, "iris")]
    desk.wait(0.1)
    assert broken(desk, grace=GRACE_SECONDS) == [(1, "iris")]


def test_mail_may_wait_while_a_turn_of_this_boot_is_open(desk: Desk) -> None:
    """However long the turn takes; after it, the grace begins anew."""
    desk.send("iris")
    begun = desk.begin("iris")
    desk.send("iris")
    desk.wait(1_000)
    assert not broken(desk)
    desk.do(EndTurn(begun.turn, Outcome.OK))
    assert not broken(desk)
    desk.wait(1)
    assert not broken(desk, grace=1)
    assert broken(desk) == [(1, "iris")]


def test_mail_may_wait_while_the_agent_is_parked(desk: Desk) -> None:
    """Any reason in force will do; when it is lifted or over, the grace begins anew."""
    desk.send("iris")
    desk.do(Park("iris", Reason.PAUSED))
    desk.wait(1_000)
    assert not broken(desk)
    desk.do(Lift("iris", Reason.PAUSED))
    desk.do(NoteFact("child.started", "iris"))
    desk.wait(5)
    assert not broken(desk, grace=5)
    assert broken(desk, grace=4) == [(1, "iris")]

    desk.do(Park("iris", Reason.LIMIT, until=desk.world.now + 60))
    desk.wait(59)
    assert not broken(desk)
    desk.wait(6)
    assert not broken(desk, grace=5)
    assert broken(desk, grace=4) == [(1, "iris")]


def test_mail_may_wait_while_the_store_refuses_commits(desk: Desk) -> None:
    """No turn can begin then, and the reason is shown."""
    desk.send("iris")
    desk.wait(100)
    look = Look(desk.store._committer.db, desk.world.now, refusing="the disk is full")
    assert not violations(look)


def test_only_mail_that_can_be_delivered_now_is_owed_a_turn(desk: Desk) -> None:
    """Not delayed mail, not mail to the operator, not a note that rides along."""
    desk.do(Send("operator", "iris", "later", Provenance.OPERATOR, not_before=desk.world.now + 500))
    desk.send("operator", sender="iris")
    desk.send("rosa")
    desk.sql("UPDATE message SET wakes = 0 WHERE recipient = 'rosa'")
    desk.wait(400)
    assert not broken(desk)
    desk.wait(101)
    assert not broken(desk, grace=1)
    assert broken(desk) == [(1, "iris")]


def test_a_claim_without_its_holder_is_seen(desk: Desk) -> None:
    """Its turn has ended, or is of another boot, or another claim is listed."""
    desk.send("iris")
    begun = desk.begin("iris")
    assert not broken(desk)
    desk.sql("UPDATE message SET claim = claim + 1")
    assert broken(desk) == [(2, "iris")]
    desk.sql("UPDATE message SET claim = claim - 1")
    desk.sql("UPDATE turn SET boot = 0")
    assert broken(desk) == [(2, "iris")]
    desk.sql("UPDATE turn SET boot = 1, ended_at = ? WHERE number = ?", desk.world.now, begun.turn)
    assert broken(desk) == [(2, "iris")]


def test_a_lease_holds_until_its_end(desk: Desk) -> None:
    """And as much longer as the loop that ends it may take."""
    desk.send("iris")
    desk.do(Lease("iris", "client", seconds=60))
    desk.wait(59)
    assert not broken(desk)
    desk.wait(2)
    assert not broken(desk, grace=30)
    assert broken(desk) == [(2, "iris")]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM message WHERE number = 1",
        "UPDATE tally SET accepted = accepted + 1 WHERE agent = 'iris'",
        "UPDATE tally SET removed = 1 WHERE agent = 'iris'",
        "UPDATE tally SET done = done + 1, dead = dead - 1 WHERE agent = 'iris'",
        "UPDATE message SET state = 'lost' WHERE number = 1",
        "DELETE FROM tally WHERE agent = 'iris'",
        "INSERT INTO tally (agent, accepted) VALUES ('ghost', 1)",
    ],
)
def test_whatever_is_not_accounted_for_is_seen(desk: Desk, damage: str) -> None:
    """A message lost or counted twice, and counters that drifted although their sum is right."""
    desk.send("iris")
    assert not broken(desk)
    desk.sql(damage)
    assert {number for number, _ in broken(desk)} == {3}


def test_what_is_done_has_evidence(desk: Desk) -> None:
    """A turn that ended well and was seen to give it, an ack of a lease, or the operator's word."""
    desk.send("iris", "by a turn")
    begun = desk.begin("iris")
    desk.do(EndTurn(begun.turn, Outcome.OK, seen=tuple(one.mail.number for one in begun.messages)))
    desk.send("rosa", "by an ack")
    (held,) = desk.do(Lease("rosa", "client"))
    desk.do(Ack("rosa", held.mail.id))
    desk.do(MarkDone(desk.send("operator", sender="iris")))
    assert desk.reader.counts().done == 3
    assert not broken(desk)

    for damage in (
        "UPDATE turn_message SET seen = 0",
        "UPDATE turn_message SET seen = 1, verdict = 'release'",
        "UPDATE turn_message SET verdict = 'done', seen = 1; UPDATE turn SET outcome = 'failed'",
        "UPDATE message SET why = 'somehow' WHERE recipient = 'rosa'",
        "UPDATE message SET why = 'somehow' WHERE recipient = 'operator'",
    ):
        for statement in damage.split(";"):
            desk.sql(statement)
        assert 4 in {number for number, _ in broken(desk)}, damage
    assert sorted(broken(desk), key=str) == [(4, "iris"), (4, "operator"), (4, "rosa")]


def test_removed_agents_break_nothing(desk: Desk) -> None:
    """Their unfinished mail is dead letters, and accounted for."""
    desk.send("iris")
    desk.begin("iris")
    desk.do(RemoveAgent("iris"))
    desk.wait(1_000)
    assert not broken(desk)
    assert desk.reader.counts().dead == 1
