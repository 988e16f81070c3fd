"""The loop guard: agents cannot write each other for ever without anybody from outside."""

from typing import TYPE_CHECKING

import pytest

from hive.protocol.commands import Ack, Lease, Release, ReleaseBlocked, Send
from hive.protocol.errors import Conflict, NotFound
from hive.protocol.mail import Kind, Mail, Provenance, State

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk


def chain(desk: "Desk", length: int) -> int:
    """Let two agents answer each other; returns the hops of the last message."""
    desk.send("operator", "iris")
    sent = desk.mail(1)
    for sender, recipient in [("iris", "rose"), ("rose", "iris")] * (length // 2):
        begun = desk.begin(sender)
        sent = desk.mail(desk.send(sender, recipient, turn=begun.turn).id)
        desk.end(begun)
    return sent.hops


def test_hops_grow_along_a_chain_and_end_it(desk: "Desk") -> None:
    """Each answer is one hop further from the outside; at the limit it is blocked, and says why."""
    desk.adjust(hops=5)
    assert chain(desk, 4) == 4

    begun = desk.begin("iris")
    blocked = desk.send("iris", "rose", turn=begun.turn)
    assert blocked.blocked == "5 hops without input from outside"
    assert (desk.mail(blocked.id).state, desk.mail(blocked.id).why) == (State.BLOCKED, blocked.blocked)
    assert desk.send("iris", "operator", turn=begun.turn).blocked is None, "a person is no loop"
    desk.end(begun)


@pytest.mark.parametrize("provenance", [Provenance.OPERATOR, Provenance.SYSTEM, Provenance.OUTSIDE])
def test_input_from_outside_begins_a_new_chain(desk: "Desk", provenance: Provenance) -> None:
    """An operator, hive or a hook sends with 0 hops, even where somebody names a turn."""
    chain(desk, 2)
    turn = desk.begin("iris").turn
    assert desk.mail(desk.send("operator", "iris", provenance=provenance, turn=turn).id).hops == 0
    desk.boot += 1  # the turn above is of no interest
    desk.restart()


def test_a_turn_counts_the_highest_hops_of_all_it_was_given(desk: "Desk") -> None:
    """Also of mail that was claimed into it later."""
    desk.adjust(hops=100)
    chain(desk, 4)
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    assert begun.hops == 4
    assert desk.mail(desk.send("iris", "rose", turn=begun.turn).id).hops == 5
    desk.end(begun)


@pytest.mark.parametrize("turn", [99, 1])
def test_a_turn_one_does_not_have_is_no_cause(desk: "Desk", turn: int) -> None:
    """Neither one that does not exist nor another agent's."""
    desk.send("operator", "rose")
    begun = desk.begin("rose")
    with pytest.raises(NotFound, match=f"no turn {turn} of iris"):
        desk.send("iris", "boss", turn=turn)
    desk.end(begun)


# --- an agent's own client -------------------------------------------------------------------------


def client_hops(desk: "Desk") -> int:
    """Hops of what iris sends with its own token now."""
    sent = desk.send("iris", "boss", provenance=Provenance.OUTSIDE, own_token=True)
    return desk.mail(sent.id).hops


@pytest.mark.parametrize("ending", ["held", "acknowledged", "given back"])
def test_an_own_token_counts_hops_whatever_the_provenance(desk: "Desk", ending: str) -> None:
    """What a client holds, or held within ten minutes, stands behind what it sends."""
    assert client_hops(desk) == 0
    chain(desk, 2)
    (held,) = desk.do(Lease("iris", "client", seconds=100_000))
    match ending:
        case "acknowledged":
            desk.do(Ack("iris", held.mail.id))
        case "given back":
            desk.do(Release("iris", held.mail.id))
        case _:
            pass
    assert client_hops(desk) == 3
    desk.now += 601
    assert client_hops(desk) == (3 if ending == "held" else 0)


def test_an_own_token_within_a_turn_counts_the_higher_of_both(desk: "Desk") -> None:
    """Neither road around the guard is shorter."""
    chain(desk, 2)
    begun = desk.begin("iris")
    sent = desk.send("iris", "rose", provenance=Provenance.OUTSIDE, own_token=True, turn=begun.turn)
    assert desk.mail(sent.id).hops == 3
    desk.end(begun)


def test_a_command_that_wakes_its_own_agent_is_held_in_the_end(desk: "Desk") -> None:
    """It comes through the agent's socket and names no turn: the chain goes on all the same."""
    desk.adjust(hops=5)
    desk.send("operator", "iris")
    chained: list[Mail] = []
    for n in range(5):
        begun = desk.begin("iris")
        if n % 2:  # what a turn left running in the background wakes it when it has ended
            desk.end(begun)
            desk.now += 60
        sent = desk.send("iris", "iris", provenance=Provenance.OUTSIDE, own_token=True, kind=Kind.WAKE)
        desk.end(begun)
        desk.now += 1
        chained.append(desk.mail(sent.id))
    assert [mail.hops for mail in chained] == [1, 2, 3, 4, 5]
    assert chained[-1].why == "5 hops without input from outside"


def test_what_an_agent_was_given_is_remembered_by_its_longest_chain_until_it_is_quiet(desk: "Desk") -> None:
    """A short message does not make it forget, and does not keep the memory alive either."""
    chain(desk, 2)
    desk.end(desk.begin("iris"))
    desk.now += 400
    desk.send("operator", "iris")
    desk.end(desk.begin("iris"))
    assert client_hops(desk) == 3
    desk.now += 300
    assert client_hops(desk) == 0
    desk.send("operator", "iris")
    desk.end(desk.begin("iris"))
    assert client_hops(desk) == 1


# --- one pair --------------------------------------------------------------------------------------


def talk(desk: "Desk", messages: int) -> list[str | None]:
    """Let iris and rose write each other by turns; answers why each message was blocked."""
    pairs = [("iris", "rose"), ("rose", "iris")]
    return [desk.send(*pairs[n % 2]).blocked for n in range(messages)]


def test_a_pair_may_exchange_so_many_messages_in_a_while(desk: "Desk") -> None:
    """Both directions count together, other pairs do not, and time forgives."""
    desk.adjust(pair_messages=4)
    assert talk(desk, 5) == [None] * 4 + ["4 messages between iris and rose within 10 minutes"]
    assert desk.send("iris", "boss").blocked is None
    desk.now += 600
    assert talk(desk, 1) == [None]


def test_an_agent_is_no_pair_with_itself(desk: "Desk") -> None:
    """What an agent wishes of itself is bounded by its hops."""
    desk.adjust(pair_messages=0)
    assert desk.send("iris", "iris").blocked is None


@pytest.mark.parametrize("sender", ["operator", "system"])
def test_hive_and_the_operator_are_never_blocked(desk: "Desk", sender: str) -> None:
    """Nor do they count."""
    desk.adjust(pair_messages=0, hops=0)
    assert desk.send(sender, "iris").blocked is None


@pytest.mark.parametrize("to", ["iris", "rose"])
def test_mail_of_the_operator_to_either_begins_anew(desk: "Desk", to: str) -> None:
    """Somebody from outside has seen it; mail of hive itself does not do that."""
    desk.adjust(pair_messages=2)
    assert talk(desk, 3)[2] is not None
    desk.now += 1
    desk.send("system", to)
    assert talk(desk, 1) != [None]
    desk.send("operator", to)
    desk.now += 1
    assert talk(desk, 2) == [None, None]


def test_releasing_blocked_mail_lets_it_go_and_its_pair_begin_anew(desk: "Desk") -> None:
    """Also long after it was written, and in both directions."""
    desk.adjust(pair_messages=1, hops=2)
    talk(desk, 1)
    blocked = desk.send("rose", "iris")
    desk.now += 3000
    talk(desk, 1)
    desk.do(ReleaseBlocked(blocked.id))
    desk.now += 1

    mail = desk.mail(blocked.id)
    assert (mail.state, mail.hops, mail.why) == (State.READY, 0, "released by operator")
    assert desk.types(blocked.id) == ["msg.sent", "msg.unblocked"]
    assert talk(desk, 2)[0] is None
    with pytest.raises(Conflict, match="is ready; only blocked mail"):
        desk.do(ReleaseBlocked(blocked.id))


def test_blocked_mail_wakes_nobody_and_counts_as_unread(desk: "Desk") -> None:
    """It waits for a person, and takes its place in the mailbox."""
    desk.adjust(hops=0)
    desk.send("iris", "rose")
    answer = desk.do(Send("iris", "*", "all", Provenance.AGENT))
    assert [one.ahead for one in answer.accepted] == [0, 1]
    assert desk.do(Lease("rose", "client")) == ()
