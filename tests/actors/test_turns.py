"""One agent, one turn: from accepted mail to its verdict."""

import pytest

from hive.protocol.mail import State
from hive.testing.swarm import Swarm, run_swarm


@pytest.mark.parametrize("seed", range(5))
def test_mail_that_was_accepted_drives_a_turn(seed: int) -> None:
    """The whole road: broker, store, hint, box, claim, prompt, events, verdict."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", "!say done and dusted")
        await swarm.settle()
        assert swarm.mail(sent.id).state is State.DONE
        assert swarm.drove_a_turn(sent.id)
        turn = swarm.agent("iris").last_turn
        assert turn is not None
        assert turn.final_text == "done and dusted"
        assert swarm.agent("iris").epoch == 1

    run_swarm(story, seed)
