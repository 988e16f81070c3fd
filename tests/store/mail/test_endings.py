"""The table of endings, row by row: what becomes of the mail, and of the agent."""

import json
from typing import TYPE_CHECKING

import pytest
from attrs import asdict

from hive.protocol.commands import (
    CancelTurn,
    EndTurn,
    Kick,
    Pause,
    RemoveAgent,
    Resume,
    Resumed,
    Usage,
    Withdraw,
)
from hive.protocol.mail import Kind, Mail, Priority, Provenance, State
from hive.protocol.outcome import CONSEQUENCES, Outcome, Settlement, backoff_seconds
from hive.protocol.parking import EXITS, Reason
from hive.store.parking import PARKED_SECONDS

if TYPE_CHECKING:
    from tests.store.mail.conftest import Desk

RETRIED = [outcome for outcome in Outcome if CONSEQUENCES[outcome].seen is Settlement.RETRY]
RELEASED = [outcome for outcome in Outcome if CONSEQUENCES[outcome].seen is Settlement.RELEASE]

AFTER: dict[Outcome, tuple[State, int, int, str]] = {
    Outcome.OK: (State.DONE, 0, 0, "handled in turn 1"),
    Outcome.STEP_LIMIT: (State.DONE, 0, 0, "the turn ended at its step limit"),
    Outcome.CANCELLED: (State.DONE, 0, 0, "cancelled"),
    Outcome.REQUEUED: (State.READY, 0, 0, "cancelled by the operator, to be tried again"),
    Outcome.INTERRUPTED: (State.READY, 0, 1, "turn 1 ended: interrupted"),
    **{outcome: (State.READY, 1, 0, f"turn 1 ended: {outcome}") for outcome in RETRIED},
    **{
        outcome: (State.READY, 0, 0, f"turn 1 ended: {outcome}")
        for outcome in RELEASED
        if outcome not in (Outcome.REQUEUED, Outcome.INTERRUPTED)
    },
}
"""State, attempts, interruptions and reason of the one message of a turn that ended so."""


def handled(desk: "Desk", outcome: Outcome, **options: object) -> Mail:
    """Let one message be handled with this ending."""
    sent = desk.send("rose", "iris")
    desk.end(desk.begin("iris"), outcome, **options)
    return desk.mail(sent.id)


@pytest.mark.parametrize("outcome", Outcome)
def test_each_ending_decides_about_the_mail_and_the_agent(desk: "Desk", outcome: Outcome) -> None:
    """As the table says, for a turn with one message that the model was given."""
    mail = handled(desk, outcome, error="it broke")

    assert (mail.state, mail.attempts, mail.interruptions, mail.why) == AFTER[outcome]
    assert mail.claim is None
    park = CONSEQUENCES[outcome].park
    assert desk.parked("iris") == ({park.value} if park else set())
    (ended,) = desk.rows("turn.ended")
    verdict = {State.DONE: "done"}.get(mail.state, "retried" if outcome in RETRIED else "released")
    counts = {"done": 0, "retried": 0, "released": 0, "dead": 0} | {verdict: 1}
    assert {name: ended.data[name] for name in counts} == counts
    assert (ended.data["outcome"], ended.data["error"]) == (outcome.value, "it broke")
    assert desk.types(mail.id)[-1] == f"msg.{verdict}"
    assert desk.value("SELECT verdict FROM turn_message") == verdict


@pytest.mark.parametrize("outcome", Outcome)
def test_what_the_model_was_not_given_goes_back_uncharged(desk: "Desk", outcome: Outcome) -> None:
    """Whatever the ending was."""
    mail = handled(desk, outcome, seen=())

    assert (mail.state, mail.attempts, mail.interruptions) == (State.READY, 0, 0)
    assert mail.why == f"turn 1 ended: {outcome}; it had not been shown to the model"
    assert desk.types(mail.id) == ["msg.sent", "msg.claimed", "msg.released"]


