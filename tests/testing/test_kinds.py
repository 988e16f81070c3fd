"""Two failures are the same one by type, place and complaint; not by whom or what they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hive.protocol.commands import Pause
from hive.testing.kinds import gist
from hive.testing.simulate import run
from hive.testing.worker import tell

if TYPE_CHECKING:
    from hive.testing import Simulation


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (
            "3 deliverable messages wait for iris and nothing is done about it; the reason ended 4.0 s ago.",
            "1 deliverable messages wait for otto and nothing is done about it; the reason ended 61.5 s ago.",
        ),
        (
            "m-ab from iris to operator (dead, 'by (hand)', 'letter 3'): its sender was not told\nand more",
            'm-c4 from otto to operator (dead, None, "it\'s over"): its sender was not told',
        ),
    ],
)
def test_a_complaint_is_the_same_whoever_it_is_about(text: str, same: str) -> None:
    """With ids, names, numbers and quotations left out."""
    assert gist(text, {"iris", "otto"}) == gist(same, {"iris", "otto"})


def test_two_complaints_are_not_the_same() -> None:
    """What is complained of stays."""
    shown = "the story has shown too little: turn_ended 0 times, not 3"
    assert gist(shown, ()) != gist("the story has shown too little: retry 0 times, not 3", ())
    assert not gist("", ())


def breaking(statement: str, agent: str) -> str:
    """The kind of failure of a story that breaks an invariant behind everybody's back."""

    async def story(sim: Simulation) -> None:
        await sim.spawn(agent)
        await sim.do(Pause(agent))
        await sim.send(agent, "hello")
        (await sim.swarm()).store._committer.db.execute(statement)

    return tell("file.py:story", story, 0, "none", traced=False).kind


def test_one_line_that_asserts_all_invariants_tells_them_apart() -> None:
    """A smaller run that breaks another one is another failure."""
    lost, held = "DELETE FROM message", "UPDATE message SET state = 'claimed'"
    assert breaking(lost, "iris") == breaking(lost, "otto")
    assert breaking(lost, "iris") != breaking(held, "iris")


def test_where_the_kit_gives_up_for_many_the_line_of_the_story_is_the_place() -> None:
    """`handled` has one line for every wait there is."""

    async def first(sim: Simulation) -> None:
        await sim.spawn("iris", "!wait 60")
        letter = await sim.send("iris", "hello")
        if sim.seed:
            await letter.handled(within=5)
        await letter.handled(within=4)

    assert run(first, 0).error is not None
    kinds = [tell("file.py:story", first, seed, "none", traced=False).kind for seed in (0, 1, 2)]
    assert kinds[0] != kinds[1]
    assert kinds[1] == kinds[2]
