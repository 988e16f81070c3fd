"""One agent, one turn: from accepted mail to its verdict."""

from pathlib import Path

import pytest

from hive.protocol.mail import State
from hive.testing import Simulation, simulate
from hive.testing.swarm import open_swarm


@pytest.mark.parametrize("seed", range(5))
def test_mail_that_was_accepted_drives_a_turn(seed: int, tmp_path: Path) -> None:
    """The whole road: broker, store, hint, box, claim, prompt, events, verdict."""

    async def story(simulation: Simulation) -> None:
        async with open_swarm(simulation, tmp_path) as swarm:
            await swarm.add("iris")
            sent = await swarm.send("iris", "!say done and dusted")
            await swarm.settle()
            mail = swarm.mail(sent.id)
            assert mail.state is State.DONE
            turn = swarm.agent("iris").last_turn
            assert turn is not None
            assert turn.final_text == "done and dusted"
            assert swarm.agent("iris").epoch == 1

    simulate(story, seed)
