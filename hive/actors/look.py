"""What to do next, computed from what is.

The rule kept here: nothing is remembered between two looks that the store does not say, so a lost hint, a
crash or a restart only makes the next look later, never different.  Pure: tested as values.
"""

from typing import TypeAlias

from attrs import frozen

from hive.agents.judge import Stop
from hive.containers.port import BoxState
from hive.protocol.parking import Reason
from hive.protocol.views import AgentView

LOOK_SECONDS = 30.0
"""The longest time between two looks, whether or not anybody gave a hint."""

BOX_REASONS = frozenset({Reason.BOX_DOWN, Reason.STOPPED})
"""Reasons that take the ground from under a running turn; all others let it finish."""


@frozen
class Begin:
    """Mail waits and nothing keeps the agent from waking: try to begin a turn."""


@frozen
class Interrupt:
    """The running turn has to stop, for this reason."""

    stop: Stop


@frozen
class FoldIn:
    """Mail waits while a turn runs: show it more, where the backend can take it."""


@frozen
class SleepUntil:
    """Nothing to do before this wall-clock time."""

    at: float


@frozen
class Rest:
    """Nothing to do before something changes."""


Step: TypeAlias = Begin | Interrupt | FoldIn | SleepUntil | Rest


@frozen
class InHand:
    """The turn a harness has in hand, and the start of the box it runs in."""

    turn: int
    epoch: int


def decide(view: AgentView | None, now: float, in_hand: InHand | None = None) -> Step:
    """What an agent's harness does next."""
    if in_hand is not None:
        return _while_running(view, in_hand)
    if view is None or view.removed_at is not None:
        return Rest()
    held = any(parked.reason is not Reason.SLOT and parked.holds_at(now) for parked in view.parked)
    # An open turn without a helper is one whose verdict is under way: its commit is the next hint.
    if view.deliverable and view.open_turn is None and not held:
        return Begin()
    return Rest() if view.next_due is None else SleepUntil(view.next_due)


def _while_running(view: AgentView | None, in_hand: InHand) -> Step:
    if view is None or view.open_turn is None or view.open_turn.number != in_hand.turn:
        return Interrupt(Stop.LEAVING)
    if view.open_turn.stop_requested is not None:
        return Interrupt(Stop(view.open_turn.stop_requested))
    reasons = {parked.reason for parked in view.parked}
    # The epoch tells of a box that went down and came up again between two looks.
    if reasons & BOX_REASONS or view.epoch != in_hand.epoch:
        return Interrupt(Stop.BOX)
    return FoldIn() if view.deliverable and Reason.PAUSED not in reasons else Rest()


def client_wait(view: AgentView, *, external: bool) -> bool | None:
    """Whether to set (True) or lift (False) the reason "waiting for its client"; None leaves it."""
    parked = any(reason.reason is Reason.CLIENT for reason in view.parked)
    waits = external and view.deliverable > 0
    return None if waits is parked else waits


@frozen
class Start:
    """Bring the box up."""


@frozen
class Announce:
    """It is up and nobody has been told: commit its new epoch."""


@frozen
class Report:
    """It is down and nobody has been told: park its agent."""


@frozen
class TakeDown:
    """It is up and should not be."""


@frozen
class Keep:
    """It is as it should be."""


BoxStep: TypeAlias = Start | Announce | Report | TakeDown | Keep


def tend(state: BoxState, leader: int | None, known: int | None, *, wanted: bool, parked: bool) -> BoxStep:
    """What a box needs next.

    `leader` is what a re-read found, `known` the leader whose start has been committed, `parked` whether the
    store says `box_down`.  A rebuild is nothing but that row: a known box that runs under it has to go.
    """
    running = state is BoxState.RUNNING
    if not wanted:
        return TakeDown() if running else Keep()
    if running and leader != known:
        return Announce()
    if running:
        return TakeDown() if parked else Keep()
    return Start() if parked or known is None else Report()
