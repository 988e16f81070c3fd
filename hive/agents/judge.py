"""From a backend's last word to an outcome.

The rule kept here: the backend says what happened, hive says why it stopped a turn, and where the two
disagree a turn that ended well has ended well, whoever was stopping it.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from hive.agents.events import ErrorClass, Result
from hive.protocol.commands import EndTurn
from hive.protocol.outcome import Outcome

OUTCOMES: Mapping[ErrorClass, Outcome] = {
    ErrorClass.AUTH: Outcome.LOGIN,
    ErrorClass.BILLING: Outcome.BILLING,
    ErrorClass.RATE_LIMIT: Outcome.RATE_LIMIT,
    ErrorClass.OVERLOADED: Outcome.OVERLOADED,
    ErrorClass.OVERFLOW: Outcome.OVERFLOW,
    ErrorClass.MODEL: Outcome.FAILED,
    ErrorClass.NETWORK: Outcome.NETWORK,
    ErrorClass.TOOLS: Outcome.TOOLS_DOWN,
    ErrorClass.BUDGET: Outcome.BUDGET,
    ErrorClass.STEP_LIMIT: Outcome.STEP_LIMIT,
    # Nobody asked for it, or `Stop` would say who: it is like a process that went away.
    ErrorClass.CANCELLED: Outcome.INTERRUPTED,
    ErrorClass.TIMEOUT: Outcome.TIMED_OUT,
    ErrorClass.CRASH: Outcome.CRASHED,
    ErrorClass.PROTOCOL: Outcome.CRASHED,
    ErrorClass.REFUSED: Outcome.REFUSED,
    ErrorClass.NO_START: Outcome.NO_START,
    ErrorClass.BOX_GONE: Outcome.INTERRUPTED,
}


class Stop(StrEnum):
    """Why hive stopped a turn."""

    CANCEL = "cancel"
    REQUEUE = "requeue"
    SILENT = "silent"
    TOO_LONG = "too_long"
    BOX = "box"
    LEAVING = "leaving"
    """The harness itself is going away."""


STOPPED: Mapping[Stop, tuple[Outcome, str]] = {
    Stop.CANCEL: (Outcome.CANCELLED, "cancelled by a person"),
    Stop.REQUEUE: (Outcome.REQUEUED, "cancelled by a person, to be tried again"),
    Stop.SILENT: (Outcome.TIMED_OUT, "nothing was heard of it for too long"),
    Stop.TOO_LONG: (Outcome.TIMED_OUT, "it took too long"),
    Stop.BOX: (Outcome.INTERRUPTED, "its box went away"),
    Stop.LEAVING: (Outcome.INTERRUPTED, "its harness went away"),
}
"""What a stop makes of a turn that had not ended well by then, and how that reads."""

ENDED_WELL = frozenset({Outcome.OK, Outcome.STEP_LIMIT})


def judge(result: Result | None, stop: Stop | None = None) -> Outcome:
    """The outcome of a turn: its `Result`, if there was one, and why hive stopped it, if it did."""
    said = _said(result)
    if stop is None or said in ENDED_WELL:
        return said
    return STOPPED[stop][0]


def _said(result: Result | None) -> Outcome:
    if result is None:
        return Outcome.INTERRUPTED
    return Outcome.OK if result.error is None else OUTCOMES[result.error]


def ending(
    turn: int, result: Result | None, *, stop: Stop | None = None, seen: Iterable[int] = ()
) -> EndTurn:
    """The command that records how a turn ended."""
    last = Result() if result is None else result
    outcome = judge(result, stop)
    return EndTurn(
        turn=turn,
        outcome=outcome,
        final_text=last.text,
        error="" if outcome in ENDED_WELL else _words(last, stop),
        until=last.until,
        usage=last.usage,
        seen=tuple(sorted(seen)),
    )


def _words(result: Result, stop: Stop | None) -> str:
    if stop is not None:
        return STOPPED[stop][1]
    if result.error is None:
        return "it went away without a word"
    return result.detail or result.error.value.replace("_", " ")
