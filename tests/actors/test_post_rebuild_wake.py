"""The bug that hive exists for: an agent is rebuilt, and the message that arrived meanwhile never wakes it.

Each story rebuilds an agent's box, sends it a message meanwhile (or none: then the restart note is the only
mail there is), and kills one part at one step of all that.  Whatever dies, whenever: the message drives a
turn.  At the end of the file a store that pops its mail loses the wake, so these tests can fail.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import trio
from attrs import frozen

from hive.protocol.commands import BeginTurn, Command, Settings, TurnBegun
from hive.protocol.mail import Kind, State
from hive.protocol.views import JournalRow
from hive.store.batch import Handlers
from hive.store.handlers import HANDLERS
from hive.store.transaction import Transaction
from hive.store.turns import begin_turn
from hive.testing import Simulation
from hive.testing.faults import AtStep
from hive.testing.swarm import Swarm, run_swarm

Strike = Callable[[Swarm, str], Callable[[], None]]

VICTIMS: Mapping[str, Strike] = {
    "loop": lambda swarm, agent: partial(swarm.kill_loop, agent),
    "backend": lambda swarm, agent: partial(swarm.kill_backend, agent),
    "box": lambda swarm, agent: partial(swarm.kill_box, agent),
    "tools": lambda swarm, _: swarm.cut_tools,
    "broker": lambda swarm, _: swarm.kill_broker,
    "writer": lambda swarm, _: swarm.kill_writer,
    "watcher": lambda swarm, _: swarm.kill_watcher,
    "steward": lambda swarm, _: swarm.kill_steward,
    "daemon": lambda swarm, _: swarm.restart_daemon,
}

WAKE_UP = '!call hive/send {"to": "operator", "body": "I am awake"}\n!say I am awake'

SEEDS = max(1, int(os.environ.get("HIVE_SEEDS", "3")) // 3)
"""How many seeds the slow tier sweeps: a third of what other tests use, for each is thousands of stories."""

SHARE = 24
"""The fast tier kills at every so many-th step, each story at others; the slow tier at every step."""


@frozen
class Case:
    """What is rebuilt, and what arrives meanwhile."""

    agent: str
    message: bool
    busy: bool
    """Whether a turn is running when the rebuild begins."""

    steps: int
    """The story has at least so many steps; fewer mean that a sweep looks at something else."""


CASES = {
    "idle": Case("iris", message=True, busy=False, steps=80),
    "busy": Case("iris", message=True, busy=True, steps=130),
    "note only": Case("iris", message=False, busy=False, steps=55),
    "manager": Case("boss", message=True, busy=True, steps=130),
}


@frozen
class Blow:
    """What dies, and when; by default nothing does."""

    victim: str = "loop"
    step: int | None = None
    cut_read: int | None = None
    """Which read of an event stream meets a connection error."""


NONE = Blow()

a_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
a_victim = pytest.mark.parametrize("victim", VICTIMS)


# --- the story -------------------------------------------------------------------------------------


def play(case: Case, seed: int, blow: Blow = NONE, handlers: Handlers = HANDLERS) -> tuple[AtStep, int]:
    """Tell one story; returns its steps and how often an event stream was read in it."""
    instrument = AtStep(blow.step)

    def make(simulation: Simulation, directory: Path) -> Swarm:
        return Swarm(simulation, directory, handlers=handlers, checked=handlers is HANDLERS)

    async def story(swarm: Swarm) -> int:
        return await rebuild(swarm, case, instrument, blow)

    reads = run_swarm(story, seed, make=make, instruments=[instrument])
    return instrument, reads


async def rebuild(swarm: Swarm, case: Case, instrument: AtStep, blow: Blow) -> int:
    """Rebuild an agent under fire and see that everything accepted was handled."""
    await swarm.add("boss", Settings(role="manager"))
    await swarm.add("iris")
    await swarm.send(case.agent, "!say hello")
    await swarm.settle()
    epoch = swarm.agent(case.agent).epoch
    accepted = []
    if case.busy:
        accepted.append(await swarm.send(case.agent, "!wait 5\n!say long work"))
        await swarm.until(lambda: swarm.agent(case.agent).open_turn is not None)

    instrument.arm(VICTIMS[blow.victim](swarm, case.agent))
    before = swarm.faults.reads
    swarm.faults.cut_read = None if blow.cut_read is None else before + blow.cut_read

    async def send() -> None:
        await trio.sleep(swarm.simulation.random.choice((0.0, 0.01, 0.05, 1.0)))
        accepted.append(await swarm.send(case.agent, WAKE_UP))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(swarm.rebuild, case.agent)
        if case.message:
            nursery.start_soon(send)
    await swarm.until(lambda: swarm.agent(case.agent).epoch > epoch)
    await swarm.settle()
    instrument.disarm()

    notes = restart_notes(swarm, case.agent)
    assert notes, "nobody told the agent that it was rebuilt"
    for message in (*(one.id for one in accepted), *notes):
        mail = swarm.mail(message)
        assert swarm.drove_a_turn(message), f"{message} ({mail.kind}, {mail.state}) has driven no turn"
        assert mail.state is State.DONE
    assert_delivered_means_held(swarm.journal)
    return swarm.faults.reads - before


def restart_notes(swarm: Swarm, agent: str) -> list[str]:
    """The restart notes that had to wake the agent."""
    page = swarm.store.reader.mailbox(agent, limit=100)
    return [mail.id for mail in page.mail if mail.kind is Kind.RESTARTED and mail.wakes]


def assert_delivered_means_held(journal: list[JournalRow]) -> None:
    """No projection shows a message as seen or done unless a turn held it before."""
    held = set()
    for row in journal:
        if row.type == "msg.claimed":
            held.add(row.subject)
        if row.type in {"msg.seen", "msg.done"}:
            assert row.subject in held, f"{row.subject} is {row.type}, but nothing had claimed it"


# --- the sweeps ------------------------------------------------------------------------------------


def sweep(case: Case, seed: int, victim: str, share: int) -> None:
    """Kill the victim at every `share`-th step of the story."""
    steps = play(case, seed)[0].steps
    first = 1 + sum(map(ord, victim)) % share
    struck = [play(case, seed, Blow(victim, step))[0].struck for step in range(first, steps + 1, share)]
    print(f"{victim}, seed {seed}: struck at {sum(struck)} of {steps} steps")  # noqa: T201 - a sweep says how far it went
    assert steps >= case.steps
    assert sum(struck) >= case.steps // share


@a_case
@a_victim
def test_whatever_dies_during_a_rebuild_the_message_drives_a_turn(victim: str, case: Case) -> None:
    """Every part, at steps all over the rebuild."""
    sweep(case, seed=sum(map(ord, victim)), victim=victim, share=SHARE)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
@a_case
@a_victim
def test_whatever_dies_at_any_step_of_a_rebuild_the_message_drives_a_turn(
    victim: str, case: Case, seed: int
) -> None:
    """Every part, at every step, under many seeds."""
    sweep(case, seed, victim, share=1)


@a_case
def test_a_connection_error_at_any_read_of_the_event_stream_loses_nothing(case: Case) -> None:
    """Every read of every turn of the story, one after the other."""
    reads = play(case, seed=3)[1]
    for cut_read in range(1, reads + 1):
        play(case, 3, Blow(cut_read=cut_read))
    print(f"cut each of {reads} reads")  # noqa: T201 - a sweep says how far it went
    assert reads >= 4


# --- and that it can fail --------------------------------------------------------------------------


def pop_on_receive(tx: Transaction, command: Command[object]) -> object:
    """The mistake: what a turn is handed is finished with, whatever becomes of the turn."""
    assert isinstance(command, BeginTurn)
    answer = begin_turn(tx, command)
    if isinstance(answer, TurnBegun):
        for one in answer.messages:
            tx.execute("UPDATE message SET state = 'done', why = 'popped' WHERE number = ?", one.mail.number)
    return answer


POPPING: Handlers = {**HANDLERS, BeginTurn: pop_on_receive}


@pytest.mark.parametrize("victim", ["loop", "backend", "daemon"])
def test_a_store_that_pops_its_mail_loses_the_wake(victim: str) -> None:
    """These stories find out the very mistake they are about."""
    case, runs, lost = CASES["idle"], 0, 0
    for step in range(1, play(case, seed=0)[0].steps + 1, 3):
        runs += 1
        try:
            play(case, 0, Blow(victim, step), POPPING)
        except AssertionError as error:
            assert "has driven no turn" in str(error)  # noqa: PT017 - most runs raise nothing
            lost += 1
    print(f"{victim}: the wake was lost in {lost} of {runs} runs")  # noqa: T201 - a sweep says how far it went
    assert lost > 0


def test_a_store_that_pops_its_mail_loses_what_a_rebuild_interrupts() -> None:
    """Nothing has to die for that: the rebuild alone is enough."""
    with pytest.raises(AssertionError, match="has driven no turn"):
        play(CASES["busy"], 0, NONE, POPPING)
