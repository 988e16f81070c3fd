"""The story that both tellers are put into: seven votes, and then the score is read."""

from collections.abc import Awaitable, Callable

from teller import HastyTeller, Teller

from hive.testing import Simulation


def election(teller: Teller | HastyTeller) -> Callable[[Simulation], Awaitable[None]]:
    """Make the story for this teller."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("teller", teller.think)
        for vote in ("yes", "no", "yes", "yes", "no", "yes", "yes"):
            await sim.send("teller", vote)
        await sim.settle()
        score = sim.inbox("operator")[-1].body
        assert score == "5 to 2", score

    return story


async def honest(sim: Simulation) -> None:
    """For the command line: hive sim --story examples/own_agent/election.py:honest."""
    await election(Teller())(sim)


async def hasty(sim: Simulation) -> None:
    """The one with the bug: hive sim --story examples/own_agent/election.py:hasty --faults lose_box=0.003."""
    await election(HastyTeller())(sim)
