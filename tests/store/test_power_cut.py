"""A cut of the power loses what was not synced, and nothing that was promised.

A killed process does not show this: the kernel still writes what it was given.  So the log is cut by hand,
at every kind of place behind the last acknowledged send: what was synced is before the cut.  Pages that were
open before the cut come back with what they remember, which the cut may have taken from the hive.
"""

import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from attrs import define, field, frozen

from hive.protocol.commands import Ack, BeginTurn, ClaimIntoTurn, EndTurn, Lease, TurnBegun
from hive.protocol.outcome import Outcome
from hive.testing.desk import Desk, open_desk
from hive.testing.page import Page, looking_parts
from hive.testing.store_world import World
from hive.testing.torture.log import damaged, log_of

HISTORIES = 8
CUTS = 25
"""Places in each history, so that there are 200 in all."""

AGENTS = ("iris", "rosa")


@frozen
class History:
    """A hive at the moment of the cut."""

    folder: Path
    """Holds the database and its log as they were when the power went."""

    synced: int
    """Bytes of the log that were on the disk when the last send was acknowledged."""

    acknowledged: tuple[str, ...]
    early: tuple[Page, ...]
    """Pages whose connection was lost before the last send."""

    late: tuple[Page, ...]
    """Pages that had seen what was not synced."""


@define
class Onlooker:
    """A page that reads along, and what it would have come back with at each moment."""

    page: Page = field(factory=Page)
    memories: list[Page] = field(factory=list)

    def follow(self, desk: Desk) -> None:
        """Look at a hive from now on."""
        self.page.connect(looking_parts(desk.store, desk.world.wall))
        desk.store.subscribe(self.read)

    def read(self, _rows: object, _stream: object) -> None:
        """Keep what is known after every commit."""
        self.page.read()
        self.memories.append(self.page.remembered())


def live(desk: Desk, chance: Random, steps: int) -> list[str]:
    """Send, claim and settle at random; returns the ids of what was sent."""
    acknowledged: list[str] = []
    turns: list[TurnBegun] = []
    for _ in range(steps):
        agent = chance.choice(AGENTS)
        match chance.randrange(5):
            case 0:
                acknowledged.append(desk.send(agent, "x" * chance.randrange(1, 6_000)))
            case 1:
                begun = desk.do(BeginTurn(agent, 1, messages=chance.randrange(1, 4)))
                turns += [begun] if isinstance(begun, TurnBegun) else []
            case 2 if turns:
                desk.do(ClaimIntoTurn(chance.choice(turns).turn))
            case 3 if turns:
                turn = turns.pop(chance.randrange(len(turns)))
                seen = tuple(one.mail.number for one in turn.messages if chance.random() < 0.7)
                desk.do(EndTurn(turn.turn, chance.choice([Outcome.OK, Outcome.FAILED]), seen=seen))
            case _:
                for held in desk.do(Lease(agent, "client")):
                    desk.do(Ack(agent, held.mail.id))
        desk.wait(chance.random() * 10)
    return acknowledged


def after_the_last_send(desk: Desk, chance: Random) -> None:
    """Commits that nobody synced: claims and verdicts."""
    for agent in AGENTS * 3:
        begun = desk.do(BeginTurn(agent, 2))
        if isinstance(begun, TurnBegun):
            seen = tuple(one.mail.number for one in begun.messages if chance.random() < 0.8)
            desk.do(EndTurn(begun.turn, chance.choice([Outcome.OK, Outcome.INTERRUPTED]), seen=seen))
        desk.wait(120)


def lived(folder: Path, chance: Random) -> History:
    """Make a history and take its files at the end, as a power cut would leave them."""
    running, cut = folder / "running", folder / "cut"
    running.mkdir()
    cut.mkdir()
    onlooker = Onlooker()
    with open_desk(running) as desk:
        onlooker.follow(desk)
        acknowledged = live(desk, chance, steps=40)
        early = tuple(onlooker.memories)
        acknowledged.append(desk.send("iris", "the last promise"))
        synced = desk.store.path.with_name("hive.sqlite3-wal").stat().st_size
        onlooker.memories.clear()
        after_the_last_send(desk, chance)
        for name in ("hive.sqlite3", "hive.sqlite3-wal"):
            shutil.copy(running / name, cut / name)
    return History(cut, synced, tuple(acknowledged), early, tuple(onlooker.memories))


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_no_acknowledged_send_is_lost_wherever_the_log_is_cut(tmp_path: Path, seed: int) -> None:
    """All of them are there, every invariant holds, the journal is a prefix of what was, and pages go on."""
    chance = Random(seed)
    history = lived(tmp_path, chance)
    size = (history.folder / "hive.sqlite3-wal").stat().st_size
    assert history.synced < size, "there is something to lose"
    lengths, came_back = [], Counter[str]()
    for cut in range(CUTS):
        place = tmp_path / f"{cut}"
        shutil.copytree(history.folder, place)
        log = log_of(place / "hive.sqlite3")
        log.write_bytes(damaged(log.read_bytes(), chance.randrange(history.synced, size + 1), chance))
        with open_desk(place, World(now=1_750_100_000.0)) as desk:
            found = {mail.id for mail in desk.reader.traffic(limit=10_000).mail}
            assert set(history.acknowledged) <= found
            assert not desk.reader.violations(deep=True)
            seqs = [row.seq for row in desk.reader.journal(0, limit=100_000)]
            assert seqs == list(range(1, len(seqs) + 1))
            came_back.update(come_back(desk, history, chance))
        lengths.append(len(seqs))
        shutil.rmtree(place)
    assert len(set(lengths)) > 1, "the cuts fell between different commits"
    assert came_back.keys() == {"resumed", "snapshot"}


def come_back(desk: Desk, history: History, chance: Random) -> list[str]:
    """Have pages of before the cut come back, and live on; answers how each was received.

    Each resumes exactly where its last event is still the hive's, and knows in the end what a page opened
    now would know.
    """
    events = {(row.seq, row.boot) for row in desk.reader.journal(0, limit=100_000)}
    pages = [chance.choice(history.early), *chance.choices(history.late, k=2)]
    pages = [page.remembered() for page in pages]
    kept = [page.at in events for page in pages]
    assert kept[0], "what was synced is there"
    parts = looking_parts(desk.store, desk.world.wall)
    for page in pages:
        page.connect(parts)
    assert [page.how == "resumed" for page in pages] == kept
    after_the_cut = desk.send("iris", "and on")
    desk.begin("iris")
    fresh = Page()
    fresh.connect(parts)
    for page in pages:
        page.read()
        assert page.knows() == fresh.knows()
        assert {*history.acknowledged, after_the_cut} <= page.journal.messages.keys()
    return [page.how for page in pages]


def test_a_cut_before_what_was_synced_does_lose_a_send(tmp_path: Path) -> None:
    """So that the test above is known to be able to fail."""
    history = lived(tmp_path, Random(0))
    log = history.folder / "hive.sqlite3-wal"
    log.write_bytes(log.read_bytes()[: history.synced - 1])
    with open_desk(history.folder, World(now=1_750_100_000.0)) as desk:
        found = {mail.id for mail in desk.reader.traffic(limit=10_000).mail}
        assert set(history.acknowledged) - found == {history.acknowledged[-1]}
