"""The place an answer lands: resolved once, awaited once.

The first resolution wins and later ones are dropped, so a late answer cannot surprise anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable

    from outcome import Outcome


@define(eq=False)
class Reply:
    """A parked asker and what it will be told."""

    _asker: trio.lowlevel.Task | None = None
    _told: Outcome[object] | None = None

    def resolve(self, answer: Outcome[object]) -> bool:
        """Tell the asker. False if it was told already; the answer is dropped then."""
        if self._told is not None:
            return False
        self._told = answer
        if self._asker is not None:
            trio.lowlevel.reschedule(self._asker)
            self._asker = None
        return True

    async def wait(self, give_up: Callable[[], None]) -> object:
        """Wait for the answer. Calls `give_up` if we are cancelled first."""
        if self._told is None:

            def abort(_: object) -> trio.lowlevel.Abort:
                self._asker = None
                give_up()
                return trio.lowlevel.Abort.SUCCEEDED

            self._asker = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(abort)
        else:
            await trio.lowlevel.checkpoint()
        assert self._told is not None
        return self._told.unwrap()
