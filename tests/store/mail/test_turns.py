"""How a turn begins, what it takes in hand, and who comes first."""

import itertools
import random
from typing import TYPE_CHECKING

import pytest

from hive.protocol.commands import (
    BeginTurn,
    BoxStarted,
    CancelTurn,
    ClaimIntoTurn,
    EndOrphans,
    EndTurn,
    Lease,
    MarkSeen,
    NotBegun,
    Park,
    Pause,
    RemoveAgent,
    Resume,
    TurnBegun,
    Withdraw,
)
from hive.protocol.mail import Kind, Priority, Provenance, Redelivery, State
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from hive.store import slots

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk

URGENT = Priority.URGENT


def test_a_turn_takes_all_its_mail_in_hand_in_one_operation(desk: "Desk") -> None:
    """Turn row, claims and journal agree, and each claim has a number of its own."""
    one, two = desk.send("operator", "iris", "one"), desk.send("rose", "iris", "two")
    desk.now += 5

    begun = desk.begin("iris")

    assert desk.bodies(begun.messages) == ["one", "two"]
    assert [held.claim for held in begun.messages] == [1, 2]
    assert {desk.mail(ref).state for ref in (one.id, two.id)} == {State.CLAIMED}
    assert {desk.mail(ref).turn for ref in (one.id, two.id)} == {begun.turn}
    (started,) = desk.rows("turn.started")
    assert started.data == {"messages": [one.id, two.id], "hops": 0, "incarnation": 1}
    claimed = desk.rows("msg.claimed")
    assert [(row.data["claim"], row.data["holder"]) for row in claimed] == [(1, None), (2, None)]
    assert desk.value("SELECT sum(waited) FROM turn_message WHERE first") == 10.0


@pytest.mark.parametrize("name", ["nobody", "\ud800", "rose"])
def test_nobody_begins_no_turn(desk: "Desk", name: str) -> None:
    """An agent that is unknown or removed gets an answer, for its harness may not have noticed yet."""
    desk.do(RemoveAgent("rose"))
    answer = desk.do(BeginTurn(name, 1))
    assert isinstance(answer, NotBegun)
    assert "there is no agent" in answer.why


