"""A story has everything in hand: agents, actors, mail, time, and what goes wrong."""

import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
from attrs import frozen

from hive.actors import Actor, ActorStarted, Backoff, ChildSpec, Context, Message, Request
from hive.agents.events import ErrorClass
from hive.agents.rules import Rule
from hive.agents.steps import Say
from hive.agents.tools import ToolAnswer
from hive.mcp.desk import Call
from hive.mcp.tools import ToolSpec
from hive.protocol.commands import Pause
from hive.protocol.errors import Conflict, Malformed, NotFound
from hive.protocol.mail import State
from hive.protocol.parking import Reason
from hive.retelling import AGAIN, TWICE
from hive.store.handlers import HANDLERS
from hive.testing import (
    Faults,
    Journalled,
    NotDeterministic,
    Script,
    Simulation,
    Site,
    Turn,
    TurnFailed,
    run,
    simulate,
)
from hive.testing.faults import STEP_SITES, Fault
from hive.testing.probe import Note, probe

SEEDS = range(3)


@frozen
class Count(Request[int]):
    """How often have you been asked?"""


class Tally(Actor):
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def handle(self, message: Message, ctx: Context) -> object:
        """One more."""
        self.asked += 1
        return self.asked


# --- brains ----------------------------------------------------------------------------------------


def last(sim: Simulation, agent: str) -> str:
    """What an agent said last."""
    return sim.turns(agent)[-1].final_text


def test_without_a_brain_an_agent_obeys_the_operators_directives() -> None:
    """And no one else's."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        await (await sim.send("iris", "!say hello")).handled()
        assert last(sim, "iris") == "hello"
        await sim.spawn("otto")
        await (await sim.send("iris", "!say obeyed", sender="otto")).handled()
        assert last(sim, "iris") == ""

    simulate(story, 0)


def test_a_text_of_directives_is_obeyed_in_every_turn() -> None:
    """Whatever the mail says."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", "!say good morning")
        for _ in range(2):
            await (await sim.send("iris", "wake up")).handled()
            assert last(sim, "iris") == "good morning"

    simulate(story, 0)


