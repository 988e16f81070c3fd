"""What tests of the page share: a browser, a server of files, a fake hive, and recordings of real ones.

The recordings come out of the real store and the real projection, so that what the page's reducer makes of
events is held against what hive itself would have said.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from typing import TypeAlias, cast

import orjson
import pytest
import trio
from attrs import define, field, frozen
from quart import Response, websocket
from quart.wrappers import Websocket
from quart_trio import QuartTrio

from hive.asgi import Endpoint, HttpServer
from hive.protocol.errors import HiveRefusal
from hive.sockets import open_tcp
from hive.store.opening import draw_log_id
from hive.testing.browser import Tab, open_tab
from hive.testing.deeds import AGENT, DEEDS, Play
from hive.testing.desk import Desk, open_desk
from hive.testing.store_world import World
from hive.web import vendor, wire
from hive.web.app import HEADERS
from hive.web.files import Static, load
from hive.web.lanes import journal_event, stream_event
from hive.web.snapshot import journal_snapshot, stream_snapshot

Frame: TypeAlias = Mapping[str, object]
PAGES = Path(__file__).parent / "pages"
HOST = "127.0.0.1"
SECONDS = 60.0
"""No test of the page takes longer; the real clock rules here, because the browser's does."""


@pytest.fixture
def browsing() -> Callable[[], AbstractAsyncContextManager[Tab]]:
    """Opens a browser within a deadline."""

    @asynccontextmanager
    async def tab() -> AsyncIterator[Tab]:
        with trio.fail_after(SECONDS):
            async with open_tab() as opened:
                yield opened

    return tab


@pytest.fixture(scope="session")
def static() -> Static:
    """The page as hive serves it."""
    return load(vendor.location())


# --- serving ---------------------------------------------------------------------------------------


def files_app(static: Static) -> QuartTrio:
    """The page's files under its real headers, and the test's own pages under `/pages`."""
    app = QuartTrio(__name__, static_folder=None)

    async def shell() -> Response:
        return Response(static.shell, content_type="text/html; charset=utf-8")

    async def file(digest: str, path: str) -> Response:
        body = static.files.get(path)
        if body is None:
            return Response("no such file\n", 404)
        return Response(body, content_type=static.kind(path))

    async def page(name: str) -> Response:
        body = await trio.Path(PAGES / name).read_bytes()
        kind = "text/javascript" if name.endswith(".js") else "text/html"
        return Response(body.replace(b"{{hash}}", static.digest.encode()), content_type=kind)

    async def headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    app.add_url_rule("/", "shell", shell)
    app.add_url_rule("/static/<digest>/<path:path>", "file", file)
    app.add_url_rule("/pages/<name>", "page", page)
    app.after_request(headers)
    return app


@asynccontextmanager
async def serving(app: QuartTrio) -> AsyncIterator[str]:
    """Serve an application on a free port; yields its origin."""
    with open_tcp(HOST, 0) as listener:
        server = HttpServer(app, [Endpoint(listener)], grace=1.0)
        async with server.serving():
            yield f"http://{HOST}:{listener.getsockname()[1]}"


@pytest.fixture
def pages(static: Static) -> Callable[[], AbstractAsyncContextManager[str]]:
    """Serves the page's modules to a test's own page."""
    return lambda: serving(files_app(static))


# --- a fake hive -----------------------------------------------------------------------------------


@define(eq=False)
class Line:
    """One connection of the page, from the hive's side."""

    _socket: Websocket
    heard: list[Frame] = field(factory=list)
    """What the page said and no test has taken yet, in order."""

    ended: trio.Event = field(factory=trio.Event)
    _news: trio.Event = field(factory=trio.Event)

    async def tell(self, op: str, **fields: object) -> None:
        """Send one frame."""
        await self._socket.send(wire.frame(op, **fields))

    async def expect(self, op: str, **fields: object) -> Frame:
        """Wait for a frame like this, and take it."""
        while True:
            for frame in self.heard:
                if frame["op"] == op and all(frame.get(name) == value for name, value in fields.items()):
                    self.heard.remove(frame)
                    return frame
            self._news = trio.Event()
            await self._news.wait()

    async def greet(self, how: str = "snapshot", **changes: object) -> Frame:
        """Take the page's hello and answer it."""
        hello = await self.expect("hello")
        lanes = dict.fromkeys(cast("list[str]", hello["want"]), how)
        await self.tell("welcome", **{**WELCOME, "lanes": lanes, **changes})
        return hello

    async def show(self, n: int, lane: str = wire.JOURNAL, **rows: list[object]) -> None:
        """Send a snapshot."""
        await self.tell("snap", lane=lane, part="begin", n=n, boot=1)
        for kind, some in rows.items():
            await self.tell("snap", lane=lane, part="rows", kind=kind, rows=some)
        await self.tell("snap", lane=lane, part="end", n=n)

    async def close(self, code: int = 1012, why: str = "hive restarts") -> None:
        """Say goodbye and end the connection."""
        await self.tell("bye", code=code, why=why, retry_ms=0)
        await self._socket.close(code, why)

    async def listen(self) -> None:
        """Hear the page out."""
        try:
            while True:
                self.heard.append(orjson.loads(await self._socket.receive()))
                self._news.set()
        finally:
            self.ended.set()


HEALTHY: Frame = {
    "violations": [],
    "refusing": None,
    "counts": {"accepted": 3, "ready": 1, "claimed": 0, "blocked": 0, "done": 2, "dead": 0, "removed": 0},
    "audit": {"looks": 7, "full_at": 1_750_000_000.0 - 125, "full_seconds": 0.5},
}
NOW = 1_750_000_000.0
WELCOME: Frame = {
    "v": wire.VERSION,
    "log_id": "a log",
    "boot": 1,
    "now": NOW,
    "who": "operator",
    "role": "owner",
    "version": "0.1.0",
    "operator": "the operator",
    "health": HEALTHY,
}


