"""One agent, one turn: from accepted mail to its verdict, and every way in which that can go."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from attrs import define, frozen

from hive.actors.turn import CANCEL_SECONDS, RECV
from hive.agents.backend import Capabilities, Prompt, SessionSpec
from hive.agents.events import ErrorClass, PromptAccepted, Result, ToolCalled, ToolReturned, TurnEvent
from hive.agents.tokens import CliSession
from hive.containers.port import BoxDown
from hive.protocol.commands import (
    BeginTurn,
    CancelTurn,
    ClaimIntoTurn,
    Kick,
    Lift,
    Park,
    Pause,
    Resume,
    Send,
    Settings,
    TurnBegun,
)
from hive.protocol.limits import Limits
from hive.protocol.mail import Kind, Provenance, State
from hive.protocol.parking import Reason
from hive.testing import Stage
from hive.testing.swarm import Swarm
from hive.testing.telling import run_swarm
from hive.testing.trouble import AtStep

seeds = pytest.mark.seeds(5)
WELL = (Result(text="well"),)
LIMITS = Limits(silent_seconds=60.0, turn_seconds=300.0)


def with_limits(limits: Limits) -> Callable[[Stage, Path], Swarm]:
    """Make a swarm under these limits."""
    return lambda stage, directory: Swarm(stage, directory, limits)


@seeds
def test_mail_that_was_accepted_drives_a_turn(seed: int) -> None:
    """The whole road: broker, store, hint, box, claim, prompt, events, verdict."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", "!say done and dusted")
        await swarm.settle()
        assert swarm.mail(sent.id).state is State.DONE
        assert swarm.drove_a_turn(sent.id)
        turn = swarm.agent("iris").last_turn
        assert turn is not None
        assert turn.final_text == "done and dusted"
        assert swarm.agent("iris").epoch == 1

    run_swarm(story, seed)


@seeds
def test_the_stream_tells_what_happened_in_order(seed: int) -> None:
    """Events become rows, coalesced but never reordered, and the result is the last of them."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        await swarm.send("iris", "!think hm\n!wait 1\n!say one\n!say two")
        await swarm.settle()
        rows = swarm.store.reader.stream("iris")
        kinds = [row.kind for row in rows if row.kind not in {"mail", "note"}]
        assert kinds == ["turn", "opened", "shown", "think", "say", "say", "result"]
        assert [row.data["text"] for row in rows if row.kind == "say"] == ["one", "two"]
        assert {row.turn for row in rows} == {1}

    run_swarm(story, seed)


# --- more mail during a turn -----------------------------------------------------------------------


@seeds
def test_mail_that_arrives_during_a_turn_is_folded_in(seed: int) -> None:
    """With a receipt it is done with the turn that had it."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        first = await swarm.send("iris", "!wait 5\n!say long")
        await swarm.until(lambda: swarm.mail(first.id).state is State.CLAIMED)
        second = await swarm.send("iris", "!say short")
        await swarm.settle()
        assert swarm.mail(first.id).turn == swarm.mail(second.id).turn
        assert swarm.drove_a_turn(second.id)

    run_swarm(story, seed)


@seeds
def test_mail_folded_in_without_a_receipt_goes_to_the_next_turn(seed: int) -> None:
    """Nobody saw the model get it, so it is given back, uncharged, and shown again."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        first = await swarm.send("iris", "!ignore-fold-in\n!wait 5\n!say deaf")
        await swarm.until(lambda: swarm.mail(first.id).state is State.CLAIMED)
        second = await swarm.send("iris", "!say again")
        await swarm.settle()
        assert swarm.mail(first.id).turn == 1
        assert swarm.mail(second.id).turn == 2
        assert swarm.mail(second.id).attempts == 0
        assert "msg.released" in {row.type for row in swarm.store.reader.story(second.id)}
        assert swarm.drove_a_turn(second.id)

    run_swarm(story, seed)


@seeds
def test_mail_that_was_never_shown_does_not_excuse_the_message_that_failed(seed: int) -> None:
    """What is folded in without a receipt is withdrawn first, so a batch of one stays a batch of one."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        first = await swarm.send("iris", "!ignore-fold-in\n!wait 5\n!crash")
        await swarm.until(lambda: swarm.mail(first.id).state is State.CLAIMED)
        second = await swarm.send("iris", "!say innocent")
        await swarm.until(lambda: swarm.agent("iris").open_turn is None)
        assert (swarm.mail(first.id).attempts, swarm.mail(second.id).attempts) == (1, 0)
        await swarm.settle(600)
        assert swarm.drove_a_turn(second.id)

    run_swarm(story, seed)


