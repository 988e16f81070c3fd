"""The contract of backends finds out the ones that break it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from attrs import define, evolve, field, frozen

from hive.agents.backend import Backend, Capabilities, Prompt, Session, SessionSpec, TurnRun
from hive.agents.events import PromptAccepted, Result, TurnEvent
from hive.testing.contracts import BackendContract
from hive.testing.fake_tools import FakeTools
from hive.testing.scripted_world import ScriptedWorld

Change = Callable[[TurnEvent], list[TurnEvent]]


def as_it_is(event: TurnEvent) -> list[TurnEvent]:
    """Change nothing."""
    return [event]


def twice(event: TurnEvent) -> list[TurnEvent]:
    """Say the end twice."""
    return [event, event] if isinstance(event, Result) else [event]


def never(event: TurnEvent) -> list[TurnEvent]:
    """Do not say the end."""
    return [] if isinstance(event, Result) else [event]


def unaccepted(event: TurnEvent) -> list[TurnEvent]:
    """Do not say that the prompt was taken."""
    return [] if isinstance(event, PromptAccepted) else [event]


def all_well(event: TurnEvent) -> list[TurnEvent]:
    """Call every end a good one."""
    return [evolve(event, error=None) if isinstance(event, Result) else event]


@define(eq=False)
class WrongTurn:
    """A turn that tells something else than what happens."""

    run: TurnRun
    change: Change
    deaf: bool
    _waiting: list[TurnEvent] = field(factory=list, init=False)

    def __aiter__(self) -> AsyncIterator[TurnEvent]:
        """Iterate over the changed events."""
        return self

    async def __anext__(self) -> TurnEvent:
        """The next of them."""
        while not self._waiting:
            self._waiting = self.change(await anext(aiter(self.run)))
        return self._waiting.pop(0)

    async def fold_in(self, prompt: Prompt) -> None:
        """Fold in twice."""
        await self.run.fold_in(prompt)
        await self.run.fold_in(prompt)

    async def cancel(self) -> None:
        """Perhaps pay no attention."""
        if not self.deaf:
            await self.run.cancel()


@frozen
class WrongBackend:
    """A backend that breaks the contract in one way."""

    backend: Backend
    tools: FakeTools
    change: Change = as_it_is
    deaf: bool = False
    leaks: bool = False

    @property
    def capabilities(self) -> Capabilities:
        """Those of the right one."""
        return self.backend.capabilities

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator[Session]:
        """Open a session."""
        async with self.backend.open(spec) as session:
            yield WrongSession(session, self)


@frozen
class WrongSession:
    """A session of it."""

    session: Session
    wrong: WrongBackend

    @asynccontextmanager
    async def turn(self, prompt: Prompt) -> AsyncIterator[TurnRun]:
        """Run a turn, and perhaps leave a connection behind."""
        async with self.session.turn(prompt) as run:
            yield WrongTurn(run, self.wrong.change, self.wrong.deaf)
        self.wrong.tools.opened += self.wrong.leaks


@define(eq=False)
class WrongContract(BackendContract):
    """The suite, given a wrong backend; no test class, so only run on purpose."""

    change: Change = as_it_is
    deaf: bool = False
    leaks: bool = False

    def make(self) -> ScriptedWorld:
        """See `BackendContract`."""
        world = ScriptedWorld()
        world.backend = WrongBackend(world.backend, world.tools, self.change, self.deaf, self.leaks)
        return world


@pytest.mark.parametrize(
    ("contract", "test"),
    [
        (WrongContract(twice), "test_a_turn_that_works_accepts_its_prompt_and_ends_well"),
        (WrongContract(never), "test_a_turn_that_works_accepts_its_prompt_and_ends_well"),
        (WrongContract(unaccepted), "test_a_turn_that_works_accepts_its_prompt_and_ends_well"),
        (WrongContract(all_well), "test_a_turn_without_tools_says_so_once"),
        (WrongContract(all_well), "test_a_turn_cancelled_at_any_step_has_one_result_and_leaves_nothing"),
        (WrongContract(deaf=True), "test_a_turn_cancelled_at_any_step_has_one_result_and_leaves_nothing"),
        (WrongContract(leaks=True), "test_cancelling_a_turn_that_has_ended_changes_nothing"),
        (
            WrongContract(leaks=True),
            "test_a_block_left_after_any_event_leaves_nothing_and_the_session_goes_on",
        ),
        (WrongContract(), "test_mail_folded_in_is_accepted_at_most_once_and_before_the_result"),
    ],
)
def test_a_backend_that_breaks_the_contract_is_found_out(contract: WrongContract, test: str) -> None:
    """Each wrong in a test of its own."""
    with pytest.raises(AssertionError):
        getattr(contract, test)()


def test_the_right_backend_in_the_same_clothes_is_not() -> None:
    """It is the wrong that is found, not the wrapping."""
    WrongContract().test_a_turn_that_works_accepts_its_prompt_and_ends_well()
    WrongContract().test_a_turn_cancelled_at_any_step_has_one_result_and_leaves_nothing()
