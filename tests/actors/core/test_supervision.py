"""What supervisors promise, each under many seeds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from hive.actors import (
    Actor,
    ActorExited,
    ActorSnapshot,
    ActorStarted,
    ActorStopped,
    Backoff,
    Budget,
    Burial,
    Cell,
    ChildSpec,
    Context,
    Crashed,
    DeadLetter,
    Decision,
    DropChild,
    Fact,
    Grace,
    Hive,
    HiveError,
    InvalidSpec,
    Killed,
    Kinship,
    Leave,
    Left,
    LeftTooSoon,
    ListChildren,
    NameTaken,
    NoSuchActor,
    NoSuchChild,
    NotReadyInTime,
    ReplaceChild,
    Restart,
    RestartChild,
    RestartsExhausted,
    StartChild,
    StartFailed,
    Status,
    StillLeaving,
    StopChild,
    Stopped,
    Strategy,
    Supervised,
    Supervisor,
    TooManyChildren,
    WillNotLeave,
    open_hive,
)
from hive.testing import Do, Note, Simulation, probe, simulate


class Oops(Exception):
    """A failure on purpose."""


async def fail(_: Context) -> None:
    """Crash."""
    raise Oops


async def leave(_: Context) -> None:
    """Leave normally."""
    raise Leave


async def never(_: Context) -> None:
    """Hang, until cancelled."""
    await trio.sleep_forever()


def sleeps(seconds: float) -> Callable[[Context], Awaitable[None]]:
    """Take some time."""

    async def sleep(_: Context) -> None:
        await trio.sleep(seconds)

    return sleep


def fails_after(good_starts: int) -> Callable[[Context], Awaitable[None]]:
    """Start well so many times, and never again."""

    async def start(ctx: Context) -> None:
        if ctx.incarnation > good_starts:
            raise Oops

    return start


def incarnations(hive: Hive) -> dict[str, int]:
    """How often everybody has been started."""
    return {name: actor(hive, name).incarnation for name in hive.names}


def actor(hive: Hive, name: str) -> ActorSnapshot:
    """How an actor, or a supervisor as one, is."""
    found = hive.snapshot().find(name)
    assert found is not None
    return found if isinstance(found, ActorSnapshot) else found.actor


async def settle() -> None:
    """Let everything happen that can happen now."""
    await trio.testing.wait_all_tasks_blocked()


def strangers(*children: ChildSpec, budget: Budget = Budget(), limit: int | None = None) -> ChildSpec:  # noqa: B008
    """A pool of them."""
    return ChildSpec(
        "pool",
        lambda: Supervisor(children, kinship=Kinship.STRANGERS, budget=budget, max_children=limit),
        grace=Grace.unbounded_shutdown(),
        attempts=1,
    )


def test_a_child_that_raises_restarts_with_its_mail_and_disturbs_nobody(seed: int) -> None:
    """Its siblings live on; its mailbox loses and reorders nothing but the retried message."""
    log: list[str] = []
    tries = 0

    async def fail_once(_: Context) -> None:
        nonlocal tries
        tries += 1
        log.append(f"try {tries}")
        if tries == 1:
            raise Oops

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a"), probe("b", log), probe("c")) as hive:
            b = hive.ref("b")
            b.tell(Note("1"))
            b.tell(Do(fail_once))
            b.tell(Note("2"))
            b.tell(Note("3"))
            await settle()

            assert incarnations(hive) == {"root": 1, "a": 1, "b": 2, "c": 1}

    simulate(story, seed)

    assert log == ["b up", "b got 1", "try 1", "b down", "b up", "try 2", "b got 2", "b got 3", "b down"]


@pytest.mark.parametrize(
    ("strategy", "restarted"),
    [
        (Strategy.ONE_FOR_ONE, ["b"]),
        (Strategy.REST_FOR_ONE, ["b", "c", "d"]),
        (Strategy.ONE_FOR_ALL, ["a", "b", "c", "d"]),
    ],
)
@pytest.mark.parametrize("pause", [0.0, 1.0])
def test_a_strategy_stops_its_set_in_reverse_and_starts_it_in_order(
    seed: int, strategy: Strategy, restarted: list[str], pause: float
) -> None:
    """Exactly its set, with and without a pause before the restart."""
    log: list[str] = []
    backoff = Backoff(first=pause, jitter=0)

    async def story(sim: Simulation) -> None:
        children = (probe(name, log, attempts=1, backoff=backoff) for name in "abcd")
        async with sim.hive(*children, strategy=strategy) as hive:
            log.clear()
            hive.ref("b").tell(Do(fail))
            await sim.facts.wait_for(ActorStarted, name=restarted[-1], incarnation=2)
            happened = list(log)
            others = [name for name in reversed(restarted) if name != "b"]
            downs = [f"{name} down" for name in ["b", *others]]

            assert happened == downs + [f"{name} up" for name in restarted]

    simulate(story, seed)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_simultaneous_crashes_end_with_everybody_up_again(seed: int, strategy: Strategy) -> None:
    """Whoever falls while others are being restarted is restarted too, and nobody twice at once."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        children = (probe(name, log, attempts=1, backoff=Backoff(first=0.1)) for name in "abcd")
        async with sim.hive(*children, strategy=strategy, budget=Budget(intensity=20)) as hive:
            for name in "abcd":
                hive.ref(name).tell(Do(fail))
            await trio.sleep(10)

            assert {actor(hive, name).status for name in "abcd"} == {Status.READY}

    simulate(story, seed)
    for name in "abcd":
        mine = [entry for entry in log if entry.startswith(name)]
        assert mine == [f"{name} up", f"{name} down"] * (len(mine) // 2)


def test_a_family_that_spends_its_budget_stops_in_reverse_and_fails_once(seed: int) -> None:
    """The parent sees one failure of the supervisor, with the child's error as its cause."""
    log: list[str] = []
    family = ChildSpec(
        "family",
        lambda: Supervisor([probe(name, log, attempts=1) for name in "abc"], budget=Budget(2, 10)),
        backoff=Backoff.none(),
        grace=Grace.unbounded_shutdown(),
    )

    async def story(sim: Simulation) -> None:
        async with sim.hive(family) as hive:
            for _ in range(3):
                hive.ref("b").tell(Do(fail))
                await settle()
            (exited,) = sim.facts.of(ActorExited, name="family")

            assert isinstance(exited.exit, Crashed)
            assert isinstance(exited.exit.error, RestartsExhausted)
            assert isinstance(exited.exit.error.__cause__, Oops)
            assert incarnations(hive)["family"] == 2
            assert incarnations(hive)["a"] == 1

    simulate(story, seed)
    first_life = log[: log.index("a down") + 1]

    assert first_life[-3:] == ["b down", "c down", "a down"]
    assert log[-3:] == ["c down", "b down", "a down"]


def test_at_the_root_a_spent_budget_is_raised_with_its_causes(seed: int) -> None:
    """The block is cancelled, and the failure comes out of it bare, not in a group."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=1), budget=Budget(2, 10)) as hive:
            for _ in range(3):
                hive.ref("a").tell(Do(fail))
                await settle()
            await trio.sleep_forever()

    with pytest.raises(RestartsExhausted) as caught:
        simulate(story, seed)
    assert isinstance(caught.value.__cause__, Oops)


def test_whoever_waits_for_the_end_is_told_what_the_root_failed_with(seed: int) -> None:
    """`stopped` raises it; after an ordinary stop it returns."""

    async def fails(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=1), budget=Budget(2, 10)) as hive:
            hive.kill("root")
            with trio.CancelScope(shield=True), pytest.raises(Killed):
                await hive.stopped()

    with pytest.raises(Killed):
        simulate(fails, seed)

    async def stops(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            hive.stop()
            await hive.stopped()

    simulate(stops, seed)


def test_failures_outside_the_window_are_forgotten_by_the_budget(seed: int) -> None:
    """One crash every six seconds is within two in ten."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=1), budget=Budget(2, 10)) as hive:
            for _ in range(8):
                hive.ref("a").tell(Do(fail))
                await trio.sleep(6)
            assert incarnations(hive)["a"] == 9

    simulate(story, seed)


def test_pauses_grow_and_are_forgotten_after_a_quiet_spell(seed: int) -> None:
    """Each failure doubles the pause up to the ceiling, until an incarnation has lived long enough."""
    backoff = Backoff(first=1, ceiling=4, jitter=0, quiet=100)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", attempts=1, backoff=backoff), budget=Budget(20, 1000)) as hive:
            for wait in (30, 30, 30, 30, 300, 30):
                hive.ref("a").tell(Do(fail))
                await trio.sleep(wait)

    sims: list[Simulation] = []

    async def keep(sim: Simulation) -> None:
        sims.append(sim)
        await story(sim)

    simulate(keep, seed)

    assert [fact.delay for fact in sims[0].facts.of(Supervised)] == [1, 2, 4, 4, 4, 1]


def test_a_failing_restart_does_not_keep_the_supervisor_from_stopping(seed: int) -> None:
    """It goes back to its mailbox between attempts, however hopeless the child."""

    async def story(sim: Simulation) -> None:
        child = probe("a", on_start=fails_after(1))
        async with sim.hive(child, budget=Budget(10**9)) as hive:
            hive.kill("a")
            await sim.facts.wait_for(Supervised, count=5)
            with trio.fail_after(1):
                hive.stop()
                await hive.stopped()

    simulate(story, seed)


def test_failing_restarts_count_against_the_budget(seed: int) -> None:
    """A child that cannot come back is not tried for ever."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", on_start=fails_after(1), attempts=1), budget=Budget(4)) as hive:
            hive.kill("a")
            await trio.sleep_forever()

    with pytest.raises(RestartsExhausted) as caught:
        simulate(story, seed)
    assert isinstance(caught.value.__cause__, Oops)


async def hangs_in_startup(sim: Simulation) -> None:
    """Start a child that never becomes ready."""
    async with sim.hive(probe("a"), probe("b", on_start=never, grace=Grace(startup=3))):
        raise AssertionError


async def fails_in_startup(sim: Simulation) -> None:
    """Start a child that fails."""
    async with sim.hive(probe("a"), probe("b", on_start=fail)):
        raise AssertionError


async def leaves_in_startup(sim: Simulation) -> None:
    """Start a child that returns at once."""

    class Hasty:
        async def serve(self, cell: Cell, **_: object) -> None:
            await trio.lowlevel.checkpoint()

    async with sim.hive(probe("a"), ChildSpec("b", Hasty)):
        raise AssertionError


@pytest.mark.parametrize(
    ("story", "cause"),
    [(hangs_in_startup, NotReadyInTime), (fails_in_startup, Oops), (leaves_in_startup, LeftTooSoon)],
)
def test_a_child_that_cannot_start_is_raised_at_its_starter(
    seed: int, story: Callable[[Simulation], Awaitable[None]], cause: type[Exception]
) -> None:
    """Those already up are stopped again, and nothing is left running: the run ends."""
    with pytest.raises(StartFailed) as caught:
        simulate(story, seed)

    assert caught.value.name == "b"
    assert isinstance(caught.value.__cause__, cause)


def test_a_start_that_is_cancelled_leaves_nothing_running(seed: int) -> None:
    """Cancelling whoever starts cancels what is being started, and stops what was ready."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        with trio.move_on_after(2) as scope:
            async with sim.hive(probe("a", log), probe("b", log, on_start=never)):
                raise AssertionError
        assert scope.cancelled_caught
        assert trio.current_time() - start < 3

    start = 0.0
    simulate(story, seed)

    assert log == ["a up", "a down"]


def test_a_child_added_while_running_that_fails_is_not_added(seed: int) -> None:
    """The asker gets the reason, and the name stays free."""

    async def story(sim: Simulation) -> None:
        async with sim.hive() as hive:
            with pytest.raises(StartFailed) as caught:
                await hive.root.ask(StartChild(probe("a", on_start=fail)))
            assert isinstance(caught.value.__cause__, Oops)
            assert hive.names == ("root",)
            assert await hive.root.ask(StartChild(probe("a"))) == hive.ref("a")

    simulate(story, seed)


def test_children_leave_in_reverse_even_if_the_world_is_cancelled(seed: int) -> None:
    """Cancellation from outside stops a family as politely as a request."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        with trio.move_on_after(5):
            async with sim.hive(*(probe(name, log) for name in "abc")):
                await trio.sleep_forever()

        assert not sim.facts.of(DeadLetter)

    simulate(story, seed)

    assert log == ["a up", "b up", "c up", "c down", "b down", "a down"]


def test_what_a_child_held_that_would_not_leave_is_shown_when_it_has_left(seed: int) -> None:
    """Nobody is there any more to take it back."""

    async def hold(ctx: Context) -> None:
        ctx.hold()

    async def stubborn(_: Context) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            hive.ref("a").tell(Do(hold))
            hive.ref("a").tell(Do(stubborn))
            await settle()
        (letter,) = sim.facts.of(DeadLetter)
        assert (letter.to, letter.reason) == ("a", Burial.STOPPED)
        assert trio.current_time() == 60

    simulate(story, seed)


def test_the_grace_passes_then_comes_the_cancellation(seed: int) -> None:
    """A busy child gets its grace to finish; one that does not is cancelled, and its message goes back."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(
            probe("quick", grace=Grace(shutdown=5)), probe("slow", grace=Grace(shutdown=5))
        ) as hive:
            hive.ref("quick").tell(Do(sleeps(4)))
            hive.ref("slow").tell(Do(sleeps(60)))
            await settle()
            for name in ("quick", "slow"):
                await hive.root.ask(StopChild(name))
                assert trio.current_time() - start == {"quick": 4, "slow": 4 + 5}[name]
                assert actor(hive, name).handling is None
                box = actor(hive, name).mailbox
                assert (box.counts.done, box.depth) == ((1, 0) if name == "quick" else (0, 1))

    start = 0.0

    async def timed(sim: Simulation) -> None:
        nonlocal start
        start = trio.current_time()
        await story(sim)

    simulate(timed, seed)


