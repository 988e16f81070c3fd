"""The backend of an agent that a person's own MCP client drives: hive runs no turns for it.

The rule kept here: mail for such an agent is claimed by its client alone, so a turn cannot even be begun.
"""

from contextlib import AbstractAsyncContextManager

from attrs import frozen

from hive.agents.backend import Capabilities, Session, SessionSpec
from hive.protocol.errors import Conflict


@frozen
class ExternalBackend:
    """Waits for a client of the agent's own."""

    @property
    def capabilities(self) -> Capabilities:
        """Its client claims its mail."""
        return Capabilities(external=True)

    def open(self, spec: SessionSpec) -> AbstractAsyncContextManager[Session]:
        """Never used.  Raises `Conflict`: whoever asks has not looked at the capabilities."""
        message = f"hive runs no turns for {spec.agent}: it is driven by its own MCP client."
        raise Conflict(message)
