"""Rings are refused where they would close."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise

import pytest
from hypothesis import given, strategies as some

from hive.actors import WouldDeadlock
from hive.actors._core.waits import Waits


def test_a_ring_is_named_from_the_one_that_would_close_it() -> None:
    """Once round."""
    waits = Waits()
    with waits.edge("a", "b"), waits.edge("a", "x"), waits.edge("b", "c"):
        with pytest.raises(WouldDeadlock) as caught, waits.edge("c", "a"):
            raise AssertionError
        assert caught.value.ring == ("c", "a", "b", "c")
        assert waits.of("a") == ("b", "x")
    with waits.edge("c", "a"):
        assert waits.of("a") == ()
    assert waits._edges == {}


def test_an_edge_may_be_there_twice() -> None:
    """And is gone when both have been removed."""
    waits = Waits()
    with waits.edge("a", "b"):
        with waits.edge("a", "b"):
            pass
        with pytest.raises(WouldDeadlock), waits.edge("b", "a"):
            raise AssertionError


def test_whoever_will_not_wait_for_ever_may_close_a_ring() -> None:
    """It is seen by the others."""
    waits = Waits()
    with (
        waits.edge("a", "b"),
        waits.edge("b", "a", checked=False),
        pytest.raises(WouldDeadlock),
        waits.edge("c", "c"),
    ):
        raise AssertionError


NAMES = some.sampled_from("abcdef")


@given(some.lists(some.tuples(NAMES, NAMES), max_size=30))
def test_there_is_never_a_ring(edges: list[tuple[str, str]]) -> None:
    """Whatever is asked for, in whatever order; and each ring that is named was one."""
    waits, kept, open_edges = Waits(), set(), ExitStack()
    for waiter, awaited in edges:
        try:
            open_edges.enter_context(waits.edge(waiter, awaited))
            kept.add((waiter, awaited))
        except WouldDeadlock as error:
            ring = error.ring
            assert (ring[0], ring[1]) == (waiter, awaited)
            assert all(step in kept for step in list(pairwise(ring))[1:])

    def reaches(start: str, goal: str, seen: frozenset[str]) -> bool:
        return any(
            there == goal or (there not in seen and reaches(there, goal, seen | {there}))
            for here, there in kept
            if here == start
        )

    assert not any(reaches(name, name, frozenset()) for name in "abcdef")
