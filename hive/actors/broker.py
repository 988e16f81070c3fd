"""The one road by which the page, the command line and the agents' tools reach the store.

The rule kept here: the broker holds the question and answers on the ticket, so that many commands share a
commit; a refusal is an answer.  If it dies, the unanswered are told, and a keyed command may be repeated.
"""

from attrs import define

from hive.actors import Actor, Context, Held, Message
from hive.actors.protocol import Perform
from hive.store.port import Store, Ticket


@define(eq=False)
class Broker(Actor):
    """Submits commands and brings back their outcomes."""

    store: Store

    async def handle(self, message: Message, ctx: Context) -> object:
        """Submit a command; the answer follows when its ticket has settled."""
        if not isinstance(message, Perform):
            return await super().handle(message, ctx)
        held = ctx.hold()
        ctx.spawn(self._answer, ctx, held, self.store.submit(message.command, message.once))
        return None

    async def _answer(self, ctx: Context, held: Held, ticket: Ticket[object]) -> None:
        try:
            answer = await ticket.outcome()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the asker's to know
            ctx.refuse(held, error)
        else:
            ctx.answer(held, answer)