def test_a_child_that_ignores_its_cancellation_is_reported_and_hides_nobody(seed: int) -> None:
    """The report shows where it is; the others are stopped meanwhile."""
    log: list[str] = []

    async def stubborn(_: Context) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", log), probe("b", log), probe("c", log)) as hive:
            hive.ref("b").tell(Do(stubborn))
            await settle()
            hive.stop()
            stuck = await sim.facts.wait_for(WillNotLeave)
            assert stuck.name == "b"
            assert any("stubborn" in line for line in stuck.stack)
            await sim.facts.wait_for(ActorExited, name="a")
            assert trio.current_time() < 30

    simulate(story, seed)

    assert log == ["a up", "b up", "c up", "c down", "a down", "b down"]


def test_a_child_that_will_not_leave_cannot_be_started_again_until_it_has(seed: int) -> None:
    """Whoever asked is told; when the child has left at last, it stays stopped and can be started."""

    async def stubborn(_: Context) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            hive.ref("a").tell(Do(stubborn))
            await settle()
            with pytest.raises(StillLeaving):
                await hive.root.ask(StopChild("a"))
            with pytest.raises(StillLeaving):
                await hive.root.ask(RestartChild("a"))
            await trio.sleep(60)
            (child,) = await hive.root.ask(ListChildren())
            assert getattr(child, "status", None) is Status.STOPPED

            await hive.root.ask(RestartChild("a"))
            assert incarnations(hive)["a"] == 2

    simulate(story, seed)


