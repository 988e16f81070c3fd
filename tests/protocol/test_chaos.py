"""What chaos does next, as values: what may be asked, how often it strikes, whom a budget allows to kill."""

from random import Random

import pytest
from attrs import evolve

from hive.actors import ActorSnapshot, Budget, Kinship, Status, Strategy, SupervisorSnapshot
from hive.actors.protocol import CHAOS
from hive.actors.tree import HARNESS_BUDGET
from hive.protocol.chaos import (
    BROKEN_EVENTS,
    LARGEST_SEED,
    LONGEST_SECONDS,
    RESERVE,
    SECONDS,
    Failure,
    Kind,
    Plan,
    Strike,
    check_known,
    draw,
    incarnation,
    killable,
    pause,
    planned,
    provider_fault,
)
from hive.protocol.errors import Malformed, Refused
from hive.protocol.verbs import CHAOS_KINDS

# --- what may be asked -------------------------------------------------------------------------------


def test_what_is_typed_becomes_a_plan() -> None:
    """With everything named, and with the rate alone."""
    assert planned(6) == Plan(6, SECONDS, tuple(Kind), None)
    assert planned(600, 0.5, " box,hints ", 7) == Plan(600, 0.5, (Kind.HINTS, Kind.BOX), 7)


@pytest.mark.parametrize("rate", [None, 0, 601, 1.5, True, "6"])
def test_a_rate_is_a_whole_number_of_strikes_a_minute(rate: object) -> None:
    """There is none by default: whoever breaks things says how fast."""
    with pytest.raises(Malformed, match="how many strikes a minute, from 1 to 600"):
        planned(rate)


@pytest.mark.parametrize("seconds", [0, -1, LONGEST_SECONDS + 1, float("nan"), "60"])
def test_it_ends_by_itself_within_a_day(seconds: object) -> None:
    """However long it was asked for."""
    with pytest.raises(Malformed, match="seconds"):
        planned(6, seconds)


@pytest.mark.parametrize("only", ["", "box,", "boxes", 3, ["box"]])
def test_kinds_that_do_not_exist_are_refused_with_those_that_do(only: object) -> None:
    """A misspelt kind is not taken for none."""
    with pytest.raises(Malformed, match="hints, actor, box, commit, provider, request"):
        planned(6, 60, only)


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1, 0.5, "x"])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    """As it was said when it was drawn."""
    with pytest.raises(Malformed, match="seed"):
        planned(6, 60, None, seed)


def test_whoever_does_not_know_is_told_what_it_would_do() -> None:
    """Only what was asked for is named."""
    plan = planned(30, 60, "box,request")
    with pytest.raises(Refused) as refused:
        check_known(plan, known=False)
    said = str(refused.value)
    assert "about 30 times a minute for 60 s" in said
    assert "kills an agent's box" in said
    assert "drops hints" not in said
    assert said.endswith("--i-know")
    check_known(plan, known=True)


def test_the_verb_names_every_kind() -> None:
    """The table of verbs has them as words."""
    assert tuple(Kind) == CHAOS_KINDS


# --- how often, and which ----------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 60, 600])
def test_strikes_come_at_the_rate_that_was_asked_for(rate: int) -> None:
    """On average, and never evenly."""
    random = Random(1)
    pauses = [pause(Plan(rate), random) for _ in range(2_000)]
    assert sum(pauses) / len(pauses) == pytest.approx(60.0 / rate, rel=0.1)
    assert min(pauses) < 0.01 * max(pauses)


def test_each_kind_that_was_asked_for_is_drawn_as_often() -> None:
    """However many targets it has; one without a target is left out, and the same seed draws the same."""
    targets = {Kind.BOX: ("iris",), Kind.ACTOR: tuple("abcdefgh"), Kind.HINTS: ("all",), Kind.COMMIT: ()}
    plan = Plan(6, kinds=(Kind.BOX, Kind.ACTOR, Kind.COMMIT))
    drawn = [[draw(plan, targets, random) for _ in range(300)] for random in (Random(3), Random(3))]
    assert drawn[0] == drawn[1]
    boxes = drawn[0].count(Strike(Kind.BOX, "iris"))
    assert 75 < boxes < 125
    assert 75 < drawn[0].count(None) < 125
    assert {strike.kind for strike in drawn[0] if strike} == {Kind.BOX, Kind.ACTOR}


