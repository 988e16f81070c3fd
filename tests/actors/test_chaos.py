"""Chaos on a simulated hive: what it breaks is mended, what was accepted is handled, and off means off."""

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hive.actors import ROOT, ActorCrashed, Request, SupervisorSnapshot
from hive.actors.chaos import DIED, OVER, Chaos
from hive.actors.protocol import AGENTS, CHAOS, Perform
from hive.actors.sites import Sites
from hive.protocol.chaos import DEAF_SECONDS, LARGEST_RATE, RESERVE, Failure, Kind, Plan, ProviderFault
from hive.protocol.commands import Kick, Once, Resume, Settings
from hive.protocol.errors import Conflict, StoreUnavailable
from hive.protocol.mail import State
from hive.protocol.parking import RESUMABLE
from hive.protocol.views import JournalRow
from hive.store.faults import CommitFaults
from hive.store.hints import Hints
from hive.testing.stage import Stage
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm

SEEDS = int(os.environ.get("HIVE_SEEDS", "10"))
NAMES = ("boss", "iris", "otto", "cleo")
BODIES = (
    "!say short",
    "!wait 3\n!say slow",
    '!call hive/send {"to": "manager", "body": "a report"}\n!say told the manager',
    '!call hive/send {"to": "iris", "body": "!say a request"}\n!wait 1',
    "!ignore-fold-in\n!wait 2\n!call hive/recv {}\n!say looked",
)
REST_SECONDS = 4 * 3600.0
"""In which a swarm comes to rest after chaos: backoffs are up to half an hour."""

DAY = 24 * 3600.0
HOUR = 3600.0


def patient(stage: Stage, folder: Path) -> Swarm:
    """A swarm whose invariants allow for a lost hint, and for a restart after it."""
    return Swarm(stage, folder, grace=45.0)


async def staff(swarm: Swarm) -> Chaos:
    """A manager and three others, who obey each other; answers the switch of their daemon."""
    everybody = ("operator", *NAMES)
    await swarm.add("boss", Settings(role="manager", directives_from=everybody))
    for name in NAMES[1:]:
        await swarm.add(name, Settings(directives_from=everybody))
    return (await swarm.daemon()).chaos


async def work(swarm: Swarm, chance: Random, seconds: float, every: float) -> int:
    """Mail to whomever for so long; a person looks in now and then and ends what only a person can.

    Answers how many messages were accepted.
    """
    over, sent = trio.current_time() + seconds, 0
    while trio.current_time() < over:
        await trio.sleep(chance.expovariate(1.0 / every))
        await swarm.send(chance.choice(NAMES), chance.choice(BODIES))
        await swarm.perform(Resume(None, RESUMABLE))
        sent += 1
    return sent


async def rest(swarm: Swarm) -> None:
    """Wait until nothing is left to do; a person goes on looking in."""
    with trio.fail_after(REST_SECONDS):
        while not swarm.quiet:
            await trio.sleep(60.0)
            await swarm.perform(Resume(None, RESUMABLE))


def rows(swarm: Swarm, type_: str) -> list[JournalRow]:
    """Of that type, since the swarm began."""
    return [row for row in swarm.journal if row.type == type_]


def kinds(swarm: Swarm) -> Counter[str]:
    """How often each kind has struck, by the journal."""
    return Counter(str(row.data["kind"]) for row in rows(swarm, "chaos.struck"))


def counted(said: Mapping[str, object] | None) -> Counter[str]:
    """How often each kind has struck, by what the switch says of itself."""
    assert said is not None
    return +Counter(cast("dict[str, int]", said["struck"]))


def tree(swarm: Swarm) -> SupervisorSnapshot:
    """The children, as they are."""
    daemon = swarm._daemon
    assert daemon is not None
    return daemon.hive.snapshot()


def fine(swarm: Swarm) -> None:
    """Nothing complains, nobody was given up, and the daemon is the one that was started."""
    warnings = [row.data for row in rows(swarm, "hive.warning") if row.data["code"] != "store_cleared"]
    assert warnings == []
    assert rows(swarm, "child.parked") == []
    assert swarm.boots == 1


# --- what was accepted is handled --------------------------------------------------------------------


