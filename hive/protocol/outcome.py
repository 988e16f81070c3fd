"""How a turn ended, and what follows for its mail and its agent.

One table decides; nothing else in hive interprets an ending.  The rule it keeps: only the failure of a
batch of one charges a message, and only a person or the spent attempts bury it.
"""

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen

from hive.protocol.parking import Reason


class Outcome(StrEnum):
    """How a turn ended."""

    OK = "ok"
    STEP_LIMIT = "step_limit"
    CANCELLED = "cancelled"
    REQUEUED = "requeued"
    """Cancelled by a person who asked for the mail to be tried again."""

    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    REFUSED = "refused"
    OVERFLOW = "overflow"
    INTERRUPTED = "interrupted"
    NETWORK = "network"
    OVERLOADED = "overloaded"
    RATE_LIMIT = "rate_limit"
    LOGIN = "login"
    BILLING = "billing"
    BUDGET = "budget"
    TOOLS_DOWN = "tools_down"
    NO_START = "no_start"


class Settlement(StrEnum):
    """What becomes of a message the model was seen to be given."""

    DONE = "done"
    RETRY = "retry"
    RELEASE = "release"
    """Back to the front of the mailbox, uncharged."""


@frozen
class Consequence:
    """One row of the table: for seen mail, and for the agent."""

    seen: Settlement
    park: Reason | None = None
    note: str | None = None
    interruption: bool = False
    success: bool = False


CONSEQUENCES: Mapping[Outcome, Consequence] = {
    Outcome.OK: Consequence(Settlement.DONE, success=True),
    Outcome.STEP_LIMIT: Consequence(Settlement.DONE, note="the turn ended at its step limit", success=True),
    Outcome.CANCELLED: Consequence(Settlement.DONE, note="cancelled"),
    Outcome.REQUEUED: Consequence(Settlement.RELEASE, note="cancelled by the operator, to be tried again"),
    Outcome.FAILED: Consequence(Settlement.RETRY, park=Reason.BACKOFF),
    Outcome.CRASHED: Consequence(Settlement.RETRY, park=Reason.BACKOFF),
    Outcome.TIMED_OUT: Consequence(Settlement.RETRY, park=Reason.BACKOFF),
    Outcome.REFUSED: Consequence(Settlement.RETRY, park=Reason.BACKOFF),
    Outcome.OVERFLOW: Consequence(Settlement.RETRY, park=Reason.BACKOFF),
    Outcome.INTERRUPTED: Consequence(Settlement.RELEASE, interruption=True),
    Outcome.NETWORK: Consequence(Settlement.RELEASE, park=Reason.BACKOFF),
    Outcome.OVERLOADED: Consequence(Settlement.RELEASE, park=Reason.BACKOFF),
    Outcome.RATE_LIMIT: Consequence(Settlement.RELEASE, park=Reason.LIMIT),
    Outcome.LOGIN: Consequence(Settlement.RELEASE, park=Reason.LOGIN),
    Outcome.BILLING: Consequence(Settlement.RELEASE, park=Reason.BUDGET),
    Outcome.BUDGET: Consequence(Settlement.RELEASE, park=Reason.BUDGET),
    Outcome.TOOLS_DOWN: Consequence(Settlement.RELEASE, park=Reason.UNREACHABLE),
    Outcome.NO_START: Consequence(Settlement.RELEASE, park=Reason.BACKOFF),
}

BACKOFF_FIRST_SECONDS = 5.0
BACKOFF_CEILING_SECONDS = 30 * 60.0
DEAD_LETTERS_IN_A_ROW = 2
"""So many dead letters without a success between them park the agent as failing."""


def backoff_seconds(failures: int) -> float:
    """How long an agent rests after its `failures`-th failed turn in a row (1 is the first)."""
    return min(BACKOFF_CEILING_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(max(failures, 1) - 1, 30))


def charges(outcome: Outcome, batch: int) -> bool:
    """Whether this ending counts as an attempt of the one message it held."""
    return CONSEQUENCES[outcome].seen is Settlement.RETRY and batch == 1


def next_batch_limit(outcome: Outcome, limit: int, batch: int, ceiling: int) -> int:
    """How many messages the agent's next turn may take: halved by failure, doubled by success."""
    consequence = CONSEQUENCES[outcome]
    if consequence.success:
        return min(ceiling, limit * 2)
    if consequence.seen is Settlement.RETRY:
        return max(1, min(limit, batch) // 2)
    return limit
