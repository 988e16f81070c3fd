"""Accepting mail: who gets it, whether it may go now, and what the sender is told.

The rule kept here: what is answered as accepted is a row, and everything refused has left none.
"""

import math
import sqlite3

from attrs import evolve, frozen

from hive.protocol.commands import Send
from hive.protocol.errors import Forbidden, HiveRefusal, Malformed, NotFound, Refused
from hive.protocol.mail import Accepted, Kind, NotAccepted, Priority, SendAnswer, Standing, State
from hive.protocol.names import EVERYONE, MANAGER, OPERATOR, SYSTEM
from hive.protocol.parking import Parked
from hive.store import rows
from hive.store.attachments import check_body, keep_body
from hive.store.guard import TRUSTED, hops_of, why_blocked
from hive.store.mailbox import Draft, post
from hive.store.parking import reasons
from hive.store.texts import check_label
from hive.store.transaction import Transaction

RATE_SECONDS = 60.0


def send(tx: Transaction, command: Send) -> SendAnswer:
    """Accept one message, or one for each recipient of a broadcast."""
    _check(tx, command)
    draft = _draft(tx, command)
    if command.to != EVERYONE:
        return SendAnswer((_deliver(tx, command, evolve(draft, recipient=recipient(tx, command.to))),))
    accepted: list[Accepted] = []
    refused: list[NotAccepted] = []
    for name in rows.live_names(tx):
        if name != command.sender:
            try:
                accepted.append(_deliver(tx, command, evolve(draft, recipient=name)))
            except HiveRefusal as refusal:
                refused.append(NotAccepted(name, refusal.code, refusal.text))
    return SendAnswer(tuple(accepted), tuple(refused))


def recipient(tx: Transaction, to: str) -> str:
    """The mailbox that `to` names; `NotFound` where there is none."""
    if to == OPERATOR:
        return OPERATOR
    if to == MANAGER:
        name = rows.manager_name(tx)
        if name is None:
            raise NotFound("This hive has no manager; the tool `agents` lists whom you can reach.")
        return name
    return str(rows.live_agent(tx, to)["name"])


def _check(tx: Transaction, command: Send) -> None:
    check_body(command.body)
    check_label(command.label)
    if command.sender not in (OPERATOR, SYSTEM) and not rows.is_live(tx, command.sender):
        raise Forbidden(f"{command.sender[:40]!r} is no agent of this hive (any more); it cannot send mail.")
    if command.priority is Priority.URGENT and command.provenance not in TRUSTED:
        raise Malformed("Only the operator may send urgent mail; send it without a priority.")
    if command.not_before is not None and not math.isfinite(command.not_before):
        raise Malformed("`not_before` must be a time in seconds since 1970.")
    if command.kind is Kind.NEXT_TURN and command.to != command.sender:
        raise Malformed("A next turn is requested for oneself only; send a message to wake somebody else.")


def _draft(tx: Transaction, command: Send) -> Draft:
    """Everything about the message that does not depend on who gets it."""
    answered = None if command.in_reply_to is None else rows.message(tx, command.in_reply_to)
    cause = f"turn:{command.turn}" if command.turn is not None else command.cause
    body = keep_body(tx, command.sender, command.body, bounded=command.provenance not in TRUSTED)
    return Draft(
        recipient=command.to,
        body=body.text,
        size=body.size,
        attachment=body.sha256,
        sender=command.sender,
        provenance=command.provenance,
        kind=command.kind,
        label=command.label,
        in_reply_to=None if answered is None else answered["id"],
        thread=None if answered is None else answered["thread"],
        cause=cause,
        urgent=command.priority is Priority.URGENT,
        not_before=command.not_before,
        hops=hops_of(tx, command),
        broadcast=command.to == EVERYONE,
    )


def _deliver(tx: Transaction, command: Send, draft: Draft) -> Accepted:
    ahead = rows.unfinished(tx, draft.recipient)
    if command.provenance not in TRUSTED:
        _check_room(tx, draft, ahead)
    blocked = why_blocked(tx, command, draft.recipient, draft.hops)
    row = post(tx, evolve(draft, blocked=blocked))
    return _accepted(tx, row, ahead)


def _check_room(tx: Transaction, draft: Draft, ahead: int) -> None:
    if draft.recipient == OPERATOR:
        _check_rate(tx, draft.sender)
    elif ahead >= tx.limits.mailbox_messages:
        raise Refused(
            f"{draft.recipient}'s mailbox is full: {ahead} messages are unread,"
            f" {tx.limits.mailbox_messages} is the most. Nothing was sent."
            " Wait until it has read some, or tell the manager or the operator."
        )


def _check_rate(tx: Transaction, sender: str) -> None:
    most = tx.limits.operator_mail_per_minute
    recent = tx.rows(
        "SELECT created_at FROM message INDEXED BY message_sender"
        " WHERE sender = ? AND recipient = ? AND created_at > ? ORDER BY created_at DESC LIMIT ?",
        *(sender, OPERATOR, tx.now - RATE_SECONDS, most),
    )
    if len(recent) >= most:
        seconds = math.ceil(recent[-1]["created_at"] + RATE_SECONDS - tx.now)
        raise Refused(
            f"The operator gets at most {most} messages a minute from you. Nothing was sent."
            f" Put what you have to say into one message and send it in {seconds} seconds."
        )


@frozen
class _Situation:
    standing: Standing
    parked: Parked | None = None


def _situation(tx: Transaction, name: str) -> _Situation:
    if name == OPERATOR:
        return _Situation(Standing.PERSON)
    if parked := reasons(tx, name):
        # What has no end of its own, or the latest one, is what the sender has to wait for.
        return _Situation(Standing.PARKED, max(parked, key=lambda one: one.until or math.inf))
    return _Situation(Standing.RUNNING if rows.open_turn_of(tx, name) is not None else Standing.IDLE)


def _accepted(tx: Transaction, row: sqlite3.Row, ahead: int) -> Accepted:
    now = _situation(tx, row["recipient"])
    return Accepted(
        recipient=row["recipient"],
        number=row["number"],
        id=row["id"],
        ahead=ahead,
        standing=now.standing,
        parked_for=None if now.parked is None else now.parked.reason.value,
        parked_until=None if now.parked is None else now.parked.until,
        blocked=row["why"] if row["state"] == State.BLOCKED else None,
    )
