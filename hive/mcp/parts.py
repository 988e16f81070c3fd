"""What the endpoint is given by whoever composes the daemon."""

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from attrs import frozen

from hive.actors import Request
from hive.agents.tokens import Sessions
from hive.protocol.limits import Limits
from hive.store.hints import Hints
from hive.store.port import Store

T = TypeVar("T")


class Broker(Protocol):
    """Who carries out commands: the ref of the broker."""

    async def ask(self, request: Request[T]) -> T:
        """Send a request and wait for its answer."""
        ...


def log_error(error: BaseException) -> None:
    """Write an error to the standard library's log; no client ever sees it."""
    logging.getLogger(__name__).error("A call of the endpoint failed", exc_info=error)


@frozen
class McpParts:
    """Everything the endpoint works with, in one value."""

    store: Store
    broker: Broker
    sessions: Sessions
    hints: Hints
    wall: Callable[[], float]
    """Wall-clock time, in seconds since the epoch."""

    version: str
    operator_name: str = "the operator"
    operator_pronouns: str = "they/them"
    limits: Limits = Limits()
    on_error: Callable[[BaseException], None] = log_error
