"""Recorders miss nothing; subscriptions are bounded and say what they lost."""

from __future__ import annotations

import trio
from attrs import frozen

from hive.actors import Bus, Fact
from hive.testing import Simulation, simulate


@frozen
class Seen(Fact):
    """Something."""

    number: int


@frozen
class Heard(Fact):
    """Something else."""


def test_a_recorder_is_called_at_once_with_the_kinds_it_wants_until_it_is_closed() -> None:
    """Synchronously, so that nothing is lost."""
    bus, all_facts, some = Bus(), [], []  # type: ignore[var-annotated]
    heard_by = bus.audience(Seen)
    everything = bus.record(all_facts.append)
    with bus.record(some.append, Heard):
        assert bus.audience(Seen) is heard_by == [everything]
        bus.publish(Seen(1))
        bus.publish(Heard())
    bus.publish(Heard())
    everything.close()
    everything.close()
    bus.publish(Heard())

    assert all_facts == [Seen(1), Heard(), Heard()]
    assert some == [Heard()]
    assert heard_by == []


def test_a_slow_reader_loses_the_oldest_and_is_told_how_many(seed: int) -> None:
    """The publisher never waits."""

    async def story(_: Simulation) -> None:
        bus = Bus()
        with bus.subscribe(Seen, backlog=2) as facts:
            for number in range(5):
                bus.publish(Seen(number))
                bus.publish(Heard())
            assert [await anext(facts), await anext(facts)] == [Seen(3), Seen(4)]
            assert facts.lost == 3

    simulate(story, seed)


def test_a_reader_waits_and_is_woken_and_reaches_the_end(seed: int) -> None:
    """Closing lets it read what is left."""

    async def story(_: Simulation) -> None:
        bus, read = Bus(), []

        async with trio.open_nursery() as nursery:
            facts = bus.subscribe()

            async def reader() -> None:
                read.extend([fact async for fact in facts])

            nursery.start_soon(reader)
            await trio.testing.wait_all_tasks_blocked()
            bus.publish(Seen(1))
            await trio.testing.wait_all_tasks_blocked()
            bus.publish(Seen(2))
            facts.close()
            bus.publish(Seen(3))
        assert read == [Seen(1), Seen(2)]

    simulate(story, seed)


def test_a_cancelled_reader_has_lost_nothing(seed: int) -> None:
    """The next read gets it."""

    async def story(_: Simulation) -> None:
        bus = Bus()
        with bus.subscribe() as facts:
            with trio.move_on_after(1):
                await anext(facts)
            bus.publish(Seen(1))
            with trio.CancelScope() as scope:
                scope.cancel()
                await anext(facts)
            assert await anext(facts) == Seen(1)

    simulate(story, seed)