def test_an_agent_has_one_open_turn_at_most(desk: "Desk") -> None:
    """A second beginning changes nothing."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    desk.send("operator", "iris")
    assert desk.do(BeginTurn("iris", 2)) == NotBegun(f"turn {begun.turn} is still open")


def test_without_deliverable_mail_no_turn_begins(desk: "Desk") -> None:
    """Delayed mail says when; a note that only rides along is no reason."""
    assert desk.do(BeginTurn("iris", 1)) == NotBegun("no mail waits")
    desk.do(BoxStarted("iris", "first start", wakes=False))
    assert desk.box("iris") == (), "a first start is nothing to be told of"
    desk.do(BoxStarted("iris", "moved", wakes=False))
    assert desk.do(BeginTurn("iris", 1)) == NotBegun("no mail waits")
    desk.send("operator", "iris", "later", not_before=desk.now + 60)
    assert desk.do(BeginTurn("iris", 1)) == NotBegun("no mail waits", desk.now + 60)

    desk.now += 60
    begun = desk.begin("iris")
    assert [held.mail.kind for held in begun.messages] == [Kind.RESTARTED, Kind.MESSAGE]
    assert desk.value("SELECT waited FROM turn_message WHERE message = 2") == 0.0


def test_a_reason_in_force_keeps_a_turn_from_beginning(desk: "Desk") -> None:
    """All reasons are named, with the earliest end; one whose time has come is lifted and journalled."""
    desk.send("operator", "iris")
    desk.do(Park("iris", Reason.BACKOFF, until=desk.now + 10, detail="the model was rude"))
    desk.do(Park("iris", Reason.LIMIT, until=desk.now + 20))
    answer = desk.do(BeginTurn("iris", 1))
    assert isinstance(answer, NotBegun)
    assert answer.why == "backing off after a failure (the model was rude); its model's rate limit is reached"
    assert answer.look_again_at == desk.now + 10

    desk.now += 20
    desk.begin("iris")
    assert [(row.subject, row.data["by"]) for row in desk.rows("park.lifted")] == [
        ("backoff", "time"),
        ("limit", "time"),
    ]


def test_a_batch_is_bounded_in_messages_and_bytes(desk: "Desk") -> None:
    """What does not fit waits, and nothing behind it overtakes it; a first message is never held back."""
    for body in ("a" * 100, "b" * 10, "c" * 30, "d"):
        desk.send("rose", "iris", body)
    begun = desk.begin("iris", bytes=115)
    assert [held.mail.body[0] for held in begun.messages] == ["a", "b"]
    assert begun.waiting == 2
    desk.end(begun)

    assert len(desk.begin("iris", messages=1).messages) == 1


def test_a_long_body_weighs_as_much_as_its_excerpt(desk: "Desk") -> None:
    """Only the excerpt is shown in a prompt."""
    desk.send("rose", "iris", "x" * 10_000)
    desk.send("rose", "iris", "y" * 10_000)
    assert len(desk.begin("iris", bytes=1200).messages) == 2


@pytest.mark.parametrize(
    ("limit", "taken"),
    [(1, ["u1", "n1"]), (2, ["u1", "n1"]), (3, ["u1", "u2", "n1"]), (9, ["u1", "u2", "u3", "n1", "n2"])],
)
def test_urgent_mail_goes_first_but_never_alone(desk: "Desk", limit: int, taken: list[str]) -> None:
    """Every batch holds the oldest normal message too, whatever its size."""
    for body in ("n1", "n2"):
        desk.send("operator", "iris", body)
    for body in ("u1", "u2", "u3"):
        desk.send("operator", "iris", body, priority=URGENT)
    assert desk.bodies(desk.begin("iris", messages=limit, bytes=20).messages) == taken


def test_bytes_hold_back_neither_the_first_urgent_nor_the_first_normal_message(desk: "Desk") -> None:
    """However long they are."""
    for priority in (Priority.NORMAL, URGENT):
        desk.send("operator", "iris", "x" * 4000, priority=priority)
        desk.send("operator", "iris", "y", priority=priority)
    assert len(desk.begin("iris", bytes=100).messages) == 2


def test_a_note_rides_along_without_taking_a_place(desk: "Desk") -> None:
    """Else a batch of one could never be a batch of one."""
    desk.send("operator", "iris")
    for cause in ("first start", "rebuilt"):
        desk.do(BoxStarted("iris", cause, wakes=False))
    begun = desk.begin("iris", messages=1)
    assert [held.mail.wakes for held in begun.messages] == [False, True]


# --- more into a turn ------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "taken"), [(1, ["u1"]), (2, ["u1", "n1"]), (3, ["u1", "u2", "n1"])])
def test_more_can_be_claimed_into_an_open_turn(desk: "Desk", limit: int, taken: list[str]) -> None:
    """Exactly as many as asked for: a `recv` of one gets the urgent one."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    desk.send("operator", "iris", "n1")
    for body in ("u1", "u2"):
        desk.send("operator", "iris", body, priority=URGENT)
    assert desk.bodies(desk.do(ClaimIntoTurn(begun.turn, limit))) == taken


def test_a_turn_takes_over_the_hops_of_what_it_is_given_later(desk: "Desk") -> None:
    """So that a fold-in is no way around the loop guard."""
    desk.send("operator", "iris")
    desk.send("operator", "rose")
    begun, other = desk.begin("iris"), desk.begin("rose")
    desk.send("rose", "iris", turn=other.turn)
    assert desk.do(ClaimIntoTurn(begun.turn)) != ()
    assert desk.mail(desk.send("iris", "rose", turn=begun.turn).id).hops == 2


@pytest.mark.parametrize("why", ["paused", "ended", "stopping", "of another boot", "empty", "alone"])
def test_nothing_more_is_claimed(desk: "Desk", why: str) -> None:
    """Into a turn that has ended or is to end, while its agent is paused, or its mail is tried one by one."""
    desk.send("operator", "iris")
    if why == "alone":
        desk.send("operator", "iris")
        desk.end(desk.begin("iris"), Outcome.CRASHED)
        desk.now += 60
    begun = desk.begin("iris")
    if why not in ("empty", "alone"):
        desk.send("operator", "iris")
    match why:
        case "paused":
            desk.do(Pause("iris"))
        case "ended":
            desk.end(begun)
        case "stopping":
            desk.do(CancelTurn("iris"))
        case "of another boot":
            desk.boot += 1
        case _:
            pass
    assert desk.do(ClaimIntoTurn(begun.turn, 32)) == ()
    if why == "of another boot":
        desk.boot -= 1