@pytest.mark.parametrize("outcome", RETRIED)
def test_a_batch_that_fails_charges_nobody_and_becomes_smaller(desk: "Desk", outcome: Outcome) -> None:
    """Until one message is alone in its turn."""
    for _ in range(5):
        desk.send("operator", "iris")
    sizes = []
    for _ in range(3):
        begun = desk.begin("iris")
        sizes.append(len(begun.messages))
        desk.end(begun, outcome)
        desk.now += 3600

    assert sizes == [5, 2, 1]
    assert [mail.attempts for mail in desk.box("iris")] == [1, 0, 0, 0, 0]
    assert desk.box("iris")[4].why == f"turn 1 ended: {outcome}; retried as part of a smaller batch"


def test_a_success_lets_the_batch_grow_again(desk: "Desk") -> None:
    """Twice as large each time, up to what the hive allows."""
    desk.adjust(batch_messages=4)
    for _ in range(2):
        desk.send("operator", "iris")
    desk.end(desk.begin("iris"), Outcome.FAILED)
    desk.now += 60
    limits = []
    for _ in range(4):
        desk.send("operator", "iris")
        desk.end(desk.begin("iris"))
        limits.append(desk.value("SELECT batch_limit FROM agent WHERE name = 'iris'"))
    assert limits == [2, 4, 4, 4]
    assert desk.value("SELECT failures FROM agent WHERE name = 'iris'") == 0


def test_the_message_that_breaks_turns_is_found_out_beside_urgent_mail(desk: "Desk") -> None:
    """Alone in its turns it is charged and dies; whatever waits beside it is handled."""
    poison = desk.send("rose", "iris", "poison")
    desk.send("operator", "iris", "urgent", priority=Priority.URGENT)
    for _ in range(20):
        if not [mail for mail in desk.box("iris") if mail.state is State.READY]:
            break
        begun = desk.begin("iris")
        bad = poison.number in [held.mail.number for held in begun.messages]
        desk.end(begun, Outcome.CRASHED if bad else Outcome.OK)
        desk.now += 3600
    assert [mail.state for mail in desk.box("iris")] == [State.DEAD, State.DONE]
    assert [mail.attempts for mail in desk.box("iris")] == [3, 0]


def test_messages_tried_alone_take_turns(desk: "Desk") -> None:
    """An urgent one that fails does not keep the oldest normal one from its own turn."""
    desk.send("operator", "iris", "normal")
    desk.send("operator", "iris", "urgent", priority=Priority.URGENT)
    tried = []
    for _ in range(4):
        begun = desk.begin("iris")
        tried.append(desk.bodies(begun.messages))
        desk.end(begun, Outcome.FAILED)
        desk.now += 3600
    assert tried == [["urgent", "normal"], ["urgent"], ["normal"], ["urgent"]]


def test_a_message_that_fails_too_often_is_dead_and_its_sender_is_told(desk: "Desk") -> None:
    """Once, by hive, in the thread of the message; the note itself can die without a sound."""
    sent = desk.send("rose", "iris", "poison")
    for _ in range(3):
        desk.end(desk.begin("iris"), Outcome.FAILED, error="no \ud800 way")
        desk.now += 3600

    dead = desk.mail(sent.id)
    assert (dead.state, dead.attempts, dead.why) == (State.DEAD, 3, "it failed 3 times, at last: no ? way")
    assert dead.settled_at is not None
    (note,) = desk.box("rose")
    assert (note.kind, note.provenance, note.thread) == (Kind.UNDELIVERED, Provenance.SYSTEM, sent.id)
    assert f"your message #{sent.number} ({sent.id}) to iris: 'poison'" in note.body
    for _ in range(3):
        desk.end(desk.begin("rose"), Outcome.FAILED)
        desk.now += 3600
    assert desk.mail(note.id).state is State.DEAD
    assert len(desk.box("rose")) == len(desk.box("iris")) == 1


