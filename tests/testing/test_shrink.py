"""Looking for few faults is a search among values: it asks, and is told what struck where it still fails."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, strategies

from hive.testing.shrink import shrinking

Fails = Callable[[Sequence[int]], bool]


def searched(
    faults: Sequence[int],
    fails: Fails,
    struck: Callable[[tuple[int, ...]], tuple[int, ...]] = lambda asked: asked,
) -> tuple[tuple[int, ...] | None, int]:
    """What the search finds, and after how many questions."""
    search, tries = shrinking(faults), 1
    asked = next(search)
    while True:
        try:
            asked = search.send(struck(asked) if fails(asked) else None)
        except StopIteration as found:
            return found.value, tries
        tries += 1


@pytest.mark.parametrize("needed", [(7,), (0, 19), (3, 4, 5), (1, 8, 12, 17)])
def test_it_finds_those_that_are_needed(needed: tuple[int, ...]) -> None:
    """And asks far less often than there are sets of faults."""
    found, tries = searched(range(20), lambda faults: set(needed) <= set(faults))
    assert found == needed
    assert tries < 100


def test_a_failure_without_any_fault_takes_two_questions() -> None:
    """With all, and with none."""
    assert searched(range(500), lambda _: True) == ((), 2)
    assert searched((), lambda _: True) == ((), 1)


def test_one_that_does_not_fail_again_is_not_made_smaller() -> None:
    """There is nothing to go by."""
    assert searched(range(500), lambda _: False) == (None, 1)


def test_what_did_not_strike_is_left_out_at_once() -> None:
    """A run that took another way met fewer faults, and failed all the same."""
    found, tries = searched(
        range(1000), lambda faults: 7 in faults, lambda asked: tuple(one for one in asked if one < 10)
    )
    assert found == (7,)
    assert tries < 20


def test_what_no_longer_strikes_is_left_out_on_the_way_too() -> None:
    """Without the last one the run goes another way."""

    def struck(asked: tuple[int, ...]) -> tuple[int, ...]:
        return asked if 999 in asked else tuple(one for one in asked if one < 10)

    found, tries = searched(range(1000), lambda faults: 7 in faults, struck)
    assert found == (7,)
    assert tries < 14


def test_a_failure_that_is_met_by_none_of_its_faults_keeps_those_that_were_asked_for() -> None:
    """The empty set has been tried, and went well."""
    found, _ = searched(range(8), bool, lambda _: ())
    assert found is not None
    assert len(found) == 1


@given(strategies.sets(strategies.integers(0, 30)), strategies.data())
def test_none_of_what_is_left_can_be_left_out(faults: set[int], data: strategies.DataObject) -> None:
    """Whichever sets of faults make it fail."""
    alternatives = data.draw(
        strategies.lists(strategies.sets(strategies.sampled_from(sorted(faults) or [0])))
    )

    def fails(some: Sequence[int]) -> bool:
        return any(needed <= set(some) for needed in alternatives)

    found, _ = searched(sorted(faults), fails)
    if not fails(sorted(faults)):
        assert found is None
        return
    assert found is not None
    assert fails(found)
    assert not any(fails([one for one in found if one != left_out]) for left_out in found)