def test_fifty_busy_strangers_with_ten_seconds_of_grace_stop_in_ten(seed: int) -> None:
    """All at once, not one after the other."""

    async def story(sim: Simulation) -> None:
        pool = strangers(*(probe(f"s{n}", grace=Grace(shutdown=10)) for n in range(50)))
        async with sim.hive(pool) as hive:
            for n in range(50):
                hive.ref(f"s{n}").tell(Do(sleeps(600)))
            await settle()
            before = trio.current_time()
            hive.stop()
            await hive.stopped()
            assert trio.current_time() - before == 10

    simulate(story, seed)


def test_a_crash_looping_stranger_is_parked_with_its_mail_and_can_be_restarted(seed: int) -> None:
    """The others do not notice; mail told meanwhile waits; questions are answered at once: nobody is in."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        pool = strangers(*(probe(name, log, attempts=2) for name in "abc"), budget=Budget(3, 30))
        async with sim.hive(pool) as hive:
            b = hive.ref("b")
            for _ in range(2):
                b.tell(Do(fail), urgent=True)
            b.tell(Note("precious"))
            await sim.facts.wait_for(Supervised, child="b", decision=Decision.PARK)
            await settle()
            assert (actor(hive, "b").status, actor(hive, "b").last_error) == (Status.PARKED, "Oops")
            assert incarnations(hive) | {"b": 0} == {"root": 1, "pool": 1, "a": 1, "b": 0, "c": 1}

            b.tell(Note("patient"))
            with pytest.raises(ActorStopped) as stopped:
                await b.ask(Do(fail))
            assert not stopped.value.begun

            await hive.ref("pool").ask(RestartChild("b"))
            await settle()
            assert actor(hive, "b").restarts == 0

    simulate(story, seed)

    assert [entry for entry in log if "got" in entry] == ["b got precious", "b got patient"]


def test_strangers_do_not_spend_each_others_restarts(seed: int) -> None:
    """Each of them crashes as often as one may, and nobody is parked."""

    async def story(sim: Simulation) -> None:
        pool = strangers(*(probe(name, attempts=1) for name in "abc"), budget=Budget(2, 30))
        async with sim.hive(pool) as hive:
            for name in "abcabc":
                hive.ref(name).tell(Do(fail))
                await settle()
            assert {actor(hive, name).status for name in "abc"} == {Status.READY}

    simulate(story, seed)


def test_a_stranger_that_cannot_start_does_not_keep_the_others_from_starting(seed: int) -> None:
    """It is tried again, and parked in the end."""

    async def story(sim: Simulation) -> None:
        pool = strangers(probe("a", on_start=fail), probe("b"), budget=Budget(4))
        async with sim.hive(pool) as hive:
            await sim.facts.wait_for(Supervised, child="a", decision=Decision.PARK)
            assert incarnations(hive) == {"root": 1, "pool": 1, "a": 5, "b": 1}

    simulate(story, seed)


@pytest.mark.parametrize(
    ("restart", "after_crash", "after_leaving"),
    [
        (Restart.PERMANENT, Status.READY, Status.READY),
        (Restart.TRANSIENT, Status.READY, Status.STOPPED),
        (Restart.TEMPORARY, None, None),
    ],
)
def test_who_comes_back_after_what(
    seed: int, restart: Restart, after_crash: Status | None, after_leaving: Status | None
) -> None:
    """Permanent: always; transient: after a crash; temporary: never, and it is forgotten."""

    async def story(sim: Simulation) -> None:
        for act, expected in ((fail, after_crash), (leave, after_leaving)):
            async with sim.hive(probe("a", restart=restart)) as hive:
                hive.ref("a").tell(Do(act))
                await settle()
                assert (actor(hive, "a").status if "a" in hive.names else None) is expected

    simulate(story, seed)


def test_a_temporary_child_stays_gone_after_its_group_restarts(seed: int) -> None:
    """Even though it did nothing wrong."""

    async def story(sim: Simulation) -> None:
        specs = (probe("a"), probe("b", restart=Restart.TEMPORARY), probe("c"))
        async with sim.hive(*specs, strategy=Strategy.ONE_FOR_ALL) as hive:
            hive.kill("c")
            await settle()
            assert incarnations(hive) == {"root": 1, "a": 2, "c": 2}

    simulate(story, seed)


def test_a_child_stopped_by_request_stays_stopped_with_its_mail(seed: int) -> None:
    """Until it is started again; a group restart does not wake it either."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a"), probe("b", log), strategy=Strategy.ONE_FOR_ALL) as hive:
            await hive.root.ask(StopChild("b"))
            hive.ref("b").tell(Note("later"))
            hive.kill("a")
            await settle()
            assert incarnations(hive) == {"root": 1, "a": 2, "b": 1}

            await hive.root.ask(RestartChild("b"))
            await settle()

    simulate(story, seed)

    assert log == ["b up", "b down", "b up", "b got later", "b down"]