@define(eq=False)
class FakeHive:
    """Serves the page and listens to it; what it says, a test decides."""

    origin: str = ""
    _arrived: "trio.MemorySendChannel[Line]" = field(init=False)
    _lines: "trio.MemoryReceiveChannel[Line]" = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._arrived, self._lines = trio.open_memory_channel[Line](16)

    async def line(self) -> Line:
        """The next connection of the page."""
        return await self._lines.receive()

    async def nobody_calls(self) -> bool:
        """Whether no connection of the page waits to be taken."""
        await trio.lowlevel.checkpoint()
        return self._lines.statistics().current_buffer_used == 0

    async def converse(self) -> None:
        """Serve one websocket."""
        await websocket.accept(subprotocol=wire.SUBPROTOCOL)
        line = Line(websocket._get_current_object())  # type: ignore[attr-defined]
        self._arrived.send_nowait(line)
        await line.listen()


@pytest.fixture
def fake_hive(static: Static) -> Callable[[], AbstractAsyncContextManager[FakeHive]]:
    """Serves the page, with a hive behind it that does what the test says."""

    @asynccontextmanager
    async def hive() -> AsyncIterator[FakeHive]:
        app, fake = files_app(static), FakeHive()
        app.add_websocket("/ws", "ws", fake.converse)
        async with serving(app) as fake.origin:
            yield fake

    return hive


# --- recordings of the real store ------------------------------------------------------------------

LANE = wire.STREAM_PREFIX + AGENT


@frozen
class Moment:
    """What the real projection says after some commits: new events, and the snapshots that replace them."""

    now: float
    n: dict[str, int]
    events: dict[str, list[str]]
    snapshots: dict[str, tuple[str, ...]]

    def json(self) -> dict[str, object]:
        """As the page takes it."""
        events = {lane: [orjson.loads(one) for one in some] for lane, some in self.events.items()}
        frames = {lane: [orjson.loads(one) for one in some] for lane, some in self.snapshots.items()}
        return {"now": self.now, "n": self.n, "events": events, "snapshots": frames}


@define(eq=False)
class Recorder:
    """Follows a store by its journal and its projection."""

    desk: Desk
    moments: list[Moment] = field(factory=list)
    _journal: int = 0
    _stream: int = 0

    def look(self) -> None:
        """Record what has been committed since the last look."""
        reader = self.desk.reader
        rows = reader.journal(self._journal, limit=100_000)
        lines = reader.stream(AGENT, after=self._stream, limit=100_000)
        hive, stream = journal_snapshot(reader), stream_snapshot(reader, AGENT)
        self._journal, self._stream = hive.n, stream.n
        self.moments.append(
            Moment(
                self.desk.world.now,
                {wire.JOURNAL: hive.n, LANE: stream.n},
                {wire.JOURNAL: [*map(journal_event, rows)], LANE: [*map(stream_event, lines)]},
                {wire.JOURNAL: hive.frames, LANE: stream.frames},
            )
        )

    def history(self) -> dict[str, object]:
        """Everything recorded, as the page takes it."""
        log_id = self.desk.reader.head().log_id
        return {"log_id": log_id, "moments": [moment.json() for moment in self.moments]}


def play(desk: Desk, random: Random, recorder: Recorder, moments: int) -> None:
    """So many moments of a few deeds each; what the store refuses is part of life."""
    scene = Play(desk.reader, random)
    for _ in range(moments):
        for _ in range(random.randint(1, 4)):
            with contextlib.suppress(HiveRefusal):
                desk.do(random.choice(DEEDS)(scene))
        recorder.look()
        desk.wait(random.choice([0.1, 1.0, 20.0]))


def record(folder: Path, seed: int, steps: int) -> list[dict[str, object]]:
    """A hive's life in three histories, each what a client may find when it comes back from the one before.

    The first ends in a power cut that takes its last commits with it; the second goes on after the cut, in
    a later boot of the same log; the third is another log, as a restore leaves behind.
    """
    random, world = Random(seed), World()
    with open_desk(folder / "first", world) as desk:
        recorder = Recorder(desk)
        play(desk, random, recorder, steps)
        desk_file, kept = folder / "first" / "hive.sqlite3", len(recorder.moments)
        _copy(desk_file, folder / "second")
        _copy(desk_file, folder / "third")
        play(desk, random, recorder, steps // 3)
        histories = [recorder.history()]
    for name in ("second", "third"):
        if name == "third":
            _new_log(folder / name / "hive.sqlite3", random)
        with open_desk(folder / name, world) as desk:
            branch = Recorder(desk, recorder.moments[:kept], *recorder.moments[kept - 1].n.values())
            branch.look()
            play(desk, random, branch, steps // 2)
            histories.append(branch.history())
    return histories


def _copy(file: Path, folder: Path) -> None:
    """What a disk holds of a live store."""
    folder.mkdir()
    with (
        contextlib.closing(sqlite3.connect(file)) as source,
        contextlib.closing(sqlite3.connect(folder / file.name)) as target,
    ):
        source.backup(target)


def _new_log(file: Path, random: Random) -> None:
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        draw_log_id(db, random, replace=True)


@pytest.fixture
def histories(tmp_path: Path) -> Callable[[int, int], list[dict[str, object]]]:
    """Records the lives of hives: seed, steps."""

    def made(seed: int, steps: int) -> list[dict[str, object]]:
        folder = tmp_path / str(seed)
        (folder / "first").mkdir(parents=True)
        return record(folder, seed, steps)

    return made
