"""How fast a hive is told in virtual time: a week of twenty agents, and steps of a story under faults.

    python -m bench.simulation [DAYS]

Times are of this process's processor, since a simulation waits for nothing; the clock's are printed beside.
The memory is the most this process has had, with what importing everything takes (about 90 MiB).
"""

from __future__ import annotations

import resource
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import define, field

from hive.testing import Faults, run
from hive.testing.stories import STORIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hive.testing import Simulation, Turn

AGENTS: Final = 20
TASKS_A_DAY: Final = 3
"""For each agent from the operator; every task is passed on once, so each gets and sends mail twice that."""

DAY: Final = 24 * 3600.0
STORIES_MEASURED: Final = ("chatter", "operator_storm", "restart_storm", "always_fails")


@define
class Spent:
    """What a run took."""

    cpu: float = field(factory=time.process_time)
    clock: float = field(factory=time.perf_counter)

    def stop(self) -> Spent:
        """What has passed since it was made."""
        return Spent(time.process_time() - self.cpu, time.perf_counter() - self.clock)


def main(days: float) -> None:
    """Print both tables."""
    spent = Spent()
    told = run(partial(a_while, days=days), seed=7)
    spent = spent.stop()
    told.outcome.unwrap()
    print(f"| {AGENTS} agents, {days:g} virtual days | seen |\n|---|---|")
    print(f"| processor / clock | {spent.cpu:.1f} s / {spent.clock:.1f} s |")
    print(f"| messages, turns | {told.messages}, {told.facts.counts['turn.ended']} |")
    print(f"| steps, steps a second | {told.steps:,}, {told.steps / spent.cpu:,.0f} |")
    print(f"| virtual seconds a second | {told.seconds / spent.cpu:,.0f} |")
    kept = len(told.facts.facts)
    print(f"| facts, kept of them | {told.facts.forgotten + kept:,}, {kept:,} |")
    print(f"| most memory | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB |")
    print("\n| story, with faults | processor, s | steps | steps a second | faults |\n|---|---|---|---|---|")
    for name in STORIES_MEASURED:
        print(row_of(name))


def row_of(name: str) -> str:
    """One story under five seeds, per run."""
    spent = Spent()
    told = [run(STORIES[name], seed, faults=Faults.some()) for seed in range(1, 6)]
    cpu, steps = spent.stop().cpu, sum(one.steps for one in told)
    injected = sum(len(one.injected) for one in told)
    runs = len(told)
    return f"| {name} | {cpu / runs:.2f} | {steps // runs:,} | {steps / cpu:,.0f} | {injected // runs} |"


async def a_while(sim: Simulation, *, days: float) -> None:
    """A quiet office: tasks at all hours, each passed on once."""
    names = [f"agent-{number:02}" for number in range(AGENTS)]

    async def think(turn: Turn) -> None:
        for mail in turn.mail:
            if mail.body == "task":
                await turn.send(turn.random.choice(names), "help")

    for name in names:
        await sim.spawn(name, think)
    tasks = round(days * AGENTS * TASKS_A_DAY)
    for _ in range(tasks):
        await sim.send(sim.random.choice(names), "task")
        await sim.advance(seconds=days * DAY / tasks)
    await sim.settle()
    assert all(not sim.inbox(name, finished=False) for name in names)


def arguments(given: Sequence[str]) -> float:
    """How many days."""
    return float(given[0]) if given else 7.0


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
