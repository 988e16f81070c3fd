"""A turn's beginning and its end, each in one operation.

The rule kept here: a turn row and the mail it holds come and go together, and only `CONSEQUENCES` says what
an ending means.
"""

import sqlite3
from collections.abc import Iterable

from attrs import evolve

from hive.protocol.commands import (
    BeginTurn,
    ClaimIntoTurn,
    EndOrphans,
    EndTurn,
    MarkSeen,
    NotBegun,
    TurnBegun,
    Withdraw,
)
from hive.protocol.mail import ClaimedMail
from hive.protocol.names import NAME
from hive.protocol.outcome import Outcome
from hive.protocol.parking import EXITS, Parked, Reason
from hive.store import claims, rows, slots
from hive.store.endings import end, held_by, see
from hive.store.notes import leave_restart_note
from hive.store.parking import in_force, is_halted, lift_reason, set_reason
from hive.store.texts import mended
from hive.store.transaction import Transaction
from hive.store.verdicts import release_all

LOOK_AGAIN_SECONDS = 1.0
"""How soon somebody looks again who may not begin though a slot is free, because others come first."""


SITUATION = """
SELECT batch_limit, failures,
  EXISTS (SELECT 1 FROM park WHERE park.agent = agent.name) AS parked,
  (SELECT number FROM turn INDEXED BY turn_open
   WHERE turn.agent = agent.name AND ended_at IS NULL) AS open_turn
FROM agent WHERE name = ? AND removed_at IS NULL
"""


def begin_turn(tx: Transaction, command: BeginTurn) -> TurnBegun | NotBegun:
    """Open a turn with its mail, or say why not."""
    agent = tx.row(SITUATION, command.agent) if NAME.match(command.agent) else None
    if agent is None:
        return NotBegun(f"there is no agent {command.agent[:40]!r} (any more)")
    parked = in_force(tx, command.agent) if agent["parked"] else ()
    if obstacle := _obstacle(agent["open_turn"], parked):
        return obstacle
    limit = max(1, min(command.messages, agent["batch_limit"]))
    batch = claims.next_for_turn(
        tx, command.agent, limit, command.bytes, alone=is_alone(limit, agent["failures"])
    )
    if not batch:
        lift_reason(tx, command.agent, Reason.SLOT, by="no mail")
        return NotBegun("no mail waits", claims.next_due(tx, command.agent))
    if obstacle := _no_slot(tx, command.agent):
        return obstacle
    if parked:
        lift_reason(tx, command.agent, Reason.SLOT, by="turn")
    return _begin(tx, command, batch)


def is_alone(limit: int, failures: int) -> bool:
    """Whether an agent's turns hold one message only, to find out which one makes them fail."""
    return limit == 1 and failures > 0


def _obstacle(turn: int | None, parked: Iterable[Parked]) -> NotBegun | None:
    held = [one for one in parked if one.reason is not Reason.SLOT]
    if held:
        ends = [one.until for one in held if one.until is not None]
        return NotBegun("; ".join(map(_words, held)), min(ends, default=None))
    return None if turn is None else NotBegun(f"turn {turn} is still open")


def _words(parked: Parked) -> str:
    words = EXITS[parked.reason].words
    return f"{words} ({parked.detail})" if parked.detail else words


def _no_slot(tx: Transaction, agent: str) -> NotBegun | None:
    if slots.always_suffice(tx):
        return None
    free = slots.free(tx)
    if slots.suffice_now(tx, free) or agent in slots.line(tx, free):
        return None
    running = tx.limits.max_running_turns - free
    set_reason(tx, agent, Reason.SLOT, detail=f"{tx.limits.max_running_turns} turns may run at a time")
    look = tx.now + LOOK_AGAIN_SECONDS if free else None
    return NotBegun(f"waiting for a free slot: {running} turns run, others come first", look)


