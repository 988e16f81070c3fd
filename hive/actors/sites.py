"""Where faults can enter a live hive: its hints, its commits, its backends, the road to its broker.

The rule kept here: a site that is not armed changes nothing; one that is lets its fault go as it hits, and
`disarm` takes back whatever has hit nobody.
"""

from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import count
from typing import TypeAlias, TypeVar, assert_never

from attrs import define, field, frozen

from hive.actors import HiveError, Message, Request
from hive.actors.protocol import Perform, Performs
from hive.agents.backend import Backend
from hive.agents.events import ErrorClass, Result, TurnEvent
from hive.agents.interposed import Interposed, Read
from hive.protocol.chaos import Failure, ProviderFault
from hive.protocol.commands import Settings
from hive.protocol.errors import HiveRefusal
from hive.store.faults import CommitFaults
from hive.store.hints import Hints

T = TypeVar("T")

Failing: TypeAlias = Callable[[str], ProviderFault]
"""Told which agent's turn is hit; answers how."""

Repeated: TypeAlias = Callable[[str, bool], None]
"""Told which command was carried out twice, and whether both times the answer was the same."""


@define(eq=False, repr=False)  # armed, it would show whoever armed it, and so the whole hive
class Sites:
    """The places, and what is armed in them.  Nothing, unless chaos is on."""

    hints: Hints
    commits: CommitFaults
    _deafened: bool = field(default=False, init=False)
    _failing: Failing | None = field(default=None, init=False)
    _repeated: Repeated | None = field(default=None, init=False)

    # --- what arms them --------------------------------------------------------------------------

    @property
    def deaf(self) -> bool:
        """Whether hints are dropped now, by whomever."""
        return self.hints.deaf

    def deafen(self) -> None:
        """Drop every hint from now on."""
        self._deafened, self.hints.deaf = True, True

    def hear(self) -> None:
        """Drop no more hints, if it was we who did."""
        if self._deafened:
            self._deafened, self.hints.deaf = False, False

    @property
    def fails_turn(self) -> bool:
        """Whether the next turn of somebody will fail."""
        return self._failing is not None

    def fail_turn(self, failing: Failing) -> None:
        """Let the next turn that begins fail."""
        self._failing = failing

    @property
    def repeats_request(self) -> bool:
        """Whether the next keyed request will be carried out twice."""
        return self._repeated is not None

    def repeat_request(self, repeated: Repeated) -> None:
        """Carry the next keyed request out a second time."""
        self._repeated = repeated

    def disarm(self) -> None:
        """Be as if nothing had ever been armed."""
        self.hear()
        self.commits.next_fails = False
        self._failing = self._repeated = None

    # --- what stands in them ---------------------------------------------------------------------

    def backends(self, make: Callable[[Settings], Backend]) -> Callable[[Settings], Backend]:
        """What makes backends: the real ones, unless a turn is to fail."""

        def interposed(settings: Settings) -> Backend:
            real = make(settings)
            return real if self._failing is None else Interposed(real, self._reader)

        return interposed

    def _reader(self, agent: str) -> Read:
        failing, self._failing = self._failing, None
        return _untouched if failing is None else _failed(failing(agent))

    def broker(self, real: Performs) -> "Repeating":
        """The road to the broker for clients that may repeat themselves."""
        return Repeating(real, self)

    def take_repeat(self, request: Message) -> Callable[[bool], None] | None:
        """What to tell of this request's second time, if it is to have one."""
        if self._repeated is None or not isinstance(request, Perform) or request.once is None:
            return None
        repeated, self._repeated = self._repeated, None
        return partial(repeated, type(request.command).__name__)


async def _untouched(events: AsyncIterator[TurnEvent]) -> TurnEvent:
    return await anext(events)


def _failed(fault: ProviderFault) -> Read:
    """Reads a turn that fails so."""
    numbers = count(1)

    async def read(events: AsyncIterator[TurnEvent]) -> TurnEvent:
        event = await anext(events)
        match fault.failure:
            case Failure.OVERLOADED if isinstance(event, Result):
                return Result(error=ErrorClass.OVERLOADED, detail="chaos: the provider is overloaded")
            case Failure.BROKEN if isinstance(event, Result) or next(numbers) >= fault.event:
                raise ConnectionResetError("chaos broke the stream")
            case Failure.OVERLOADED | Failure.BROKEN:
                return event
            case never:
                assert_never(never)

    return read


@frozen
class Repeating:
    """The broker, as a client reaches it that repeats what it was not answered."""

    broker: Performs
    sites: Sites

    async def ask(self, request: Request[T]) -> T:
        """Ask once, or twice.  Raises what the first asking does: after that it has been done."""
        answer = await self.broker.ask(request)
        repeated = self.sites.take_repeat(request)
        if repeated is None:
            return answer
        try:
            again = await self.broker.ask(request)
        except (HiveRefusal, HiveError):
            again = answer  # the second answer is lost as well
        repeated(again == answer)
        return again
