"""Sentences that say where things stand, the same ones for a model, for the page and on the command line.

The rule kept here: a sentence names what holds, since when, and what ends it; a name that somebody typed
never stands where an identity belongs.
"""

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo

from hive.protocol.mail import Accepted, NotAccepted, SendAnswer, Standing
from hive.protocol.parking import EXITS, Parked, Reason
from hive.protocol.views import AgentView, AuditView, TurnView

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR

HORIZON = 366 * DAY
"""A time further off is only told to be so: no clock of hive's is meant to be set so far ahead."""

UNKNOWN = "an unknown time"
"""Reads after `until`, `since` and `for`, and before `ago`."""

NAMES_SHOWN = 8
"""How many of a list are named before the rest is counted."""


def duration(seconds: float) -> str:
    """A length of time in its largest fitting unit, rounded down: `40 s`, `3 min`, `2 h`, `5 d`."""
    if math.isnan(seconds):
        return UNKNOWN
    if seconds > HORIZON:
        return "more than a year"
    whole = int(max(0.0, seconds))
    for unit, size in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def clock(at: float, now: float, zone: tzinfo | None = None) -> str:
    """A wall-clock time as `14:05`, with seconds when they matter and the date when it is another day's.

    `zone` None means the machine's own.  Whatever number comes has a wording: an answer that cannot be
    worded would make what was accepted look refused.
    """
    if at - now > HORIZON:
        return "more than a year from now"
    moment, today = _moment(at, zone), _moment(now, zone)
    if moment is None:
        return UNKNOWN
    time = moment.strftime("%H:%M:%S" if abs(at - now) < MINUTE else "%H:%M")
    here = today is not None and moment.date() == today.date()
    return time if here else f"{moment.date().isoformat()} {time}"


def stamp(at: float, zone: tzinfo | None = None) -> str:
    """A wall-clock time with its date and seconds, as lists show it; `zone` as for `clock`."""
    moment = _moment(at, zone)
    return UNKNOWN if moment is None else f"{moment.date().isoformat()} {moment.strftime('%H:%M:%S')}"


def _moment(at: float, zone: tzinfo | None) -> datetime | None:
    """None for what no calendar holds."""
    try:
        return datetime.fromtimestamp(at, UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return None


def count(number: int, noun: str) -> str:
    """`1 message`, `3 messages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def audit_sentence(view: AuditView, now: float) -> str:
    """How hive's audit of itself stands, without a full stop."""
    looks = f"{count(view.looks, 'look')}, {view.share(now):.2%} of a core"
    if view.failed:
        looks += f", {view.failed} failed (see hive.warning in the journal)"
    age = view.full_age(now)
    if age is None:
        return f"the first full check since the start is not over yet; {looks}"
    took = duration(view.full_seconds) if view.full_seconds >= 1 else "less than 1 s"
    return f"last full check {duration(age)} ago, it took {took}; {looks}"


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - NAMES_SHOWN
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def parking(reason: str) -> str:
    """A park reason's own words; a reason this version does not know stands for itself."""
    return EXITS[Reason(reason)].words if reason in frozenset(Reason) else reason


def read_call(message: str, *, offset: int = 0, **more: int) -> str:
    """The call of the tool `read` that shows a message from this character on, as a model is to make it."""
    arguments = {"message": message} | ({"offset": offset} if offset else {}) | more
    return f"read({json.dumps(arguments)})"


# --- sending -----------------------------------------------------------------------------------------


def describe_send(answer: SendAnswer, now: float, zone: tzinfo | None = None) -> str:
    """What a sender is told: what was accepted, what happens next, and who got nothing and why."""
    if len(answer.accepted) == 1 and not answer.refused:
        return f"{_accepted(answer.accepted[0], now, zone)}."
    lines = [f"- {one.recipient}: {_accepted(one, now, zone)}" for one in answer.accepted]
    lines += [f"- {one.recipient}: {_refused(one)}" for one in answer.refused]
    if not lines:
        return "Nobody is there to receive it: nothing was sent."
    heading = f"accepted for {len(answer.accepted)} of {count(len(lines), 'recipient')}:"
    return "\n".join((heading, *lines))


def _accepted(one: Accepted, now: float, zone: tzinfo | None) -> str:
    taken = f"accepted as #{one.number} ({one.id})"
    if one.blocked is not None:
        return f"{taken}, but held back until a person releases it: {one.blocked}"
    if one.standing is Standing.PERSON:
        return f"{taken}, for a person to read"
    ahead = f", {one.ahead} ahead of it" if one.ahead else ""
    return f"{taken}{ahead}, {one.recipient} is {_standing(one, now, zone)}"


def _standing(one: Accepted, now: float, zone: tzinfo | None) -> str:
    if one.standing is not Standing.PARKED:
        return one.standing.value
    why = "" if one.parked_for is None else f" ({parking(one.parked_for)})"
    until = "" if one.parked_until is None else f" until {clock(one.parked_until, now, zone)}"
    return f"parked{why}{until}"


def _refused(one: NotAccepted) -> str:
    return f"NOT accepted ({one.code}): {one.why}"


# --- why an agent does what it does ----------------------------------------------------------------------


def why_sentence(view: AgentView, now: float, zone: tzinfo | None = None) -> str:
    """Why an agent is awake, parked or idle, in one sentence; several reasons are all named."""
    if view.removed_at is not None:
        return f"{view.name} was removed at {clock(view.removed_at, now, zone)}."
    parts = []
    if view.open_turn is not None:
        parts.append(_awake(view.open_turn, now))
    held = [parked for parked in view.parked if parked.holds_at(now)]
    if held:
        parts.append("; ".join(_parked(parked, view, now, zone) for parked in held))
    if not parts:
        parts.append(_resting(view, now, zone))
    parts += _waiting(view, now, zone) if held or view.open_turn is None else ()
    return f"{view.name} is {'; '.join(parts)}."


def _awake(turn: TurnView, now: float) -> str:
    because = f"because of {listed(turn.messages)}" if turn.messages else "with no mail in hand"
    stopping = "" if turn.stop_requested is None else f", asked to stop ({turn.stop_requested})"
    return f"awake {because} (turn {turn.number}, for {duration(now - turn.started_at)}{stopping})"


def _parked(parked: Parked, view: AgentView, now: float, zone: tzinfo | None) -> str:
    way = EXITS[parked.reason]
    detail = f" ({parked.detail})" if parked.detail else ""
    until = "" if parked.until is None else f" until {clock(parked.until, now, zone)}"
    seen = ""
    if parked.reason is Reason.CLIENT:
        seen = ", last seen " + (
            "never" if view.client_seen_at is None else f"{duration(now - view.client_seen_at)} ago"
        )
    return (
        f"parked: {way.words}{detail}{seen}, since {clock(parked.since, now, zone)}{until},"
        f" way out: {way.way_out.format(agent=view.name)}"
    )


def _resting(view: AgentView, now: float, zone: tzinfo | None) -> str:
    if view.deliverable:
        return "about to wake"
    if view.next_due is not None:
        return f"idle: nothing to do until {clock(view.next_due, now, zone)}"
    return "idle: nothing to do, no mail"


def _waiting(view: AgentView, now: float, zone: tzinfo | None) -> Iterable[str]:
    if view.deliverable:
        since = "" if view.deliverable_since is None else f" since {clock(view.deliverable_since, now, zone)}"
        yield f"{count(view.deliverable, 'message')} waiting{since}"
    if view.blocked:
        yield f"{count(view.blocked, 'message')} held by the loop guard (hive release ID)"
