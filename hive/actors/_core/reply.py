"""The place an answer lands: resolved once, awaited once.

The first resolution wins and later ones are dropped, so a late answer cannot surprise anybody.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
from attrs import define
from outcome import Outcome


@define(eq=False)
class Reply:
    """A parked asker and what it will be told."""

    _asker: trio.lowlevel.Task | None = None
    _told: Outcome[object] | None = None

    def resolve(self, answer: Outcome[object]) -> None:
        """Tell the asker, unless it has been told already."""
        if self._told is None:
            self._told = answer
            if self._asker is not None:
                trio.lowlevel.reschedule(self._asker)

    async def wait(self, give_up: Callable[[], None]) -> object:
        """Wait for the answer. Calls `give_up` if we are cancelled first."""

        def abort(_: object) -> trio.lowlevel.Abort:
            self._asker = None
            give_up()
            return trio.lowlevel.Abort.SUCCEEDED

        self._asker = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)
        assert self._told is not None
        return self._told.unwrap()
