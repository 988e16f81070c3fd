"""A command that an agent's tool asks for: what its answer can be trusted to mean."""

from typing import TYPE_CHECKING, TypeVar

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from hive.actors import ActorCrashed, ActorStopped, Request
from hive.actors.protocol import BROKER
from hive.mcp.desk import ANSWER_SECONDS, Desk
from hive.mcp.parts import Broker, log_error
from hive.protocol.commands import Once, Send
from hive.protocol.errors import StoreUnavailable
from hive.protocol.mail import Provenance

if TYPE_CHECKING:
    from tests.mcp.conftest import House

T = TypeVar("T")

SEND = Send("iris", "rose", "hello", Provenance.AGENT)
CRASHED = ActorCrashed("broker", RuntimeError())
ONCE = Once("test", "k", "d")


@define(eq=False)
class Shaky:
    """A broker that falls over the first requests, after it has carried them out."""

    house: "House"
    falls: list[Exception] = field(factory=list)

    async def ask(self, request: Request[T]) -> T:
        """Carry out what was asked; say so or not."""
        answer = await self.house.hive.ref(BROKER).ask(request)
        if self.falls:
            raise self.falls.pop()
        return answer


def desk_with(house: "House", broker: Broker) -> Desk:
    """A desk at another broker."""
    return Desk(evolve(house.parts, broker=broker))


@pytest.mark.parametrize("fall", [CRASHED, ActorStopped("broker", begun=True)])
async def test_a_keyed_command_is_asked_for_again_where_the_broker_fell(
    quiet_house: "House", fall: Exception
) -> None:
    """It is carried out once."""
    answer = await desk_with(quiet_house, Shaky(quiet_house, [fall])).perform(SEND, ONCE)

    assert len(answer.accepted) == 1
    assert quiet_house.states("rose") == ["ready"]


async def test_without_a_key_nobody_can_say_what_became_of_it(quiet_house: "House") -> None:
    """It is not repeated; the text says how to go on."""
    with pytest.raises(StoreUnavailable, match="Look before you repeat it"):
        await desk_with(quiet_house, Shaky(quiet_house, [CRASHED])).perform(SEND)

    assert quiet_house.states("rose") == ["ready"]
    assert isinstance(quiet_house.errors.pop(), ActorCrashed)


async def test_a_broker_that_never_answers_is_not_waited_for_for_ever(
    autojump_clock: MockClock, quiet_house: "House"
) -> None:
    """Even a caller that is cancelled waits for its outcome, but not longer than this."""

    class Mute:
        async def ask(self, request: Request[T]) -> T:
            await trio.sleep_forever()
            raise AssertionError

    before = trio.current_time()
    desk = desk_with(quiet_house, Mute())
    with trio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(StoreUnavailable):
            await desk.perform(SEND)

    assert trio.current_time() - before == pytest.approx(ANSWER_SECONDS)
    assert isinstance(quiet_house.errors.pop(), trio.TooSlowError)


def test_errors_are_written_down(caplog: pytest.LogCaptureFixture) -> None:
    """Where nobody else takes them."""
    log_error(RuntimeError("broken"))

    assert "broken" in caplog.text
