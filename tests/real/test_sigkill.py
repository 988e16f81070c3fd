"""A real daemon under load, killed with SIGKILL at random instants, and nothing that was accepted is missing.

The torture does it all.  Here a kill counts only if sends were waiting for their commit, calls of tools among
those in flight, mail was claimed and children of agents ran: so many kills of that kind are made.
"""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from hive.testing.torture.findings import Kill
from hive.testing.torture.plan import Plan
from hive.testing.torture.run import run
from hive.testing.torture.words import said

KILLS = int(os.environ.get("HIVE_KILLS", "20"))

TRIES = 3 * KILLS
"""Kills at most, so that those without all kinds of victims do not go on for ever."""

MOMENT_SECONDS = 10.0
"""How long to wait for an instant with all kinds of victims."""

WAYS = {"hive.1", "mcp/tcp", "mcp/unix"}


def enough(kills: Sequence[Kill]) -> bool:
    """Whether so many hit everything, or it takes too long."""
    return sum(kill.hit_everything for kill in kills) >= KILLS or len(kills) >= TRIES


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.filterwarnings("ignore:Async generator '(httpx2|httpcore2|mcp)[.]:ResourceWarning")
def test_nothing_that_was_answered_is_lost_to_sigkill(tmp_path: Path) -> None:
    """Accepted sends are all there, children die before their mail is claimed again, no claim ends twice."""
    caught: list[Kill] = []

    async def story() -> None:
        plan = Plan(20, enough=enough, cut_share=0.0, starting_share=0.0, picky_seconds=MOMENT_SECONDS)
        verdict = await run(plan, tmp_path, trio.Event(), lambda tortured: caught.append(tortured.kills[-1]))
        print("\n".join(map(str, caught)), said(verdict), sep="\n")  # noqa: T201 - a sweep says what it hit
        assert verdict.problems == ()

    trio.run(story)
    assert sum(kill.hit_everything for kill in caught) == KILLS
    assert Counter(way for kill in caught for way in kill.awaiting_commit.values()).keys() == WAYS
