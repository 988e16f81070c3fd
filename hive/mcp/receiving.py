"""The tools that take mail: `recv`, and for clients `ack` and `release`.

The rule kept here: mail is claimed at the last moment and given back when its answer is lost, so that a
client that leaves, is cancelled or is overtaken by itself takes nothing with it.
"""

from functools import partial

import trio
from attrs import frozen

from hive.mcp.arguments import argument
from hive.mcp.desk import Call
from hive.mcp.sending import once_for
from hive.mcp.texts import describe_received, nothing_received
from hive.mcp.waiting import first_of
from hive.protocol.commands import Ack, ClaimIntoTurn, Command, Lease, Release, Withdraw
from hive.protocol.errors import Refused
from hive.protocol.mail import BATCH_MESSAGES, ClaimedMail
from hive.store.codec import digest

WAIT_SECONDS = 20
"""The longest a `recv` waits: below what agents' own clients allow a tool."""

LOOK_SECONDS = 5.0
"""A waiting `recv` looks at the store at least so often, rung for or not."""


@frozen
class RecvArguments:
    """What `recv` takes."""

    max: int = argument("How many messages to take, at most.", least=1, most=BATCH_MESSAGES, default=1)
    wait_seconds: int = argument(
        "How long to wait for mail where there is none; 0 does not wait.",
        least=0,
        most=WAIT_SECONDS,
        default=0,
    )


@frozen
class HeldArguments:
    """What `ack` and `release` take."""

    message: str = argument("Id or number of a message that recv gave you.", least=1, most=64)


async def recv(call: Call, arguments: RecvArguments) -> str:
    """Claim mail, waiting for it where there is none."""
    session, turn = call.caller.session, call.caller.turn
    if session and turn is None:
        raise Refused("No turn of yours is running; your mail comes with the next turn's prompt.")
    with call.desk.only_waiter(call.caller) as replaced:
        mail = await _claim_within(
            call, arguments.wait_seconds, _claim_for(call, turn, arguments.max), replaced
        )
    if not mail:
        return nothing_received(call.desk.reader.agent(call.agent), call.now, stopping=call.stopping.is_set())
    await call.delivery.hand_over(partial(_give_back, call, turn, mail))
    if session and not call.delivery.gone.is_set():
        session.unconfirmed |= {claimed.mail.number for claimed in mail}
    try:
        return _told(call, mail)
    except Exception:
        call.delivery.lose()  # an error is answered instead, and the mail with it to nobody
        raise


def _told(call: Call, mail: tuple[ClaimedMail, ...]) -> str:
    view = call.desk.reader.agent(call.agent)
    lease = call.desk.parts.limits.lease_seconds if call.caller.client else None
    return describe_received(mail, call.now, waiting=view.deliverable if view else 0, lease_seconds=lease)


async def ack(call: Call, arguments: HeldArguments) -> str:
    """Say that a leased message is handled."""
    await _settle(call, Ack(call.agent, arguments.message))
    return f"{arguments.message} is done."


async def release(call: Call, arguments: HeldArguments) -> str:
    """Give a leased message back."""
    await _settle(call, Release(call.agent, arguments.message))
    return f"{arguments.message} is back in the mailbox, as if it had never been taken."


async def _settle(call: Call, command: Ack | Release) -> None:
    """Carry it out once, however often the same tool use says it."""
    await call.desk.perform(command, once_for(call, None, digest(command)))


async def _claim_within(
    call: Call, seconds: float, claim: Command[tuple[ClaimedMail, ...]], replaced: trio.Event
) -> tuple[ClaimedMail, ...]:
    hints, deadline = call.desk.parts.hints, trio.current_time() + seconds
    ended = (replaced, call.stopping, call.delivery.gone)
    while True:
        # Before the look, or mail that comes between look and wait would be waited for.
        mark = hints.mark(call.agent)
        if mail := await call.desk.perform(claim):
            return mail
        left = deadline - trio.current_time()
        if left <= 0:
            return ()
        with trio.move_on_after(min(left, LOOK_SECONDS)):
            await first_of(partial(hints.wait, call.agent, mark), *(event.wait for event in ended))
        if any(event.is_set() for event in ended):
            return ()


def _claim_for(call: Call, turn: int | None, limit: int) -> Command[tuple[ClaimedMail, ...]]:
    if turn is None:
        return Lease(call.agent, call.holder, limit, call.desk.parts.limits.lease_seconds)
    return ClaimIntoTurn(turn, limit)


def _give_back(call: Call, turn: int | None, mail: tuple[ClaimedMail, ...]) -> None:
    """Nobody got this answer: its mail waits again, uncharged."""
    store = call.desk.parts.store
    if turn is None:
        for claimed in mail:
            store.submit(Release(call.agent, claimed.mail.id, claimed.claim))
        return
    numbers = tuple(claimed.mail.number for claimed in mail)
    if call.caller.session:
        call.caller.session.unconfirmed.difference_update(numbers)
    store.submit(Withdraw(turn, numbers))