def test_stopping_the_child_a_group_restart_waits_for_does_not_strand_the_group(seed: int) -> None:
    """The others are started when the pause is over."""
    backoff = Backoff(first=5, jitter=0)

    async def story(sim: Simulation) -> None:
        specs = (probe(name, backoff=backoff) for name in "abc")
        async with sim.hive(*specs, strategy=Strategy.REST_FOR_ONE) as hive:
            hive.kill("b")
            await settle()
            await hive.root.ask(StopChild("b"))
            await trio.sleep(6)
            assert incarnations(hive) == {"root": 1, "a": 1, "b": 1, "c": 2}

    simulate(story, seed)


def test_an_earlier_failure_supersedes_the_restart_a_later_child_waits_for(seed: int) -> None:
    """Nobody is started before those it depends on."""
    log: list[str] = []
    backoff = Backoff(first=5, jitter=0)

    async def story(sim: Simulation) -> None:
        specs = (probe(name, log, backoff=backoff) for name in "abc")
        async with sim.hive(*specs, strategy=Strategy.REST_FOR_ONE) as hive:
            hive.kill("c")
            await trio.sleep(3)
            hive.kill("a")
            await trio.sleep(10)
            assert incarnations(hive) == {"root": 1, "a": 2, "b": 2, "c": 2}

    simulate(story, seed)

    assert log[3:9] == ["c down", "a down", "b down", "a up", "b up", "c up"]