@seeds
def test_mail_that_the_model_fetched_itself_is_seen_when_the_tool_came_back(seed: int) -> None:
    """`recv` claims into the turn that runs; its result in the event stream is the evidence."""

    async def story(swarm: Swarm) -> None:
        swarm.trouble.folds_in = False
        await swarm.add("iris")
        first = await swarm.send("iris", "!wait 5\n!call hive/recv {}\n!say fetched")
        await swarm.until(lambda: swarm.mail(first.id).state is State.CLAIMED)
        second = await swarm.send("iris", "for the model to fetch")
        await swarm.settle()
        assert swarm.mail(second.id).turn == swarm.mail(first.id).turn
        assert swarm.drove_a_turn(second.id)

    run_swarm(story, seed)


# --- turns that are stopped ------------------------------------------------------------------------


@seeds
def test_a_cancelled_turn_is_done_with_its_mail_and_tells_the_sender(seed: int) -> None:
    """A person said so; the agent that sent it hears of it once."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris", Settings(directives_from=("otto",)))
        await swarm.add("otto")
        sent = await swarm.send("iris", "!wait 500", sender="otto")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.CLAIMED)
        before = trio.current_time()
        await swarm.perform(CancelTurn("iris"))
        await swarm.settle()
        assert trio.current_time() - before < CANCEL_SECONDS
        assert swarm.mail(sent.id).state is State.DONE
        assert last_outcome(swarm) == "cancelled"
        kinds = [mail.kind for mail in swarm.store.reader.mailbox("otto").mail]
        assert kinds.count(Kind.CANCELLED) == 1

    run_swarm(story, seed)


@seeds
def test_a_turn_cancelled_to_be_tried_again_is_tried_again(seed: int) -> None:
    """Released, not charged, and at the front."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", "!wait 50\n!say at last")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.CLAIMED)
        await swarm.perform(CancelTurn("iris", requeue=True))
        await swarm.settle()
        assert [turn.outcome for turn in swarm.store.reader.turns("iris")] == ["ok", "requeued"]
        assert swarm.mail(sent.id).attempts == 0

    run_swarm(story, seed)


@pytest.mark.parametrize(
    ("script", "seconds"),
    [("!hang", 60.0), ("!wait 50\n!say 1\n!wait 50\n!say 2\n" * 4, 300.0)],
    ids=["silent", "too long"],
)
def test_a_turn_that_says_nothing_or_never_ends_is_stopped(script: str, seconds: float) -> None:
    """It counts as a failure: its mail is tried again after a rest."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        sent = await swarm.send("iris", script)
        await swarm.until(lambda: swarm.mail(sent.id).attempts == 1, seconds + 30.0)
        turn = swarm.agent("iris").last_turn
        assert turn is not None
        assert turn.ended_at is not None
        assert turn.outcome == "timed_out"
        assert seconds <= turn.ended_at - turn.started_at <= seconds + CANCEL_SECONDS + 1.0
        assert Reason.BACKOFF in reasons(swarm)

    run_swarm(story, 0, make=with_limits(LIMITS))


@seeds
def test_a_message_that_always_fails_becomes_a_dead_letter_and_its_sender_is_told(seed: int) -> None:
    """Three turns of its own, with a rest between, and no more."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris", Settings(directives_from=("otto",)))
        await swarm.add("otto")
        sent = await swarm.send("iris", "!crash", sender="otto")
        await swarm.settle()
        mail = swarm.mail(sent.id)
        assert (mail.state, mail.attempts) == (State.DEAD, 3)
        assert [turn.outcome for turn in swarm.store.reader.turns("iris")] == ["crashed"] * 3
        kinds = [mail.kind for mail in swarm.store.reader.mailbox("otto").mail]
        assert kinds.count(Kind.UNDELIVERED) == 1

    run_swarm(story, seed)