def test_what_was_withdrawn_can_be_claimed_into_the_same_turn_again(desk: "Desk") -> None:
    """With a new claim, still unseen; the old one no longer settles anything."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    folded = desk.send("operator", "iris")
    (first,) = desk.do(ClaimIntoTurn(begun.turn))
    desk.do(Withdraw(begun.turn, (folded.number, 1, 99)))
    assert desk.mail(folded.id).why == "withdrawn: it was not shown to the model"
    assert desk.mail(1).state is State.READY

    again = desk.do(ClaimIntoTurn(begun.turn, 2))
    assert all(held.claim > first.claim for held in again)
    assert again[1].redeliveries == ()
    desk.do(MarkSeen(begun.turn, (folded.number,)))
    desk.do(Withdraw(begun.turn, (folded.number,)))
    assert desk.mail(folded.id).state is State.CLAIMED, "what was seen is not withdrawn"
    desk.end(begun)


def test_what_was_given_back_is_not_given_back_again(desk: "Desk") -> None:
    """Not even where somebody else holds it meanwhile: the old claim is void."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    desk.do(Withdraw(begun.turn, (1, 1)))
    desk.do(Withdraw(begun.turn, (1,)))
    assert len(desk.rows("msg.released")) == 1
    desk.do(Lease("iris", "client"))
    desk.do(Withdraw(begun.turn, (1,)))
    desk.do(MarkSeen(begun.turn, (1,)))
    desk.end(begun, Outcome.FAILED)
    assert (desk.mail(1).state, desk.mail(1).attempts) == (State.CLAIMED, 0)
    assert desk.rows("msg.seen") == []


def test_marks_and_withdrawals_of_a_turn_that_has_ended_are_void(desk: "Desk") -> None:
    """They come too late to change anything."""
    sent = desk.send("operator", "iris")
    begun = desk.begin("iris")
    desk.do(EndTurn(begun.turn, Outcome.OK))
    before = len(desk.journal)
    desk.do(MarkSeen(begun.turn, (sent.number,)))
    desk.do(Withdraw(begun.turn, (sent.number,)))
    desk.do(EndTurn(begun.turn, Outcome.FAILED))
    desk.do(EndTurn(999, Outcome.OK))
    assert len(desk.journal) == before


def test_evidence_is_noted_once(desk: "Desk") -> None:
    """A mark repeated is no second journal row."""
    sent = desk.send("operator", "iris")
    begun = desk.begin("iris")
    desk.do(MarkSeen(begun.turn, (sent.number, 99)))
    desk.do(MarkSeen(begun.turn, (sent.number,)))
    assert len(desk.rows("msg.seen")) == 1


# --- again -----------------------------------------------------------------------------------------


def test_a_redelivered_message_tells_which_turn_had_it_and_what_that_sent(desk: "Desk") -> None:
    """So that a model does not do everything twice."""
    desk.send("operator", "iris", "do it")
    first = desk.begin("iris")
    sent = desk.send("iris", "rose", "doing\nit " + "x" * 100, turn=first.turn)
    desk.end(first, Outcome.INTERRUPTED)
    second = desk.begin("iris")
    desk.end(second, Outcome.FAILED)
    desk.now += 60

    (held,) = desk.begin("iris").messages

    assert held.redeliveries == (
        Redelivery(first.turn, "interrupted", (f"{sent.id} to rose: doing it {'x' * 70}…",)),
        Redelivery(second.turn, "failed"),
    )
    assert desk.value("SELECT sum(first) FROM turn_message WHERE message = 1") == 1


# --- slots -----------------------------------------------------------------------------------------