def test_a_restart_that_was_due_when_an_earlier_child_failed_is_superseded_too(seed: int) -> None:
    """Even if its time came while the supervisor was busy: nobody is started before those it depends on."""
    log: list[str] = []
    backoff = Backoff(first=1, jitter=0)

    async def story(sim: Simulation) -> None:
        busy = probe("busy", log, grace=Grace(shutdown=5))
        specs = busy, *(probe(name, log, backoff=backoff) for name in "ab")
        async with sim.hive(*specs, strategy=Strategy.REST_FOR_ONE) as hive, trio.open_nursery() as nursery:
            hive.ref("busy").tell(Do(never))
            hive.kill("b")
            await trio.sleep(0.5)
            nursery.start_soon(hive.root.ask, StopChild("busy"))
            await trio.sleep(1)
            hive.kill("a")
            await trio.sleep(10)
            assert incarnations(hive) == {"root": 1, "busy": 1, "a": 2, "b": 2}

    simulate(story, seed)

    assert log[3:8] == ["b down", "a down", "busy down", "a up", "b up"]


def test_a_restart_that_was_due_before_a_newer_crash_of_the_same_child_waits_for_the_new_pause(
    seed: int,
) -> None:
    """Its time came while the supervisor was busy, and the child was started and fell again meanwhile."""
    backoff = Backoff(first=1, jitter=0)

    async def story(sim: Simulation) -> None:
        children = probe("busy", grace=Grace(shutdown=5)), probe("a", attempts=1, backoff=backoff)
        async with sim.hive(*children) as hive, trio.open_nursery() as nursery:
            hive.ref("busy").tell(Do(never))
            hive.kill("a")
            await trio.sleep(0.5)
            nursery.start_soon(hive.root.ask, StopChild("busy"))
            await trio.sleep(1)
            hive.ref("a").tell(Do(fail))
            nursery.start_soon(partial(hive.root.ask, RestartChild("a"), urgent=True))
            await sim.facts.wait_for(Supervised, child="a", count=2)
            fell = trio.current_time()
            await sim.facts.wait_for(ActorStarted, name="a", incarnation=3)

            assert trio.current_time() == fell + 1

    simulate(story, seed)


