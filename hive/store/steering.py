"""What an operator does to agents: park, pause, resume, stop, start, kick, cancel.  Each is only a commit.

The rule kept here: nothing is signalled; the harness sees a changed row when it looks.
"""

import sqlite3
from collections.abc import Callable

from hive.protocol.commands import (
    CancelTurn,
    Kick,
    Lift,
    Park,
    Pause,
    Resume,
    Resumed,
    StartAgent,
    StopAgent,
)
from hive.protocol.errors import Conflict, Malformed, NotFound
from hive.protocol.mail import INLINE_BYTES, Kind, Provenance
from hive.protocol.names import OPERATOR, SYSTEM
from hive.protocol.parking import EXITS, Exit, Reason
from hive.store import slots
from hive.store.mailbox import Letter, post
from hive.store.parking import lift_reason, reasons, set_reason
from hive.store.rows import live_agent, live_names, open_turn_of
from hive.store.texts import check_text
from hive.store.transaction import Transaction


def park(tx: Transaction, command: Park) -> None:
    """Add or renew a reason."""
    live_agent(tx, command.agent)
    set_reason(tx, command.agent, command.reason, until=command.until, detail=command.detail)
    slots.offer(tx)


def lift(tx: Transaction, command: Lift) -> bool:
    """Take a reason away."""
    live_agent(tx, command.agent)
    return lift_reason(tx, command.agent, command.reason, command.by)


def pause(tx: Transaction, command: Pause) -> tuple[str, ...]:
    """Stop all claims of one or all; with `now` also ask their turns to stop."""
    return _halt(tx, command.agent, Reason.PAUSED, now=command.now, by=command.by)


def stop_agent(tx: Transaction, command: StopAgent) -> tuple[str, ...]:
    """Have boxes taken down: the watcher does it, and a turn that runs in one gives its mail back."""
    return _halt(tx, command.agent, Reason.STOPPED, now=True, by=command.by)


def _halt(tx: Transaction, agent: str | None, reason: Reason, *, now: bool, by: str) -> tuple[str, ...]:
    changed = tuple(name for name in _named(tx, agent) if _halt_one(tx, name, reason, now=now, by=by))
    slots.offer(tx)
    return changed


def _halt_one(tx: Transaction, name: str, reason: Reason, *, now: bool, by: str) -> bool:
    changed = set_reason(tx, name, reason, detail="" if by == OPERATOR else f"by {by}")
    turn = open_turn_of(tx, name)
    if now and turn is not None and turn["stop_requested"] is None:
        _request_stop(tx, turn, "requeue", by)
        changed = True
    return changed


def start_agent(tx: Transaction, command: StartAgent) -> tuple[str, ...]:
    """Have stopped boxes brought up again."""
    names = _named(tx, command.agent)
    return tuple(name for name in names if _lift_by(tx, name, lambda way: way.started, command.by))


def resume(tx: Transaction, command: Resume) -> tuple[Resumed, ...]:
    """Lift the reasons that were named, and tell what is left."""
    for reason in command.reasons:
        if not EXITS[reason].resumed:
            way_out = EXITS[reason].way_out.format(agent=command.agent or "AGENT")
            raise Malformed(f"A resume does not lift {reason.value!r}; its way out: {way_out}.")
    told = (_resume(tx, name, command) for name in _named(tx, command.agent))
    return tuple(one for one in told if one.lifted or one.still)


def _resume(tx: Transaction, name: str, command: Resume) -> Resumed:
    lifted = tuple(reason for reason in command.reasons if lift_reason(tx, name, reason, command.by))
    return Resumed(name, lifted, tuple(parked.reason for parked in reasons(tx, name)))


def kick(tx: Transaction, command: Kick) -> tuple[str, ...]:
    """Lift what a kick lifts and leave a note that wakes."""
    by_system = command.by == SYSTEM
    text = _checked(command.text) or "A kick: look at what waits for you and go on with it."
    names = _named(tx, command.agent)
    for name in names:
        _lift_by(tx, name, lambda way: way.kicked, command.by)
        note = Letter(
            body=text,
            size=len(text.encode()),
            sender=SYSTEM if by_system else OPERATOR,
            provenance=Provenance.SYSTEM if by_system else Provenance.OPERATOR,
            kind=Kind.KICK,
        )
        post(tx, note, name)
    return names


def _checked(text: str) -> str:
    """A kick's text, which travels inline."""
    size = len(check_text(text, "The text").encode())
    if size > INLINE_BYTES:
        raise Malformed(f"The text has {size} bytes; {INLINE_BYTES} is the most. Send a message instead.")
    return text


def cancel_turn(tx: Transaction, command: CancelTurn) -> int:
    """Ask the open turn to stop."""
    live_agent(tx, command.agent)
    turn = open_turn_of(tx, command.agent)
    if turn is None:
        raise NotFound(f"{command.agent} has no open turn; there is nothing to cancel.")
    number: int = turn["number"]
    if command.turn is not None and command.turn != number:
        raise Conflict(f"{command.agent} is at turn {number}, not {command.turn}; nothing was cancelled.")
    how = "requeue" if command.requeue else "cancel"
    if turn["stop_requested"] != how:
        _request_stop(tx, turn, how, command.by)
    return number


def _named(tx: Transaction, agent: str | None) -> tuple[str, ...]:
    """The one agent named, or all of them."""
    return live_names(tx) if agent is None else (live_agent(tx, agent)["name"],)


def _lift_by(tx: Transaction, agent: str, way: Callable[[Exit], bool], by: str) -> bool:
    """Take away the reasons with this way out.  Answers whether there were any."""
    rows = tx.rows("SELECT reason FROM park WHERE agent = ?", agent)
    ended = [Reason(row["reason"]) for row in rows if way(EXITS[Reason(row["reason"])])]
    for reason in ended:
        lift_reason(tx, agent, reason, by)
    return bool(ended)


def _request_stop(tx: Transaction, turn: sqlite3.Row, how: str, by: str) -> None:
    tx.execute("UPDATE turn SET stop_requested = ? WHERE number = ?", how, turn["number"])
    tx.journal("turn.stop", turn["agent"], turn["number"], how=how, by=by)
