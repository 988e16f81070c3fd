"""What can happen to a hive, one command at a time, chosen at random from what there is.

The rule kept here: a deed only says what to ask of the store.  Who asks, and what the store says to it, is
the test's business; a refusal is part of life.
"""

from collections.abc import Callable
from random import Random
from typing import Final, TypeAlias

from attrs import frozen

from hive.protocol import commands as ask
from hive.protocol.commands import Command
from hive.protocol.mail import Provenance
from hive.protocol.outcome import Outcome
from hive.store.port import Reader

AGENT: Final = "iris"
"""The agent whose stream is watched; about every second deed concerns it."""

NAMES: Final = ("iris", "rosa", "moss")


@frozen
class Play:
    """What a deed has in hand: a look at the store, and chance."""

    reader: Reader
    random: Random

    def perhaps(self, one_in: int) -> bool:
        """True once in so many times."""
        return not self.random.randrange(one_in)

    def agent(self) -> str:
        """Any agent, as often as not the one whose stream is watched."""
        return self.random.choice([AGENT, *NAMES])

    def message(self, *states: str) -> str:
        """A message in one of these states; one that does not exist where there is none."""
        heads = self.reader.traffic(limit=200).mail
        found = [mail.id for mail in heads if not states or mail.state in states]
        return self.random.choice(found) if found else "m-none"

    def turn(self) -> int:
        """An open turn."""
        turns = self.reader.open_turns()
        return self.random.choice(turns).number if turns else 0

    def held(self, turn: int) -> tuple[int, ...]:
        """Numbers of messages a turn holds, some of them."""
        view = self.reader.turn(turn)
        found = [self.reader.mail(one) for one in view.messages] if view else []
        return tuple(mail.number for mail in found if mail and not self.perhaps(3))


Deed: TypeAlias = Callable[[Play], Command[object]]


def _send(play: Play) -> Command[object]:
    sender = play.random.choice(["operator", *NAMES])
    to = play.random.choice([*NAMES, *NAMES, "operator", "*"])
    reply = play.message() if play.perhaps(3) else None
    body = "word " * play.random.choice([1, 3, 60])
    who = Provenance.OPERATOR if sender == "operator" else Provenance.AGENT
    return ask.Send(sender, to, body, who, in_reply_to=None if reply == "m-none" else reply)


def _end(play: Play) -> Command[object]:
    turn = play.turn()
    outcome = play.random.choice([Outcome.OK, Outcome.OK, *Outcome])
    error = "" if outcome is Outcome.OK else "it went wrong " * play.random.choice([1, 30])
    return ask.EndTurn(turn, outcome, "said " * 50, error, seen=play.held(turn))


def _respawn(play: Play) -> Command[object]:
    if play.perhaps(2):
        return ask.RemoveAgent("moss")
    return ask.AddAgent("moss", ask.Settings(purpose="comes and goes"))


def stream(play: Play) -> Command[object]:
    """The watched agent says something."""
    rows = tuple(ask.StreamRow("say", {"text": f"line {n}"}) for n in range(play.random.randint(1, 5)))
    return ask.AppendStream(AGENT, play.turn() or None, rows)


def _withdraw(play: Play) -> Command[object]:
    turn = play.turn()
    return ask.Withdraw(turn, play.held(turn))


def _seen(play: Play) -> Command[object]:
    turn = play.turn()
    return ask.MarkSeen(turn, play.held(turn))


def kick(play: Play) -> Command[object]:
    """A note that wakes; while nobody has taken it, the next one renews it."""
    return ask.Kick(play.agent())


def restart(play: Play) -> Command[object]:
    """A box came up: from the second time on with a note, which is renewed like a kick."""
    return ask.BoxStarted(play.agent(), "for the test", wakes=play.perhaps(3))


DEEDS: Final[tuple[Deed, ...]] = (
    *[_send] * 8,
    *[lambda play: ask.BeginTurn(play.agent(), 1)] * 8,
    *[_end] * 4,
    *[stream] * 3,
    _seen,
    _withdraw,
    _respawn,
    lambda play: ask.ClaimIntoTurn(play.turn()),
    lambda play: ask.Lease(play.agent(), "client"),
    lambda play: ask.Ack(play.agent(), play.message("claimed")),
    lambda play: ask.Release(play.agent(), play.message("claimed")),
    lambda _play: ask.ExpireLeases(),
    lambda play: ask.Pause(play.agent(), now=play.perhaps(2)),
    *[lambda play: ask.Resume(play.agent())] * 4,
    *[kick] * 2,
    lambda play: ask.CancelTurn(play.agent(), requeue=play.perhaps(2)),
    lambda play: ask.SetStatus(play.agent(), f"at {play.random.random():.2f}"),
    lambda play: ask.ChangeAgent(play.agent(), model=play.random.choice(["", "opus", "haiku"])),
    lambda play: ask.MarkRead(play.message(), unread=play.perhaps(3)),
    lambda play: ask.MarkDone(play.message("ready")),
    lambda play: ask.Bury(play.message("ready", "blocked")),
    lambda play: ask.Redrive(play.message("dead")),
    lambda play: ask.ReleaseBlocked(play.message("blocked")),
    *[restart] * 3,
    lambda play: ask.BoxDown(play.agent(), "for the test"),
)
"""As often as each is listed."""
