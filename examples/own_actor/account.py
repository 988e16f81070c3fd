"""An actor of one's own: an account that is never overdrawn, whoever asks at the same time."""

from attrs import frozen

from hive.actors import Actor, ChildSpec, Context, Decline, Message, Request


class Overdrawn(Exception):
    """There is not so much in the account."""


@frozen
class Move(Request[int]):
    """Put so much in, or take it out; answers the balance."""

    amount: int


class Account(Actor):
    """Holds money in memory: a crash loses it, as everything that is not stored."""

    def __init__(self) -> None:
        self.balance = 0

    async def handle(self, message: Message, ctx: Context) -> int:
        """Move money. One message is handled at a time, so nobody comes between the look and the move."""
        match message:
            case Move(amount) if self.balance + amount >= 0:
                self.balance += amount
                return self.balance
            case _:
                raise Decline(Overdrawn(f"{ctx.name} holds {self.balance}"))


account = ChildSpec("account", Account)
