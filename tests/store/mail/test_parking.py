"""Park reasons: each is entered, survives a restart, and leaves by its own way out and by no other."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from hive.protocol.commands import (
    BeginTurn,
    BoxDown,
    BoxStarted,
    Bury,
    CancelTurn,
    Kick,
    Lease,
    Lift,
    NotBegun,
    Park,
    Pause,
    Resume,
    Resumed,
    StartAgent,
    StopAgent,
    TurnBegun,
)
from hive.protocol.errors import Conflict, Malformed, NotFound
from hive.protocol.mail import INLINE_BYTES, Kind, Provenance, State
from hive.protocol.outcome import Outcome
from hive.protocol.parking import EXITS, RESUMABLE, Reason
from hive.store.texts import REASON_CHARACTERS

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk

STANDING = [reason for reason in Reason if reason is not Reason.SLOT]
"""The reasons that a beginning turn obeys; `slot` is only a sign."""


def enter(desk: "Desk", reason: Reason) -> None:
    """Park iris the way this reason comes about."""
    match reason:
        case Reason.PAUSED:
            desk.do(Pause("iris"))
        case Reason.BOX_DOWN:
            desk.do(BoxDown("iris", "it crashed"))
        case _:
            desk.do(Park("iris", reason, detail="why"))


@pytest.mark.parametrize("reason", STANDING)
def test_a_reason_survives_a_restart_and_mail_arriving_at_every_step(desk: "Desk", reason: Reason) -> None:
    """Mail before, during and after waits, is told so, and is handled when the reason has gone."""
    desk.send("operator", "iris", "before")
    enter(desk, reason)
    assert desk.send("operator", "iris", "during").parked_for == reason.value
    desk.restart()
    assert desk.parked("iris") == {reason.value}
    desk.send("operator", "iris", "after the restart")
    answer = desk.do(BeginTurn("iris", 1))
    assert isinstance(answer, NotBegun)
    assert answer.why.startswith(EXITS[reason].words)

    assert desk.do(Lift("iris", reason))
    assert not desk.do(Lift("iris", reason))

    desk.send("operator", "iris", "at last")
    assert [row.type for row in desk.journal if row.subject == reason.value] == ["park.set", "park.lifted"]
    assert desk.value("SELECT idle_since FROM agent WHERE name = 'iris'") == desk.now
    begun = desk.begin("iris")
    assert desk.bodies(begun.messages) == ["before", "during", "after the restart", "at last"]
    desk.end(begun)


@pytest.mark.parametrize("reason", STANDING)
@pytest.mark.parametrize("way", ["time", "resume", "start", "kick", "box"])
def test_each_way_out_lifts_its_own_reasons_only(desk: "Desk", reason: Reason, way: str) -> None:
    """As the table of exits says."""
    desk.send("operator", "iris")
    enter(desk, reason)
    match way:
        case "time":
            desk.now += 24 * 3600
            desk.do(BeginTurn("iris", 1))
            leaves = EXITS[reason].timed
        case "resume":
            leaves = EXITS[reason].resumed
            others = tuple(one for one in RESUMABLE if one is not reason)
            assert desk.do(Resume("iris", others)) == (Resumed("iris", (), (reason,)),)
            with nullcontext() if leaves else pytest.raises(Malformed, match="its way out"):
                assert desk.do(Resume("iris", (reason,))) == (Resumed("iris", (reason,), ()),)
        case "start":
            leaves = EXITS[reason].started
            assert desk.do(StartAgent("iris")) == (("iris",) if leaves else ())
        case "kick":
            leaves = EXITS[reason].kicked
            desk.do(Kick("iris"))
        case _:
            leaves = reason is Reason.BOX_DOWN
            desk.do(BoxStarted("iris", "it was started again", wakes=True))
    assert desk.parked("iris") == (set() if leaves else {reason.value})
    assert len(desk.rows("park.lifted")) == leaves


def test_a_reason_is_written_down_only_when_something_changes(desk: "Desk") -> None:
    """Renewing keeps the moment at which it began; an untimed reason has no end whatever one says."""
    desk.do(Park("iris", Reason.LIMIT, until=desk.now + 60))
    desk.now += 10
    desk.do(Park("iris", Reason.LIMIT, until=desk.now + 50))
    assert len(desk.rows("park.set")) == 1
    desk.do(Park("iris", Reason.LIMIT, until=desk.now + 51, detail="still \ud800"))
    assert desk.value("SELECT since FROM park") == desk.now - 10
    assert desk.rows("park.set")[-1].data == {"until": desk.now + 51, "detail": "still ?"}

    desk.do(Park("rose", Reason.LOGIN, until=desk.now + 60))
    assert desk.value("SELECT until FROM park WHERE agent = 'rose'") is None


def test_why_something_happened_is_kept_at_some_length_and_not_at_any(desk: "Desk") -> None:
    """What a box, a backend or a client says of itself may be endless; the journal keeps its beginning."""
    endless = "x" * 10**6
    sent = desk.send("operator", "iris")
    desk.do(Park("iris", Reason.LOGIN, detail=endless))
    desk.do(BoxDown("iris", endless))
    desk.do(BoxStarted("iris", endless, wakes=True))
    desk.do(Bury(sent.id, why=endless))
    told = [
        desk.rows("park.set")[0].data["detail"],
        desk.rows("box.down")[0].data["cause"],
        desk.rows("box.started")[0].data["cause"],
        desk.mail(sent.id).why,
    ]
    assert told == ["x" * REASON_CHARACTERS] * 4


def test_several_reasons_hold_at_once_and_leave_one_by_one(desk: "Desk") -> None:
    """Reasons are a set, never a flag."""
    for reason in (Reason.PAUSED, Reason.BACKOFF, Reason.LIMIT):
        desk.do(Park("iris", reason))
    desk.do(Kick("iris"))
    assert desk.parked("iris") == {"paused", "limit"}
    desk.do(Resume("iris"))
    assert desk.parked("iris") == {"limit"}


# --- pause, resume, kick, cancel -------------------------------------------------------------------


def test_pause_and_resume_answer_whom_they_changed(desk: "Desk") -> None:
    """All, or one; a repetition changes nobody."""
    assert desk.do(Pause("iris")) == ("iris",)
    assert desk.do(Pause(None)) == ("boss", "rose")
    assert desk.do(Pause(None)) == ()
    assert desk.do(Resume("rose")) == (Resumed("rose", (Reason.PAUSED,), ()),)
    assert [one.agent for one in desk.do(Resume(None))] == ["boss", "iris"]
    assert desk.do(Resume(None)) == ()
    for command in (Pause("nobody"), Resume("nobody"), Kick("nobody"), Park("nobody", Reason.LOGIN)):
        with pytest.raises(NotFound):
            desk.do(command)
    with pytest.raises(NotFound):
        desk.do(Lift("nobody", Reason.LOGIN))


def test_ending_a_pause_of_all_starts_nobody_that_is_parked_for_something_else(desk: "Desk") -> None:
    """Who fails again and again is not woken by accident, and the answer says that it still waits."""
    desk.do(Park("iris", Reason.FAILING))
    desk.do(Pause(None))
    told = {one.agent: (one.lifted, one.still) for one in desk.do(Resume(None))}
    paused = (Reason.PAUSED,)
    assert told == {"boss": (paused, ()), "iris": (paused, (Reason.FAILING,)), "rose": (paused, ())}
    assert desk.parked("iris") == {"failing"}


def test_stopping_requeues_the_turn_and_holds_all_claims_until_the_start(desk: "Desk") -> None:
    """Also those of its client; repeating either changes nobody."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    assert desk.do(StopAgent("iris")) == ("iris",)
    assert desk.do(StopAgent("iris")) == ()
    assert [row.data["how"] for row in desk.rows("turn.stop")] == ["requeue"]
    desk.end(begun, Outcome.CANCELLED)
    assert desk.do(Lease("iris", "a client")) == ()
    assert desk.do(StartAgent(None)) == ("iris",)
    assert desk.do(StartAgent(None)) == ()
    assert len(desk.do(Lease("iris", "a client"))) == 1