def test_a_script_has_a_text_for_each_turn() -> None:
    """The last one for all that follow."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", Script("!say one", "!say two"))
        for said in ("one", "two", "two"):
            await (await sim.send("iris", "next")).handled()
            assert last(sim, "iris") == said

    simulate(story, 0)


def test_rules_are_asked_about_every_message() -> None:
    """A table of a story's own."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", [Rule(lambda mail: "loud" in mail.body, lambda _: (Say("LOUD"),))])
        await (await sim.send("iris", "be loud")).handled()
        assert last(sim, "iris") == "LOUD"

    simulate(story, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_function_of_a_turn_calls_tools_of_the_real_endpoint(seed: int) -> None:
    """What it sends is mail of the agent, caused by its turn."""

    async def think(turn: Turn) -> str:
        assert turn.agent == "iris"
        whoami = await turn.call("whoami")
        assert whoami.ok
        refused = await turn.send("nobody", "hello")
        assert not refused.ok
        await turn.send("operator", turn.text.upper(), in_reply_to=turn.mail[-1].id)
        return f"answered {len(turn.mail)}"

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        question = await sim.send("iris", "how are you?")
        await question.handled()
        (answer,) = sim.inbox("operator")
        assert (answer.sender, answer.body, answer.in_reply_to) == ("iris", "HOW ARE YOU?", question.id)
        assert answer.cause == f"turn:{question.turns[-1].number}"
        assert last(sim, "iris") == "answered 1"

    simulate(story, seed)


def test_a_function_may_return_the_calls_it_wants_made() -> None:
    """As a plain function of the mail would."""
    from hive.agents.steps import Call as Wanted  # noqa: PLC0415 - beside the endpoint's own

    async def think(turn: Turn) -> list[Wanted]:
        await trio.sleep(turn.random.random())
        return [Wanted("send", {"to": "operator", "body": body}) for body in turn.text.split()]

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        await (await sim.send("iris", "one two")).handled()
        assert [mail.body for mail in sim.inbox("operator")] == ["one", "two"]

    simulate(story, 0)


def test_a_function_takes_mail_that_comes_meanwhile_when_it_wants_to() -> None:
    """It is seen then, and done with the turn."""

    async def think(turn: Turn) -> str:
        while not await turn.more():  # noqa: ASYNC110 - there is nothing else to wait for
            await trio.sleep(1)
        return turn.text

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        first = await sim.send("iris", "one")
        await sim.facts.wait_for(Journalled, type="msg.seen", subject=first.id)
        second = await sim.send("iris", "two")
        await second.handled()
        assert last(sim, "iris") == "one\ntwo"
        assert first.turns[-1].number == second.turns[-1].number

    simulate(story, 0)


def test_what_a_function_does_not_take_drives_another_turn() -> None:
    """Nothing counts as seen that no brain has had in hand."""

    async def think(turn: Turn) -> str:
        await trio.sleep(60)
        return turn.text

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        first = await sim.send("iris", "one")
        await sim.facts.wait_for(Journalled, type="msg.seen", subject=first.id)
        second = await sim.send("iris", "two")
        await second.handled()
        assert [turn.final_text for turn in sim.turns("iris")[-2:]] == ["one", "two"]

    simulate(story, 0)


def test_a_brain_fails_as_providers_do() -> None:
    """A limit parks the agent until it is lifted; then the mail drives a turn."""
    limits = [60.0]

    async def think(turn: Turn) -> str:
        if limits:
            raise TurnFailed(ErrorClass.RATE_LIMIT, "too fast", after=limits.pop())
        return f"{turn.agent} works again"

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        letter = await sim.send("iris", "work")
        await sim.facts.wait_for(Journalled, type="park.set", agent="iris", subject=Reason.LIMIT)
        assert [one.reason for one in sim.agent("iris").parked] == [Reason.LIMIT]
        await sim.settle()
        assert letter.state is State.DONE
        assert last(sim, "iris") == "iris works again"

    simulate(story, 0)


def test_a_turn_that_breaks_down_spends_its_messages_attempts() -> None:
    """After three the message is dead, and says why."""

    async def think(turn: Turn) -> None:
        raise TurnFailed("crash", f"{turn.agent} is confused")

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        letter = await sim.send("iris", "work")
        await letter.handled()
        assert letter.state is State.DEAD
        assert letter.now.attempts == 3
        assert "iris is confused" in sim.turns("iris")[-1].error

    simulate(story, 0)


def test_a_mistake_in_a_brain_fails_the_story() -> None:
    """Whatever it raises that is not meant to fail a turn."""

    async def think(turn: Turn) -> None:
        raise TurnFailed("ratelimit", turn.text)

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        await (await sim.send("iris", "now")).handled()

    with pytest.raises(ValueError, match="'ratelimit' is not a valid ErrorClass"):
        simulate(story, 0)


def test_a_brain_that_is_not_async_fails_the_story() -> None:
    """And the error says what a brain is."""

    def think(turn: Turn) -> str:
        return turn.text

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)  # type: ignore[arg-type]
        await (await sim.send("iris", "now")).handled()

    with pytest.raises(TypeError, match="a brain is an async function"):
        simulate(story, 0)