def chaotic(seed: int, plan: Plan, every: float) -> Counter[str]:
    """Work under chaos, and a rest after it.  Answers whom and what it has struck."""
    struck: Counter[str] = Counter()

    async def story(swarm: Swarm) -> None:
        chaos = await staff(swarm)
        await chaos.on(plan, "the test")
        sent = await work(swarm, Random(seed), plan.seconds - 1.0, every)
        assert kinds(swarm) == counted(await chaos.off("the test"))
        struck.update(kinds(swarm))
        struck.update(str(row.data["target"]) for row in rows(swarm, "chaos.struck"))
        await rest(swarm)
        counts = swarm.store.reader.counts()
        assert counts.accepted == counts.done + counts.removed >= sent
        assert swarm.store.reader.dead() == ()
        fine(swarm)

    run_swarm(story, seed, make=patient)
    print(f"seed {seed}: { {kind.value: struck[kind] for kind in Kind} }")  # noqa: T201 - what this seed was about
    return struck


@pytest.mark.parametrize("seed", range(3))
def test_under_chaos_everything_accepted_is_handled(seed: int) -> None:
    """Ten minutes with a strike every two seconds; each kind has struck."""
    struck = chaotic(seed, Plan(rate=30, seconds=600.0), every=15.0)
    assert all(struck[kind] for kind in Kind)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 100 + max(4, SEEDS // 5)))
def test_hours_of_chaos_lose_nothing(seed: int) -> None:
    """Two hours with a strike every two seconds; every actor has been killed, supervisors included."""
    struck = chaotic(seed, Plan(rate=30, seconds=2 * HOUR), every=60.0)
    assert all(struck[kind] > 20 for kind in Kind)
    everybody = {"writer", "broker", "watcher", "steward", "janitor", "mcp", AGENTS}
    assert everybody | {f"agent:{name}" for name in NAMES} <= {*struck}


@pytest.mark.parametrize("kind", Kind)
def test_any_one_kind_alone_at_the_highest_rate_loses_nothing(kind: Kind) -> None:
    """Two minutes of ten strikes a second."""
    struck = chaotic(7, Plan(rate=LARGEST_RATE, seconds=120.0, kinds=(kind,)), every=5.0)
    assert {other for other in Kind if struck[other]} == {kind}


# --- on and off --------------------------------------------------------------------------------------


def told(story: Callable[[Swarm, Chaos], Awaitable[None]], seed: int = 0) -> None:
    """Tell a story of a staffed swarm with a switch."""

    async def tell(swarm: Swarm) -> None:
        await story(swarm, await staff(swarm))

    run_swarm(tell, seed, make=patient)


def test_it_is_off_unless_somebody_turns_it_on() -> None:
    """A day of nothing."""

    async def story(swarm: Swarm, chaos: Chaos) -> None:
        await work(swarm, Random(1), HOUR, every=300.0)
        assert chaos.said() is None
        assert await chaos.off("the test") is None
        assert {row.type for row in swarm.journal} & {"chaos.on", "chaos.struck", "chaos.off"} == set()

    told(story)


def test_off_means_off() -> None:
    """After it nothing dies, no turn fails, no hint is lost and nothing strikes for an hour of work."""

    async def story(swarm: Swarm, chaos: Chaos) -> None:
        await chaos.on(Plan(rate=120), "the test")
        await work(swarm, Random(1), 60.0, every=10.0)
        said = await chaos.off("somebody")
        await rest(swarm)
        seen = len(swarm.journal)
        await work(swarm, Random(2), HOUR, every=30.0)
        await rest(swarm)
        types = Counter(row.type for row in swarm.journal[seen:])
        assert types["turn.started"] > 50
        wrong = {name for name in types if name.startswith(("chaos.", "child.", "box.", "park.", "hive."))}
        assert wrong - {"park.set", "park.lifted"} == set()
        assert {row.data["outcome"] for row in swarm.journal[seen:] if row.type == "turn.ended"} == {"ok"}
        assert said is not None
        assert (said["on"], said["why"]) == (False, "turned off by somebody")
        (off,) = rows(swarm, "chaos.off")
        assert off.data["why"] == "turned off by somebody"
        assert counted(off.data) == kinds(swarm)

    told(story)


def test_it_ends_by_itself_when_its_time_is_over() -> None:
    """And can be turned on again, by another seed."""

    async def story(swarm: Swarm, chaos: Chaos) -> None:
        first = await chaos.on(Plan(rate=60, seconds=30.0), "the test")
        await trio.sleep(29.0)
        assert (chaos.said() or {})["on"]
        await trio.sleep(2.0)
        said = chaos.said()
        assert said is not None
        assert (said["on"], said["why"]) == (False, OVER)
        assert tree(swarm).find(CHAOS) is None
        again = await chaos.on(Plan(rate=60, seconds=30.0), "the test")
        assert first["seed"] != again["seed"]
        await trio.sleep(1.0)
        assert [row.data["seed"] for row in rows(swarm, "chaos.on")] == [first["seed"], again["seed"]]

    told(story)


def test_it_is_not_turned_on_twice() -> None:
    """The second is told how to end the first."""

    async def story(swarm: Swarm, chaos: Chaos) -> None:
        await chaos.on(Plan(rate=1), "one")
        with pytest.raises(Conflict, match="hive chaos off"):
            await chaos.on(Plan(rate=600), "another")
        assert (chaos.said() or {})["by"] == "one"
        assert len(rows(swarm, "chaos.on")) <= 1

    told(story)


def test_a_daemon_starts_without_it() -> None:
    """Whatever the one before was doing when it was killed."""

    async def story(swarm: Swarm, chaos: Chaos) -> None:
        await chaos.on(Plan(rate=120, seconds=DAY), "the test")
        await trio.sleep(20.0)
        swarm.restart_daemon()
        await trio.sleep(1.0)
        daemon = await swarm.daemon()
        seen = len(rows(swarm, "chaos.struck"))
        await work(swarm, Random(1), 300.0, every=30.0)
        assert daemon.chaos.said() is None
        assert len(rows(swarm, "chaos.struck")) == seen
        assert tree(swarm).find(CHAOS) is None

    told(story)


@pytest.mark.parametrize("kind", [Kind.HINTS, Kind.COMMIT, Kind.PROVIDER, Kind.REQUEST])
def test_its_death_leaves_no_fault_behind(kind: Kind) -> None:
    """What was armed and has hit nobody is taken back; it stays dead and spends nobody's budget."""

    async def story(swarm: Swarm, chaos: Chaos) -> None:
        sites = chaos.reach.sites
        await chaos.on(Plan(rate=LARGEST_RATE, kinds=(kind,)), "the test")
        armed: dict[Kind, Callable[[], bool]] = {
            Kind.HINTS: lambda: sites.deaf,
            Kind.COMMIT: lambda: sites.commits.next_fails,
            Kind.PROVIDER: lambda: sites.fails_turn,
            Kind.REQUEST: lambda: sites.repeats_request,
        }
        with trio.fail_after(60.0):
            while not armed[kind]():  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.001)
        swarm.kill_actor(CHAOS)
        await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        assert not any(is_armed() for is_armed in armed.values())
        assert (chaos.said() or {})["why"] == DIED
        assert tree(swarm).find(CHAOS) is None
        writer = tree(swarm).find("writer")
        assert writer is not None
        assert not isinstance(writer, SupervisorSnapshot)
        assert writer.restarts == 0

    told(story)


