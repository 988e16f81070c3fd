"""The bug that hive exists for: an agent is rebuilt, and the message that arrived meanwhile never wakes it.

Each story rebuilds an agent's box, sends it a message meanwhile (or none: then the restart note is the only
mail there is), and kills one part at one step of all that.  Whatever dies, whenever: the message drives a
turn, no call of a tool is done twice, and nobody is shown mail as delivered that no turn holds or held.  At
the end of the file three mistakes are made on purpose and found out, so these tests can fail.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from attrs import frozen

from hive.agents import http_tools
from hive.cli import show
from hive.protocol.commands import BeginTurn, Command, Send, Settings, TurnBegun
from hive.protocol.mail import Kind, State
from hive.protocol.views import JournalRow
from hive.store.batch import Handlers
from hive.store.handlers import HANDLERS
from hive.store.send import send
from hive.store.sqlite import SqliteStore
from hive.store.transaction import Transaction
from hive.store.turns import begin_turn
from hive.store.verdicts import finish_unclaimed
from hive.testing import Stage
from hive.testing.page import Page, looking_parts
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm
from hive.testing.trouble import AtStep
from hive.web import wire
from hive.web.gets import ANSWERS
from hive.web.parts import WebParts

Strike = Callable[[Swarm, str], Callable[[], None]]

VICTIMS: Mapping[str, Strike] = {
    "loop": lambda swarm, agent: partial(swarm.kill_loop, agent),
    "backend": lambda swarm, agent: partial(swarm.kill_backend, agent),
    "box": lambda swarm, agent: partial(swarm.kill_box, agent),
    "network": lambda swarm, _: swarm.cut_tools,
    "mcp": lambda swarm, _: swarm.kill_endpoint,
    "broker": lambda swarm, _: swarm.kill_broker,
    "writer": lambda swarm, _: swarm.kill_writer,
    "watcher": lambda swarm, _: swarm.kill_watcher,
    "steward": lambda swarm, _: swarm.kill_steward,
    "auditor": lambda swarm, _: swarm.kill_auditor,
    "daemon": lambda swarm, _: swarm.restart_daemon,
}

WAKE_UP = '!call hive/send {"to": "operator", "body": "I am awake"}\n!call hive/recv {}\n!say I am awake'
LONG_WORK = '!call hive/send {"to": "operator", "body": "I begin"}\n!wait 5\n!say long work'

SEEDS = max(1, int(os.environ.get("HIVE_SEEDS", "3")) // 3)
"""How many seeds the slow tier sweeps: a third of what other tests use, for each is thousands of stories."""

SHARE = 60
"""The fast tier kills at every so many-th step, each story at others."""

STRIDE = int(os.environ.get("HIVE_STRIDE", "3"))
"""So does the slow tier in its two long cases, which differ in who is rebuilt; with 1 at every step."""


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
    "idle": Case("iris", message=True, busy=False, steps=170),
    "busy": Case("iris", message=True, busy=True, steps=240),
    "note only": Case("iris", message=False, busy=False, steps=60),
    "manager": Case("boss", message=True, busy=True, steps=240),
}


@frozen
class Blow:
    """What dies, and when; by default nothing does."""

    victim: str = "loop"
    step: int | None = None
    cut_read: int | None = None
    """Which read of an event stream meets a connection error."""

    lost_answer: int | None = None
    """Which answer of the endpoint its client never reads."""


@frozen
class Told:
    """A story that went well: how long it was, whether the blow fell, and what there was to hit."""

    steps: int
    struck: bool
    reads: int
    answers: int
    calls_cut: int
    """Calls of tools whose connection broke under them."""


NONE = Blow()

CALLS_CUT = 4
"""Among every eighth step of the idle story so many have a call of a tool under way, at least."""

a_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
a_victim = pytest.mark.parametrize("victim", VICTIMS)


# --- the story -------------------------------------------------------------------------------------


def play(case: Case, seed: int, blow: Blow = NONE, handlers: Handlers = HANDLERS) -> Told:
    """Tell one story."""
    instrument = AtStep(blow.step)

    def make(stage: Stage, directory: Path) -> Swarm:
        return Swarm(stage, directory, handlers=handlers, checked=handlers is HANDLERS)

    async def story(swarm: Swarm) -> tuple[int, int, int]:
        return await rebuild(swarm, case, instrument, blow)

    reads, answers, cut = run_swarm(story, seed, make=make, instruments=[instrument])
    return Told(instrument.steps, instrument.struck, reads, answers, cut)


async def rebuild(swarm: Swarm, case: Case, instrument: AtStep, blow: Blow) -> tuple[int, int, int]:
    """Rebuild an agent under fire and see that everything accepted was handled.

    Answers the reads, the answers of tools and the broken calls there were.
    """
    onlooker = Onlooker(swarm)
    await swarm.add("boss", Settings(role="manager"))
    await swarm.add("iris")
    await swarm.send(case.agent, "!say hello")
    await swarm.settle()
    epoch = swarm.agent(case.agent).epoch
    accepted = []
    if case.busy:
        accepted.append(await swarm.send(case.agent, LONG_WORK))
        await swarm.until(lambda: swarm.agent(case.agent).open_turn is not None)

    instrument.arm(VICTIMS[blow.victim](swarm, case.agent))
    reads, answers = arm_faults(swarm, blow)

    async def send() -> None:
        await trio.sleep(swarm.stage.random.choice((0.0, 0.01, 0.05, 1.0)))
        accepted.append(await swarm.send(case.agent, WAKE_UP))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(swarm.rebuild, case.agent)
        if case.message:
            nursery.start_soon(send)
    await swarm.until(lambda: swarm.agent(case.agent).epoch > epoch)
    await swarm.settle()
    instrument.disarm()

    check(swarm, case, [one.id for one in accepted])
    await swarm.until(onlooker.is_up_to_date)
    onlooker.check()
    return swarm.trouble.reads - reads, swarm.trouble.answers - answers, swarm.network.calls_cut


def arm_faults(swarm: Swarm, blow: Blow) -> tuple[int, int]:
    """Have the blow's faults count from here; answers what was counted before."""
    reads, answers = swarm.trouble.reads, swarm.trouble.answers
    swarm.trouble.cut_read = None if blow.cut_read is None else reads + blow.cut_read
    swarm.trouble.lost_answer = None if blow.lost_answer is None else answers + blow.lost_answer
    return reads, answers


