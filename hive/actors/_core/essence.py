"""What is really in an exception that came out of nurseries.

Nurseries wrap errors in groups and mix them with `Cancelled`. A cancelled *and* failed task has failed.
"""

from __future__ import annotations

import trio


def essence(raised: BaseException) -> BaseException:
    """The one error in it; the group, without its cancellations, if there are several; a `Cancelled` if nothing else.

    Something that is neither an `Exception` nor a cancellation (an interrupt from the keyboard, say) wins over all.
    """
    if not isinstance(raised, BaseExceptionGroup):
        return raised
    urgent, rest = raised.split(_outranks)
    if urgent is not None:
        return _first(urgent)
    assert rest is not None
    cancelled, failed = rest.split(trio.Cancelled)
    if failed is not None:
        return _only(failed)
    assert cancelled is not None
    return _first(cancelled)


def _outranks(error: BaseException) -> bool:
    return not isinstance(error, (Exception, trio.Cancelled, BaseExceptionGroup))


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _only(error: BaseException) -> BaseException:
    """Unwrap groups of one. Of several, keep the group: each of them may matter."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
