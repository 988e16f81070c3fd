"""Session tokens: what one CLI process carries to prove which agent's turn it is running.

The rule kept here: they live in memory only and die with the process they were minted for.
"""

import hmac
from collections.abc import Callable

from attrs import define, field


@define(eq=False)
class CliSession:
    """One CLI process's right to act as its agent."""

    agent: str
    token: str = field(repr=False)
    turn: int | None = None
    """The turn it is running now, into which its `recv` claims; None between turns."""

    unconfirmed: set[int] = field(factory=set)
    """Messages a `recv` answered whose receipt has no evidence yet."""

    listed: bool = False
    """Whether it has asked which tools there are, as every client does before its model can call one."""

    def confirm(self) -> tuple[int, ...]:
        """Take the messages that count as seen now that the session has called again."""
        seen = tuple(sorted(self.unconfirmed))
        self.unconfirmed.clear()
        return seen


@define(eq=False)
class Sessions:
    """All session tokens of this process."""

    _new_token: Callable[[], str]
    _open: list[CliSession] = field(factory=list, init=False)

    def mint(self, agent: str) -> CliSession:
        """Make a session token for a CLI process about to start."""
        session = CliSession(agent=agent, token=self._new_token())
        self._open.append(session)
        return session

    def find(self, token: str) -> CliSession | None:
        """The session this token opens, compared in constant time."""
        found = None
        for session in self._open:
            if hmac.compare_digest(session.token.encode(), token.encode()):
                found = session
        return found

    def end(self, session: CliSession) -> None:
        """Make the token worthless.  Idempotent."""
        if session in self._open:
            self._open.remove(session)