def _begin(tx: Transaction, command: BeginTurn, batch: list[sqlite3.Row]) -> TurnBegun:
    hops = max(row["hops"] for row in batch)
    cursor = tx.execute(
        "INSERT INTO turn (agent, boot, incarnation, started_at, hops) VALUES (?, ?, ?, ?, ?)",
        *(command.agent, tx.boot, command.incarnation, tx.now, hops),
    )
    assert cursor.lastrowid is not None
    turn = cursor.lastrowid
    tx.journal(
        "turn.started",
        command.agent,
        turn,
        messages=[row["id"] for row in batch],
        hops=hops,
        incarnation=command.incarnation,
    )
    held = claims.claim_for_turn(tx, batch, turn)
    return TurnBegun(turn, command.agent, held, claims.deliverable(tx, command.agent), hops)


def claim_into_turn(tx: Transaction, command: ClaimIntoTurn) -> tuple[ClaimedMail, ...]:
    """Claim more into an open turn, unless it is to stop, its agent is paused or its mail is tried alone."""
    turn = open_turn(tx, command.turn)
    if turn is None or turn["stop_requested"] is not None or is_halted(tx, turn["agent"]):
        return ()
    agent = rows.live_agent(tx, turn["agent"])
    if is_alone(agent["batch_limit"], agent["failures"]):
        return ()
    batch = claims.next_for_recv(tx, turn["agent"], max(1, command.limit))
    if batch:
        hops = max(row["hops"] for row in batch)
        tx.execute("UPDATE turn SET hops = max(hops, ?) WHERE number = ?", hops, command.turn)
    return claims.claim_for_turn(tx, batch, command.turn)


def open_turn(tx: Transaction, number: int) -> sqlite3.Row | None:
    """The turn of this number if it is open and of this boot."""
    return tx.row(f"{rows.TURN} WHERE number = ? AND ended_at IS NULL AND boot = ?", number, tx.boot)


def mark_seen(tx: Transaction, command: MarkSeen) -> None:
    """Note the evidence that the model was given these messages."""
    if open_turn(tx, command.turn) is not None:
        see(tx, command.turn, held_by(tx, command.turn), command.messages)


def withdraw(tx: Transaction, command: Withdraw) -> None:
    """Give back what was claimed into a turn and never shown."""
    if open_turn(tx, command.turn) is None:
        return
    unseen = {row["number"]: row for row in held_by(tx, command.turn) if not row["seen"]}
    back = [unseen[number] for number in command.messages if number in unseen]
    release_all(tx, back, "withdrawn: it was not shown to the model")


def end_turn(tx: Transaction, command: EndTurn) -> None:
    """Record an ending and give all verdicts."""
    turn = open_turn(tx, command.turn)
    if turn is None:
        return
    # Interrupted: the box that the same person stopped was gone before the backend could be asked.
    if turn["stop_requested"] == "requeue" and command.outcome in (Outcome.CANCELLED, Outcome.INTERRUPTED):
        command = evolve(command, outcome=Outcome.REQUEUED)
    end(tx, turn, command)


def end_orphans(tx: Transaction, command: EndOrphans) -> tuple[int, ...]:
    """End the turn that an earlier incarnation or boot left open, and wake the agent with a note."""
    turn = rows.open_turn_of(tx, command.agent)
    if turn is None or (turn["incarnation"] == command.incarnation and turn["boot"] == tx.boot):
        return ()
    interrupt(tx, turn, command.why)
    return (turn["number"],)


def interrupt(tx: Transaction, turn: sqlite3.Row, why: str) -> None:
    """End an open turn of whatever boot as interrupted and leave a note that wakes its agent."""
    end(tx, turn, EndTurn(turn["number"], Outcome.INTERRUPTED, error=why))
    text = (
        f"You were restarted during turn {turn['number']}: {mended(why)}. See what is done before you go on."
    )
    leave_restart_note(tx, turn["agent"], text, wakes=True)