@pytest.mark.parametrize(
    ("sender", "provenance"),
    [("operator", Provenance.OPERATOR), ("system", Provenance.SYSTEM), ("rose", Provenance.SYSTEM)],
)
def test_dead_mail_of_people_and_of_hive_is_told_to_nobody(
    desk: "Desk", sender: str, provenance: Provenance
) -> None:
    """The operator sees dead letters in a list; mail of hive never causes mail of hive."""
    desk.send(sender, "iris", provenance=provenance)
    for _ in range(3):
        desk.end(desk.begin("iris"), Outcome.FAILED)
        desk.now += 3600
    assert desk.value("SELECT count(*) FROM message") == 1


def test_two_dead_letters_without_a_success_between_park_the_agent(desk: "Desk") -> None:
    """A resume gives it as many again; a success in between starts the count anew."""
    desk.adjust(attempts=1)
    handled(desk, Outcome.FAILED)
    desk.now += 60
    handled(desk, Outcome.OK)
    handled(desk, Outcome.FAILED)
    desk.now += 60
    assert desk.parked("iris") == set()
    second = handled(desk, Outcome.FAILED)
    assert desk.parked("iris") == {"backoff", "failing"}
    assert second.id in str(desk.rows("park.set")[-1].data["detail"])

    desk.now += 3600
    assert desk.do(Resume("iris", (Reason.FAILING,))) == (Resumed("iris", (Reason.FAILING,), ()),)
    handled(desk, Outcome.FAILED)
    assert desk.parked("iris") == {"backoff"}


def test_ten_interruptions_in_a_row_park_the_agent_and_name_the_mail(desk: "Desk") -> None:
    """Interruptions are no attempts; a resume or a success starts the count anew."""
    desk.adjust(interruptions=3)
    sent = desk.send("operator", "iris")
    for _ in range(3):
        assert desk.parked("iris") == set()
        desk.end(desk.begin("iris"), Outcome.INTERRUPTED)
    mail = desk.mail(sent.id)
    assert (mail.state, mail.attempts, mail.interruptions) == (State.READY, 0, 3)
    assert desk.parked("iris") == {"interrupted"}
    assert f"#1 ({sent.id})" in str(desk.rows("park.set")[-1].data["detail"])

    desk.do(Resume("iris", (Reason.INTERRUPTED,)))
    for _ in range(2):
        desk.end(desk.begin("iris"), Outcome.INTERRUPTED)
    handled(desk, Outcome.OK)
    handled(desk, Outcome.INTERRUPTED)
    assert desk.parked("iris") == set()


def test_an_interrupted_turn_that_had_given_its_mail_back_is_counted_too(desk: "Desk") -> None:
    """A box that dies before anything is shown must not be tried for ever."""
    desk.adjust(interruptions=1)
    desk.send("operator", "iris")
    begun = desk.begin("iris")
    desk.do(Withdraw(begun.turn, tuple(held.mail.number for held in begun.messages)))
    desk.do(EndTurn(begun.turn, Outcome.INTERRUPTED))
    assert desk.parked("iris") == {"interrupted"}


def test_backoff_grows_with_each_failure_in_a_row(desk: "Desk") -> None:
    """And is what a kick lifts."""
    sent = desk.send("operator", "iris")
    waits = []
    for _ in range(3):
        desk.end(desk.begin("iris"), Outcome.NETWORK)
        waits.append(desk.value("SELECT until FROM park") - desk.now)  # type: ignore[operator]
        desk.do(Kick("iris"))
    assert waits == [backoff_seconds(1), backoff_seconds(2), backoff_seconds(3)]
    assert desk.mail(sent.id).attempts == 0


