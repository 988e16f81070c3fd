"""What to do with a claim that nobody is left to own.

A caller that was cancelled while its claim was being committed will never act on it.  The rule kept here:
such a claim is given back by the store itself, uncharged, and not by a timeout.
"""

from collections.abc import Sequence
from typing import cast

from hive.protocol.commands import (
    BeginTurn,
    ClaimIntoTurn,
    Command,
    EndTurn,
    Lease,
    Release,
    TurnBegun,
    Withdraw,
)
from hive.protocol.mail import ClaimedMail
from hive.protocol.outcome import Outcome

WHY = "nobody was left to run the turn"


def releases(command: Command[object], answer: object) -> tuple[Command[object], ...]:
    """The commands that give back what `answer` says was claimed; none where nothing was."""
    match command, answer:
        case BeginTurn(), TurnBegun(turn=turn):
            return (EndTurn(turn, Outcome.INTERRUPTED, error=WHY),)
        case ClaimIntoTurn(turn=turn), (_, *_):
            return (Withdraw(turn, tuple(one.mail.number for one in _claimed(answer))),)
        case Lease(agent=agent), (_, *_):
            return tuple(Release(agent, one.mail.id, one.claim) for one in _claimed(answer))
        case _:
            return ()


def _claimed(answer: object) -> Sequence[ClaimedMail]:
    return cast("Sequence[ClaimedMail]", answer)