def test_an_alarm_of_hives_own_audit_fails_the_story() -> None:
    """Here a message is done that nobody was given."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        await (await sim.send("iris", "!say hello")).handled()
        swarm = await sim.swarm()
        swarm.checked = False
        await sim.do(Pause("iris"))
        await sim.send("iris", "waits")
        swarm.store._committer.db.execute(
            "UPDATE message SET state = 'done', settled_at = 1 WHERE state = 'ready'"
        )
        await sim.advance(hours=1)

    with pytest.raises(AssertionError, match=r"accepted|audit|evidence"):
        simulate(story, 0)


def test_a_clock_that_jumps_raises_no_alarm() -> None:
    """What has come due by the jump is attended to within half a minute, and only then is the audit sure."""
    limits = [60.0]

    async def think(turn: Turn) -> str:
        if limits:
            raise TurnFailed("rate_limit", after=limits.pop())
        return turn.text

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        letter = await sim.send("iris", "hello")
        await sim.facts.wait_for(Journalled, type="park.set", agent="iris", subject=Reason.LIMIT)
        (await sim.swarm()).jump_wall(3_600)
        await letter.handled()
        await sim.advance(minutes=5)
        assert [mail.body for mail in sim.inbox("operator")] == []

    simulate(story, 0)


def test_what_a_brain_asserts_fails_the_story() -> None:
    """Even where the turn is tried again and the story is content."""

    async def think(turn: Turn) -> None:
        assert turn.text == "please", "nobody said please"

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        await (await sim.send("iris", "now")).handled()

    with pytest.raises(AssertionError, match="nobody said please"):
        simulate(story, 0)


@pytest.mark.parametrize(
    ("brain", "error", "said"),
    [
        ([1, 2], TypeError, "not 1"),
        ("hello", ValueError, "directives begin with !"),
        (7, TypeError, "not 7"),
        (Script, TypeError, "script"),
    ],
)
def test_what_is_no_brain_is_said(brain: Any, error: type[Exception], said: str) -> None:
    """Where it is spawned."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", brain)
        await (await sim.send("iris", "think")).handled()

    if brain is Script:
        with pytest.raises(ValueError, match=said):
            Script()
        return
    with pytest.raises(error, match=said):
        simulate(story, 0)


def test_names_are_checked() -> None:
    """As everywhere."""

    async def story(sim: Simulation) -> None:
        with pytest.raises(Malformed):
            await sim.spawn("Iris")
        await sim.spawn("iris")
        with pytest.raises(Conflict):
            await sim.spawn("iris")
        with pytest.raises(NotFound):
            await sim.send("otto", "hello")

    simulate(story, 0)


# --- actors and tools of one's own -----------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_an_actor_of_ones_own_lives_in_the_tree(seed: int) -> None:
    """It is restarted when it crashes, and comes back with the next daemon."""

    async def story(sim: Simulation) -> None:
        counter = await sim.actor(ChildSpec("counter", Tally, backoff=Backoff.none()))
        assert [await counter.ask(Count()) for _ in range(2)] == [1, 2]
        await sim.crash("counter")
        await sim.facts.wait_for(ActorStarted, name="counter", count=2)
        assert await counter.ask(Count()) == 1
        await sim.restart_daemon()
        assert await (await sim.ref("counter")).ask(Count()) == 1

    simulate(story, seed)


def test_a_tool_of_ones_own_is_called_like_hives() -> None:
    """By its arguments' names; wrong ones come back as an answer."""

    @frozen
    class Greet:
        whom: str

    async def greet(_call: Call, wanted: Greet) -> str:
        return f"good day, {wanted.whom}"

    tool = ToolSpec("greet", Greet, greet, "Greets.")

    async def story(sim: Simulation) -> tuple[ToolAnswer, ToolAnswer]:
        await sim.spawn("iris")
        return await sim.call("iris", "greet", whom="otto"), await sim.call("iris", "greet", who="otto")

    good, bad = simulate(story, 0, tools=[tool])
    assert good == ToolAnswer("good day, otto")
    assert not bad.ok
    assert "whom" in bad.text


# --- time and mishaps ------------------------------------------------------------------------------


def test_time_passes_as_far_as_the_story_says() -> None:
    """Further than a story may take by itself."""

    async def story(sim: Simulation) -> float:
        await sim.advance(days=2, hours=1, minutes=1, seconds=1)
        return trio.current_time()

    assert simulate(story, 0) == pytest.approx(2 * 86_400 + 3_661)