@pytest.mark.parametrize(
    ("until", "wait"),
    [
        (None, 5.0),
        (float("inf"), 5.0),
        (float("nan"), 5.0),
        (-100.0, 5.0),
        (1.0, 1.0),
        (90.0, 90.0),
        (PARKED_SECONDS, PARKED_SECONDS),
        (PARKED_SECONDS + 1.0, PARKED_SECONDS),
        (1e12, PARKED_SECONDS),
    ],
)
def test_a_rate_limit_lasts_as_long_as_the_service_says(
    desk: "Desk", until: float | None, wait: float
) -> None:
    """Where it says nothing usable, it is a backoff: an agent must never ask again at once, or never."""
    handled(desk, Outcome.RATE_LIMIT, until=None if until is None else desk.now + until)
    assert desk.value("SELECT until FROM park") == desk.now + wait


def test_a_limit_that_is_always_past_already_is_waited_for_longer_each_time(desk: "Desk") -> None:
    """A service whose clock is slow must not be asked every five seconds for ever."""
    waits = []
    for _ in range(4):
        handled(desk, Outcome.RATE_LIMIT, until=desk.now - 100.0)
        until = desk.value("SELECT until FROM park")
        assert isinstance(until, float)
        waits.append(until - desk.now)
        desk.now = until
    assert waits == [5.0, 10.0, 20.0, 40.0]


@pytest.mark.parametrize("outcome", [Outcome.LOGIN, Outcome.BILLING, Outcome.NETWORK, Outcome.TOOLS_DOWN])
def test_only_a_rate_limit_takes_the_end_it_is_told(desk: "Desk", outcome: Outcome) -> None:
    """Every other reason has its own way out."""
    handled(desk, outcome, until=desk.now + 7777)
    park = CONSEQUENCES[outcome].park
    assert park is not None
    assert desk.value("SELECT until FROM park") == (desk.now + 5 if EXITS[park].timed else None)


# --- cancelling ------------------------------------------------------------------------------------


def test_senders_of_cancelled_mail_are_told_once_each(desk: "Desk") -> None:
    """Agents, not people or hive; and not the cancelled agent itself, which would wake it again."""
    for sender in ("rose", "rose", "boss", "operator", "system", "iris"):
        desk.send(sender, "iris", f"from {sender}")
    desk.end(desk.begin("iris"), Outcome.CANCELLED)

    (note,) = desk.box("rose")
    assert (note.kind, note.sender, note.wakes) == (Kind.CANCELLED, "system", True)
    assert "#1" in note.body
    assert "#2" in note.body
    assert len(desk.box("boss")) == 1
    assert len(desk.box("iris")) == 6
    assert desk.box("operator") == ()


def test_a_note_about_much_mail_stays_short(desk: "Desk") -> None:
    """It names the first few and counts the others."""
    for _ in range(13):
        desk.send("rose", "iris", "x" * 4000)
    desk.do(RemoveAgent("iris"))
    (note,) = desk.box("rose")
    assert note.body.count("your message #") == 10
    assert "and 3 more" in note.body


@pytest.mark.parametrize(
    ("requeue", "outcome", "state"),
    [
        (True, Outcome.CANCELLED, State.READY),
        (False, Outcome.CANCELLED, State.DONE),
        (True, Outcome.INTERRUPTED, State.READY),
        (True, Outcome.OK, State.DONE),
        (False, Outcome.CRASHED, State.READY),
    ],
)
def test_how_a_turn_was_asked_to_stop_decides_what_cancelled_means(
    desk: "Desk", *, requeue: bool, outcome: Outcome, state: State
) -> None:
    """A turn that ended otherwise before it noticed ended otherwise."""
    sent = desk.send("rose", "iris")
    begun = desk.begin("iris")
    desk.do(CancelTurn("iris", requeue=requeue))
    desk.end(begun, outcome)
    assert desk.mail(sent.id).state is state
    stopped = outcome in (Outcome.CANCELLED, Outcome.INTERRUPTED)
    expected = Outcome.REQUEUED if requeue and stopped else outcome
    assert desk.value("SELECT outcome FROM turn") == expected
    assert desk.value("SELECT interruptions FROM agent WHERE name = 'iris'") == 0