def test_the_same_seed_strikes_the_same() -> None:
    """On another swarm with the same actors, whatever else was drawn there."""
    drawn: list[list[object]] = []

    async def story(swarm: Swarm, chaos: Chaos) -> None:
        await trio.sleep(5.0)
        await chaos.on(Plan(rate=3, seconds=HOUR, kinds=(Kind.ACTOR,), seed=11), "the test")
        await trio.sleep(600.0)
        drawn.append([row.data["target"] for row in rows(swarm, "chaos.struck")][:20])

    for seed in (1, 2):
        told(story, seed)
    assert len(drawn[0]) == 20
    assert drawn[0] == drawn[1]


def owner_of(owner: str) -> Callable[[str], bool]:
    """Whether an actor's restarts are counted in this budget: the root's, or that of one agent."""
    return lambda name: name == f"agent:{owner}" or (owner == ROOT and not name.startswith("agent:"))


def test_kills_leave_every_supervisor_its_reserve() -> None:
    """In no half minute more children die than its budget can spare, at the highest rate for ten minutes."""

    async def story(swarm: Swarm, chaos: Chaos) -> None:
        budget = tree(swarm).budget
        await chaos.on(Plan(rate=LARGEST_RATE, kinds=(Kind.ACTOR,)), "the test")
        await trio.sleep(600.0)
        killed = [(row.at, str(row.data["target"])) for row in rows(swarm, "chaos.struck")]
        spare, afresh = budget.intensity - RESERVE, [at for at, name in killed if name == AGENTS]
        for owner in (ROOT, *NAMES):
            mine = owner_of(owner)
            times = [at for at, name in killed if mine(name)]
            assert len(times) > 20
            # `spare` kills, and then one more that came when the first had left the window.
            for first, last in zip(times, times[spare:], strict=False):
                # Harnesses whose supervisor was killed meanwhile have got new budgets.
                renewed = owner != ROOT and any(first <= at <= last for at in afresh)
                assert renewed or last - first > budget.period - 1.0
        fine(swarm)

    told(story)