@pytest.mark.parametrize("hours", [-1.0, float("inf"), float("nan")])
def test_time_neither_goes_back_nor_passes_for_ever(hours: float) -> None:
    """A story that waits so would never end."""

    async def story(sim: Simulation) -> None:
        with pytest.raises(ValueError, match="time passes forward"):
            await sim.advance(hours=hours)

    simulate(story, 0)


def test_what_takes_its_time_from_outside_is_named_and_can_be_had_again() -> None:
    """With file and line, and the way to repeat it."""

    async def think(_turn: Turn) -> str:
        return f"it is {time.time()}"

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        await (await sim.send("iris", "what time is it?")).handled()

    named = r"time\.time\(\) at .*test_simulation\.py:\d+ in .*think"
    with pytest.raises(NotDeterministic, match=named) as caught:
        simulate(story, 5)
    assert "seed 5" in caught.value.__notes__[0]


def test_a_story_that_hangs_is_ended() -> None:
    """After a virtual day."""

    async def story(_sim: Simulation) -> None:
        await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError):
        simulate(story, 0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "mishap", ["crash", "rebuild", "lose_box", "cut_stream", "disconnect", "restart_daemon"]
)
def test_whatever_happens_in_the_middle_of_a_turn_its_mail_is_handled(mishap: str, seed: int) -> None:
    """Each mishap strikes upon the next fact of its kind."""

    async def think(turn: Turn) -> str:
        await trio.sleep(5)
        await turn.send("operator", f"{turn.text} is done")
        return "done"

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        async with trio.open_nursery() as nursery:
            strike = getattr(sim, mishap)
            arguments = [] if mishap in {"disconnect", "restart_daemon"} else ["iris"]
            nursery.start_soon(lambda: strike(*arguments, at="turn.started"))
            await trio.testing.wait_all_tasks_blocked()
            letter = await sim.send("iris", "work")
        await sim.settle()
        assert letter.state is State.DONE
        assert any("is done" in mail.body for mail in sim.inbox("operator"))

    simulate(story, seed)


def test_a_mishap_of_nobody_is_refused() -> None:
    """A name that is mistyped would make a test that proves nothing."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        with pytest.raises(NotFound, match=r"no agent and no actor 'irsi'; there are .*steward"):
            await sim.crash("irsi")
        for mishap in (sim.rebuild, sim.lose_box, sim.cut_stream):
            with pytest.raises(AssertionError, match=r"there is no agent 'irsi'; did you mean iris\?"):
                await mishap("irsi")

    simulate(story, 0)


def test_a_failing_story_without_a_name_keeps_its_failure() -> None:
    """One that is put together on the spot stands in no file."""
    with pytest.raises(AssertionError, match="she does not work") as caught:
        simulate(partial(failing), 3)
    assert "seed 3" in caught.value.__notes__[0]


def test_a_mishap_that_would_wait_for_ever_is_refused() -> None:
    """The error names the rows there are."""

    async def story(sim: Simulation) -> None:
        with pytest.raises(ValueError, match=r"no rows 'turn\.begun', but these: .*turn\.started"):
            await sim.crash("iris", at="turn.begun")

    simulate(story, 0)


def test_a_hive_that_never_settles_says_whom_it_waited_for() -> None:
    """By their names: a bare `TooSlowError` says nothing."""

    async def story(sim: Simulation) -> None:
        async def think(_turn: Turn) -> None:
            await trio.sleep(60)

        await sim.spawn("idle")
        await sim.spawn("iris", think)
        await sim.send("iris", "hello")
        with pytest.raises(trio.TooSlowError, match=r"not quiet after 5 virtual seconds: .* at iris$"):
            await sim.settle(within=5)

    simulate(story, 0)


def test_a_mishap_may_wait_for_a_fact_of_the_kernel() -> None:
    """By its class."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        before = len(sim.facts.of(ActorStarted))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: sim.restart_daemon(at=ActorStarted))
            await trio.testing.wait_all_tasks_blocked()
            await sim.crash("iris")
        assert len(sim.facts.of(ActorStarted)) > before + 1

    simulate(story, 0)


