"""Accepting mail: who gets it, whether it may go now, and what the sender is told.

The rule kept here: what is answered as accepted is a row, and everything refused has left none.
"""

import math

from attrs import frozen

from hive.protocol.commands import Send
from hive.protocol.errors import Forbidden, HiveRefusal, Malformed, NotFound, Refused
from hive.protocol.mail import Accepted, Kind, NotAccepted, Priority, SendAnswer, Standing
from hive.protocol.names import EVERYONE, MANAGER, NAME, OPERATOR, SYSTEM
from hive.store import rows
from hive.store.attachments import check_body, keep_body
from hive.store.guard import TRUSTED, hops_of, why_blocked
from hive.store.mailbox import Letter, Posted, post
from hive.store.parking import reasons
from hive.store.texts import check_label
from hive.store.transaction import Transaction

RATE_SECONDS = 60.0


def send(tx: Transaction, command: Send) -> SendAnswer:
    """Accept one message, or one for each recipient of a broadcast."""
    size = _check(tx, command)
    letter = _letter(tx, command, size)
    if command.to != EVERYONE:
        return SendAnswer((_deliver(tx, command, letter, _named(tx, command.to)),))
    accepted: list[Accepted] = []
    refused: list[NotAccepted] = []
    for name in rows.live_names(tx):
        if name != command.sender:
            try:
                accepted.append(_deliver(tx, command, letter, name))
            except HiveRefusal as refusal:
                refused.append(NotAccepted(name, refusal.code, refusal.text))
    return SendAnswer(tuple(accepted), tuple(refused))


def recipient(tx: Transaction, to: str) -> str:
    """The mailbox that `to` names; `NotFound` where there is none."""
    return _addressee(tx, _named(tx, to)).name


def _named(tx: Transaction, to: str) -> str:
    """The name that `to` stands for; whether somebody bears it is not asked yet."""
    if to != MANAGER:
        return to
    name = rows.manager_name(tx)
    if name is None:
        raise NotFound(f"This hive has no manager. {rows.whom_there_is(tx)}")
    return name


def _check(tx: Transaction, command: Send) -> int:
    """Everything that needs no recipient; answers the body's size in bytes."""
    size = check_body(command.body)
    check_label(command.label)
    if command.sender not in (OPERATOR, SYSTEM) and not rows.is_live(tx, command.sender):
        raise Forbidden(f"{command.sender[:40]!r} is no agent of this hive (any more); it cannot send mail.")
    if command.priority is Priority.URGENT and command.provenance not in TRUSTED:
        raise Malformed("Only the operator may send urgent mail; send it without a priority.")
    if command.not_before is not None and not math.isfinite(command.not_before):
        raise Malformed("`not_before` must be a time in seconds since 1970.")
    if command.kind is Kind.NEXT_TURN and command.to != command.sender:
        raise Malformed("A next turn is requested for oneself only; send a message to wake somebody else.")
    return size


def _letter(tx: Transaction, command: Send, size: int) -> Letter:
    answered = None if command.in_reply_to is None else rows.message(tx, command.in_reply_to)
    cause = f"turn:{command.turn}" if command.turn is not None else command.cause
    bounded = command.provenance not in TRUSTED
    body = keep_body(tx, command.sender, command.body, size, bounded=bounded)
    return Letter(
        body=body.text,
        size=size,
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


def _deliver(tx: Transaction, command: Send, letter: Letter, to: str) -> Accepted:
    there = _addressee(tx, to)
    if command.provenance not in TRUSTED:
        _check_room(tx, letter.sender, there)
    posted = post(tx, letter, to, why_blocked(tx, command, to, letter.hops))
    return _accepted(tx, posted, there)


ADDRESSEE = """
SELECT coalesce(
    (SELECT accepted - removed - done - dead FROM tally WHERE tally.agent = agent.name), 0) AS ahead,
  EXISTS (SELECT 1 FROM turn INDEXED BY turn_open WHERE turn.agent = agent.name AND ended_at IS NULL) AS busy,
  EXISTS (SELECT 1 FROM park WHERE park.agent = agent.name) AS parked
FROM agent WHERE name = ? AND removed_at IS NULL
"""
"""One statement: a send is mostly made of what its statements cost."""


@frozen
class _Addressee:
    """A recipient at the moment at which it is written to."""

    name: str
    ahead: int
    busy: bool = False
    parked: bool = False
    """Whether it has park reasons, in force or just over."""


def _addressee(tx: Transaction, name: str) -> _Addressee:
    if name == OPERATOR:
        return _Addressee(name, rows.unfinished(tx, name))
    row = tx.row(ADDRESSEE, name) if NAME.match(name) else None
    if row is None:
        raise rows.no_such_recipient(tx, name)
    return _Addressee(name, row["ahead"], bool(row["busy"]), bool(row["parked"]))


def _check_room(tx: Transaction, sender: str, there: _Addressee) -> None:
    if there.name == OPERATOR:
        _check_rate(tx, sender)
    elif there.ahead >= tx.limits.mailbox_messages:
        raise Refused(
            f"{there.name}'s mailbox is full: {there.ahead} messages are unread,"
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


def _accepted(tx: Transaction, posted: Posted, there: _Addressee) -> Accepted:
    parked = reasons(tx, there.name) if there.parked else ()
    # What has no end of its own, or the latest one, is what the sender has to wait for.
    longest = max(parked, key=lambda one: one.until or math.inf, default=None)
    return Accepted(
        recipient=there.name,
        number=posted.number,
        id=posted.id,
        ahead=there.ahead,
        standing=_standing(there, parked=longest is not None),
        parked_for=None if longest is None else longest.reason.value,
        parked_until=None if longest is None else longest.until,
        blocked=posted.blocked,
    )


def _standing(there: _Addressee, *, parked: bool) -> Standing:
    if there.name == OPERATOR:
        return Standing.PERSON
    if parked:
        return Standing.PARKED
    return Standing.RUNNING if there.busy else Standing.IDLE
