"""Claude Code that misbehaves, as a real process in a real box; and what is so of every process of a CLI."""

import sys
import uuid
from pathlib import Path
from typing import Final

import trio

from hive.actors.turn import CANCEL_SECONDS
from hive.agents.backend import Backend
from hive.agents.cli.claude import ClaudeBackend
from hive.agents.cli.process import COMPLAINT_BYTES, LEAVE_SECONDS, Ladder
from tests.agents.misbehaving_suite import LIMIT_SECONDS, QUICK, MisbehavingCli, Place, memory, place

__all__ = ["place"]

FAKE: Final = Path(__file__).parent / "fake_claude.py"


class TestClaude(MisbehavingCli):
    """The suite."""

    def backend(self, place: Place, how: str) -> Backend:
        """See `MisbehavingCli`."""
        return ClaudeBackend(
            start=place.start(),
            url_of=lambda agent: f"http://127.0.0.1:9/mcp/{agent}",
            credentials=lambda _agent: {},
            new_id=lambda: str(uuid.uuid4()),
            memory_of=memory,
            program=(sys.executable, str(FAKE), how),
            ladder=QUICK,
        )


async def test_of_what_it_complains_the_end_is_kept(place: Place) -> None:
    """And no more, however much it is."""
    argv = ("sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo it hurts >&2")
    with trio.fail_after(LIMIT_SECONDS):
        async with place.start()(place.box, argv, {}) as cli:
            assert [heard async for heard in cli] == []
            assert cli.status == 0
            assert cli.complaint.endswith("it hurts")
            assert len(cli.complaint) == COMPLAINT_BYTES - 1


def test_the_ladder_is_climbed_before_the_harness_loses_patience() -> None:
    """Else the last steps would never be told, nor the result."""
    assert Ladder().seconds < CANCEL_SECONDS
    assert LEAVE_SECONDS < CANCEL_SECONDS