def test_a_pause_lets_the_turn_finish_unless_it_is_to_be_now(desk: "Desk") -> None:
    """`now` asks the turn to stop, once, and does not soften a cancel."""
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    desk.do(Pause("iris"))
    assert desk.rows("turn.stop") == []
    assert desk.do(Pause("iris", now=True)) == ("iris",)
    assert desk.do(Pause("iris", now=True)) == ()
    assert desk.do(Pause(None, now=True)) == ("boss", "rose")
    (stop,) = desk.rows("turn.stop")
    assert (stop.agent, stop.subject, stop.data) == ("iris", "1", {"how": "requeue", "by": "operator"})

    assert desk.do(CancelTurn("iris")) == begun.turn
    assert desk.do(CancelTurn("iris")) == begun.turn
    assert [row.data["how"] for row in desk.rows("turn.stop")] == ["requeue", "cancel"]
    assert desk.do(Pause("iris", now=True)) == ()


def test_cancelling_names_the_turn_one_means(desk: "Desk") -> None:
    """An older one is a conflict, none is not found."""
    with pytest.raises(NotFound, match="iris has no open turn"):
        desk.do(CancelTurn("iris"))
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    with pytest.raises(Conflict, match="is at turn 1, not 99"):
        desk.do(CancelTurn("iris", turn=99))
    assert desk.do(CancelTurn("iris", turn=begun.turn, requeue=True)) == begun.turn


def test_several_unclaimed_kicks_are_one_note_that_wakes(desk: "Desk") -> None:
    """With the newest words; a claimed one is the past."""
    assert desk.do(Kick(None)) == ("boss", "iris", "rose")
    with pytest.raises(Malformed, match=f"has 5000 bytes; {INLINE_BYTES} is the most"):
        desk.do(Kick("iris", text="\N{EURO SIGN}" * 1000 + "x" * 2000))
    desk.do(Kick("iris", text="wake up!"))
    (note,) = desk.box("iris")
    assert (note.kind, note.provenance, note.body) == (Kind.KICK, Provenance.OPERATOR, "wake up!")

    begun = desk.begin("iris")
    desk.do(Kick("iris"))
    assert [mail.state for mail in desk.box("iris")] == [State.CLAIMED, State.READY]
    desk.end(begun)
    with pytest.raises(Malformed):
        desk.do(Kick("iris", text="\0"))


def test_a_kick_by_hive_itself_never_speaks_for_the_operator(desk: "Desk") -> None:
    """Its words have the provenance of hive, in a message of its own."""
    desk.do(Kick("iris"))
    desk.do(Kick("iris", by="system"))
    assert [mail.sender for mail in desk.box("iris")] == ["operator", "system"]
    assert desk.box("iris")[1].provenance is Provenance.SYSTEM


def test_a_kick_wakes_an_agent_that_backs_off(desk: "Desk") -> None:
    """It is the one reason a kick lifts."""
    desk.do(Park("iris", Reason.BACKOFF))
    desk.do(Kick("iris"))
    assert isinstance(desk.do(BeginTurn("iris", 1)), TurnBegun)
