"""What is really in an exception that came out of nurseries.

Nurseries wrap errors in groups and mix them with `Cancelled`. A cancelled *and* failed task has failed.
"""

from collections.abc import Iterator

import trio


def essence(raised: BaseException) -> BaseException:
    """The one error in it; a group of them, without cancellations, if there are several; or a `Cancelled`.

    Something that is neither an `Exception` nor a cancellation (an interrupt from the keyboard, say) wins
    over all.
    """
    leaves = list(_leaves(raised))
    failed = [leaf for leaf in leaves if isinstance(leaf, Exception)]
    for leaf in leaves:
        if not isinstance(leaf, (Exception, trio.Cancelled)):
            return leaf
    if len(failed) > 1:
        return ExceptionGroup("several things failed at once", failed)
    return failed[0] if failed else leaves[0]


def _leaves(raised: BaseException) -> Iterator[BaseException]:
    if isinstance(raised, BaseExceptionGroup):
        for inner in raised.exceptions:
            yield from _leaves(inner)
    else:
        yield raised
