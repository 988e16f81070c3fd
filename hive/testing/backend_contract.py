"""What every backend must do, as a suite: subclass it and give it a world.

    from hive.testing.contracts import BackendContract
    from hive.testing.backend_world import Behaviour, World

    class TestMine(BackendContract):
        steps_cancelled = 120

        def make(self) -> World:
            return MyWorld()

A `World` has the backend, a spec to open a session with, a prompt for each `Behaviour`, a way to take hive's
tools down, and words for what is still alive; `hive/testing/scripted_world.py` is one. Needs pytest, and no
plugin of it.

The rule kept here: a turn ends in exactly one `Result`, whatever happens to it and at whatever moment; and
when its block is left, however it is left, nothing of it remains.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import pytest
import trio

from hive.agents.backend import Prompt, TurnRun
from hive.agents.events import ErrorClass, PromptAccepted, Said, ToolCalled, ToolReturned, TurnEvent
from hive.testing.backend_world import Behaviour, World, first, one_turn, the_result, whole
from hive.testing.simulate import simulate
from hive.testing.sweep import sweep_cancel, sweep_kill

LIMIT_SECONDS: Final = 60.0
"""How long any one story may take."""

SEEDS: Final = 5
"""How many orders of events the stories run in."""


class Swept:
    """One run of a sweep over the moments at which a turn can be cancelled."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.events: list[TurnEvent] = []
        self._wake = trio.Event()

    def tell(self) -> None:
        """Have the turn cancelled from here on; called between two steps of the scheduler."""
        self._wake.set()

    async def cancel_when_told(self, turn: TurnRun) -> None:
        """Cancel the turn once told to."""
        await self._wake.wait()
        await turn.cancel()


