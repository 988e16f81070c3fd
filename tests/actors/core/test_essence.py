"""What is really in an exception that came out of nurseries."""

from __future__ import annotations

import pytest
import trio

from hive.actors._core.essence import essence


def cancelled() -> BaseException:
    """A real one: they cannot be made by hand."""
    caught: list[BaseException] = []

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except BaseException as error:
                caught.append(error)
                raise

    trio.run(main)
    return caught[0]


CANCELLED = cancelled()
ERROR, OTHER, INTERRUPT = ValueError("one"), KeyError("two"), KeyboardInterrupt()


def group(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    """As a nursery would."""
    return BaseExceptionGroup("from a nursery", errors)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ERROR, ERROR),
        (CANCELLED, CANCELLED),
        (group(ERROR), ERROR),
        (group(group(ERROR)), ERROR),
        (group(CANCELLED, ERROR), ERROR),
        (group(CANCELLED, group(CANCELLED, ERROR)), ERROR),
        (group(group(CANCELLED), CANCELLED), CANCELLED),
        (group(ERROR, INTERRUPT, CANCELLED), INTERRUPT),
        (group(ERROR, group(SystemExit(), INTERRUPT)), None),
    ],
)
def test_the_one_error_in_it(raised: BaseException, expected: BaseException | None) -> None:
    """Cancelled and failed is failed, and an interrupt wins over all."""
    found = essence(raised)

    assert found is expected or (expected is None and isinstance(found, SystemExit))


def test_several_errors_stay_together_without_the_cancellations() -> None:
    """Each of them may matter."""
    found = essence(group(ERROR, CANCELLED, group(OTHER)))

    assert isinstance(found, ExceptionGroup)
    assert found.subgroup(lambda error: error is CANCELLED) is None
    assert found.subgroup(lambda error: error is OTHER) is not None
