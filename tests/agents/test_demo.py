"""The demo's agents in a real hive: store, actors, boxes, commands and tools as in production."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from attrs import frozen

from hive.actors import ChildSpec, Grace, Request, open_hive
from hive.actors.boxes import Boxes
from hive.actors.protocol import Perform
from hive.actors.records import Records, begin_boot
from hive.actors.tree import core_specs
from hive.actors.turn import Parts
from hive.agents.demo_rules import demo_round
from hive.agents.http_tools import http_tools
from hive.agents.registry import BackendParts, make_backend
from hive.agents.shell import BoxShell
from hive.agents.tokens import Sessions
from hive.containers.subprocess import SubprocessDriver
from hive.mcp.inprocess import direct_tools
from hive.mcp.parts import McpParts
from hive.mcp.serving import CHILD, endpoint_server
from hive.protocol.commands import AddAgent, Send, Settings
from hive.protocol.mail import Provenance
from hive.sockets import open_tcp
from hive.store.hints import ANY
from hive.store.sqlite import SqliteStore, open_store

T = TypeVar("T")

LIMIT_SECONDS = 60.0
SURVEYORS = ("iris", "juno", "kai", "lena")
AGENTS = {
    "manager-1": Settings(role="manager", rules="demo-manager"),
    **{name: Settings(rules="demo-surveyor") for name in SURVEYORS},
}
TROUBLE = {"msg.dead", "msg.retried", "park.set", "hive.warning"}
TREE = ("alpha", "beta", "gamma")

pytestmark = pytest.mark.filterwarnings(
    # The SDK's client leaves its HTTP library's generators to the garbage collector, which Trio reports.
    "ignore:Async generator '(httpx2|httpcore2|mcp)[.]:ResourceWarning"
)


@frozen
class Demo:
    """A hive with the demo's agents."""

    store: SqliteStore
    directory: Path
    tree: Path

    async def play_round(self, number: int) -> None:
        """Start a round, and wait until its finding is written down and everybody rests."""
        body = demo_round(number, str(self.tree), SURVEYORS)
        await self.store.submit(Send("operator", "manager", body, Provenance.OPERATOR)).outcome()
        while not self.rests():
            mark = self.store.hints.mark(ANY)
            with trio.move_on_after(0.05):
                await self.store.hints.wait(ANY, mark)

    def rests(self) -> bool:
        """Whether nobody has anything to do."""
        return all(view.deliverable == view.claimed == 0 for view in self.store.reader.agents())

    def bodies(self) -> list[tuple[str, str, str]]:
        """All mail between agents: sender, recipient, body."""
        mails = reversed(self.store.reader.traffic().mail)
        return [(one.sender, one.recipient, one.body) for one in mails if one.provenance is Provenance.AGENT]


@frozen
class StraightBroker:
    """The road to the store without a stop on the way."""

    store: SqliteStore

    async def ask(self, request: Request[T]) -> T:
        """Carry out a `Perform`."""
        assert isinstance(request, Perform)
        return await self.store.submit(request.command, request.once).outcome()  # type: ignore[no-any-return]


@asynccontextmanager
async def a_demo(road: str, directory: Path) -> AsyncIterator[Demo]:
    """The demo's hive, whose agents reach their tools by this road."""
    tree = directory / "tree"
    for name in TREE:
        (tree / name).mkdir(parents=True)
        (tree / name / "text").write_text("one\ntwo\n")
    numbers = count()
    driver, sessions = SubprocessDriver(directory / "hive"), Sessions(lambda: f"token-{next(numbers)}")
    with open_store(directory / "hive.sqlite3", inline=True) as store, open_tcp("127.0.0.1", 0) as tcp:
        endpoint = McpParts(store, StraightBroker(store), sessions, store.hints, time.time, "test")
        url = f"http://127.0.0.1:{tcp.getsockname()[1]}/mcp/{{}}".format
        roads = {"http": http_tools(url, lambda: f"use-{next(numbers)}"), "direct": direct_tools(endpoint)}
        shell = BoxShell(driver, Records(store), lambda: f"{os.getpid()}-{next(numbers)}")
        backend = make_backend("scripted", BackendParts(roads[road], shell, time.time))
        boxes = Boxes(store, {"subprocess": driver})
        parts = Parts(store, store.hints, boxes, sessions, lambda _: backend, time.time)
        await begin_boot(store, "test")
        with endpoint_server(endpoint, [tcp], None) as server:
            mcp = ChildSpec(CHILD, lambda: server, grace=Grace(shutdown=8.0))
            try:
                async with open_hive(*core_specs(store, parts), mcp):
                    for name, settings in AGENTS.items():
                        await store.submit(AddAgent(name, settings)).outcome()
                    yield Demo(store, directory / "hive", tree)
            finally:
                with trio.CancelScope(shield=True):
                    for name in AGENTS:
                        await driver.kill(name)


@pytest.mark.parametrize("road", ["http", "direct"])
async def test_the_demo_surveys_a_tree_and_writes_it_down(road: str, tmp_path: Path) -> None:
    """Two laps: each surveyor has two orders and asks one colleague; the same story over both roads."""
    with trio.fail_after(LIMIT_SECONDS):
        async with a_demo(road, tmp_path) as demo:
            for number in range(2 * len(SURVEYORS)):
                await demo.play_round(number)
            mails = demo.bodies()
            assert demo.store.reader.violations(grace=5.0, deep=True) == ()
            assert [row.type for row in demo.store.reader.journal(0) if row.type in TROUBLE] == []
            counts = demo.store.reader.counts()
            assert (counts.dead, counts.blocked, counts.claimed, counts.ready) == (0, 0, 0, 0)
            status = demo.store.reader.agent("iris")

    orders = [body for sender, _, body in mails if sender == "manager-1" and body.startswith("Please survey")]
    findings = [body for _, recipient, body in mails if recipient == "manager-1"]
    asked = [(sender, recipient) for sender, recipient, body in mails if body.endswith("you have met?")]
    told = [body for _, _, body in mails if body.startswith("The largest I have met: ")]
    assert [len(orders), len(findings), len(asked), len(told)] == [8, 8, 4, 4]
    assert asked == [("iris", "juno"), ("juno", "iris"), ("kai", "iris"), ("lena", "iris")]
    report = (demo.directory / "shared" / "report.md").read_text()
    found = {
        line.split(": ")[0]: line.split(": ")[1] for line in report.splitlines() if line.startswith("- ")
    }
    assert set(found) == {f"- {demo.tree}", *(f"- {demo.tree / name}" for name in TREE)}
    assert found[f"- {demo.tree / 'beta'}"].startswith("1 files, 2 lines, ")
    assert found[f"- {demo.tree}"].startswith("3 files, 6 lines, ")
    assert status is not None
    assert status.status.startswith("surveying /")