def test_commands_of_the_page_can_be_given() -> None:
    """A paused agent's mail waits, and settling does not wait for it."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        await sim.do(Pause("iris"))
        letter = await sim.send("iris", "!say hello")
        await sim.settle()
        assert letter.state is State.READY
        assert [mail.id for mail in sim.inbox("iris", finished=False)] == [letter.id]

    simulate(story, 0)


# --- what is checked and told ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_under_faults_what_was_accepted_is_handled(seed: int) -> None:
    """Some of each kind, and every message is done, or dead with its reason."""

    async def forward(turn: Turn) -> None:
        await turn.send("boss", f"!say {turn.text}")

    async def story(sim: Simulation) -> None:
        await sim.spawn("boss", role="manager", directives_from=("operator", "iris"))
        await sim.spawn("iris", forward)
        letters = [await sim.send("iris", f"number {number}") for number in range(8)]
        for letter in letters:
            await letter.handled()
            assert letter.state is State.DONE or letter.why

    simulate(story, seed, faults=Faults.some(2))


def busy(turns: int = 4) -> Callable[[Simulation], Awaitable[None]]:
    """A story with enough going on for every site to be passed often."""

    async def think(turn: Turn) -> None:
        await turn.call("set_status", text="at work")

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris", think)
        for number in range(turns):
            await (await sim.send("iris", f"number {number}")).handled()

    return story


@pytest.mark.parametrize("site", Site)
def test_every_site_is_passed(site: Site) -> None:
    """A fault that never strikes would prove nothing."""
    rate = 0.01 if site in STEP_SITES else 0.05 if site is Site.FULL_DISK else 0.2
    struck: Counter[Site] = Counter()
    for seed in range(4):
        told = run(busy(), seed, faults=Faults(**{site.value: rate}))  # type: ignore[arg-type]
        assert told.error is None
        struck.update(fault.site for fault in told.injected)
    assert set(struck) == {site}


def test_a_run_says_what_it_was() -> None:
    """For whoever adds many of them up."""
    told = run(busy(), 3, faults=Faults.some())
    again = run(busy(), 3, faults=Faults(exactly=told.injected))
    assert told.error is None
    assert (told.messages, told.seed, told.violations) == (4, 3, ())
    assert told.boots >= 1
    assert told.steps > 100
    assert told.seconds > 0
    assert (again.injected, again.steps, again.facts.trace()) == (
        told.injected,
        told.steps,
        told.facts.trace(),
    )


async def failing(sim: Simulation) -> None:
    """A story that does not keep what it promises."""
    await sim.spawn("iris", "!error model")
    await (await sim.send("iris", "work")).handled()
    assert sim.turns("iris")[-1].outcome == "ok", "she does not work"


def test_a_failure_says_how_to_have_it_again_and_what_led_to_it() -> None:
    """One line to repeat it, the last facts, and the life of the mail it left behind."""
    told_by = AGAIN.set(None)
    try:
        with pytest.raises(AssertionError, match="she does not work") as caught:
            simulate(failing, 17, faults=Faults(drop_hint=0.5))
    finally:
        AGAIN.reset(told_by)
    replay, facts, *rest = caught.value.__notes__
    assert re.match(
        r"replay: hive sim --story tests/testing/test_simulation.py:failing --seeds 17..17 --faults ", replay
    )
    assert "--faults drop_hint=0.5 " in replay
    assert "SQLite" in replay
    assert re.match(r"the last \d+ facts:", facts)
    assert "turn.ended" in facts
    assert any("dead: 'work'" in story and "msg.sent" in story for story in rest)


def notes(story: Callable[[Simulation], Awaitable[None]], seed: int, faults: Faults) -> list[str]:
    """What a failure says besides."""
    error = run(story, seed, faults=faults).error
    assert error is not None
    return error.__notes__


def test_a_failure_shows_where_each_fault_struck() -> None:
    """Between the facts: which step, when, whom; those before the facts shown are a short list."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        for number in range(20):
            await (await sim.send("iris", f"number {number}")).handled()
        raise AssertionError("it is enough")

    struck = [Fault(Site.JUMP_CLOCK, 50 * nth, 0.5) for nth in range(1, 13)]
    _, before, facts, *_ = notes(story, 0, Faults(exactly=(*struck, Fault(Site.CRASH, 900, 0.0))))
    first, *lines = before.splitlines()
    assert first == "the last 10 of 12 faults that struck before:"
    assert re.fullmatch(
        r"  ! jump_clock struck at step \d+, after \d+\.\d{3} s \(jump_clock@150:0\.5\)", lines[0]
    )
    crash = next(number for number, line in enumerate(facts.splitlines()) if "! crash struck" in line)
    assert re.search(r"struck (\w+) at step", facts.splitlines()[crash])
    assert "ActorExited" in facts.splitlines()[crash + 1]


