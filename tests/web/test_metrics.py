"""The figures of a hive as a scraper reads them: whole, bounded, and only for who may see the page."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import trio
from attrs import field, frozen

from hive.app.compose import run_hive
from hive.config import Config, Listen
from hive.directory import Directory, locked
from hive.protocol import commands as ask
from hive.protocol.commands import BeginTurn, TurnBegun
from hive.protocol.mail import Provenance
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from hive.protocol.views import AuditView, Violation
from hive.testing.page_world import World, in_world
from hive.web import metrics
from hive.web.metrics import Metric, Metrics, audited, rendered

SAMPLE = re.compile(
    r'(?P<name>[a-z_]+)(?:\{(?P<labels>(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+)\})? (?P<value>\S+)'
)
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\.)*)"')

Labels = frozenset[tuple[str, str]]


@frozen
class Scraped:
    """What a text says."""

    kinds: dict[str, str] = field(factory=dict)
    samples: dict[tuple[str, Labels], float] = field(factory=dict)

    def value(self, name: str, **labels: str) -> float:
        """One sample."""
        return self.samples[name, frozenset(labels.items())]


def scrape(text: str) -> Scraped:
    """Read the text format; every line has to be of it, and nothing may be said twice."""
    found = Scraped()
    assert text.endswith("\n")
    described = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            described = line.split()[2]
            assert described not in found.kinds
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == described
            assert kind in {"gauge", "counter"}
            assert (kind == "counter") == name.endswith("_total")
            found.kinds[name] = kind
        else:
            read = SAMPLE.fullmatch(line)
            assert read is not None, line
            key = read["name"], frozenset(LABEL.findall(read["labels"] or ""))
            assert read["name"] == described
            assert key not in found.samples
            found.samples[key] = float(read["value"])
    return found


def scraped(world: World, audit: AuditView | None = None) -> Scraped:
    """The figures of a world as they are now."""
    made = Metrics(world.boot.store, world.simulation.wall, lambda: audit or AuditView(), "0.1")
    return scrape(made.text())


async def send(world: World, to: str, body: str = "hello") -> None:
    """A message of the operator's."""
    await world.do(ask.Send("operator", to, body, Provenance.OPERATOR))


def test_the_figures_are_those_of_the_store(tmp_path: Path) -> None:
    """Mail, turns, commits, agents, mailboxes."""

    async def tell(world: World) -> None:
        made = Metrics(world.boot.store, world.simulation.wall, AuditView, "0.1")
        world.boot.store.subscribe(made.on_commit)
        for _ in range(3):
            await send(world, "iris")
        begun = await world.boot.store.submit(BeginTurn("iris", 1)).outcome()
        assert isinstance(begun, TurnBegun)
        numbers = tuple(one.mail.number for one in begun.messages)
        await world.do(ask.EndTurn(begun.turn, Outcome.OK, seen=numbers))
        await send(world, "rosa", "the secret plan")
        await world.do(ask.Park("rosa", Reason.PAUSED))
        await world.do(ask.StoreAttachment("operator", "nothing that is shown"))
        text = made.text()
        now = scrape(text)
        assert now.value("hive_messages", state="done") == 3
        assert now.value("hive_messages", state="ready") == 1
        assert now.value("hive_messages_accepted_total") == 4
        assert now.value("hive_turns_total", outcome="ok") == 1
        assert now.value("hive_turns_total", outcome="failed") == 0
        assert now.value("hive_commits_total") == 7
        assert now.value("hive_agents") == 2
        assert now.value("hive_agents_parked", reason="paused") == 1
        assert now.value("hive_turns_open") == 0
        assert now.value("hive_mailbox_messages", agent="rosa") == 1
        assert now.value("hive_mailbox_messages", agent="(others)") == 0
        assert now.value("hive_wake_seconds", quantile="0.99") >= 0
        assert now.value("hive_info", version="0.1") == 1
        assert now.value("hive_boot") == 1
        assert now.value("hive_refusing") == 0
        assert "secret" not in text

        await send(world, "rosa")
        assert made.text() == text, "the store is asked at most once a second"
        await trio.sleep(1.0)
        assert scrape(made.text()).value("hive_messages", state="ready") == 2

    in_world(tmp_path, tell)


