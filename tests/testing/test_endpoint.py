"""The endpoint of a simulated swarm: the real one, and what its clients see of its death."""

from collections.abc import Callable
from pathlib import Path

import trio
from attrs import define, field

from hive.mcp.serving import CHILD as MCP
from hive.protocol.mail import Mail, State
from hive.protocol.outcome import Outcome
from hive.testing import Stage
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm

STEPS = 40
"""A call has fewer steps than that."""


@define(eq=False)
class DuringCall(trio.abc.Instrument):
    """Strikes at the so-many-th step that finds a call of a tool under way."""

    step: int
    swarm: Swarm | None = field(default=None, init=False)
    steps: int = field(default=0, init=False)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by Trio."""
        del task
        if self.swarm is not None and self.swarm.network.calls_under_way:
            self.steps += 1
            if self.steps == self.step:
                self.swarm.kill_endpoint()


def killed_during(call: str, check: Callable[[Swarm, Mail], None]) -> int:
    """Have an agent make a call, the endpoint killed at each of its steps; answers how many broke it."""
    broke, steps = 0, 0
    for step in range(1, STEPS):
        instrument = DuringCall(step)

        def make(stage: Stage, directory: Path, instrument: DuringCall = instrument) -> Swarm:
            instrument.swarm = Swarm(stage, directory)
            return instrument.swarm

        async def story(swarm: Swarm) -> int:
            await swarm.add("iris")
            sent = await swarm.send("iris", f"{call}\n!say done")
            await swarm.settle()
            check(swarm, swarm.mail(sent.id))
            return swarm.network.calls_cut

        cut = run_swarm(story, 0, make=make, instruments=[instrument])
        assert cut <= 1
        broke, steps = broke + cut, instrument.steps
    assert steps < STEPS - 1, "the whole call was swept"
    return broke


def test_a_send_under_way_when_the_endpoint_dies_is_one_message() -> None:
    """The client repeats it under its id, another incarnation answers, and the turn never notices."""

    def check(swarm: Swarm, mail: Mail) -> None:
        assert swarm.incarnation(MCP) > swarm.network.calls_cut, "it lives again"
        assert [turn.outcome for turn in swarm.store.reader.turns("iris", limit=9)] == [Outcome.OK]
        assert [one.body for one in swarm.store.reader.mailbox("operator", limit=9).mail] == ["once"]
        assert mail.state is State.DONE

    assert killed_during('!call hive/send {"to": "operator", "body": "once"}', check) >= 10


def test_a_recv_under_way_when_the_endpoint_dies_ends_the_turn_and_costs_no_attempt() -> None:
    """Nobody may repeat it, so the agent has lost its tools; its mail waits until they are back."""

    def check(swarm: Swarm, mail: Mail) -> None:
        outcomes = [turn.outcome for turn in swarm.store.reader.turns("iris", limit=9)]
        lost = [Outcome.OK, Outcome.TOOLS_DOWN] if swarm.network.calls_cut else [Outcome.OK]
        assert outcomes == lost, "newest first"
        assert mail.attempts == 0
        assert mail.state is State.DONE

    assert killed_during("!call hive/recv {}", check) >= 8
