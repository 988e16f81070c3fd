"""Mail in the hands of an agent's own client."""

from typing import TYPE_CHECKING

import pytest

from hive.protocol.commands import (
    Ack,
    BoxStarted,
    ExpireLeases,
    ExtendLeases,
    Lease,
    Pause,
    Release,
    RemoveAgent,
    Resume,
)
from hive.protocol.errors import Conflict, NotFound
from hive.protocol.mail import Priority, State

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk


def test_a_lease_is_a_claim_with_an_end(desk: "Desk") -> None:
    """It names its holder, has a number of its own, and belongs to no turn."""
    sent = desk.send("rose", "iris")
    (held,) = desk.do(Lease("iris", "client-1", seconds=300))

    assert (held.mail.id, held.mail.state, held.claim, held.mail.turn) == (sent.id, State.CLAIMED, 1, None)
    assert desk.value("SELECT lease_ends_at FROM message") == desk.now + 300
    (row,) = desk.rows("msg.claimed")
    assert (row.data["claim"], row.data["holder"]) == (1, "client-1")
    assert desk.do(Lease("iris", "client-1")) == ()


@pytest.mark.parametrize(
    ("limit", "taken"), [(0, ["u1"]), (1, ["u1"]), (2, ["u1", "n1"]), (3, ["u1", "u2", "n1"])]
)
def test_a_client_gets_as_many_as_it_asks_for_urgent_first(
    desk: "Desk", limit: int, taken: list[str]
) -> None:
    """And where there is room for two, the oldest normal one is among them."""
    for body in ("n1", "n2"):
        desk.send("operator", "iris", body)
    for body in ("u1", "u2"):
        desk.send("operator", "iris", body, priority=Priority.URGENT)
    assert desk.bodies(desk.do(Lease("iris", "client", limit))) == taken


def test_a_client_also_gets_notes_that_wake_nobody_but_no_delayed_mail(desk: "Desk") -> None:
    """It is awake already."""
    for cause in ("first start", "moved"):
        desk.do(BoxStarted("iris", cause, wakes=False))
    desk.send("operator", "iris", not_before=desk.now + 60)
    assert len(desk.do(Lease("iris", "client", 32))) == 1


def test_nothing_is_leased_while_paused_or_to_nobody(desk: "Desk") -> None:
    """A pause stops all claims."""
    desk.send("rose", "iris")
    desk.do(Pause("iris"))
    assert desk.do(Lease("iris", "client")) == ()
    desk.do(Resume("iris"))
    assert len(desk.do(Lease("iris", "client"))) == 1
    desk.do(RemoveAgent("rose"))
    with pytest.raises(NotFound):
        desk.do(Lease("rose", "client"))


@pytest.mark.parametrize("with_claim", [False, True])
def test_an_acknowledged_message_is_done(desk: "Desk", *, with_claim: bool) -> None:
    """Its holder said so; saying it again is a conflict."""
    sent = desk.send("rose", "iris")
    (held,) = desk.do(Lease("iris", "client"))
    ack = Ack("iris", sent.id, held.claim if with_claim else None)
    desk.do(ack)
    assert (desk.mail(sent.id).state, desk.mail(sent.id).why) == (State.DONE, "ack")
    with pytest.raises(Conflict, match=r"it is done\. Call recv"):
        desk.do(ack)


def test_a_released_message_comes_again_uncharged_and_the_old_claim_is_void(desk: "Desk") -> None:
    """The number of the claim is the fence."""
    sent = desk.send("rose", "iris")
    (first,) = desk.do(Lease("iris", "client"))
    desk.do(Release("iris", str(sent.number)))
    assert (desk.mail(sent.id).state, desk.mail(sent.id).attempts) == (State.READY, 0)
    (second,) = desk.do(Lease("iris", "client"))
    assert second.claim > first.claim
    for stale in (Ack("iris", sent.id, first.claim), Release("iris", sent.id, first.claim)):
        with pytest.raises(Conflict):
            desk.do(stale)
    desk.do(Ack("iris", sent.id, second.claim))


def test_a_client_settles_neither_others_mail_nor_what_a_turn_holds(desk: "Desk") -> None:
    """A turn's claim is ended by the turn alone, even where somebody guesses its number."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    claim = begun.messages[0].claim
    for command in (Ack("iris", "1"), Ack("iris", "1", claim), Release("iris", "1", claim)):
        with pytest.raises(Conflict, match="do not hold"):
            desk.do(command)
    with pytest.raises(NotFound, match="in your mailbox"):
        desk.do(Ack("rose", "1", claim))
    desk.end(begun)


def test_leases_past_their_end_are_taken_back(desk: "Desk") -> None:
    """The others stay; a turn's claims have no end."""
    one, two = desk.send("rose", "iris"), desk.send("rose", "iris")
    desk.do(Lease("iris", "client", seconds=10))
    desk.do(Lease("iris", "client", seconds=20))
    desk.send("operator", "rose")
    begun = desk.begin("rose")

    desk.now += 10
    assert desk.do(ExpireLeases()) == 1
    assert desk.do(ExpireLeases()) == 0
    assert (desk.mail(one.id).state, desk.mail(two.id).state) == (State.READY, State.CLAIMED)
    assert desk.mail(one.id).why == "its lease ended before it was acknowledged"
    desk.end(begun)


def test_any_call_of_its_client_extends_a_lease_and_never_shortens_it(desk: "Desk") -> None:
    """Of this client and this agent only."""
    for _ in range(2):
        desk.send("operator", "iris")
    desk.send("operator", "rose")
    desk.do(Lease("iris", "one", seconds=100))
    desk.do(Lease("iris", "two", seconds=100))
    desk.do(Lease("rose", "one", seconds=100))

    assert desk.do(ExtendLeases("iris", "one", 200)) == 1
    assert desk.do(ExtendLeases("iris", "one", 50)) == 1
    ends = [row[0] - desk.now for row in desk.db.execute("SELECT lease_ends_at FROM message ORDER BY number")]
    assert ends == [200, 100, 100]


def test_a_leased_message_that_comes_to_a_turn_is_held_by_it_for_the_first_time(desk: "Desk") -> None:
    """No turn had it before, so nothing is said about earlier ones."""
    desk.send("rose", "iris")
    desk.do(Lease("iris", "client", seconds=1))
    desk.now += 5
    desk.do(ExpireLeases())
    begun = desk.begin("iris")
    assert begun.messages[0].redeliveries == ()
    assert desk.value("SELECT first FROM turn_message") == 1
    desk.end(begun)
