"""How a backend without a CLI calls hive's tools: one port, reached over HTTP or in process."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from attrs import frozen

from hive.agents.tokens import CliSession


@frozen
class ToolAnswer:
    """What a tool said."""

    text: str
    ok: bool = True


class Tools(Protocol):
    """The tools of one agent's endpoint."""

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolAnswer:
        """Call a tool.  Raises `ToolsDown` where the endpoint cannot be reached."""
        ...


class ToolsDown(Exception):
    """The agent's endpoint cannot be reached or does not accept the session's token."""


OpenTools = Callable[[CliSession], AbstractAsyncContextManager[Tools]]
"""Opens the tools under a session's own token."""

__all__ = [
    "OpenTools",
    "ToolAnswer",
    "Tools",
    "ToolsDown",
]
