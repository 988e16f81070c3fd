"""The sentences of hive.protocol.wording, as tables."""

import math
from datetime import UTC, timedelta, timezone, tzinfo

import pytest
from hypothesis import given, strategies as st

from hive.protocol.commands import Settings
from hive.protocol.mail import Accepted, NotAccepted, SendAnswer, Standing
from hive.protocol.parking import EXITS, Parked, Reason
from hive.protocol.views import AgentView, TurnView
from hive.protocol.wording import (
    HORIZON,
    UNKNOWN,
    clock,
    count,
    describe_send,
    duration,
    listed,
    parking,
    stamp,
    why_sentence,
)

NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC
SOON = NOW + 300.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (7200, "2 h"),
        (200_000, "2 d"),
        (HORIZON, "366 d"),
        (HORIZON + 1, "more than a year"),
        (math.inf, "more than a year"),
        (-math.inf, "0 s"),
        (math.nan, UNKNOWN),
    ],
)
def test_a_duration_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    """Never rounded up: what is said has really passed."""
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (SOON, "08:05"),
        (NOW + 5, "08:00:05"),
        (NOW - 86_400, "2027-01-14 08:00"),
        (NOW - 7200, "06:00"),
        (NOW + HORIZON, "2028-01-16 08:00"),
        (NOW + HORIZON + 1, "more than a year from now"),
        (1e12, "more than a year from now"),
        (math.inf, "more than a year from now"),
        (-1e12, UNKNOWN),
        (math.nan, UNKNOWN),
    ],
)
def test_a_time_of_day_has_a_date_only_when_it_is_not_today(at: float, words: str) -> None:
    """Seconds are shown within a minute of now, where they matter."""
    assert clock(at, NOW, UTC) == words


def test_a_stamp_has_date_and_seconds_where_a_calendar_holds_the_time() -> None:
    """For lists, in which every line is read by itself."""
    assert stamp(NOW + 5, UTC) == "2027-01-15 08:00:05"
    assert stamp(1e12, UTC) == UNKNOWN


ANY = st.floats() | st.floats(-63e9, 254e9)
"""Any number at all, and often one near the ends of the calendar."""


@given(
    at=ANY,
    now=ANY | st.just(NOW),
    zone=st.sampled_from([None, UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))]),
)
def test_whatever_number_comes_has_a_short_wording(at: float, now: float, zone: tzinfo | None) -> None:
    """Nobody's wrong number may keep an answer from being given."""
    assert 0 < len(clock(at, now, zone)) <= len("more than a year from now")
    assert 0 < len(stamp(at, zone)) <= len("2027-01-15 08:00:05")
    assert 0 < len(duration(at)) <= len("more than a year")
    accepted = Accepted("iris", 1, "m-a", 0, Standing.PARKED, "limit", at)
    assert describe_send(SendAnswer((accepted,)), now, zone).startswith(
        "accepted as #1 (m-a), iris is parked"
    )
    agent = AgentView("iris", Settings(), at, parked=(Parked(Reason.LIMIT, at, at),), next_due=at)
    assert why_sentence(agent, now, zone).startswith("iris is ")


def test_long_lists_are_counted() -> None:
    """Eight names, and how many more."""
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(n) for n in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    assert count(1, "message") == "1 message"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Accepted("iris", 12, "m-a"), "accepted as #12 (m-a), iris is idle."),
        (
            Accepted("iris", 12, "m-a", 3, Standing.RUNNING),
            "accepted as #12 (m-a), 3 ahead of it, iris is running.",
        ),
        (
            Accepted("iris", 12, "m-a", 3, Standing.PARKED, "limit", SOON),
            (
                "accepted as #12 (m-a), 3 ahead of it,"
                " iris is parked (its model's rate limit is reached) until 08:05."
            ),
        ),
        (Accepted("iris", 1, "m-a", 0, Standing.PARKED), "accepted as #1 (m-a), iris is parked."),
        (Accepted("operator", 1, "m-a", 9, Standing.PERSON), "accepted as #1 (m-a), for a person to read."),
        (
            Accepted("iris", 1, "m-a", blocked="100 hops"),
            "accepted as #1 (m-a), but held back until a person releases it: 100 hops.",
        ),
    ],
)
def test_a_sender_is_told_what_happens_next(one: Accepted, words: str) -> None:
    """One recipient, one sentence."""
    assert describe_send(SendAnswer((one,)), NOW, UTC) == words


