"""A program that looks like a hive to whoever tortures it, and a directory in which one has lived."""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import trio
from attrs import define, field

from hive.app import launcher
from hive.cli.places import Place
from hive.protocol.commands import AddAgent, EndTurn, Once, Send
from hive.protocol.mail import Provenance
from hive.protocol.outcome import Outcome
from hive.testing.desk import open_desk
from hive.testing.torture import blows
from hive.testing.torture.blows import Torture
from hive.testing.torture.book import Book
from hive.testing.torture.daemon import Daemon
from hive.testing.torture.load import Load
from hive.testing.torture.plan import Plan
from hive.testing.torture.senders import Gate, compose

LETTERS = 6
SERVES = "print('\\npage: here', flush=True)"
OBEYS = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"
LIVES = f"{OBEYS}; {SERVES}; signal.pause()"
"""A daemon that serves, and stops when it is told."""


def lived(folder: Path) -> Book:
    """A hive whose one worker was sent letters and handled them; returns the book about it."""
    book, chance = Book(), Random(3)
    with open_desk(folder) as desk:
        desk.do(AddAgent("worker-1"))
        for number in range(LETTERS):
            letter = compose(chance, ["worker-1"])
            book.offer(letter)
            send = Send("operator", letter.to, letter.body, Provenance.OPERATOR)
            (accepted,) = desk.do(send, Once("operator", letter.key, "digest")).accepted
            assert book.hear(letter, f"accepted as #{number} ({accepted.id})")
        while desk.reader.counts().ready:
            begun = desk.begin("worker-1")
            desk.do(EndTurn(begun.turn, Outcome.OK, seen=tuple(one.mail.number for one in begun.messages)))
    return book


@pytest.fixture
def plays(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have each daemon be the next of these programs; the last one stays."""

    def plays(*programs: str) -> None:
        coming = list(programs)

        def command() -> Sequence[str]:
            return (sys.executable, "-I", "-S", "-c", coming.pop(0) if len(coming) > 1 else coming[0])

        monkeypatch.setattr(launcher, "command", command)

    return plays


@define(eq=False)
class Chamber:
    """Where a hive that is none is tortured."""

    base: Path
    asked: trio.Event = field(factory=trio.Event)
    told: list[Torture] = field(factory=list)

    @asynccontextmanager
    async def torture(
        self, plan: Plan, tell: Callable[[Torture], object] = lambda _torture: None
    ) -> AsyncIterator[Torture]:
        """A torture of a daemon that serves, ready to run; it is stopped in the end."""
        root = self.base / "hive"
        root.mkdir()
        book = lived(root)
        (root / "shared").mkdir()
        (root / "shared" / "traces").write_text("\n".join(book.offered))
        daemon = Daemon(root, self.base / "hive.log")
        load = Load(Place(root, "test"), book, (), Gate())
        await daemon.start()
        try:
            async with trio.open_nursery() as nursery:
                yield Torture(plan, daemon, load, self.asked, tell, nursery)
                nursery.cancel_scope.cancel(reason="it is over")
        finally:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.kill()


@pytest.fixture
def chamber(tmp_path: Path, plays: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Chamber:
    """With daemons that serve, and instants that come soon."""

    async def resume(_place: Place) -> None:
        await trio.lowlevel.checkpoint()

    plays(LIVES)
    monkeypatch.setattr(blows, "resume", resume)
    monkeypatch.setattr(blows, "FIRST_RESTART_SECONDS", 0.06)
    monkeypatch.setattr(blows, "LULL_SECONDS", 0.01)
    return Chamber(tmp_path)
