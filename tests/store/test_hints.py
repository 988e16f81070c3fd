"""Doorbells wake who waits, and lose nothing between a look and the wait."""

import trio
from trio.testing import wait_all_tasks_blocked

from hive.protocol.views import JournalRow
from hive.store.hints import ANY, Hints
from hive.testing.desk import Desk
from hive.testing.store_world import a_send


def row(agent: str | None) -> JournalRow:
    """A journal row about an agent."""
    return JournalRow(1, 1, 0.0, "msg.sent", agent, None)


async def test_a_change_between_the_look_and_the_wait_is_not_missed() -> None:
    """A ring since the mark makes the wait return at once, with a checkpoint."""
    hints = Hints()
    mark = hints.mark("iris")
    hints.ring("iris")
    with trio.fail_after(1):
        await hints.wait("iris", mark)
        await hints.wait(ANY, mark)
    with trio.move_on_after(0) as scope:
        await hints.wait("iris", mark)
    assert scope.cancelled_caught


async def test_everybody_who_waits_for_a_name_or_for_anything_is_woken(nursery: trio.Nursery) -> None:
    """And nobody else."""
    hints, woken = Hints(), list[str]()

    async def wait(name: str) -> None:
        await hints.wait(name, hints.mark(name))
        woken.append(name)

    for name in ("iris", "iris", "rosa", ANY):
        nursery.start_soon(wait, name)
    await wait_all_tasks_blocked()
    hints.on_commit([row("iris"), row("iris")], [])
    await wait_all_tasks_blocked()
    assert sorted(woken) == [ANY, "iris", "iris"]
    hints.on_commit([row("rosa")], [])
    await wait_all_tasks_blocked()
    assert len(woken) == 4


async def test_a_row_about_no_agent_wakes_who_waits_for_anything(nursery: trio.Nursery) -> None:
    """It is a change too."""
    hints = Hints()
    nursery.start_soon(hints.wait, ANY, 0)
    await wait_all_tasks_blocked()
    hints.on_commit([row(None)], [])
    assert hints.mark(ANY) == 1


def test_deaf_hints_lose_everything() -> None:
    """The fault that must cost latency only."""
    hints = Hints(deaf=True)
    hints.on_commit([row("iris")], [])
    assert hints.mark("iris") == 0


async def test_a_commit_rings_the_agent_it_concerns(desk: Desk) -> None:
    """Through the store's own subscription."""
    mark, quiet = desk.store.hints.mark("iris"), desk.store.hints.mark("rosa")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.store.drain_forever)
        ticket = desk.store.submit(a_send("iris", "hello"))
        with trio.fail_after(5):
            await desk.store.hints.wait("iris", mark)
            await ticket.outcome()
        nursery.cancel_scope.cancel()
    assert desk.store.hints.mark("rosa") == quiet
