"""Every way a turn can end, and what follows."""

import pytest

from hive.agents.events import ErrorClass, Result
from hive.agents.judge import ENDED_WELL, OUTCOMES, STOPPED, Stop, ending, judge
from hive.protocol.commands import Usage
from hive.protocol.outcome import CONSEQUENCES, Outcome, Settlement


@pytest.mark.parametrize("error", ErrorClass)
def test_every_error_class_has_an_outcome_with_consequences(error: ErrorClass) -> None:
    """No ending falls through the table, and none but the step limit counts as handled."""
    outcome = judge(Result(error=error))
    assert outcome in CONSEQUENCES
    assert (CONSEQUENCES[outcome].seen is Settlement.DONE) == (error is ErrorClass.STEP_LIMIT)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.OK),
        (ErrorClass.AUTH, Outcome.LOGIN),
        (ErrorClass.RATE_LIMIT, Outcome.RATE_LIMIT),
        (ErrorClass.TOOLS, Outcome.TOOLS_DOWN),
        (ErrorClass.CRASH, Outcome.CRASHED),
        (ErrorClass.TIMEOUT, Outcome.TIMED_OUT),
        (ErrorClass.BOX_GONE, Outcome.INTERRUPTED),
        (ErrorClass.CANCELLED, Outcome.INTERRUPTED),
    ],
)
def test_a_result_is_read_by_the_table(error: ErrorClass | None, outcome: Outcome) -> None:
    """A cancellation that nobody asked for is an interruption: it must not bury or finish mail."""
    assert judge(Result(error=error)) is outcome


@pytest.mark.parametrize("stop", Stop)
@pytest.mark.parametrize("error", [None, *ErrorClass])
def test_a_turn_that_ended_well_has_ended_well_and_any_other_ended_by_the_stop(
    stop: Stop, error: ErrorClass | None
) -> None:
    """A CLI that is killed reports a crash; the reason is still that hive stopped it."""
    alone = judge(Result(error=error))
    assert judge(Result(error=error), stop) is (alone if alone in ENDED_WELL else STOPPED[stop][0])


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [
        (None, Outcome.INTERRUPTED),
        (Stop.CANCEL, Outcome.CANCELLED),
        (Stop.REQUEUE, Outcome.REQUEUED),
        (Stop.SILENT, Outcome.TIMED_OUT),
        (Stop.TOO_LONG, Outcome.TIMED_OUT),
        (Stop.BOX, Outcome.INTERRUPTED),
        (Stop.LEAVING, Outcome.INTERRUPTED),
    ],
)
def test_a_turn_without_a_result_ended_as_it_was_stopped(stop: Stop | None, outcome: Outcome) -> None:
    """The harness left the block before the backend could say anything."""
    assert judge(None, stop) is outcome


def test_the_record_of_an_ending_holds_everything_the_result_said() -> None:
    """Text, error, limit and usage; what was seen is in order."""
    result = Result("bye", ErrorClass.RATE_LIMIT, "slow down", 17.0, Usage(1, 2, 0.5))
    record = ending(9, result, seen={5, 3})
    assert (record.turn, record.outcome, record.final_text) == (9, Outcome.RATE_LIMIT, "bye")
    assert (record.error, record.until, record.usage) == ("slow down", 17.0, Usage(1, 2, 0.5))
    assert record.seen == (3, 5)


@pytest.mark.parametrize(
    ("result", "stop", "error"),
    [
        (Result("fine"), None, ""),
        (Result("fine", detail="noise"), Stop.CANCEL, ""),
        (Result(error=ErrorClass.NO_START), None, "no start"),
        (
            Result(error=ErrorClass.CRASH, detail="exit 1"),
            Stop.SILENT,
            "nothing was heard of it for too long",
        ),
        (None, None, "it went away without a word"),
        (None, Stop.BOX, "its box went away"),
    ],
)
def test_an_error_is_told_in_words_and_only_when_there_is_one(
    result: Result | None, stop: Stop | None, error: str
) -> None:
    """The stop is the reason where there was one, then the backend's detail, then the class."""
    assert ending(9, result, stop=stop).error == error


def test_the_tables_are_complete() -> None:
    """A new class or stop needs a row."""
    assert set(OUTCOMES) == set(ErrorClass)
    assert set(STOPPED) == set(Stop)