def test_a_pause_now_interrupts_and_requeues(desk: "Desk") -> None:
    """The mail is tried again after the resume."""
    sent = desk.send("rose", "iris")
    begun = desk.begin("iris")
    assert desk.do(Pause("iris", now=True)) == ("iris",)
    desk.end(begun, Outcome.CANCELLED)
    assert desk.mail(sent.id).why == "cancelled by the operator, to be tried again"
    assert desk.box("rose") == ()


# --- the rest of the row ---------------------------------------------------------------------------


def test_the_turns_row_keeps_its_text_error_and_usage(desk: "Desk") -> None:
    """Text of a verdict is mended, never refused: a verdict must not fail."""
    usage = Usage(10, 20, 0.5)
    handled(desk, Outcome.OK, final_text="a\0b\ud800c", error="x" * 1000, usage=usage)

    row = desk.db.execute("SELECT * FROM turn").fetchone()
    assert (row["final_text"], row["error"]) == ("a?b?c", "x" * 1000)
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"]) == (10, 20, 0.5)
    (ended,) = desk.rows("turn.ended")
    assert ended.data["usage"] == asdict(usage)
    assert (ended.data["text"], ended.data["error"]) == ("a?b?c", "x" * 160)


def test_a_turn_is_remembered_with_its_model_its_cause_and_its_tools(desk: "Desk") -> None:
    """However long ago its mail was taken away."""
    usage = Usage(100, 20, 0.5, cached_tokens=80, context_tokens=1_000, context_window=200_000)
    handled(desk, Outcome.OK, usage=usage, model="opus", tools={"hive/send": 2, "Read": 1})
    row = desk.db.execute("SELECT * FROM turn").fetchone()
    assert (row["model"], row["cause"]) == ("opus", "agent")
    assert json.loads(row["tools"]) == {"hive/send": 2, "Read": 1}
    assert (row["cached_tokens"], row["context_tokens"], row["context_window"]) == (80, 1_000, 200_000)


def test_only_the_tools_that_were_called_most_are_remembered(desk: "Desk") -> None:
    """A model may make names up, and long ones."""
    handled(desk, Outcome.OK, tools={f"tool-{n}-{'x' * 300}": n for n in range(100)})
    kept = json.loads(desk.db.execute("SELECT tools FROM turn").fetchone()["tools"])
    assert sorted(kept.values()) == list(range(50, 100))
    assert {len(name) for name in kept} == {200}


def test_nothing_a_backend_reports_makes_a_verdict_fail(desk: "Desk") -> None:
    """Numbers no row can hold and endless text are cut to what can be kept."""
    usage = Usage(2**70, -5, float("nan"), -1, 2**70, 2**70)
    mail = handled(desk, Outcome.OK, final_text="x" * 10**6, error="y" * 10**6, usage=usage)
    assert mail.state is State.DONE
    row = desk.db.execute("SELECT * FROM turn").fetchone()
    assert (len(row["final_text"]), len(row["error"])) == (200_000, 10_000)
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"]) == (2**53, 0, 0.0)


def test_a_note_that_rides_along_is_never_charged(desk: "Desk") -> None:
    """It is done with its batch, and rides with the next one when that fails."""
    sent = desk.send("operator", "iris")
    desk.db.execute("UPDATE message SET wakes = 0")
    desk.send("operator", "iris")
    desk.end(desk.begin("iris"), Outcome.FAILED)
    note, mail = desk.box("iris")
    assert (note.attempts, mail.attempts) == (0, 1)
    assert note.why == "turn 1 ended: failed; it rides with the next one"
    desk.now += 60
    desk.end(desk.begin("iris"))
    assert desk.mail(sent.id).state is State.DONE


def test_every_reason_the_table_names_has_a_way_out() -> None:
    """Each can be ended by time, by a resume or by hive itself."""
    assert {row.park for row in CONSEQUENCES.values() if row.park} <= set(EXITS) == set(Reason)