def test_a_fault_of_a_turn_names_its_agent() -> None:
    """A commit has nobody."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        await (await sim.send("iris", "work")).handled()
        raise AssertionError("it is enough")

    struck = (Fault(Site.CUT_STREAM, 1, 0.5), Fault(Site.FAIL_COMMIT, 2, 0.5))
    said = "\n".join(notes(story, 0, Faults(exactly=struck)))
    assert re.search(r"! cut_stream struck iris at step \d+", said)
    assert re.search(r"! fail_commit struck at step \d+", said)


def test_a_failure_leaves_out_what_goes_without_saying() -> None:
    """As hive's own handlings that went well; an actor of the story's own is seen at work."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        echo = await sim.actor(probe("echo", []))
        await (await sim.send("iris", "work")).handled()
        echo.tell(Note("hello"))
        await sim.advance(minutes=30)
        raise AssertionError("it is enough")

    handlings = [line for line in notes(story, 0, Faults())[1].splitlines() if "HandlingEnded" in line]
    assert [re.findall(r"name='(\w+)'", line) for line in handlings] == [["echo"]]


def test_a_failure_says_who_is_held_and_why() -> None:
    """Whoever is not, is not named."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        await sim.spawn("otto")
        await sim.do(Pause("otto"))
        raise AssertionError("it is enough")

    (held,) = [note for note in notes(story, 0, Faults()) if note.startswith("agents that are held:")]
    assert re.fullmatch(r"agents that are held:\n  otto is parked: paused by the operator, .*", held)


def test_a_story_that_is_not_over_in_time_says_as_much_as_any_other() -> None:
    """And so does one whose hive has fallen below it."""

    async def waits(sim: Simulation) -> None:
        await sim.spawn("iris")
        await trio.sleep_forever()

    async def fail() -> None:
        raise OSError("the ground has gone")

    async def falls(sim: Simulation) -> None:
        await sim.spawn("iris")
        await sim.send("iris", "hello")
        await sim.settle()
        sim._nursery.start_soon(fail)
        await trio.sleep_forever()

    slow, fallen = run(waits, 4), run(falls, 4)
    assert isinstance(slow.error, trio.TooSlowError)
    assert "the story is not over after 86400 virtual seconds" in str(slow.error)
    assert isinstance(fallen.error, ExceptionGroup)
    for told in (slow, fallen):
        assert told.error is not None
        assert "seed 4" in told.error.__notes__[0]
        assert re.match(r"the last \d+ facts:", told.error.__notes__[1])


def test_nothing_can_be_read_before_anything_runs() -> None:
    """And the error says what to do."""

    async def story(sim: Simulation) -> None:
        await trio.lowlevel.checkpoint()
        with pytest.raises(AssertionError, match="spawn an agent"):
            sim.turns("iris")
        await sim.spawn("iris")
        with pytest.raises(AssertionError, match="no agent 'otto'; there are iris"):
            sim.agent("otto")
        with pytest.raises(AssertionError, match="no agent 'otto'; there are iris"):
            sim.turns("otto")
        with pytest.raises(AssertionError, match="no agent 'otto'; there are iris"):
            sim.inbox("otto")
        with pytest.raises(AssertionError, match=r"no agent 'irsi'; did you mean iris\?"):
            await sim.call("irsi", "whoami")
        with pytest.raises(NotFound, match=r"no actor 'brocker'; did you mean broker\?"):
            await sim.ref("brocker")
        with pytest.raises(NotFound, match=r"no actor 'iris'; did you mean agent:iris\?"):
            await sim.ref("iris")
        with pytest.raises(NotFound, match=r"no actor 'zzz'; there are .*agent:iris"):
            await sim.ref("zzz")
        with pytest.raises(AssertionError, match="no message m-none"):
            _ = sim.mail("m-none").now

    simulate(story, 0)


def test_a_broken_invariant_fails_the_story() -> None:
    """Here a message is taken from behind everybody's back."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        await sim.do(Pause("iris"))
        await sim.send("iris", "hello")
        swarm = await sim.swarm()
        swarm.store._committer.db.execute("DELETE FROM message")

    with pytest.raises(AssertionError, match="accepted"):
        simulate(story, 0)