def test_a_child_whose_question_waits_at_its_supervisor_can_be_stopped(seed: int) -> None:
    """The question is answered first: nobody will look at it. So nobody waits for anybody."""

    async def ask_for_the_list(ctx: Context) -> None:
        await ctx.ref("pool").ask(ListChildren())

    async def story(sim: Simulation) -> None:
        children = probe("slow", grace=Grace(shutdown=5)), probe("a")
        async with sim.hive(ChildSpec("pool", partial(Supervisor, children))) as hive:
            hive.ref("slow").tell(Do(never))
            await settle()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hive.ref("pool").ask, StopChild("slow"))
                await settle()
                hive.ref("a").tell(Do(ask_for_the_list))
                await settle()
                await hive.ref("pool").ask(StopChild("a"), urgent=True)
            assert trio.current_time() == 5

    simulate(story, seed)


def test_a_child_that_is_ready_and_dead_in_one_step_is_treated_like_any_other(seed: int) -> None:
    """Its start succeeded, and its crashes count."""

    class Brief:
        async def serve(self, _: Cell, *, task_status: trio.TaskStatus[None]) -> None:
            task_status.started()
            raise Oops

    async def story(sim: Simulation) -> None:
        async with sim.hive(strangers()) as hive:
            await hive.ref("pool").ask(StartChild(ChildSpec("brief", Brief)))
            await trio.sleep(100)
            brief = actor(hive, "brief")
            assert (brief.status, brief.incarnation, brief.restarts) == (Status.PARKED, 6, 0)
            await hive.ref("pool").ask(DropChild("brief"))

    simulate(story, seed)


def test_requests_that_come_while_a_pool_shuts_down_change_nothing(seed: int) -> None:
    """Whoever made them is told that nobody looked at them."""
    answers: list[object] = []

    async def story(sim: Simulation) -> None:
        children = probe("slow", grace=Grace(shutdown=5)), probe("a")
        async with sim.hive(strangers(*children)) as hive, trio.open_nursery() as nursery:
            hive.ref("slow").tell(Do(never))
            await settle()
            nursery.start_soon(hive.root.ask, StopChild("pool"))
            await settle()

            async def refused(request: Callable[[], Awaitable[object]]) -> None:
                with pytest.raises(ActorStopped) as caught:
                    await request()
                answers.append(caught.value.begun)

            ask = hive.ref("pool").ask
            nursery.start_soon(refused, partial(ask, StartChild(probe("new"))))
            nursery.start_soon(refused, partial(ask, DropChild("a")))
            nursery.start_soon(refused, partial(ask, RestartChild("slow")))
            nursery.start_soon(refused, partial(ask, ListChildren()))
            await trio.sleep(20)
            assert hive.names == ("root", "pool")

    simulate(story, seed)

    assert answers == [False] * 4