def test_a_stream_breaks_only_in_a_turn_after_one_that_went_well() -> None:
    """It charges an attempt, and three of them would make a dead letter."""
    random = Random(0)
    after_good = {provider_fault(random, went_well=True) for _ in range(100)}
    assert {fault.failure for fault in after_good} == {*Failure}
    assert {fault.event for fault in after_good} == {*range(1, BROKEN_EVENTS + 1)}
    after_bad = {provider_fault(random, went_well=False).failure for _ in range(100)}
    assert after_bad == {Failure.OVERLOADED}


# --- whom a budget allows to kill --------------------------------------------------------------------


def actor(name: str, restarts: int = 0, status: Status = Status.READY, number: int = 1) -> ActorSnapshot:
    """One child."""
    return ActorSnapshot(name, status, number, restarts, None, None, (), None)  # type: ignore[arg-type]


def tree(kinship: Kinship, *children: ActorSnapshot, name: str = "root") -> SupervisorSnapshot:
    """A supervisor with the harnesses' budget, which is the root's as well."""
    return SupervisorSnapshot(actor(name), Strategy.ONE_FOR_ONE, kinship, HARNESS_BUDGET, children)


def test_a_family_is_left_three_restarts() -> None:
    """Its children share the budget: what one has spent no other may."""
    assert Budget() == HARNESS_BUDGET
    family = [actor("writer", 1), actor("web", 1)]
    assert list(killable(tree(Kinship.FAMILY, *family), {})) == ["writer", "web"]
    spent = [evolve(one, restarts=HARNESS_BUDGET.intensity - RESERVE) for one in family]
    assert list(killable(tree(Kinship.FAMILY, *spent), {})) == []


def test_a_kill_counts_from_the_moment_it_is_made() -> None:
    """Its restart is in no window yet while the incarnation that was killed is still shown."""
    family = tree(Kinship.FAMILY, actor("writer", 1), actor("web", 1))
    assert list(killable(family, {"writer": 1})) == []
    restarted = tree(Kinship.FAMILY, actor("writer", 1, number=2), actor("web", 1))
    assert list(killable(restarted, {"writer": 1})) == ["writer", "web"]


def test_strangers_have_a_budget_each() -> None:
    """One that has spent it spares no other, and one that dies already is not killed again."""
    harnesses = tree(Kinship.STRANGERS, actor("agent:a", 2), actor("agent:b"), actor("agent:c"))
    assert list(killable(harnesses, {"agent:c": 1})) == ["agent:b"]


def test_only_who_is_ready_is_killed_and_never_chaos_itself() -> None:
    """A supervisor is one child of its own, and its children are reached through it."""
    agents = tree(Kinship.STRANGERS, actor("agent:a"), name="agents")
    starting = actor("web", status=Status.WAITING)
    family = SupervisorSnapshot(
        actor("root"), Strategy.ONE_FOR_ONE, Kinship.FAMILY, Budget(), (agents, starting, actor(CHAOS))
    )
    assert list(killable(family, {})) == ["agents", "agent:a"]
    gone = evolve(family, children=(evolve(agents, actor=actor("agents", status=Status.EXITED)),))
    assert list(killable(gone, {})) == []


def test_an_incarnation_is_found_wherever_it_is_in_the_tree() -> None:
    """And is 0 for somebody who is not there."""
    agents = tree(Kinship.STRANGERS, actor("agent:a", number=3), name="agents")
    family = SupervisorSnapshot(actor("root"), Strategy.ONE_FOR_ONE, Kinship.FAMILY, Budget(), (agents,))
    assert [incarnation(family, name) for name in ("agent:a", "agents", "nobody")] == [3, 1, 0]