def test_stories_told_twice_are_compared() -> None:
    """One that takes its chance from outside is found out, by the first fact that differs."""
    told = iter(range(100))

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        with suppress(NotFound):
            await sim.send("iris", f"the number {next(told)}")

    token = TWICE.set(True)
    try:
        with pytest.raises(AssertionError, match="two runs of the same seed differ") as caught:
            simulate(story, 0)
        simulate(busy(), 0)
    finally:
        TWICE.reset(token)
    assert "number 0" in str(caught.value)
    assert "number 1" in str(caught.value)


# --- daemons that die, and time that runs away -----------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_who_waits_for_a_daemon_that_dies_while_it_starts_is_served_by_the_next(seed: int) -> None:
    """However often that happens: a client waits for any daemon, not for this one."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        swarm = await sim.swarm()

        async def kill() -> None:
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            assert swarm.starting
            swarm.restart_daemon()

        async with trio.open_nursery() as nursery:

            def visit(_: object) -> None:
                nursery.start_soon(sim.send, "iris", f"letter {swarm.boots}")
                if swarm.boots < 6:
                    nursery.start_soon(kill)
                else:
                    swarm.visitors.clear()

            swarm.visitors.append(visit)
            swarm.restart_daemon()
            await swarm.until(lambda: swarm.boots >= 6)
        await sim.settle()
        letters = {mail.body for mail in sim.inbox("iris") if mail.sender == "operator"}
        assert letters == {f"letter {boot}" for boot in range(1, 7)}

    simulate(story, seed)


def test_a_story_that_takes_too_long_is_told_of_like_any_other_that_fails() -> None:
    """`run` raises nothing, and says how to have it again."""

    async def story(sim: Simulation) -> None:
        await sim.spawn("iris")
        await trio.sleep_forever()

    told = run(story, 5)
    assert isinstance(told.error, trio.TooSlowError)
    assert told.seconds == 24 * 3600
    assert any("seed 5" in note for note in told.error.__notes__)


def test_a_store_that_errs_can_be_put_below_a_story() -> None:
    """To see that the story finds it out."""

    async def story(sim: Simulation) -> None:
        sim.handlers = {**HANDLERS, Pause: lambda *_: ()}
        await sim.spawn("iris")
        assert await sim.do(Pause("iris")) == ()
        assert sim.agent("iris").parked == ()

    simulate(story, 0)