def test_dropping_a_child_frees_its_name_and_shows_what_is_lost(seed: int) -> None:
    """Its waiting mail becomes dead letters, and whoever asks or tells hears that nobody is there."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            await hive.root.ask(StopChild("a"))
            hive.ref("a").tell(Note("lost"))
            await hive.root.ask(DropChild("a"))
            (letter,) = sim.facts.of(DeadLetter)
            assert letter.message == Note("lost")
            with pytest.raises(NoSuchActor):
                hive.ref("a").tell(Note("nobody"))
            with pytest.raises(NoSuchActor):
                await hive.ref("a").ask(Do(fail))
            await hive.root.ask(StartChild(probe("a")))
            assert incarnations(hive) == {"root": 1, "a": 1}

    simulate(story, seed)


def test_replacing_a_spec_keeps_the_place_and_the_mail(seed: int) -> None:
    """The new incarnation finds what the old one had not handled."""
    old: list[str] = []
    new: list[str] = []

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", old), probe("b")) as hive:
            a = hive.ref("a")
            a.tell(Do(sleeps(1)))
            a.tell(Note("waiting"))
            await settle()
            await hive.root.ask(ReplaceChild(probe("a", new)))
            await settle()
            assert [child.name for child in await hive.root.ask(ListChildren())] == ["a", "b"]

    simulate(story, seed)

    assert old == ["a up", "a down"]
    assert new == ["a up", "a got waiting", "a down"]


def test_a_replacement_that_cannot_start_is_parked(seed: int) -> None:
    """Whoever asked is told, the mail stays, and another replacement mends it."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            with pytest.raises(StartFailed):
                await hive.root.ask(ReplaceChild(probe("a", on_start=fail)))
            assert actor(hive, "a").status is Status.PARKED
            await hive.root.ask(ReplaceChild(probe("a")))
            assert actor(hive, "a").status is Status.READY

    simulate(story, seed)


async def add_a_second(hive: Hive) -> None:
    """Ask for a child whose name is taken."""
    await hive.root.ask(StartChild(probe("a")))


async def add_a_third(hive: Hive) -> None:
    """Ask a full pool for another one."""
    await hive.ref("pool").ask(StartChild(probe("b")))


async def stop_a_stranger(hive: Hive) -> None:
    """Ask the wrong supervisor."""
    await hive.root.ask(StopChild("nobody"))


async def add_a_glutton(hive: Hive) -> None:
    """Ask for a child whose bad messages would spend the whole budget."""
    await hive.root.ask(StartChild(probe("b", attempts=5)))


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (add_a_second, NameTaken),
        (add_a_third, TooManyChildren),
        (stop_a_stranger, NoSuchChild),
        (add_a_glutton, InvalidSpec),
    ],
)
def test_a_request_that_makes_no_sense_is_declined_and_harms_nobody(
    seed: int, request_: Callable[[Hive], Awaitable[None]], error: type[HiveError]
) -> None:
    """The asker gets the error; the supervisor lives on."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a"), strangers(limit=0)) as hive:
            with pytest.raises(error):
                await request_(hive)
            assert incarnations(hive) == {"root": 1, "a": 1, "pool": 1}

    simulate(story, seed)


def test_contradictory_specs_are_refused_before_anything_starts() -> None:
    """Attempts against intensity, names, strategies, limits."""
    with pytest.raises(InvalidSpec, match="attempts"):
        Supervisor([probe("a", attempts=5)])
    with pytest.raises(InvalidSpec, match="name of its own"):
        Supervisor([probe("a"), probe("a")])
    with pytest.raises(InvalidSpec, match="strangers"):
        Supervisor(kinship=Kinship.STRANGERS, strategy=Strategy.ONE_FOR_ALL)
    with pytest.raises(ValueError, match="name"):
        probe("")
    with pytest.raises(TypeError, match="start"):
        ChildSpec("a", Supervisor())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="attempts"):
        probe("a", attempts=0)
    with pytest.raises(ValueError, match="limit"):
        probe("a", handling_limit=0)
    Supervisor([probe("a", attempts=9, restart=Restart.TEMPORARY)])


def test_a_killed_child_counts_as_crashed(seed: int) -> None:
    """Without grace, and its supervisor brings it back."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a")) as hive:
            hive.ref("a").tell(Do(never))
            await settle()
            hive.kill("a")
            exited = await sim.facts.wait_for(ActorExited)
            assert isinstance(exited.exit, Crashed)
            assert isinstance(exited.exit.error, Killed)
            await sim.facts.wait_for(ActorStarted, name="a", incarnation=2)
            with pytest.raises(NoSuchActor):
                hive.kill("nobody")

    simulate(story, seed)


def test_leaving_is_not_a_crash(seed: int) -> None:
    """The exit says so."""

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", restart=Restart.TRANSIENT)) as hive:
            hive.ref("a").tell(Do(leave))
            assert (await sim.facts.wait_for(ActorExited)).exit == Left()

    simulate(story, seed)