def test_only_so_many_turns_run_and_the_next_is_told_when_one_ends(desk: "Desk") -> None:
    """The one that waits is parked with the reason `slot` until there is room."""
    desk.adjust(max_running_turns=1)
    desk.send("operator", "iris")
    desk.send("operator", "rose")
    begun = desk.begin("iris")

    answer = desk.do(BeginTurn("rose", 1))
    assert answer == NotBegun("waiting for a free slot: 1 turns run, others come first")
    assert desk.parked("rose") == {"slot"}

    desk.end(begun)
    assert desk.parked("rose") == set()
    assert desk.rows("park.lifted")[-1].data == {"by": "slot"}
    desk.begin("rose")


@pytest.mark.parametrize(("rose", "iris"), list(itertools.product(Priority, Priority)))
def test_the_manager_comes_first_then_the_oldest_mail(desk: "Desk", rose: Priority, iris: Priority) -> None:
    """Neither urgency nor who asks first matters; who may not begin yet is told to look again soon."""
    desk.adjust(max_running_turns=1)
    desk.send("operator", "rose", priority=rose)
    desk.send("operator", "iris", priority=iris)
    desk.send("operator", "rose", priority=Priority.NORMAL if rose is URGENT else URGENT)
    desk.send("operator", "boss")

    for early in ("iris", "rose"):
        answer = desk.do(BeginTurn(early, 1))
        assert isinstance(answer, NotBegun)
        assert answer.look_again_at == desk.now + 1
    desk.end(desk.begin("boss"))
    assert desk.parked("rose") == set()
    assert desk.parked("iris") == {"slot"}
    desk.end(desk.begin("rose"))
    desk.begin("iris")


def test_who_cannot_begin_holds_up_nobody_in_the_line(desk: "Desk") -> None:
    """Neither paused agents nor those at work."""
    desk.adjust(max_running_turns=2)
    desk.send("operator", "boss")
    desk.begin("boss")
    desk.send("operator", "boss")
    desk.send("operator", "iris")
    desk.send("operator", "rose")
    assert isinstance(desk.do(BeginTurn("rose", 1)), NotBegun)

    desk.do(Pause("iris"))
    assert desk.parked("rose") == set(), "the line has moved on"
    desk.begin("rose")
    desk.do(Resume("iris"))
    assert isinstance(desk.do(BeginTurn("iris", 1)), NotBegun)


@pytest.mark.seeds(40)
def test_nobody_passes_the_line_where_it_would_have_to_be_asked(desk: "Desk", seed: int) -> None:
    """Whenever slots are said to be enough without a look at the line, all of the line fits into them."""
    chance = random.Random(seed)
    names = ("boss", "iris", "rose")
    for _ in range(chance.randrange(1, 6)):
        desk.send("operator", chance.choice(names), not_before=chance.choice([None, desk.now + 9]))
    for name in chance.sample(names, 2):
        desk.do(Pause(name))
    enough = [free for free in range(5) if slots.suffice_now(desk.tx(), free)]
    line = slots.line(desk.tx(), 10)
    assert enough == list(range(min(enough), 5)), "who has enough has enough with more"
    assert min(enough) in range(max(1, len(line)), len(names) + 1)


def test_slots_suffice_for_ever_where_there_is_one_for_each_agent(desk: "Desk") -> None:
    """Removed ones count too: that is asked more quickly, and only makes somebody look at the line."""
    desk.do(RemoveAgent("rose"))
    suffice = []
    for most in range(1, 5):
        desk.adjust(max_running_turns=most)
        suffice.append(slots.always_suffice(desk.tx()))
    assert suffice == [False, False, True, True]


def test_who_waited_for_a_slot_no_longer_says_so_once_more_turns_may_run(desk: "Desk") -> None:
    """A daemon that is started again with a higher limit tells nobody: whoever looks finds out."""
    desk.adjust(max_running_turns=1)
    desk.send("operator", "boss")
    desk.send("operator", "iris")
    desk.begin("boss")
    assert isinstance(desk.do(BeginTurn("iris", 1)), NotBegun)
    assert desk.parked("iris") == {"slot"}
    desk.adjust(max_running_turns=2)
    desk.begin("iris")
    assert desk.parked("iris") == set()


@pytest.mark.parametrize("what", ["a note that rides along", "delayed mail", "blocked mail"])
def test_what_wakes_nobody_holds_up_nobody(desk: "Desk", what: str) -> None:
    """The line is made of deliverable mail only, however old the rest is."""
    desk.adjust(max_running_turns=1)
    match what:
        case "delayed mail":
            desk.send("operator", "iris", not_before=desk.now + 60)
        case "blocked mail":
            desk.adjust(hops=0)
            desk.send("boss", "iris")
        case _:
            desk.do(BoxStarted("iris", "first start", wakes=False))
    desk.send("operator", "rose")
    desk.end(desk.begin("rose"))