class BackendContract:
    """The suite, in virtual time."""

    steps_cancelled: int = 1
    """How many steps a sweep must hit at least; a subclass stores the number it has seen."""

    def make(self) -> World:
        """A fresh world."""
        raise NotImplementedError

    def play(self, story: Callable[[World], Awaitable[None]]) -> None:
        """Run a story under several seeds and see that it leaves nothing behind."""
        for seed in range(SEEDS):
            world = self.make()

            async def run(_sim: object, world: World = world) -> None:
                with trio.fail_after(LIMIT_SECONDS):
                    await story(world)

            simulate(run, seed)
            assert world.left() == []

    def test_a_turn_that_works_accepts_its_prompt_and_ends_well(self) -> None:
        """Accepted first, then the work, then the one result, which has the final text."""

        async def story(world: World) -> None:
            events = await self.events(world, world.prompt(Behaviour.WORK, 3, 4))
            accepted = [event for event in events if isinstance(event, PromptAccepted)]
            assert accepted == [PromptAccepted((3, 4))]
            work = [event for event in events if isinstance(event, Said | ToolCalled | ToolReturned)]
            assert work
            assert events.index(accepted[0]) < events.index(work[0])
            said = [event.text for event in events if isinstance(event, Said)]
            result = the_result(events)
            assert (result.error, result.text) == (None, said[-1])

        self.play(story)

    def test_every_tool_call_has_its_answer(self) -> None:
        """In order, each under the id of its call."""

        async def story(world: World) -> None:
            events = await self.events(world, world.prompt(Behaviour.WORK, 3))
            called = [event.id for event in events if isinstance(event, ToolCalled)]
            assert called
            assert called == [event.id for event in events if isinstance(event, ToolReturned)]
            assert len(set(called)) == len(called)

        self.play(story)

    @pytest.mark.parametrize(
        ("behaviour", "error"), [(Behaviour.FAIL, ErrorClass.RATE_LIMIT), (Behaviour.CRASH, ErrorClass.CRASH)]
    )
    def test_a_turn_that_fails_says_so_once(self, behaviour: Behaviour, error: ErrorClass) -> None:
        """Also when nothing is left that could say it."""

        async def story(world: World) -> None:
            result = the_result(await self.events(world, world.prompt(behaviour, 3)))
            assert result.error is error
            assert result.detail
            assert (result.until is not None) == (behaviour is Behaviour.FAIL)

        self.play(story)

    def test_a_turn_without_tools_says_so_once(self) -> None:
        """The mail is not to blame, so the class must be told from a crash."""

        async def story(world: World) -> None:
            world.take_tools_down()
            result = the_result(await self.events(world, world.prompt(Behaviour.WORK, 3)))
            assert result.error is ErrorClass.TOOLS

        self.play(story)

    def test_a_turn_that_hangs_can_be_cancelled_and_cancelling_twice_is_cancelling_once(self) -> None:
        """Its one result says `cancelled`."""

        async def story(world: World) -> None:
            events: list[TurnEvent] = []
            async with one_turn(world, world.prompt(Behaviour.HANG, 3)) as run:
                async for event in run:
                    events.append(event)
                    if isinstance(event, PromptAccepted):
                        await run.cancel()
                        await run.cancel()
            assert the_result(events).error is ErrorClass.CANCELLED

        self.play(story)

    def test_cancelling_a_turn_that_has_ended_changes_nothing(self) -> None:
        """The harness cannot know in time."""

        async def story(world: World) -> None:
            async with one_turn(world, world.prompt(Behaviour.WORK, 3)) as run:
                events = [event async for event in run]
                await run.cancel()
                assert [event async for event in run] == []
            assert the_result(events).error is None

        self.play(story)

    def test_a_turn_cancelled_after_any_event_has_one_result(self) -> None:
        """Cancelled, or ended well where it was through."""

        async def story(world: World) -> None:
            total = len(await self.events(world, world.prompt(Behaviour.WORK, 3)))
            for wanted in range(total):
                result = the_result(await self.events(world, world.prompt(Behaviour.WORK, 3), wanted))
                assert result.error in (None, ErrorClass.CANCELLED)

        self.play(story)

    def test_a_block_left_after_any_event_leaves_nothing_and_the_session_goes_on(self) -> None:
        """Nobody waits for a result any more; the next turn is as good as the first."""

        async def story(world: World) -> None:
            total = len(await self.events(world, world.prompt(Behaviour.WORK, 3)))
            async with world.backend.open(world.spec) as session:
                for wanted in range(total):
                    async with session.turn(world.prompt(Behaviour.WORK, 3)) as run:
                        await first(run, wanted)
                    assert world.left() == []
                assert the_result(await whole(session, world.prompt(Behaviour.WORK, 4))).error is None

        self.play(story)

    def test_an_error_of_the_reader_comes_out_as_it_was(self) -> None:
        """Not wrapped in anything of the backend's."""

        async def fail(world: World) -> None:
            async with one_turn(world, world.prompt(Behaviour.HANG, 3)) as run:
                await first(run, 1)
                raise ZeroDivisionError

        async def story(world: World) -> None:
            with pytest.raises(ZeroDivisionError):
                await fail(world)

        self.play(story)

    def test_mail_folded_in_is_accepted_at_most_once_and_before_the_result(self) -> None:
        """Where the backend can fold in; what it never shows it never accepts."""

        async def story(world: World) -> None:
            if not world.backend.capabilities.fold_in:
                pytest.skip("this backend folds nothing in")
            events: list[TurnEvent] = []
            async with one_turn(world, world.prompt(Behaviour.WORK, 3)) as run:
                async for event in run:
                    events.append(event)
                    if isinstance(event, PromptAccepted) and event.messages == (3,):
                        await run.fold_in(world.prompt(Behaviour.WORK, 4))
            accepted = [event.messages for event in events if isinstance(event, PromptAccepted)]
            assert accepted in ([(3,)], [(3,), (4,)])
            the_result(events)

        self.play(story)

    def test_a_turn_cancelled_at_any_step_has_one_result_and_leaves_nothing(self) -> None:
        """At every single step of the scheduler, not only between events."""
        outcomes: list[list[TurnEvent]] = []

        async def story(_sim: object, run: Swept) -> None:
            async with (
                one_turn(run.world, run.world.prompt(Behaviour.WORK, 3)) as turn,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(run.cancel_when_told, turn)
                run.events.extend([event async for event in turn])
                nursery.cancel_scope.cancel()

        def check(run: Swept) -> None:
            outcomes.append(run.events)
            assert the_result(run.events).error in (None, ErrorClass.CANCELLED)
            assert run.world.left() == []

        swept = sweep_kill(story, build=lambda: Swept(self.make()), kill=Swept.tell, check=check)
        assert swept.steps >= self.steps_cancelled
        errors = {the_result(events).error for events in outcomes}
        assert errors == {None, ErrorClass.CANCELLED}

    @pytest.mark.parametrize("behaviour", [Behaviour.WORK, Behaviour.CRASH])
    def test_a_reader_cancelled_at_any_step_leaves_nothing(self, behaviour: Behaviour) -> None:
        """The harness itself may be stopped at any moment, without time for goodbyes."""

        async def story(_sim: object, run: Swept) -> None:
            run.events.extend(await self.events(run.world, run.world.prompt(behaviour, 3)))

        def check(run: Swept) -> None:
            assert run.world.left() == []

        swept = sweep_cancel(story, build=lambda: Swept(self.make()), check=check)
        assert swept.unfinished > 0
        if behaviour is Behaviour.WORK:
            assert swept.steps >= self.steps_cancelled

    async def events(self, world: World, prompt: Prompt, cancel_after: int | None = None) -> list[TurnEvent]:
        """All events of one turn in a session of its own, cancelled after so many of them."""
        events: list[TurnEvent] = []
        async with one_turn(world, prompt) as run:
            if cancel_after is not None:
                events.extend(await first(run, cancel_after))
                await run.cancel()
            events.extend([event async for event in run])
        return events
