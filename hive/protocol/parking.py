"""Why an agent does not wake, and how each reason ends.

Reasons are rows in a set, never flags: several hold at once, each survives a restart, and each is lifted
by its own way out and by no other.
"""

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen


class Reason(StrEnum):
    """One reason not to wake."""

    PAUSED = "paused"
    BACKOFF = "backoff"
    LOGIN = "login"
    LIMIT = "limit"
    BUDGET = "budget"
    RESTARTS = "restarts"
    FAILING = "failing"
    BOX_DOWN = "box_down"
    STOPPED = "stopped"
    SLOT = "slot"
    CLIENT = "client"
    INTERRUPTED = "interrupted"
    UNREACHABLE = "unreachable"


@frozen
class Exit:
    """How a reason is worded and what lifts it."""

    words: str
    way_out: str
    timed: bool = False
    """Whether reaching `until` lifts it."""

    resumed: bool = False
    """Whether the operator's `resume` lifts it, naming it."""

    started: bool = False
    """Whether the operator's `start` lifts it."""

    kicked: bool = False
    """Whether the operator's `kick` lifts it."""


EXITS: Mapping[Reason, Exit] = {
    Reason.PAUSED: Exit("paused by the operator", "hive resume {agent}", resumed=True),
    Reason.BACKOFF: Exit(
        "backing off after a failure", "wait, or hive kick {agent}", timed=True, kicked=True
    ),
    Reason.LOGIN: Exit(
        "its CLI is not logged in",
        "give it a key (hive secret set), or hive resume {agent} --reason login",
        resumed=True,
    ),
    Reason.LIMIT: Exit("its model's rate limit is reached", "wait for the limit to reset", timed=True),
    Reason.BUDGET: Exit(
        "its budget is spent", "raise the budget, then hive resume {agent} --reason budget", resumed=True
    ),
    Reason.RESTARTS: Exit(
        "its harness crashed too often", "hive resume {agent} --reason restarts", resumed=True
    ),
    Reason.FAILING: Exit(
        "two dead letters without a success between", "hive resume {agent} --reason failing", resumed=True
    ),
    Reason.BOX_DOWN: Exit("its box is down", "hive starts it again by itself"),
    Reason.STOPPED: Exit("stopped by the operator", "hive start {agent}", started=True),
    Reason.SLOT: Exit("waiting for a free slot", "a running turn ends"),
    Reason.CLIENT: Exit("waiting for its own client", "its MCP client connects and calls recv"),
    Reason.INTERRUPTED: Exit(
        "interrupted too often on the same mail", "hive resume {agent} --reason interrupted", resumed=True
    ),
    Reason.UNREACHABLE: Exit("its tools endpoint is down", "hive tries again by itself", timed=True),
}


RESUMABLE = tuple(reason for reason, way in EXITS.items() if way.resumed)
"""What a `resume` can lift, each by its name."""


@frozen
class Parked:
    """One park reason in force."""

    reason: Reason
    since: float
    until: float | None = None
    detail: str = ""

    def holds_at(self, now: float) -> bool:
        """Whether the reason still keeps its agent from waking."""
        return self.until is None or not EXITS[self.reason].timed or now < self.until