@seeds
def test_a_poisonous_message_takes_no_innocent_one_along(seed: int) -> None:
    """Batches that fail are halved until the bad one stands alone."""

    async def story(swarm: Swarm) -> None:
        await swarm.add("iris")
        await swarm.send("iris", "!wait 5")
        await swarm.until(lambda: swarm.agent("iris").open_turn is not None)
        innocent = [await swarm.send("iris", f"!say {n}") for n in range(3)]
        poison = await swarm.send("iris", "!crash")
        await swarm.settle(3_600)
        assert swarm.mail(poison.id).state is State.DEAD
        for one in innocent:
            assert swarm.mail(one.id).state is State.DONE
            assert swarm.drove_a_turn(one.id)

    run_swarm(story, seed)


@seeds
def test_a_turn_interrupted_by_its_box_is_not_charged_whatever_its_backend_says(seed: int) -> None:
    """A process that dies with its box looks like a crash; the re-read of the box knows better."""

    async def story(swarm: Swarm) -> None:
        rogue = Rogue(events=(Result(error=ErrorClass.CRASH, detail="killed by signal 9"),))
        rogue.deed = lambda: swarm.kill_box("iris")
        swarm.backends["rogue"] = rogue
        await swarm.add("iris", Settings(backend="rogue"))
        sent = await swarm.send("iris", "hello")
        await swarm.settle()
        outcomes = [turn.outcome for turn in reversed(swarm.store.reader.turns("iris"))]
        assert outcomes == ["interrupted", "ok"]
        assert swarm.mail(sent.id).attempts == 0
        assert swarm.drove_a_turn(sent.id)

    run_swarm(story, seed)


@seeds
def test_a_turn_that_an_earlier_incarnation_left_open_is_ended_before_anything_else(seed: int) -> None:
    """Whatever became of the verdict of a harness that died, the next one starts with a clean table."""

    async def story(swarm: Swarm) -> None:
        swarm.boxes.broken.add("iris")
        await swarm.add("iris")
        sent = await swarm.send("iris", "!say found again")
        await swarm.until(lambda: Reason.BOX_DOWN in reasons(swarm))
        await swarm.perform(Lift("iris", Reason.BOX_DOWN))
        assert isinstance(await swarm.perform(BeginTurn("iris", incarnation=99)), TurnBegun)
        swarm.boxes.broken.clear()
        swarm.kill_loop("iris")
        await swarm.settle()
        outcomes = [turn.outcome for turn in reversed(swarm.store.reader.turns("iris"))]
        assert outcomes == ["interrupted", "ok"]
        assert swarm.drove_a_turn(sent.id)

    run_swarm(story, seed)


# --- backends that misbehave -----------------------------------------------------------------------