def test_a_broadcast_names_who_got_nothing() -> None:
    """Every recipient has a line; a refusal says its code and why."""
    answer = SendAnswer(
        (Accepted("iris", 1, "m-a"), Accepted("juno", 2, "m-b")),
        (NotAccepted("kai", "refused", "kai is full"),),
    )
    assert describe_send(answer, NOW, UTC).splitlines() == [
        "accepted for 2 of 3 recipients:",
        "- iris: accepted as #1 (m-a), iris is idle",
        "- juno: accepted as #2 (m-b), juno is idle",
        "- kai: NOT accepted (refused): kai is full",
    ]
    assert describe_send(SendAnswer(), NOW, UTC) == "Nobody is there to receive it: nothing was sent."


def test_an_unknown_park_reason_stands_for_itself() -> None:
    """A journal can be read by an older hive."""
    assert parking("attached") == "attached"
    assert parking("slot") == EXITS[Reason.SLOT].words


TURN = TurnView(12, "iris", 1, NOW - 200, messages=("m-a", "m-b"))


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({}, "iris is idle: nothing to do, no mail."),
        ({"next_due": SOON}, "iris is idle: nothing to do until 08:05."),
        (
            {"deliverable": 2, "deliverable_since": NOW - 1},
            "iris is about to wake; 2 messages waiting since 07:59:59.",
        ),
        (
            {"blocked": 1},
            "iris is idle: nothing to do, no mail; 1 message held by the loop guard (hive release ID).",
        ),
        ({"open_turn": TURN}, "iris is awake because of m-a, m-b (turn 12, for 3 min)."),
        (
            {"open_turn": TurnView(12, "iris", 1, NOW - 1, stop_requested="cancel")},
            "iris is awake with no mail in hand (turn 12, for 1 s, asked to stop (cancel)).",
        ),
        ({"removed_at": NOW - 3600}, "iris was removed at 07:00."),
        (
            {"parked": (Parked(Reason.LIMIT, NOW - 1500, SOON, "five hours"),), "deliverable": 1},
            (
                "iris is parked: its model's rate limit is reached (five hours), since 07:35 until 08:05,"
                " way out: wait for the limit to reset; 1 message waiting."
            ),
        ),
        (
            {"parked": (Parked(Reason.PAUSED, NOW - 60), Parked(Reason.LOGIN, NOW - 120))},
            (
                "iris is parked: paused by the operator, since 07:59, way out: hive resume iris;"
                " parked: its CLI is not logged in, since 07:58,"
                " way out: give it a key (hive secret set), or hive resume iris --reason login."
            ),
        ),
        (
            {"parked": (Parked(Reason.PAUSED, NOW - 60),), "open_turn": TURN},
            (
                "iris is awake because of m-a, m-b (turn 12, for 3 min);"
                " parked: paused by the operator, since 07:59, way out: hive resume iris."
            ),
        ),
        (
            {"parked": (Parked(Reason.CLIENT, NOW - 60),), "client_seen_at": NOW - 120},
            (
                "iris is parked: waiting for its own client, last seen 2 min ago, since 07:59,"
                " way out: its MCP client connects and calls recv."
            ),
        ),
        (
            {"parked": (Parked(Reason.CLIENT, NOW - 60),)},
            (
                "iris is parked: waiting for its own client, last seen never, since 07:59,"
                " way out: its MCP client connects and calls recv."
            ),
        ),
        ({"parked": (Parked(Reason.BACKOFF, NOW - 60, NOW - 1),)}, "iris is idle: nothing to do, no mail."),
    ],
)
def test_why_names_every_reason_with_its_way_out(view: dict[str, object], words: str) -> None:
    """Awake because of X, parked for R since T with way out C, or nothing to do."""
    agent = AgentView(**{"name": "iris", "settings": Settings(), "added_at": 0.0, **view})  # type: ignore[arg-type]
    assert why_sentence(agent, NOW, UTC) == words


@pytest.mark.parametrize("reason", Reason)
def test_every_park_reason_can_be_told(reason: Reason) -> None:
    """No reason lacks words or a way out."""
    agent = AgentView("iris", Settings(), 0.0, parked=(Parked(reason, NOW - 60),))
    sentence = why_sentence(agent, NOW, UTC)
    assert EXITS[reason].words in sentence
    assert EXITS[reason].way_out.format(agent="iris") in sentence
