"""What a daemon does with the memory that its start has filled."""

import gc
from typing import TYPE_CHECKING, cast

import trio

from hive.app.daemon import OK, under_signals

if TYPE_CHECKING:
    from hive.app.daemon import Heed
    from hive.app.running import Running
    from hive.app.voice import Voice


def test_what_the_start_has_made_is_left_alone_by_the_collector() -> None:
    """Else a full collection stops everything for a tenth of a second, now and then."""
    before = gc.get_freeze_count()

    async def serve(heed: "Heed") -> int:
        heed(cast("Running", None))
        assert gc.get_freeze_count() > before
        return OK

    try:
        assert trio.run(under_signals, serve, cast("Voice", None)) == OK
    finally:
        gc.unfreeze()