def test_who_has_rested_long_enough_stands_in_the_line_again(desk: "Desk") -> None:
    """A timed reason whose time has come holds nobody back, even before somebody has lifted it."""
    desk.adjust(max_running_turns=1)
    desk.send("operator", "iris")
    desk.send("operator", "rose")
    desk.do(Park("iris", Reason.BACKOFF, until=desk.now + 10))
    desk.now += 10
    assert isinstance(desk.do(BeginTurn("rose", 1)), NotBegun)
    desk.begin("iris")


def test_a_turn_of_an_earlier_boot_takes_no_slot(desk: "Desk") -> None:
    """Nothing runs in it any more."""
    desk.adjust(max_running_turns=1)
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    desk.send("operator", "rose")
    desk.boot += 1
    desk.begin("rose")
    desk.do(EndOrphans("rose", 2, "tidy up"))
    desk.boot -= 1
    desk.end(begun)


def test_a_slot_is_not_waited_for_without_mail(desk: "Desk") -> None:
    """The reason goes when what waited for it has gone."""
    desk.adjust(max_running_turns=1)
    desk.send("operator", "boss")
    desk.send("operator", "iris")
    desk.begin("boss")
    desk.do(BeginTurn("iris", 1))
    desk.do(EndOrphans("iris", 1, "nothing to end"))
    desk.db.execute("UPDATE message SET not_before = ? WHERE recipient = 'iris'", (desk.now + 60,))

    assert desk.do(BeginTurn("iris", 1)) == NotBegun("no mail waits", desk.now + 60)
    assert desk.parked("iris") == set()


# --- orphans ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("incarnation", "boots"), [(2, 0), (1, 1), (2, 1)])
def test_a_turn_left_behind_ends_as_interrupted(desk: "Desk", incarnation: int, boots: int) -> None:
    """Another incarnation or another boot: its mail goes back, and a note tells the agent."""
    sent = desk.send("operator", "iris")
    begun = desk.begin("iris")
    desk.do(MarkSeen(begun.turn, (sent.number,)))
    desk.boot += boots
    desk.db.execute(
        "INSERT OR IGNORE INTO boot (number, started_at, version) VALUES (?, 0, '0')", (desk.boot,)
    )

    assert desk.do(EndOrphans("iris", incarnation, "the harness \ud800 crashed")) == (begun.turn,)

    mail = desk.mail(sent.id)
    assert (mail.state, mail.attempts, mail.interruptions) == (State.READY, 0, 1)
    note = desk.box("iris")[-1]
    assert (note.kind, note.provenance, note.wakes) == (Kind.RESTARTED, Provenance.SYSTEM, True)
    assert "the harness ? crashed" in note.body
    assert desk.do(EndOrphans("iris", incarnation, "again")) == ()
    assert isinstance(desk.do(BeginTurn("iris", incarnation)), TurnBegun)


def test_a_turn_of_ones_own_is_no_orphan(desk: "Desk") -> None:
    """The incarnation that runs it keeps it."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    assert desk.do(EndOrphans("iris", 1, "why")) == ()
    desk.end(begun)


def test_restart_notes_are_one_until_claimed_and_the_stronger_wins(desk: "Desk") -> None:
    """A note that rides becomes one that wakes, never the other way; its words are the newest."""
    desk.do(BoxStarted("iris", "first start", wakes=False))
    assert isinstance(desk.do(BeginTurn("iris", 1)), NotBegun)
    desk.now += 5
    desk.do(BoxStarted("iris", "it was rebuilt", wakes=True))
    desk.do(BoxStarted("iris", "it was moved", wakes=False))

    (note,) = desk.box("iris")
    assert note.wakes
    assert "it was moved" in note.body
    assert desk.value("SELECT ready_at FROM message") == desk.now
    desk.end(desk.begin("iris"))
    desk.do(BoxStarted("iris", "again", wakes=False))
    assert len(desk.box("iris")) == 2
