"""The page's store, run in a real browser against recordings of the real hive."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias, cast

import pytest

from hive.testing.browser import Tab

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium")]

Pages: TypeAlias = Callable[[], AbstractAsyncContextManager[str]]
Browsing: TypeAlias = Callable[[], AbstractAsyncContextManager[Tab]]
Histories: TypeAlias = Callable[[int, int], list[dict[str, object]]]

LIVES = 12
STEPS = 30


async def trial(tab: Tab, origin: str, expression: str) -> object:
    """Open the trial page and evaluate something in it."""
    await tab.open(f"{origin}/pages/trial.html")
    await tab.until("window.trial")
    return await tab.evaluate(expression)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_the_network_does_the_page_ends_where_a_snapshot_would(
    pages: Pages, browsing: Browsing, histories: Histories, seed: int
) -> None:
    """Cut, dropped, doubled, reordered, frozen, resynchronised, rewound by a power cut and restored."""
    seeds = list(range(seed * 1000, seed * 1000 + LIVES))
    recorded = json.dumps(histories(seed, STEPS))
    async with pages() as origin, browsing() as tab:
        counts = await trial(tab, origin, f"trial.live({recorded}, {seeds})")
        assert tab.complaints == []
    struck = cast("dict[str, int]", counts)
    assert min(struck[fault] for fault in ("cut", "freeze", "resync", "duplicate", "drop", "swap")) > 0, (
        struck
    )
    assert min(struck["gaps"], struck["snapshots"], struck["ran"]) > 0, struck