def test_the_audit_has_its_figures() -> None:
    """Before the first full check there is no age of it."""
    early = scrape(rendered(audited(AuditView(), 10.0)))
    assert ("hive_audit_full_age_seconds", frozenset()) not in early.samples
    wrong = (Violation(1, "iris", "waits"), Violation(1, "rosa", "waits"), Violation(4, "iris", "done", 7))
    view = AuditView(
        since=100.0,
        looks=9,
        failed=1,
        full_at=150.0,
        full_seconds=30.0,
        full_spent=0.2,
        full_checks=2,
        spent=0.5,
        violations=wrong,
    )
    now = scrape(rendered(audited(view, 200.0)))
    assert [now.value("hive_audit_violations", invariant=number) for number in "1234"] == [2, 0, 0, 1]
    assert now.value("hive_audit_full_age_seconds") == 50
    assert now.value("hive_audit_full_duration_seconds") == 30
    assert now.value("hive_audit_full_cpu_seconds") == 0.2
    assert now.value("hive_audit_core_share") == 0.005
    assert now.value("hive_audit_cpu_seconds_total") == 0.5
    assert now.value("hive_audit_looks_total") == 9
    assert now.value("hive_audit_failed_looks_total") == 1
    assert now.value("hive_audit_full_checks_total") == 2


def test_many_mailboxes_do_not_make_many_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fullest have their own; the others are one."""
    monkeypatch.setattr(metrics, "FULLEST", 1)

    async def tell(world: World) -> None:
        for to in ("iris", "rosa", "rosa"):
            await send(world, to)
        now = scraped(world)
        boxes = {key: value for key, value in now.samples.items() if key[0] == "hive_mailbox_messages"}
        assert boxes == {
            ("hive_mailbox_messages", frozenset({("agent", "rosa")})): 2,
            ("hive_mailbox_messages", frozenset({("agent", "(others)")})): 1,
        }
        assert ("hive_wake_seconds", frozenset({("quantile", "0.5")})) not in now.samples

    in_world(tmp_path, tell)


def test_a_label_may_hold_anything() -> None:
    """Quotes, backslashes and ends of lines are escaped."""
    odd = Metric("hive_info", "gauge", "Odd.", (({"version": 'a"b\\c\nd'}, 0.1),))
    assert list(odd.lines())[2] == 'hive_info{version="a\\"b\\\\c\\nd"} 0.1'
    assert scrape(rendered([odd])).samples


def test_only_who_may_see_the_page_gets_them(tmp_path: Path) -> None:
    """With a login on the page's port, or as its owner on the operator's socket; and no other page does."""

    async def main() -> None:
        directory = Directory(tmp_path)
        directory.create()
        settings = Config(web=Listen(port=0), mcp=Listen(port=0))
        with trio.fail_after(30), locked(directory):
            async with run_hive(directory, settings) as running:
                origin = running.listeners.origin
                async with httpx2.AsyncClient(trust_env=False, base_url=origin) as http:
                    answer = await http.get(running.login_link())
                    key = str(answer.headers["set-cookie"]).partition(";")[0]
                    http.cookies.clear()
                    cases: Sequence[tuple[dict[str, str], int]] = (
                        ({}, 401),
                        ({"Cookie": key.partition("=")[0] + "=made-up"}, 401),
                        ({"Cookie": key, "Host": "evil.example"}, 403),
                        ({"Cookie": key, "Origin": "http://evil.example"}, 403),
                        ({"Cookie": key, "Origin": origin}, 200),
                        ({"Cookie": key}, 200),
                    )
                    for headers, status in cases:
                        answer = await http.get(
                            "/metrics", headers={"Host": urlsplit(origin).netloc} | headers
                        )
                        assert answer.status_code == status, headers
                        assert ("hive_messages" in answer.text) == (status == 200)
                    assert answer.headers["content-type"] == metrics.CONTENT_TYPE
                    assert answer.headers["cache-control"] == "no-store"
                    assert (await http.post("/metrics", headers={"Cookie": key})).status_code == 405
                socket = httpx2.AsyncHTTPTransport(uds=str(directory.operator_socket))
                async with httpx2.AsyncClient(transport=socket, base_url="http://hive") as http:
                    while True:
                        now = scrape((await http.get("/metrics")).text)
                        if now.value("hive_audit_full_checks_total"):
                            break
                        await trio.sleep(0.2)
                assert now.value("hive_audit_looks_total") >= 1
                assert now.value("hive_audit_full_age_seconds") < 30
            directory.clear()

    trio.run(main)


def test_an_agent_does_not_get_them_on_the_operators_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that descends from one is told to use its own tools."""
    monkeypatch.setattr("hive.web.app.descends_from_agent", lambda _pid, _recorded: True)

    async def main() -> None:
        directory = Directory(tmp_path)
        directory.create()
        settings = Config(web=Listen(port=0), mcp=Listen(port=0))
        with trio.fail_after(30), locked(directory):
            async with run_hive(directory, settings):
                socket = httpx2.AsyncHTTPTransport(uds=str(directory.operator_socket))
                async with httpx2.AsyncClient(transport=socket, base_url="http://hive") as http:
                    answer = await http.get("/metrics")
                assert answer.status_code == 403
                assert "hive_" not in answer.text
            directory.clear()

    trio.run(main)