def check(swarm: Swarm, case: Case, accepted: list[str]) -> None:
    """What was accepted drove a turn, and what a turn did it did once."""
    notes = restart_notes(swarm, case.agent)
    assert notes, "nobody told the agent that it was rebuilt"
    for message in (*accepted, *notes):
        mail = swarm.mail(message)
        assert swarm.drove_a_turn(message), f"{message} ({mail.kind}, {mail.state}) has driven no turn"
        assert mail.state is State.DONE
    sent = Counter((mail.cause, mail.body) for mail in swarm.store.reader.mailbox("operator", limit=100).mail)
    # A turn that was interrupted is told again as another one; one turn says each of its sentences once.
    assert [said for said, often in sent.items() if often > 1] == [], "a repeated call was done twice"
    if case.message:
        assert "I am awake" in {body for _, body in sent}


def restart_notes(swarm: Swarm, agent: str) -> list[str]:
    """The restart notes that had to wake the agent."""
    page = swarm.store.reader.mailbox(agent, limit=100)
    return [mail.id for mail in page.mail if mail.kind is Kind.RESTARTED and mail.wakes]


# --- what people are shown meanwhile -----------------------------------------------------------------


class Onlooker:
    """Looks at the journal, the page and the command line after every commit, in every boot.

    Notes every message shown as delivered (with a turn, seen, or done) that no turn holds or held.
    """

    def __init__(self, swarm: Swarm) -> None:
        """Stay with a swarm for its life."""
        self.wall = swarm.stage.wall
        self.page = Page()
        self.wrong: list[str] = []
        self.claimed: set[str | None] = set()
        self.parts: WebParts | None = None
        self.visit(swarm.store)
        swarm.visitors.append(self.visit)

    def visit(self, store: SqliteStore) -> None:
        """Come back after a restart with what is remembered, and go on looking."""
        self.parts = looking_parts(store, self.wall)
        self.page.connect(self.parts)
        store.subscribe(self.look)

    def look(self, rows: Sequence[JournalRow], _stream: object) -> None:
        """After a commit: the whole page, and in the journal and on the command line what has changed."""
        for row in rows:
            if row.type == "msg.claimed":
                self.claimed.add(row.subject)
            elif row.type in {"msg.seen", "msg.done"} and row.subject not in self.claimed:
                self.wrong.append(f"the journal shows {row.subject} as {row.type}")
        self.page.read()
        for message in self.page.journal.messages.values():
            if is_delivered(message) and not self.page.holders(message["id"]):
                self.wrong.append(f"the page shows {message['id']} as {message['state']}")
        to_agents = (row for row in rows if row.type.startswith("msg.") and row.agent != "operator")
        for changed in {row.subject: None for row in to_agents}:
            self.look_at(str(changed))

    def look_at(self, message: str) -> None:
        """One message on the command line: its life story, and its line in its mailbox."""
        story = self.get("message", message=message)
        held = any(message in turn["messages"] for turn in story["turns"])
        shown = show.message(story, None)
        words = [word for word in DELIVERED_WORDS if word in shown]
        if words and not held:
            self.wrong.append(f"hive message shows {message} as {words}")
        page = self.get("mailbox", recipient=story["mail"]["recipient"], limit=100)
        if any(one["id"] == message and is_delivered(one) for one in page["mail"]) and not held:
            self.wrong.append(f"hive mail shows {message} as delivered")

    def get(self, what: str, **arguments: object) -> dict[str, Any]:
        """What a verb is answered with, as it arrives."""
        assert self.parts is not None
        answer: dict[str, Any] = orjson.loads(wire.encoded(ANSWERS[what](self.parts, arguments)))
        return answer

    def is_up_to_date(self) -> bool:
        """Whether the page has been told of every commit: the writer may dawdle before it publishes one."""
        assert self.parts is not None
        return self.page.at is not None and self.page.at[0] == self.parts.store.reader.head().seq

    def check(self) -> None:
        """Nothing wrong was shown, and the page knows what a page opened now would know."""
        assert self.wrong == [], "; ".join(self.wrong)
        assert self.parts is not None
        fresh = Page()
        fresh.connect(self.parts)
        assert self.page.knows() == fresh.knows()


