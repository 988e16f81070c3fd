"""Chaos on a live hive: which faults there are, how often they come, and whom they may hit when.

The rule kept here: chaos leaves every supervisor `RESERVE` restarts of its budget.  What it kills is always
started again, and a message that crashes its actor can still be found out.  Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from random import Random
from typing import TypeGuard

from attrs import frozen

from hive.actors import ActorSnapshot, Kinship, Snapshot, Status, SupervisorSnapshot
from hive.actors.protocol import CHAOS
from hive.protocol.errors import Malformed, Refused

LARGEST_RATE = 600
"""Strikes a minute, at most."""

SECONDS = 600.0
"""How long chaos lasts where nobody says."""

LONGEST_SECONDS = 24 * 3600.0
LARGEST_SEED = 2**32 - 1

RESERVE = 3
"""Restarts of a budget that chaos never spends: as many as one bad message may cost before it is buried."""

DEAF_SECONDS = (0.5, 5.0)
"""For how long hints are dropped, from the shortest to the longest."""

BROKEN_EVENTS = 4
"""A stream that breaks does so at one of its first so many events."""


class Kind(StrEnum):
    """What a strike does."""

    HINTS = "hints"
    ACTOR = "actor"
    BOX = "box"
    COMMIT = "commit"
    PROVIDER = "provider"
    REQUEST = "request"


DEEDS: Mapping[Kind, str] = {
    Kind.HINTS: "drops hints for a few seconds",
    Kind.ACTOR: "kills an actor",
    Kind.BOX: "kills an agent's box with everything in it",
    Kind.COMMIT: "fails a commit of the store",
    Kind.PROVIDER: "ends a turn as overloaded or breaks its stream",
    Kind.REQUEST: "carries a keyed request out twice",
}


class Failure(StrEnum):
    """How a provider call fails."""

    OVERLOADED = "overloaded"
    BROKEN = "broken stream"


@frozen
class ProviderFault:
    """One call that fails, and at which of its events."""

    failure: Failure
    event: int


@frozen
class Plan:
    """What has been asked for."""

    rate: int
    """Strikes a minute, on average and at most: one that has no target is left out."""

    seconds: float = SECONDS
    kinds: tuple[Kind, ...] = tuple(Kind)
    seed: int | None = None
    """None where nobody has named one: then one is drawn."""


@frozen
class Strike:
    """One fault, and what it is to hit."""

    kind: Kind
    target: str


def planned(rate: object, seconds: object = None, only: object = None, seed: object = None) -> Plan:
    """The plan in what a person has typed.  Raises `Malformed`."""
    if not _is_whole(rate, 1, LARGEST_RATE):
        raise Malformed(f"rate: say how many strikes a minute, from 1 to {LARGEST_RATE}")
    lasting = SECONDS if seconds is None else seconds
    if not isinstance(lasting, int | float) or not 0 < lasting <= LONGEST_SECONDS:
        raise Malformed(f"seconds: more than 0 and at most {LONGEST_SECONDS:.0f}")
    if seed is not None and not _is_whole(seed, 0, LARGEST_SEED):
        raise Malformed(f"seed: a whole number from 0 to {LARGEST_SEED}")
    return Plan(rate, float(lasting), _kinds(only), seed)


def _is_whole(value: object, least: int, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _kinds(only: object) -> tuple[Kind, ...]:
    if only is None:
        return tuple(Kind)
    words = [word.strip() for word in only.split(",")] if isinstance(only, str) else []
    if not words or not set(words) <= set(Kind):
        raise Malformed(f"only: name some of {', '.join(Kind)}, with commas between")
    return tuple(kind for kind in Kind if kind in words)


def warning(plan: Plan) -> str:
    """What turning it on will do, in a sentence or two."""
    deeds = ", ".join(DEEDS[kind] for kind in plan.kinds)
    return (
        f"chaos breaks this hive on purpose, about {plan.rate} times a minute for {plan.seconds:.0f} s: it "
        f"{deeds}. Turns are interrupted and tried again, so agents may do things twice and models may be "
        "paid twice; nothing that was accepted is lost. If that is what you want, say it again with --i-know"
    )


def check_known(plan: Plan, *, known: bool) -> None:
    """Raise `Refused`, saying what would happen, unless whoever asks knows it."""
    if not known:
        raise Refused(warning(plan))


def pause(plan: Plan, random: Random) -> float:
    """Seconds to the next strike."""
    return random.expovariate(plan.rate / 60.0)


def draw(plan: Plan, targets: Mapping[Kind, Sequence[str]], random: Random) -> Strike | None:
    """The next strike, each kind being as likely as the others; None where that kind has no target now.

    Another kind does not step in: what can always strike would make up for all that seldom can.
    """
    kind = random.choice(plan.kinds)
    return Strike(kind, random.choice(targets[kind])) if targets.get(kind) else None


def provider_fault(random: Random, *, went_well: bool) -> ProviderFault:
    """How the next provider call of an agent fails; `went_well` tells of its last turn.

    A broken stream charges an attempt.  Two never come in a row, so chaos alone makes no dead letter.
    """
    failure = random.choice(tuple(Failure)) if went_well else Failure.OVERLOADED
    return ProviderFault(failure, random.randint(1, BROKEN_EVENTS))


# --- whom a budget allows to kill ------------------------------------------------------------------


def killable(family: SupervisorSnapshot, killed: Mapping[str, int]) -> Iterator[str]:
    """The actors that may be killed now without eating into anybody's reserve, supervisors among them.

    `killed` names the incarnation of an actor that was killed last: while that one is still shown, its
    restart has not been counted yet.
    """
    if family.actor.status is not Status.READY:
        return
    pending = [child for child in map(_own, family.children) if killed.get(child.name) == child.incarnation]
    for child in family.children:
        own = _own(child)
        counted = len(pending) if family.kinship is Kinship.FAMILY else pending.count(own)
        room = family.budget.intensity - RESERVE - own.restarts - counted
        if room > 0 and own.status is Status.READY and own not in pending and own.name != CHAOS:
            yield own.name
        if isinstance(child, SupervisorSnapshot):
            yield from killable(child, killed)


def incarnation(tree: SupervisorSnapshot, name: str) -> int:
    """How often an actor has been started; 0 for one that is not there."""
    found = tree.find(name)
    return 0 if found is None else _own(found).incarnation


def _own(child: Snapshot) -> ActorSnapshot:
    return child if isinstance(child, ActorSnapshot) else child.actor
