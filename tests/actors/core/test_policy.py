"""The decisions of supervision, as tables and properties. No Trio."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, strategies as some

from hive.actors import Backoff, Budget, Crashed, Exit, Grace, Left, Restart, Stopped, Strategy
from hive.actors._core.policy import RestartWindow

CRASH = Crashed(ValueError())


@pytest.mark.parametrize(
    ("restart", "exit_", "back"),
    [
        (Restart.PERMANENT, Left(), True),
        (Restart.PERMANENT, Stopped(), True),
        (Restart.PERMANENT, CRASH, True),
        (Restart.TRANSIENT, Left(), False),
        (Restart.TRANSIENT, Stopped(), False),
        (Restart.TRANSIENT, CRASH, True),
        (Restart.TEMPORARY, Left(), False),
        (Restart.TEMPORARY, Stopped(), False),
        (Restart.TEMPORARY, CRASH, False),
    ],
)
def test_who_wants_back(restart: Restart, exit_: Exit, back: bool) -> None:
    """Only a crash is abnormal."""
    assert restart.wants_back(exit_) is back


@given(some.lists(some.text(min_size=1), unique=True, min_size=1), some.data())
def test_strategies_affect_a_part_of_the_order_in_order(order: list[str], data: some.DataObject) -> None:
    """Always with the one that failed in it."""
    failed = data.draw(some.sampled_from(order))

    assert Strategy.ONE_FOR_ONE.affected(order, failed) == [failed]
    assert Strategy.ONE_FOR_ALL.affected(order, failed) == order
    rest = Strategy.REST_FOR_ONE.affected(order, failed)
    assert rest[0] == failed
    assert order[-len(rest) :] == rest


@given(
    some.integers(0, 5),
    some.floats(0.1, 100),
    some.lists(some.floats(0, 50), max_size=40),
)
def test_no_window_holds_more_restarts_than_the_budget(
    intensity: int, period: float, gaps: list[float]
) -> None:
    """Wherever the window is laid."""
    window = RestartWindow(Budget(intensity, period))
    now, allowed = 0.0, []
    for gap in gaps:
        now += gap
        if window.spend(now):
            allowed.append(now)
        assert window.count(now) <= intensity

    for start in allowed:
        assert len([at for at in allowed if start <= at < start + period]) <= max(intensity, 0)


def test_a_restart_is_forgotten_when_the_window_has_passed_or_is_forgiven() -> None:
    """At the very end of the period."""
    window = RestartWindow(Budget(1, 10))

    assert window.spend(0)
    assert not window.spend(9.9)
    assert window.spend(10)
    assert not window.spend(10)
    window.forgive()
    assert window.spend(10)


@given(some.integers(1, 10_000), some.integers(0, 100))
def test_a_pause_stays_within_its_jitter_of_the_ceiling(failures: int, seed: int) -> None:
    """However many failures, and whatever chance says."""
    backoff = Backoff(first=0.1, ceiling=30, jitter=0.1)
    pause = backoff.pause(failures, Random(seed))

    assert 0.09 <= pause <= 33
    assert Backoff.none().pause(failures, Random(seed)) == 0


def test_pauses_double_up_to_the_ceiling() -> None:
    """Without jitter, exactly."""
    backoff = Backoff(first=1, ceiling=5, jitter=0)

    assert [backoff.pause(n, Random(0)) for n in range(1, 6)] == [1, 2, 4, 5, 5]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Grace(startup=0),
        lambda: Grace(shutdown=-1),
        lambda: Budget(intensity=-1),
        lambda: Budget(period=0),
        lambda: Backoff(first=-1),
        lambda: Backoff(ceiling=-1),
        lambda: Backoff(jitter=-1),
        lambda: Backoff(quiet=0),
        lambda: Grace(startup=float("nan")),
    ],
)
def test_impossible_numbers_are_refused(make: object) -> None:
    """When they are written down, not when they are used."""
    with pytest.raises(ValueError, match="must be"):
        make()  # type: ignore[operator]


def test_supervisors_have_no_limit_on_leaving() -> None:
    """Their children have."""
    assert Grace.unbounded_shutdown().shutdown == float("inf")