DELIVERED_WORDS = ("now claimed", "now done", "claimed by", "shown to the model", "  done: ")


def is_delivered(message: Mapping[str, Any]) -> bool:
    """Whether a list shows a message to an agent as with it, or as dealt with."""
    return message["to"] != "operator" and message["state"] in {"claimed", "done"}


# --- the sweeps ------------------------------------------------------------------------------------


def sweep(case: Case, seed: int, victim: str, first: int, share: int) -> int:
    """Kill the victim at every `share`-th step of the story; answers how many calls that broke."""
    steps = play(case, seed).steps
    told = [play(case, seed, Blow(victim, step)) for step in range(first, steps + 1, share)]
    struck, cut = sum(one.struck for one in told), sum(one.calls_cut for one in told)
    print(f"{victim}, seed {seed}: struck at {struck} of {steps} steps; {cut} calls broke")  # noqa: T201 - a sweep says how far it went
    assert steps >= case.steps
    assert struck >= case.steps // share
    return cut


@a_case
@a_victim
def test_whatever_dies_during_a_rebuild_the_message_drives_a_turn(victim: str, case: Case) -> None:
    """Every part, at steps all over the rebuild."""
    seed = sum(map(ord, victim))
    sweep(case, seed, victim, 1 + seed % SHARE, SHARE)


