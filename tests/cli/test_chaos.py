"""`hive chaos`: what is typed, what is said, and, against a real daemon, that it breaks nothing for good."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hive.cli import main
from hive.cli.status import Failed, Status
from tests.cli.conftest import FakeDaemon, Run
from tests.cli.person import HIVE, Person, until

RUN: dict[str, Any] = {
    "on": True,
    "rate": 6,
    "kinds": ["box", "hints"],
    "seed": 7,
    "since": 0.0,
    "until": 600.0,
    "by": "operator",
    "total": 3,
    "struck": {"box": 3, "hints": 0},
    "why": "",
}
OFF = {**RUN, "on": False, "why": "its time was over"}
KINDS = {"box": "kills an agent's box", "hints": "drops hints"}


async def test_what_is_typed_is_what_the_daemon_is_asked(daemon: FakeDaemon, run: Run) -> None:
    """With its rate and nothing that was not typed; the answer names the seed and the way out."""
    daemon.results = {"chaos.on": RUN, "chaos.off": {"last": OFF}}
    status, said = await run("chaos", "on", "--rate", "6", "--only", "box,hints", "--i-know")
    assert status is Status.OK
    assert "chaos is on: 6 strikes a minute of box, hints, until" in said
    assert "seed 7" in said
    assert "hive chaos off" in said
    _, said = await run("chaos", "off")
    assert "chaos is off. 3 strikes since" in said
    assert ": 3 box." in said
    frames = [(frame["name"], frame["args"]) for frame in daemon.said("cmd")]
    assert frames == [
        ("chaos.on", {"rate": 6, "only": "box,hints", "i_know": True}),
        ("chaos.off", {}),
    ]


async def test_turning_off_what_was_never_on_is_said_so(daemon: FakeDaemon, run: Run) -> None:
    """And is no failure."""
    daemon.results = {"chaos.off": {"last": None}}
    assert await run("chaos", "off") == (Status.OK, "chaos was not on.\n")


@pytest.mark.parametrize("typed", ["chaos --rate 6", "chaos off --i-know", "chaos off --seconds 5"])
async def test_options_of_on_go_with_on(daemon: FakeDaemon, run: Run, typed: str) -> None:
    """Nobody believes that something was turned on."""
    with pytest.raises(Failed, match="hive chaos on") as failed:
        await run(*typed.split())
    assert failed.value.status is Status.USAGE
    assert daemon.received == []


@pytest.mark.parametrize(
    ("last", "says"),
    [
        (None, "It has not been on since this daemon started."),
        (RUN, "CHAOS IS ON: 6 strikes a minute until"),
        (OFF, "It is off: its time was over. The last time: seed 7; 3 strikes since"),
    ],
)
async def test_alone_it_says_what_it_is_and_what_it_has_done(
    daemon: FakeDaemon, run: Run, last: Any, says: str
) -> None:
    """Every kind by its deed."""
    daemon.answers = {"chaos": {"kinds": KINDS, "last": last}}
    _, said = await run("chaos")
    assert says in said
    assert "kills an agent's box (box)" in said


@pytest.mark.parametrize(("last", "shown"), [(RUN, True), (OFF, False), (None, False)])
async def test_the_status_says_when_it_is_on(daemon: FakeDaemon, run: Run, last: Any, *, shown: bool) -> None:
    """In capitals, with the way out."""
    counts = dict.fromkeys(("accepted", "ready", "claimed", "blocked", "done", "dead", "removed"), 0)
    daemon.answers["status"] = {
        "version": "0",
        "boot": 1,
        "origins": ["http://127.0.0.1:1"],
        "operator": "the operator",
        "refusing": None,
        "violations": [],
        "counts": counts,
        "chaos": last,
        "audit": {"sentence": "no full check yet"},
        **dict.fromkeys(("agents", "running", "parked", "unread"), 0),
    }
    _, said = await run("status")
    assert ("CHAOS IS ON: 6 strikes a minute until" in said) is shown


def test_a_demo_is_not_broken_before_somebody_knows_what_that_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with a live hive: it is told what will happen, and nothing has begun."""
    assert main(["demo", "--on", str(tmp_path), "--chaos", "60", "--headless"]) is Status.REFUSED
    assert "about 60 times a minute" in (said := capsys.readouterr().err)
    assert "say it again with --i-know" in said


def test_knowing_goes_with_chaos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody believes that a demo is broken which is not."""
    assert main(["demo", "--on", str(tmp_path), "--i-know", "--headless"]) is Status.USAGE
    assert "--i-know goes with --chaos" in capsys.readouterr().err


# --- for real --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_real_daemon_is_broken_on_request_and_goes_on(person: Person) -> None:
    """Refused, on, shown everywhere, off; on again and off by a restart.  Mail sent meanwhile is answered."""
    person.types("up", "--detach")
    person.types("spawn", "boss", "--backend", "scripted", "--manager")
    refused = person.types("chaos", "on", "--rate", "60", expect=1)
    assert "say it again with --i-know" in refused
    assert person.asks("chaos")["last"] is None
    person.types("chaos", "on", "--rate", "120", "--i-know", "--seed", "1")
    assert "turn it off: hive chaos off" in person.types("chaos", "on", "--rate", "6", "--i-know", expect=4)
    assert "CHAOS IS ON: 120 strikes a minute" in person.types("status")
    assert "BAD  chaos: it is on" in person.types("doctor", expect=1)
    for number in range(5):
        person.types("send", "boss", f"!say {number}")
    until(lambda: person.asks("chaos")["last"]["total"] >= 10)
    said = person.types("chaos", "off")
    assert "chaos is off." in said
    assert "CHAOS" not in person.types("status")
    until(lambda: person.asks("status")["counts"]["done"] >= 5)
    status = person.asks("status")
    assert (status["violations"], status["counts"]["dead"]) == ([], 0)
    person.types("chaos", "on", "--rate", "1", "--i-know")
    person.types("down")
    person.types("up", "--detach")
    assert person.asks("chaos")["last"] is None
    assert "ok   chaos: off" in person.types("doctor")
    person.types("down")


@pytest.mark.slow
def test_a_demo_under_chaos_breaks_no_invariant(tmp_path: Path) -> None:
    """A strike a second for twenty seconds, and everything is accounted for."""
    words = ("--on", str(tmp_path), "--seconds", "20", "--chaos", "60", "--i-know", "--headless", "--json")
    ran = subprocess.run([*HIVE, "demo", *words], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["violations"] == []
    assert sum(summary["struck"].values()) >= 5
    assert summary["done"] >= 5
    assert summary["dead"] == 0