def test_hints_are_dropped_for_a_few_seconds() -> None:
    """And then they are heard again, until the next time."""

    async def story(swarm: Swarm, chaos: Chaos) -> None:
        await chaos.on(Plan(rate=60, seconds=120.0, kinds=(Kind.HINTS,)), "the test")
        sites, changes = chaos.reach.sites, [(trio.current_time(), False)]
        while trio.current_time() < 119.0:
            await trio.sleep(0.05)
            if sites.deaf is not changes[-1][1]:
                changes.append((trio.current_time(), sites.deaf))
        lasted = [b - a for (a, deaf), (b, _) in pairwise(changes) if deaf]
        assert len(lasted) > 10
        assert min(lasted) >= DEAF_SECONDS[0] - 0.1
        assert max(lasted) <= DEAF_SECONDS[1] + 0.1

    told(story)


# --- the sites ---------------------------------------------------------------------------------------


class Clerk:
    """Stands for the broker: gives these answers, in order."""

    def __init__(self, *answers: object) -> None:
        self.answers = [*answers]

    async def ask(self, request: Request[Any]) -> Any:
        """The next one, raised if it is an error."""
        await trio.lowlevel.checkpoint()
        assert isinstance(request, Perform)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def new_sites() -> Sites:
    """Sites of a hive of nobody's."""
    return Sites(Hints(), CommitFaults())


ASKED: Perform[object] = Perform(Kick("iris"), Once("test", "key", "digest"))


@pytest.mark.parametrize(
    ("second", "answer", "same"),
    [
        ("done", "done", True),
        ("otherwise", "otherwise", False),
        (StoreUnavailable("no room"), "done", True),
        (ActorCrashed("broker", ValueError()), "done", True),
    ],
)
async def test_a_keyed_request_is_carried_out_twice_once(second: object, answer: str, *, same: bool) -> None:
    """Where the second answer is lost, the first one counts: it has been done."""
    sites, heard = new_sites(), list[tuple[str, bool]]()
    clerk = Clerk("done", second, "a third")
    broker = sites.broker(clerk)
    sites.repeat_request(lambda command, alike: heard.append((command, alike)))
    assert await broker.ask(ASKED) == answer
    assert heard == [("Kick", same)]
    assert await broker.ask(ASKED) == "a third"


async def test_what_has_no_key_is_not_repeated_and_a_refusal_is_an_answer() -> None:
    """The site waits for one that can be."""
    sites = new_sites()
    sites.repeat_request(lambda *_: None)
    broker = sites.broker(Clerk("once", Conflict("no"), "first", "second"))
    unkeyed: Perform[object] = Perform(Kick("iris"))
    assert await broker.ask(unkeyed) == "once"
    with pytest.raises(Conflict):
        await broker.ask(ASKED)
    assert sites.repeats_request
    assert await broker.ask(ASKED) == "second"


@pytest.mark.parametrize("failure", Failure)
def test_one_turn_fails_and_its_mail_comes_again(failure: Failure) -> None:
    """Whatever its backend made of it."""

    async def story(swarm: Swarm, chaos: Chaos) -> None:
        hit: list[str] = []

        def failing(agent: str) -> ProviderFault:
            hit.append(agent)
            return ProviderFault(failure, 3)

        chaos.reach.sites.fail_turn(failing)
        sent = await swarm.send("iris", "!say well")
        await swarm.settle()
        outcomes = [turn.outcome for turn in swarm.store.reader.turns("iris")]
        assert outcomes == ["ok", "overloaded" if failure is Failure.OVERLOADED else "crashed"]
        assert hit == ["iris"]
        assert swarm.mail(sent.id).state is State.DONE
        assert swarm.mail(sent.id).attempts == (0 if failure is Failure.OVERLOADED else 1)

    told(story)


def test_hints_that_somebody_else_drops_stay_dropped() -> None:
    """Disarming takes back what was armed, and nothing else."""
    sites = new_sites()
    sites.hints.deaf = True
    sites.disarm()
    assert sites.deaf
