"""The one road by which the page, the command line and the agents' tools reach the store.

The rule kept here: the broker holds the question and answers on the ticket, so that many commands share a
commit; a refusal is an answer.  If it dies, the unanswered are told, and a keyed command may be repeated.
"""

from attrs import define

from hive.actors import Actor, Context, Held, Message
from hive.actors.protocol import Perform
from hive.protocol.errors import StoreUnavailable
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
        # Submitted here, in the order of the mailbox; the tasks that wait start in any order.
        ctx.spawn(self._answer, ctx, held, message, self.store.submit(message.command, message.once))
        return None

    async def _answer(self, ctx: Context, held: Held, asked: Perform[object], ticket: Ticket[object]) -> None:
        try:
            answer = await self._outcome(asked, ticket)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the asker's to know
            ctx.refuse(held, error)
        else:
            ctx.answer(held, answer)

    async def _outcome(self, asked: Perform[object], ticket: Ticket[object]) -> object:
        try:
            return await ticket.outcome()
        except StoreUnavailable:
            # It may have held when it was asked before: to say so takes no commit, and to deny it were a lie.
            once = asked.once
            before = None if once is None else self.store.reader.repeated(asked.command, once)
            if before is None:
                raise
            return before.answer