@pytest.mark.slow
@pytest.mark.seeds(SEEDS)
@a_case
@a_victim
def test_whatever_dies_at_any_step_of_a_rebuild_the_message_drives_a_turn(
    victim: str, case: Case, seed: int
) -> None:
    """Every part, at every step (of the long cases at every `STRIDE`-th)."""
    stride = STRIDE if case.busy else 1
    # The two long cases are struck at different steps, and so is one by different victims.
    first = (list(VICTIMS).index(victim) + list(CASES.values()).index(case)) % stride
    sweep(case, seed, victim, 1 + first, stride)


@a_case
def test_a_connection_error_at_any_read_of_the_event_stream_loses_nothing(case: Case) -> None:
    """Every read of every turn of the story, one after the other."""
    reads = play(case, seed=3).reads
    for cut_read in range(1, reads + 1):
        play(case, 3, Blow(cut_read=cut_read))
    print(f"cut each of {reads} reads")  # noqa: T201 - a sweep says how far it went
    assert reads >= 4


@pytest.mark.parametrize("case", [CASES["idle"], CASES["busy"]], ids=["idle", "busy"])
def test_an_answer_of_a_tool_that_is_never_read_loses_nothing_and_doubles_nothing(case: Case) -> None:
    """Every answer of the story, one after the other: what was done is not done again when it is repeated."""
    answers = play(case, seed=3).answers
    for lost in range(1, answers + 1):
        told = play(case, 3, Blow(lost_answer=lost))
        assert told.calls_cut == 1
    print(f"lost each of {answers} answers")  # noqa: T201 - a sweep says how far it went
    assert answers >= 2


@pytest.mark.parametrize("victim", ["mcp", "network"])
def test_calls_are_under_way_when_the_endpoint_dies(victim: str) -> None:
    """So the sweeps above are known to hit what they are about."""
    assert sweep(CASES["idle"], 1, victim, first=1, share=8) >= CALLS_CUT


def test_the_same_blow_is_the_same_story() -> None:
    """A failing step replays exactly, with the endpoint's library and its client in the story."""
    case, blow = CASES["busy"], Blow("mcp", 100)
    assert play(case, 5, blow) == play(case, 5, blow)


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
    for step in range(1, play(case, seed=0).steps + 1, 7):
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


def done_for_a_moment(tx: Transaction, command: Command[object]) -> object:
    """The mistake: what is sent is said to be done, and only then put where a turn finds it."""
    assert isinstance(command, Send)
    answer = send(tx, command)
    for one in answer.accepted:
        finish_unclaimed(tx, one.number, "handed over")
    return answer


def put_back(tx: Transaction, command: Command[object]) -> object:
    """The other half of it: the next look finds everything that no turn has held."""
    assert isinstance(command, BeginTurn)
    tx.execute("UPDATE message SET state = 'ready', why = NULL WHERE state = 'done' AND why = 'handed over'")
    return begin_turn(tx, command)


def test_a_store_that_says_done_too_early_is_found_out() -> None:
    """Wherever it says so, though every message drives its turn in the end."""
    boasting: Handlers = {**HANDLERS, Send: done_for_a_moment, BeginTurn: put_back}
    with pytest.raises(AssertionError) as found:
        play(CASES["idle"], 0, NONE, boasting)
    for where in ("the journal shows", "the page shows", "hive message shows", "hive mail shows"):
        assert where in str(found.value)


def test_without_ids_of_tool_uses_a_repeated_call_is_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the ids are what keeps it from being done twice when its answer is lost."""
    monkeypatch.setattr(http_tools, "TOOL_USE", "nobody/reads/this")
    with pytest.raises(AssertionError, match="a repeated call was done twice"):
        play(CASES["idle"], 3, Blow(lost_answer=1))
