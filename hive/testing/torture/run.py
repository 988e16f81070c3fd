"""A torture from its directory to its verdict.

The rule kept here: nothing is left behind but the directory of a torture that found something.
"""

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Final

import trio
from attrs import evolve

from hive.cli.places import Place
from hive.cli.status import Failed
from hive.directory import Directory
from hive.testing.torture.blows import Torture
from hive.testing.torture.book import Book
from hive.testing.torture.daemon import DoesNotServe, daemon_on
from hive.testing.torture.load import SETTINGS, hire
from hive.testing.torture.plan import Plan
from hive.testing.torture.verdict import Verdict
from hive.testing.torture.words import progress

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ENDING: Final = "ending, with a verdict; Ctrl-C once more ends it at once, without one"


def torture(plan: Plan, begins: Callable[[Path], object], tell: Callable[[str], object]) -> Verdict | None:
    """Torture a hive of its own; returns the verdict, None where somebody asked twice for an end.

    `begins` is told the directory, and `tell` after every kill how far it is.  The directory is kept where
    something is wrong, and where this raises: `DoesNotServe` or `Failed` where the hive could not even be
    loaded, `OSError` where there is no room for it.
    """
    base = Path(tempfile.mkdtemp(prefix="hive-torture-"))
    try:
        begins(base)
        verdict = trio.run(_under_signals, plan, base, tell)
    except (KeyboardInterrupt, BrokenPipeError):  # before anybody listens, and there is nothing yet to see
        shutil.rmtree(base)
        raise
    if verdict is not None and not verdict.ok:
        return evolve(verdict, kept=str(base))
    shutil.rmtree(base)
    return verdict


def _progress(one: Torture) -> str:
    cuts = sum(kill.cut for kill in one.kills)
    return progress(len(one.kills), cuts, len(one.book.offered), len(one.book.answers), one.seconds)


async def _under_signals(plan: Plan, base: Path, tell: Callable[[str], object]) -> Verdict | None:
    """The first signal asks for an ordered end, the second does not wait for it."""
    asked, impatience = trio.Event(), trio.CancelScope()
    verdict, refusal = None, None
    with trio.open_signal_receiver(*SIGNALS) as received:
        # Around everything that ends processes, which is when the second signal comes.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, received, asked, impatience, tell)
            with impatience:
                try:
                    verdict = await run(plan, base, asked, lambda tortured: tell(_progress(tortured)))
                except (DoesNotServe, Failed, OSError) as error:
                    refusal = error
            nursery.cancel_scope.cancel(reason="it is over")
    if refusal is not None:
        raise refusal
    return verdict


async def _obey(
    received: AsyncIterator[int],
    asked: trio.Event,
    impatience: trio.CancelScope,
    tell: Callable[[str], object],
) -> None:
    async for _ in received:
        if asked.is_set():
            impatience.cancel(reason="asked twice")
        asked.set()
        tell(ENDING)


async def run(
    plan: Plan, base: Path, asked: trio.Event, tell: Callable[[Torture], object] = lambda _torture: None
) -> Verdict:
    """Torture a hive in a folder; its book lies beside it, and `tell` is called after every kill.

    Raises `DoesNotServe` or `Failed` where the hive could not even be loaded.
    """
    root = base / "hive"
    root.mkdir()
    Directory(root).settings.write_text(SETTINGS, encoding="utf-8")
    # Without a buffer: what a full disk did not take would be tried, and fail, once more when it is closed.
    with (base / "book.jsonl").open("wb", buffering=0) as lines:
        async with daemon_on(root) as daemon:
            load = await hire(
                Place(root, "under torture"), Random(plan.seed), Book(lambda line: lines.write(line.encode()))
            )
            async with trio.open_nursery() as nursery:
                tortured = Torture(plan, daemon, load, asked, tell, nursery)
                await tortured.run()
                nursery.cancel_scope.cancel(reason="it is over")
        # The daemon is gone, and with it everything that could still change the file.
        return tortured.verdict()
