"""The parts of a real hive are killed again and again while it works, and no mail is lost by it.

Real sockets, real processes, real time: what the simulated sweeps do at every step, done to the whole at
random instants, endpoints and page included.
"""

import random
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import trio

from hive import config
from hive.actors import Budget, HiveError, open_hive
from hive.actors.protocol import BROKER, WATCHER, WRITER, Perform, harness_of
from hive.app import compose
from hive.app.compose import run_hive
from hive.app.running import Running
from hive.directory import Directory, locked
from hive.protocol.commands import AddAgent, Send, Settings
from hive.protocol.errors import HiveRefusal
from hive.protocol.mail import Accepted, Provenance, State
from hive.store.hints import ANY

VICTIMS = ("mcp", "web", WRITER, BROKER, WATCHER, harness_of("iris"), harness_of("boss"))
BLOWS_EACH = 4
BLOW_SECONDS = 0.4
"""Between two blows; rarer than any child's restart budget allows, for there are seven of them."""

QUIET_SECONDS = 90.0


async def add_agents(running: Running) -> None:
    """Two who talk to each other and run commands."""
    for name, role in (("boss", "manager"), ("iris", "agent")):
        settings = Settings(role=role, allow_shell=True, directives_from=("operator", "boss"))
        await running.hive.ref(BROKER).ask(Perform(AddAgent(name, settings)))


async def send(running: Running, body: str) -> str | None:
    """Send as the operator; None where it was not accepted because a part was just dead."""
    try:
        command = Send("operator", "boss", body, Provenance.OPERATOR)
        answer = await running.hive.ref(BROKER).ask(Perform(command))
    except (HiveError, HiveRefusal):
        return None
    (accepted,) = answer.accepted
    assert isinstance(accepted, Accepted)
    return accepted.id


async def load(running: Running, sent: list[str]) -> None:
    """Mail that makes both agents call tools and run processes."""
    number = 0
    while True:
        number += 1
        body = f'!call hive/send {{"to": "iris", "body": "note {number}"}}\n!sh sleep 0.05\n!say {number}'
        if ref := await send(running, body):
            sent.append(ref)
        await trio.sleep(0.05)


async def strike(running: Running, chance: random.Random, struck: Counter[str]) -> None:
    """Kill each part so many times, in a random order."""
    blows = [victim for victim in VICTIMS for _ in range(BLOWS_EACH)]
    chance.shuffle(blows)
    for victim in blows:
        await trio.sleep(BLOW_SECONDS * chance.uniform(0.5, 1.5))
        running.hive.kill(victim)
        struck[victim] += 1


async def quiet(running: Running) -> None:
    """Wait until nothing is left to do."""
    reader = running.store.reader
    with trio.fail_after(QUIET_SECONDS):
        while any(view.deliverable or view.open_turn or view.claimed for view in reader.agents()):
            mark = running.store.hints.mark(ANY)
            with trio.move_on_after(1.0):
                await running.store.hints.wait(ANY, mark)


@pytest.mark.slow
def test_whatever_part_of_a_real_hive_dies_its_mail_is_handled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every accepted message is done in the end, every part was struck, and the invariants hold."""
    # So many blows are no sign of a hive that cannot live, here.
    patient = partial(open_hive, budget=Budget(1_000, 30.0))
    monkeypatch.setattr(compose, "open_hive", patient)

    async def story() -> None:
        settings = config.Config(web=config.Listen(port=0), mcp=config.Listen(port=0))
        sent: list[str] = []
        struck: Counter[str] = Counter()
        async with run_hive(directory, settings) as running:
            await add_agents(running)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load, running, sent)
                await strike(running, random.Random(7), struck)
                nursery.cancel_scope.cancel(reason="enough")
            await quiet(running)
            print(f"{dict(struck)}; {len(sent)} messages")  # noqa: T201 - a sweep says what it hit

            assert dict.fromkeys(VICTIMS, BLOWS_EACH) == struck
            assert len(sent) > BLOWS_EACH * len(VICTIMS)
            states = Counter(mail.state for ref in sent if (mail := running.store.reader.mail(ref)))
            assert {State.DONE: len(sent)} == states
            assert running.store.reader.violations() == ()
            assert [view.parked for view in running.store.reader.agents() if view.parked] == []

    directory = Directory(tmp_path)
    directory.create()
    try:
        with locked(directory):
            trio.run(story)
    finally:
        directory.clear()
