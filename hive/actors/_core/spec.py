"""How to start, restart and stop a child, as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import trio
from attrs import field, frozen
from attrs.validators import ge, gt, is_callable, min_len, optional

from .mailbox import Mailbox
from .policy import Backoff, Grace, Restart

if TYPE_CHECKING:
    from .cell import Cell


class Serves(Protocol):
    """Anything that can live in a cell."""

    async def serve(self, cell: Cell, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until asked to stop (`cell.wait_stopping`), calling `task_status.started()` when ready.

        Returning means leaving, raising means crashing; being cancelled means that the grace is over.
        """


@frozen
class ChildSpec:
    """How to start, restart and stop a child. It can be compared, replaced and read at run time.

    `start` is a factory, so that an incarnation never inherits the state its predecessor died of.
    A message that crashes the child `attempts` times is buried. `handling_limit` is in seconds.
    """

    name: str = field(validator=min_len(1))
    start: Callable[[], Serves] = field(validator=is_callable())
    restart: Restart = Restart.PERMANENT
    attempts: int = field(default=3, validator=ge(1))
    grace: Grace = Grace()
    backoff: Backoff = Backoff()
    mailbox: Callable[[], Mailbox] = Mailbox
    handling_limit: float | None = field(default=None, validator=optional(gt(0)))
