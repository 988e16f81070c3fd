"""The log of facts waits for what has not happened yet, and finds what has."""

from __future__ import annotations

import pytest
import trio
from attrs import frozen

from hive.actors import Bus, Fact
from hive.testing import FactLog, Simulation, recorder, simulate


@frozen
class Seen(Fact):
    """Something."""

    number: int
    colour: str = "red"


def test_facts_are_found_by_class_and_attributes() -> None:
    """Past ones at once, in order."""
    bus = Bus()
    log = FactLog().attach(bus)
    for number, colour in ((1, "red"), (2, "blue"), (3, "red")):
        bus.publish(Seen(number, colour))

    assert [fact.number for fact in log.of(Seen, colour="red")] == [1, 3]
    assert log.trace()[0] == "Seen(number=1, colour='red')"


def test_a_log_of_very_much_keeps_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows how many it has forgotten, and two logs still compare."""
    monkeypatch.setattr(recorder, "FACTS_KEPT", 3)
    log = FactLog()
    for number in range(8):
        log.note(Seen(number))

    assert log.forgotten == 3
    assert [fact.number for fact in log.of(Seen)] == [3, 4, 5, 6, 7]
    assert log.trace()[0] == "3 facts before"
    assert log.counts["Seen"] == 8


def test_the_next_fact_is_none_of_the_past_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the log forgets meanwhile."""
    monkeypatch.setattr(recorder, "FACTS_KEPT", 2)

    async def story(_: Simulation) -> None:
        log = FactLog()
        log.note(Seen(1))

        async def publish() -> None:
            for number in range(2, 9):
                log.note(Seen(number, "blue" if number in {1, 7} else "red"))
                if number == 4:
                    await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            assert (await log.wait_for_next(Seen, colour="blue")).number == 7

    simulate(story, 0)


def test_waiting_ends_with_the_fact_that_was_waited_for() -> None:
    """Or with a condition that has come true; being cancelled leaves nobody waiting."""

    async def story(_: Simulation) -> None:
        bus = Bus()
        log = FactLog().attach(bus)

        async def publish() -> None:
            for number in range(4):
                await trio.sleep(1)
                bus.publish(Seen(number))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            with trio.move_on_after(0.5) as scope:
                await log.wait_for(Seen)
            assert scope.cancelled_caught
            assert (await log.wait_for(Seen, count=2)).number == 1
            assert trio.current_time() == 2
            await log.wait_until(lambda: len(log.facts) == 4)
            assert trio.current_time() == 4
            assert (await log.wait_for(Seen, number=0)).number == 0
            assert trio.current_time() == 4

    simulate(story, 0)


def test_waiting_for_what_never_comes_is_ended_by_the_simulation() -> None:
    """Instead of hanging."""

    async def story(sim: Simulation) -> None:
        await sim.facts.wait_for(Seen)

    with pytest.raises(trio.TooSlowError):
        simulate(story, 0)
