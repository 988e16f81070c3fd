"""The log of a real daemon is cut while it is down, and a client that was there before comes back.

It does what the page does: it remembers the last event it applied, and the boot that wrote it.
"""

import random
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from attrs import define, field

from hive.cli.client import connected
from hive.cli.places import Place
from hive.store.sqlite import open_reader
from hive.testing.page import Page
from hive.testing.torture.daemon import Daemon, daemon_on
from hive.testing.torture.log import log_of
from hive.web import wire

CUTS = 6
MOMENT_SECONDS = 30.0
NEVER = (0, None)


@define(eq=False)
class Visitor:
    """A client that remembers, and what it was promised."""

    place: Place
    page: Page = field(factory=Page)
    acknowledged: set[str] = field(factory=set)

    async def send(self) -> str:
        """Send iris something; it is a promise when this returns."""
        async with connected((self.place,)) as client:
            arguments = {"to": "iris", "body": "!say well"}
            ack = await client.command("message.send", arguments, secrets.token_hex(16))
        (one,) = ack["result"]["accepted"]
        self.acknowledged.add(one["id"])
        return str(one["id"])

    async def read(self, page: Page, until: Callable[[Page], bool]) -> None:
        """Come with what this page remembers, over a connection of its own, and read on until this holds."""
        async with connected((self.place,)) as client:
            await client.greet(page.log_id, {wire.JOURNAL: page.at or NEVER})
            page.take(client.welcome)
            while not (page.whole and until(page)):
                page.take(await client.news())

    async def see_done(self, message: str) -> None:
        """Read until a message is done and its turn over."""

        def is_over(page: Page) -> bool:
            return page.journal.messages.get(message, {}).get("state") == "done" and all(
                turn["ended_at"] is not None for turn in page.journal.turns.values()
            )

        await self.read(self.page, is_over)

    async def catch_up(self, other: Page) -> None:
        """Read until ours has come as far as another."""
        assert other.at is not None
        (reached, _) = other.at
        await self.read(self.page, lambda page: page.at is not None and page.at[0] >= reached)

    async def fresh(self) -> Page:
        """What a page knows that is opened now."""
        page = Page()
        await self.read(page, lambda _: True)
        assert page.how == "snapshot"
        return page


async def lose_power(daemon: Daemon, visitor: Visitor, chance: random.Random) -> bool:
    """Have work done, pull the plug, and cut the log behind the last promise.

    Answers whether the last event that the visitor remembers is still there.
    """
    log = log_of(daemon.store)
    with trio.fail_after(MOMENT_SECONDS):
        message = await visitor.send()
        synced = log.stat().st_size
        await visitor.see_done(message)
    daemon.kill()
    with log.open("r+b") as file:
        file.truncate(chance.randrange(synced, log.stat().st_size + 1))
    return remembers_an_event(daemon, visitor.page)


def remembers_an_event(daemon: Daemon, page: Page) -> bool:
    """Whether the file, as it is now, has the last event a page applied; asked of a copy."""
    copy = daemon.directory / "copy"
    copy.mkdir()
    for name in ("hive.sqlite3", "hive.sqlite3-wal"):
        shutil.copy(daemon.directory / name, copy / name)
    assert page.at is not None
    with open_reader(copy / "hive.sqlite3") as reader:
        found = reader.boot_of(page.at[0]) == page.at[1]
    shutil.rmtree(copy)
    return found


async def come_back(visitor: Visitor, *, kept: bool) -> str:
    """Be received as what is remembered allows, find every promise kept, and live on; answers how."""
    with trio.fail_after(MOMENT_SECONDS):
        page = visitor.page
        await visitor.read(page, lambda _: True)
        how = page.how
        assert how == ("resumed" if kept else "snapshot")
        await visitor.see_done(await visitor.send())
        fresh = await visitor.fresh()
        await visitor.catch_up(fresh)
        while page.at != fresh.at:  # something happened between the two
            fresh = await visitor.fresh()
            await visitor.catch_up(fresh)
    assert page.knows() == fresh.knows()
    assert visitor.acknowledged <= page.journal.messages.keys()
    return how


@pytest.mark.slow
@pytest.mark.real
def test_a_client_that_remembers_goes_on_after_a_power_cut(tmp_path: Path) -> None:
    """It resumes where its last event is still the hive's, else it is given a snapshot; it ends up right."""

    async def story() -> None:
        chance, visitor = random.Random(4), Visitor(Place(tmp_path / "hive", "test"))
        received = []
        async with daemon_on(tmp_path / "hive") as daemon:
            async with connected((visitor.place,)) as client:
                arguments = {"name": "iris", "settings": {"backend": "scripted"}}
                await client.command("agent.spawn", arguments, secrets.token_hex(16))
            for _ in range(CUTS):
                kept = await lose_power(daemon, visitor, chance)
                await daemon.start()
                received.append(await come_back(visitor, kept=kept))
            await daemon.stop()
        print(f"after {CUTS} cuts: {received}")  # noqa: T201 - says what the cuts hit

    trio.run(story)