@define(eq=False)
class Rogue:
    """A backend, its session and its turn in one, that does as a test says."""

    opens: Exception | None = None
    events: tuple[TurnEvent | Exception, ...] = ()
    stays: bool = False
    """Whether it goes on after its last event, and whatever it is asked."""

    deed: Callable[[], None] | None = None
    """Done once, before its first event of its own."""

    mute: bool = False
    """Whether it says nothing at all, not even that it was given its prompt."""

    blind: bool = False
    """Whether its first turn ends without having been given its prompt."""

    prompt: Prompt | None = None
    given: int = 0
    token: CliSession | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Nothing."""
        return Capabilities()

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator["Rogue"]:
        """Open, or do not."""
        if self.opens is not None:
            error, self.opens = self.opens, None
            raise error
        self.token = spec.token
        yield self

    @asynccontextmanager
    async def turn(self, prompt: Prompt) -> AsyncIterator["Rogue"]:
        """Run a turn; from the second on it is a good one."""
        self.prompt, self.given = prompt, 0
        yield self
        self.events, self.stays, self.blind = WELL, False, False

    def __aiter__(self) -> AsyncIterator[TurnEvent]:
        """Itself."""
        return self

    async def __anext__(self) -> TurnEvent:
        """What the test said, or the end, or nothing for ever."""
        await trio.lowlevel.checkpoint()
        if self.mute:
            await trio.sleep_forever()
        if self.given == 0:
            assert self.prompt is not None
            self.given = 1
            if not self.blind:
                return PromptAccepted(self.prompt.messages)
        if self.deed is not None:
            deed, self.deed = self.deed, None
            deed()
        if self.given > len(self.events):
            if self.stays:
                await trio.sleep_forever()
            raise StopAsyncIteration
        event = self.events[self.given - 1]
        self.given += 1
        if isinstance(event, Exception):
            self.events, self.stays = WELL, False
            raise event
        return event

    async def fold_in(self, prompt: Prompt) -> None:
        """Never asked."""
        raise AssertionError(prompt)

    async def cancel(self) -> None:
        """Pretend not to hear."""
        await trio.lowlevel.checkpoint()


@frozen
class Misdeed:
    """What a backend does and what that is taken for."""

    rogue: Rogue
    outcomes: tuple[str, ...]
    attempts: int


MISDEEDS = {
    "cannot open": lambda: Misdeed(
        Rogue(opens=FileNotFoundError("no such program"), events=WELL), ("no_start", "ok"), 0
    ),
    "finds no box": lambda: Misdeed(Rogue(opens=BoxDown("gone"), events=WELL), ("interrupted", "ok"), 0),
    "breaks off": lambda: Misdeed(Rogue(events=(ConnectionResetError("cut"),)), ("crashed", "ok"), 1),
    "closes early": lambda: Misdeed(Rogue(events=(trio.ClosedResourceError(),)), ("crashed", "ok"), 1),
    "just ends": lambda: Misdeed(Rogue(), ("crashed", "ok"), 1),
    "shows nothing": lambda: Misdeed(Rogue(blind=True, events=WELL), ("crashed", "ok"), 0),
    "has a bug": lambda: Misdeed(Rogue(events=(ZeroDivisionError("oops"),)), ("interrupted", "ok"), 0),
}


@pytest.mark.parametrize("name", MISDEEDS)
def test_a_backend_that_misbehaves_costs_a_turn_and_no_mail(name: str) -> None:
    """A broken stream is the CLI's crash, a bug the harness's; a missing box is nobody's fault."""
    misdeed = MISDEEDS[name]()

    async def story(swarm: Swarm) -> None:
        swarm.backends["rogue"] = misdeed.rogue
        await swarm.add("iris", Settings(backend="rogue"))
        sent = await swarm.send("iris", "hello")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.DONE)
        outcomes = tuple(turn.outcome for turn in reversed(swarm.store.reader.turns("iris")))
        assert outcomes == misdeed.outcomes
        assert swarm.mail(sent.id).attempts == misdeed.attempts

    run_swarm(story, 0)


@pytest.mark.parametrize(
    "calls",
    [
        (ToolCalled("1", RECV), ToolCalled("2", RECV), ToolReturned("1", ok=True)),
        (ToolCalled("1", RECV), ToolReturned("1", ok=False)),
    ],
    ids=["another is out", "failed"],
)
def test_a_recv_that_failed_or_came_back_while_another_is_out_is_no_evidence(
    calls: tuple[TurnEvent, ...],
) -> None:
    """Whether and which messages came back nobody can tell, so what was fetched goes to the next turn."""

    async def story(swarm: Swarm) -> None:
        def fetch() -> None:
            assert rogue.token is not None
            assert rogue.token.turn is not None
            swarm.store.submit(Send("operator", "iris", "second", Provenance.OPERATOR))
            swarm.store.submit(ClaimIntoTurn(rogue.token.turn, 1))
            rogue.token.unconfirmed.add(first.number + 1)

        rogue = swarm.backends["rogue"] = Rogue(events=(*calls, *WELL), deed=fetch)
        await swarm.add("iris", Settings(backend="rogue"))
        first = await swarm.send("iris", "first")
        await swarm.settle()
        second = swarm.mail(str(first.number + 1))
        fates = [row.type for row in swarm.store.reader.journal(0, limit=500) if row.subject == second.id]

        assert fates == ["msg.sent", "msg.claimed", "msg.released", "msg.claimed", "msg.seen", "msg.done"]

    run_swarm(story, 0)


