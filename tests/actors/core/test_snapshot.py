"""One call shows the whole tree."""

from __future__ import annotations

import trio

from hive.actors import (
    ActorSnapshot,
    Budget,
    ChildSpec,
    Context,
    HandlingSnapshot,
    Kinship,
    Status,
    Strategy,
    Supervisor,
    SupervisorSnapshot,
)
from hive.testing import Do, Note, Simulation, probe, simulate


class Oops(Exception):
    """A failure on purpose."""


def test_a_snapshot_shows_who_does_what_and_who_waits_for_whom(seed: int) -> None:
    """The tree, its rules, restarts, errors, what is handled for how long, what waits since when."""

    async def ask_b(ctx: Context) -> None:
        await ctx.ref("b").ask(Do(sleep))

    async def sleep(_: Context) -> None:
        await trio.sleep(60)

    async def crash(_: Context) -> None:
        raise Oops

    async def story(sim: Simulation) -> None:
        pool = ChildSpec("pool", lambda: Supervisor([probe("b"), probe("c")], kinship=Kinship.STRANGERS))
        async with sim.hive(probe("a", attempts=1), pool, strategy=Strategy.REST_FOR_ONE) as hive:
            hive.ref("a").tell(Do(crash))
            await trio.testing.wait_all_tasks_blocked()
            hive.ref("a").tell(Do(ask_b))
            await trio.sleep(2)
            hive.ref("a").tell(Note("waits"))
            await trio.sleep(3)

            tree = hive.snapshot()
            assert isinstance(tree, SupervisorSnapshot)
            assert (tree.strategy, tree.kinship, tree.budget) == (
                Strategy.REST_FOR_ONE,
                Kinship.FAMILY,
                Budget(),
            )
            assert [child.name for child in tree.children] == ["a", "pool"]

            a, b, pool_itself = tree.find("a"), tree.find("b"), tree.find("pool")
            assert isinstance(a, ActorSnapshot)
            assert isinstance(b, ActorSnapshot)
            assert isinstance(pool_itself, SupervisorSnapshot)
            assert pool_itself.kinship is Kinship.STRANGERS
            assert pool_itself.find("c") is not None
            assert tree.find("nobody") is None
            assert (a.status, a.incarnation, a.restarts, a.last_error) == (Status.READY, 2, 1, "Oops")
            assert isinstance(a.handling, HandlingSnapshot)
            assert (a.handling.kind, a.handling.age) == ("Do", 5)
            assert a.waits_for == ("b",)
            assert b.handling is not None
            assert a.mailbox.waiting["Note"].count == 1
            assert a.mailbox.waiting["Note"].oldest == 3
            assert (a.mailbox.depth, dict(a.mailbox.held)) == (1, {"Do": 1})

    simulate(story, seed)
