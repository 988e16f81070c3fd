"""A swarm at work while a hand kills one part of it after the other, watched by the invariants.

Nothing here says what should happen when; only what must hold after every commit and at the end.
"""

import os
from collections import Counter
from functools import partial
from random import Random

import pytest
import trio

from hive.protocol.commands import Settings
from hive.protocol.mail import State
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm

SEEDS = int(os.environ.get("HIVE_SEEDS", "10"))
AGENTS = ("boss", "iris", "otto", "cleo")
MESSAGES = 40
BLOWS = 30
BODIES = (
    "!say short",
    "!wait 3\n!say slow",
    '!call hive/send {"to": "manager", "body": "a report"}\n!say told the manager',
    '!call hive/send {"to": "iris", "body": "!say a request"}\n!wait 1',
    "!ignore-fold-in\n!wait 2\n!call hive/recv {}\n!say looked",
)


async def write(swarm: Swarm, chance: Random, accepted: list[str]) -> None:
    """One who sends mail to whomever, at any time."""
    for _ in range(MESSAGES // 2):
        await trio.sleep(chance.expovariate(1.0))
        sent = await swarm.send(chance.choice(AGENTS), chance.choice(BODIES))
        accepted.append(sent.id)


async def strike(swarm: Swarm, chance: Random, struck: Counter[str]) -> None:
    """One who kills anything, at any time."""
    agent = partial(chance.choice, AGENTS)
    blows = {
        "loop": lambda: swarm.kill_loop(agent()),
        "box": lambda: swarm.kill_box(agent()),
        "broker": swarm.kill_broker,
        "writer": swarm.kill_writer,
        "watcher": swarm.kill_watcher,
        "steward": swarm.kill_steward,
        "janitor": swarm.kill_janitor,
        "auditor": swarm.kill_auditor,
        "mcp": swarm.kill_endpoint,
        "daemon": swarm.restart_daemon,
    }
    for _ in range(BLOWS):
        # The root forgives five restarts in half a minute; what dies faster is another story.
        await trio.sleep(6.0 + chance.random() * 4.0)
        name = chance.choice(sorted(blows))
        blows[name]()
        struck[name] += 1


@pytest.mark.parametrize("hints", [True, False], ids=["hints", "deaf"])
@pytest.mark.seeds(SEEDS)
def test_whatever_happens_what_was_accepted_is_handled(seed: int, *, hints: bool) -> None:
    """Every message that was accepted, by whomever it was sent, has driven a turn that ended well."""
    struck: Counter[str] = Counter()

    async def story(swarm: Swarm) -> None:
        accepted: list[str] = []
        await swarm.add("boss", Settings(role="manager", directives_from=("operator", *AGENTS)))
        for name in AGENTS[1:]:
            await swarm.add(name, Settings(directives_from=("operator", *AGENTS)))
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                chance = Random(swarm.stage.random.random())
                nursery.start_soon(write, swarm, chance, accepted)
            nursery.start_soon(strike, swarm, Random(seed), struck)
        await swarm.settle(3_600)
        assert len(accepted) == MESSAGES
        for message in (
            mail for agent in AGENTS for mail in swarm.store.reader.mailbox(agent, limit=500).mail
        ):
            assert message.state is State.DONE, f"{message.id}: {message.state}, {message.why}"
            assert swarm.drove_a_turn(message.id)
            assert message.attempts == 0
        counts = swarm.store.reader.counts()
        assert counts.accepted == counts.done >= MESSAGES

    run_swarm(
        story,
        seed,
        make=lambda stage, directory: Swarm(stage, directory, grace=45.0, deaf=not hints),
    )
    print(f"seed {seed}: {dict(struck)}")  # noqa: T201 - says what this seed was about
    assert sum(struck.values()) == BLOWS
