"""Codex that misbehaves, as a real process in a real box."""

import sys
from pathlib import Path
from typing import Final

from hive.agents.backend import Backend
from hive.agents.cli.codex import CodexBackend
from tests.agents.misbehaving_suite import QUICK, MisbehavingCli, Place, memory, place

__all__ = ["place"]

FAKE: Final = Path(__file__).parent / "fake_codex.py"


class TestCodex(MisbehavingCli):
    """The suite."""

    def backend(self, place: Place, how: str) -> Backend:
        """See `MisbehavingCli`."""
        return CodexBackend(
            start=place.start(),
            url_of=lambda agent: f"http://127.0.0.1:9/mcp/{agent}",
            credentials=lambda _agent: {},
            memory_of=memory,
            program=(sys.executable, str(FAKE), how),
            ladder=QUICK,
        )
