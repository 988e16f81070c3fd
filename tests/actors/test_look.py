"""What to do next, as a table: no loop, no store, no clock."""

import pytest
from attrs import evolve

from hive.actors.look import (
    Announce,
    Begin,
    BoxStep,
    FoldIn,
    InHand,
    Interrupt,
    Keep,
    Report,
    Rest,
    SleepUntil,
    Start,
    Step,
    TakeDown,
    client_wait,
    decide,
    tend,
)
from hive.agents.judge import Stop
from hive.containers.port import BoxState
from hive.protocol.commands import Settings
from hive.protocol.parking import EXITS, Parked, Reason
from hive.protocol.views import AgentView, TurnView

NOW = 1_000.0
IRIS = AgentView(name="iris", settings=Settings(), added_at=0.0, epoch=3)
MAIL = evolve(IRIS, deliverable=1, deliverable_since=NOW)
OPEN = TurnView(number=7, agent="iris", boot=1, started_at=NOW)
IN_HAND = InHand(turn=7, epoch=3)
RUNNING = evolve(IRIS, open_turn=OPEN)


def parked(*reasons: Reason, until: float | None = None) -> tuple[Parked, ...]:
    """Reasons in force."""
    return tuple(Parked(reason, since=NOW - 1, until=until) for reason in reasons)


@pytest.mark.parametrize(
    ("view", "step"),
    [
        (None, Rest()),
        (IRIS, Rest()),
        (evolve(MAIL, removed_at=NOW), Rest()),
        (MAIL, Begin()),
        (evolve(MAIL, parked=parked(Reason.SLOT)), Begin()),
        (evolve(MAIL, parked=parked(Reason.SLOT, Reason.PAUSED)), Rest()),
        (evolve(MAIL, parked=parked(Reason.LIMIT, until=NOW - 1)), Begin()),
        (evolve(MAIL, parked=parked(Reason.LIMIT, until=NOW + 9), next_due=NOW + 9), SleepUntil(NOW + 9)),
        (evolve(IRIS, next_due=NOW + 60), SleepUntil(NOW + 60)),
        (evolve(MAIL, open_turn=OPEN), Rest()),
    ],
)
def test_an_idle_agent_begins_a_turn_only_where_mail_waits_and_nothing_holds_it(
    view: AgentView | None, step: Step
) -> None:
    """A slot does not hold it: whether one is free is the store's to say."""
    assert decide(view, NOW) == step


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.SLOT])
def test_every_reason_but_a_slot_keeps_an_agent_from_waking(reason: Reason) -> None:
    """A reason added later is kept too, unless somebody thinks about it here."""
    assert decide(evolve(MAIL, parked=parked(reason)), NOW) == Rest()


@pytest.mark.parametrize(
    ("view", "step"),
    [
        (None, Interrupt(Stop.LEAVING)),
        (IRIS, Interrupt(Stop.LEAVING)),
        (evolve(IRIS, open_turn=evolve(OPEN, number=8)), Interrupt(Stop.LEAVING)),
        (evolve(IRIS, open_turn=evolve(OPEN, stop_requested="cancel")), Interrupt(Stop.CANCEL)),
        (evolve(IRIS, open_turn=evolve(OPEN, stop_requested="requeue")), Interrupt(Stop.REQUEUE)),
        (evolve(RUNNING, parked=parked(Reason.BOX_DOWN)), Interrupt(Stop.BOX)),
        (evolve(RUNNING, parked=parked(Reason.STOPPED)), Interrupt(Stop.BOX)),
        (evolve(RUNNING, epoch=4), Interrupt(Stop.BOX)),
        (RUNNING, Rest()),
        (evolve(RUNNING, deliverable=1), FoldIn()),
        (evolve(RUNNING, deliverable=1, parked=parked(Reason.PAUSED)), Rest()),
        (evolve(RUNNING, deliverable=1, parked=parked(Reason.LIMIT)), FoldIn()),
    ],
)
def test_a_running_turn_is_stopped_only_by_a_person_its_box_or_its_own_end(
    view: AgentView | None, step: Step
) -> None:
    """A pause lets it finish, and takes no more mail."""
    assert decide(view, NOW, IN_HAND) == step


@pytest.mark.parametrize(
    ("view", "external", "change"),
    [
        (MAIL, True, True),
        (evolve(MAIL, parked=parked(Reason.CLIENT)), True, None),
        (evolve(IRIS, parked=parked(Reason.CLIENT)), True, False),
        (IRIS, True, None),
        (MAIL, False, None),
        (evolve(MAIL, parked=parked(Reason.CLIENT)), False, False),
    ],
)
def test_mail_for_a_client_of_its_own_parks_the_agent_until_none_waits(
    *, view: AgentView, external: bool, change: bool | None
) -> None:
    """Also lifted where hive has taken over since."""
    assert client_wait(view, external=external) is change


UP, DOWN, GONE = BoxState.RUNNING, BoxState.DOWN, BoxState.GONE
WANTED = {"wanted": True, "parked": False}
MISSED = {"wanted": True, "parked": True}
UNWANTED = {"wanted": False, "parked": False}


@pytest.mark.parametrize(
    ("box", "known", "should", "step"),
    [
        ((GONE, None), None, WANTED, Start()),
        ((GONE, None), None, MISSED, Start()),
        ((DOWN, None), 1, WANTED, Report()),
        ((DOWN, None), 1, MISSED, Start()),
        ((UP, 1), 1, WANTED, Keep()),
        ((UP, 1), 1, MISSED, TakeDown()),
        ((UP, 2), 1, WANTED, Announce()),
        ((UP, 2), 1, MISSED, Announce()),
        ((UP, 1), None, WANTED, Announce()),
        ((UP, 1), 1, UNWANTED, TakeDown()),
        ((UP, 1), None, UNWANTED, TakeDown()),
        ((DOWN, None), 1, UNWANTED, Keep()),
        ((GONE, None), None, UNWANTED, Keep()),
    ],
)
def test_a_box_is_brought_to_what_it_should_be_one_step_at_a_time(
    box: tuple[BoxState, int | None], known: int | None, should: dict[str, bool], step: BoxStep
) -> None:
    """A rebuild is a row; whoever dies in the middle of it, the next look goes on."""
    state, leader = box
    assert tend(state, leader, known, wanted=should["wanted"], parked=should["parked"]) == step


def test_reasons_that_pull_the_box_away_are_not_lifted_by_time() -> None:
    """Else a turn could be interrupted by a reason that has ended already."""
    assert not EXITS[Reason.BOX_DOWN].timed
    assert not EXITS[Reason.STOPPED].timed