def test_children_may_take_long_together_to_start_and_to_leave(seed: int) -> None:
    """Each has its own grace; their supervisor at the top has no other limit."""

    async def story(sim: Simulation) -> None:
        specs = [probe(name, on_start=sleeps(9), grace=Grace(startup=10, shutdown=20)) for name in "abc"]
        async with sim.hive(*specs) as hive:
            assert trio.current_time() == 27
            for name in "abc":
                hive.ref(name).tell(Do(sleeps(15 + ord(name) - ord("a"))))
            await settle()
        assert {fact.exit for fact in sim.facts.of(ActorExited)} == {Stopped()}
        assert trio.current_time() == 27 + 17

    simulate(story, seed)


def test_an_error_of_the_block_comes_out_bare(seed: int) -> None:
    """The nursery inside is nobody's business, and everything is stopped."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", log)):
            raise Oops

    with pytest.raises(Oops):
        simulate(story, seed)
    assert log == ["a up", "a down"]


@pytest.mark.parametrize("nested", [False, True])
def test_an_interrupt_in_a_child_ends_the_hive_in_order(nested: bool) -> None:
    """It passes through, everybody is stopped in reverse, and it comes out bare."""
    log: list[str] = []

    async def interrupt(_: Context) -> None:
        if nested:
            async with trio.open_nursery():
                raise KeyboardInterrupt
        raise KeyboardInterrupt

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a", log), probe("b", log), probe("c", log)) as hive:
            hive.ref("b").tell(Do(interrupt))
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        simulate(story, 0)
    assert log == ["a up", "b up", "c up", "b down", "c down", "a down"]


def test_a_group_waits_for_a_member_that_will_not_leave(seed: int) -> None:
    """It is tried again and again, and when the member has left at last, everybody is up."""

    async def stubborn(_: Context) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    async def story(sim: Simulation) -> None:
        specs = (probe(name, backoff=Backoff(first=4, jitter=0)) for name in "ab")
        async with sim.hive(*specs, strategy=Strategy.ONE_FOR_ALL, budget=Budget(20, 1000)) as hive:
            hive.ref("a").tell(Do(stubborn))
            await settle()
            hive.kill("b")
            await sim.facts.wait_for(WillNotLeave, name="a")
            await trio.sleep(200)
            assert incarnations(hive) == {"root": 1, "a": 2, "b": 2}
            assert {actor(hive, name).status for name in "ab"} == {Status.READY}
            hive.ref("a").tell(Note("and it listens"))

    simulate(story, seed)


class Server:
    """Something that serves and is not an actor."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def serve(self, cell: Cell, *, task_status: trio.TaskStatus[None]) -> None:
        """Ask somebody, serve until asked to stop, and say goodbye."""
        answer = await cell.ref("a").ask(Do(leave_a_trace))
        task_status.started()
        await cell.wait_stopping()
        await trio.sleep(1)
        self.log.append(f"{cell.name} heard {answer} and says goodbye")


async def leave_a_trace(ctx: Context) -> str:
    """Say who we are."""
    return ctx.name


def test_anything_that_serves_can_be_supervised(seed: int) -> None:
    """It is asked to stop, has its grace, is started again after a crash, and may talk to actors."""
    log: list[str] = []

    async def story(sim: Simulation) -> None:
        async with sim.hive(probe("a"), ChildSpec("server", lambda: Server(log))) as hive:
            hive.kill("server")
            await sim.facts.wait_for(ActorStarted, name="server", incarnation=2)
            hive.stop()
            await hive.stopped()
            hive.stop()
        assert hive.names == ()

    simulate(story, seed)

    assert log == ["server heard a and says goodbye"]


def test_a_hive_that_nobody_listens_to_works_as_well() -> None:
    """With the actor that does nothing of its own; and whoever comes late hears what follows."""

    async def story(sim: Simulation) -> None:
        facts: list[Fact] = []
        async with open_hive(ChildSpec("a", Actor), probe("b"), random=sim.random) as hive:
            hive.ref("a").tell(Note("nothing for me"))
            hive.ref("b").tell(Note("noted"))
            await settle()
            assert actor(hive, "a").mailbox.counts.buried == 1
            with hive.record(facts.append, ActorExited), hive.bus.subscribe(ActorExited) as exits:
                await hive.root.ask(StopChild("a"))
                assert facts == [await anext(exits)] == [ActorExited("a", 1, Stopped())]

    simulate(story, 0)