def test_a_backend_that_does_not_stop_is_left_after_a_while() -> None:
    """Leaving its block ends it, whatever state it is in."""

    async def story(swarm: Swarm) -> None:
        swarm.backends["rogue"] = Rogue(stays=True)
        await swarm.add("iris", Settings(backend="rogue"))
        sent = await swarm.send("iris", "hello")
        await swarm.until(lambda: swarm.mail(sent.id).state is State.CLAIMED)
        before = trio.current_time()
        await swarm.perform(CancelTurn("iris"))
        await swarm.settle()
        assert CANCEL_SECONDS <= trio.current_time() - before < CANCEL_SECONDS + 1.0
        assert last_outcome(swarm) == "cancelled"

    run_swarm(story, 0)


def test_a_turn_hears_at_once_that_it_has_to_stop_however_early_that_is() -> None:
    """Asked at any step of its beginning, also between its commit and the moment it knows of it."""

    def pause(swarm: Swarm) -> None:
        swarm.store.submit(Pause("iris", now=True))

    def play(step: int | None) -> AtStep:
        instrument = AtStep(step)

        async def story(swarm: Swarm) -> None:
            swarm.backends["rogue"] = Rogue(mute=True)
            await swarm.add("iris", Settings(backend="rogue"))
            instrument.arm(partial(pause, swarm))
            await swarm.send("iris", "hello")
            await trio.sleep(CANCEL_SECONDS + 2.0)
            instrument.disarm()
            assert (swarm.agent("iris").open_turn is None) == instrument.struck

        run_swarm(story, 0, instruments=[instrument])
        return instrument

    steps = play(None).steps
    assert steps >= 30
    for step in range(1, steps - 10):
        assert play(step).struck


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_a_reason_that_comes_and_goes_while_a_turn_is_about_to_begin_delays_it_by_nothing(after: int) -> None:
    """At whatever steps: the mail does not wait for the end that the reason would have had."""

    def play(step: int) -> bool:
        instrument = AtStep(step)
        kicked: list[bool] = []

        async def story(swarm: Swarm) -> None:
            def park() -> None:
                swarm.store.submit(Park("iris", Reason.BACKOFF, until=swarm.stage.wall() + 1_000.0))
                instrument.step = instrument.steps + after
                instrument.arm(kick)

            def kick() -> None:
                swarm.store.submit(Kick("iris"))
                kicked.append(True)

            await swarm.add("iris")
            instrument.arm(park)
            sent = await swarm.send("iris", "!say at once")
            await trio.sleep(3.0)
            instrument.disarm()
            assert not kicked or swarm.mail(sent.id).state is State.DONE

        run_swarm(story, 0, instruments=[instrument])
        return bool(kicked)

    assert sum(map(play, range(1, 50))) >= 40


def test_a_harness_that_always_crashes_is_parked_and_says_why() -> None:
    """Its mail is not lost meanwhile, and a resume starts it afresh."""

    async def story(swarm: Swarm) -> None:
        rogue = Rogue()
        swarm.backends["rogue"] = rogue
        await swarm.add("iris", Settings(backend="rogue"))

        def fail() -> None:
            rogue.deed = fail
            raise ZeroDivisionError("oops")

        rogue.deed = fail
        sent = await swarm.send("iris", "hello")
        await swarm.until(lambda: Reason.RESTARTS in reasons(swarm))
        assert "ZeroDivisionError" in swarm.agent("iris").parked[0].detail
        await trio.sleep(100)
        assert swarm.mail(sent.id).state is State.READY
        rogue.deed, rogue.events = None, WELL
        await swarm.perform(Resume("iris", (Reason.RESTARTS,)))
        await swarm.settle()
        assert swarm.drove_a_turn(sent.id)

    run_swarm(story, 0)


def last_outcome(swarm: Swarm, agent: str = "iris") -> str | None:
    """How the last turn ended."""
    turn = swarm.agent(agent).last_turn
    return None if turn is None else turn.outcome


def reasons(swarm: Swarm, agent: str = "iris") -> set[Reason]:
    """Why the agent does not wake."""
    return {parked.reason for parked in swarm.agent(agent).parked}
