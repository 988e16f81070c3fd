"""One process of Claude Code, from the first word said to it until it has left.

The rule kept here: its input stays open until the turn has its result, and no mail is called shown
without a receipt.  Mail that comes too late for a turn begins another in the same process; that one is
waited for as well.
"""

from collections.abc import Awaitable, Callable

import trio
from attrs import define, field, frozen

from hive.agents.backend import Prompt
from hive.agents.beside import beside
from hive.agents.cli import claude_words as words
from hive.agents.cli.claude_lines import Reading
from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.process import Cli, Ladder, climb
from hive.agents.events import ErrorClass, Noted, PromptAccepted, Result, SessionOpened, TurnEvent
from hive.agents.frame import DETAIL_CHARACTERS

LATE_SECONDS = 2.0
"""How long mail that has no receipt yet keeps a turn that has ended."""


@frozen
class Ways:
    """How a conversation reaches the rest of its turn."""

    emit: Callable[[TurnEvent], Awaitable[None]]
    tell: Callable[[Noted], None]
    """For notes that may be lost, from where nobody can wait."""

    keep: Callable[[str], None]
    """Writes the session's id down."""

    new_id: Callable[[], str]
    asked_to_stop: trio.Event


@define(eq=False)
class Conversation:
    """What is said between hive and one process."""

    _cli: Cli
    _ways: Ways
    _ladder: Ladder
    result: Result | None = field(default=None, init=False)
    reading: Reading = field(factory=Reading, init=False)
    _before: Result | None = field(default=None, init=False)
    _begun: bool = field(default=False, init=False)
    _takes_mail: bool = field(default=False, init=False)
    _listening: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    async def hold(self, first: JsonObject, prompt: Prompt) -> None:
        """Talk until there is a result or the process has ended, and let it leave."""
        self._cli.say(first)
        async with beside(self._stop_when_asked):
            with self._listening:
                async for heard in self._cli:
                    if isinstance(heard, Noted):
                        await self._ways.emit(heard)
                    elif await self._hear(heard, prompt):
                        break
        self._takes_mail = False
        if self.result is None and not self._begun:
            return
        if self.reading.ours:
            self._cli.say(words.interrupt())
        await self._cli.hang_up()

    def show(self, prompt: Prompt) -> None:
        """Write mail to it, unless it is too soon or too late."""
        if self._takes_mail:
            uuid = self._ways.new_id()
            self.reading.ours[uuid] = prompt.messages
            self._cli.say(words.user(uuid, prompt.text))

    async def _hear(self, line: JsonObject, prompt: Prompt) -> bool:
        """Take one line in.  Answers whether the conversation is over."""
        match line:
            case {"type": "control_response", "response": dict(answer)}:
                if answer.get("request_id") == words.INITIALIZE:
                    return self._begin(answer, prompt)
            case {"type": "control_request", "request_id": str(request)}:
                self._cli.say(words.refusal(request))
        for event in self.reading.read(line):
            if isinstance(event, Result):
                return self._end(event)
            await self._ways.emit(event)
            if isinstance(event, SessionOpened) and self._opened(event):
                return True
            if isinstance(event, PromptAccepted) and self.result is not None:
                self._go_on(self.result)
        return False

    def _begin(self, answer: JsonObject, prompt: Prompt) -> bool:
        if answer.get("subtype") != "success":
            detail = f"it would not begin: {answer.get('error')}"[:DETAIL_CHARACTERS]
            self.result = Result(error=ErrorClass.PROTOCOL, detail=detail)
            return True
        self._begun = self._takes_mail = True
        self.show(prompt)
        return False

    def _opened(self, event: SessionOpened) -> bool:
        self._ways.keep(event.session)
        if not event.tools_ok:
            # Without them the model would do its work and could tell nobody.
            self._cli.say(words.interrupt())
            self.result = Result(error=ErrorClass.TOOLS, detail="it could not reach its hive tools")
        return not event.tools_ok

    def _end(self, result: Result) -> bool:
        self.result, self._takes_mail = _after(self._before, result), False
        self._listening.deadline = trio.current_time() + LATE_SECONDS
        return result.error is not None or not self.reading.ours

    def _go_on(self, before: Result) -> None:
        """It has begun another turn, with mail that was too late for the one before."""
        self._before, self.result, self._takes_mail = before, None, True
        self._listening.deadline = float("inf")

    async def _stop_when_asked(self) -> None:
        await self._ways.asked_to_stop.wait()
        if not self._begun:
            self._listening.cancel(reason="the turn was asked to stop before it had begun")
            return
        await climb(self._cli, self._ladder, lambda: self._cli.say(words.interrupt()), self._ways.tell)


def _after(before: Result | None, result: Result) -> Result:
    """The result of a turn that went on after it had had one."""
    if before is None:
        return result
    return Result(result.text, result.error, result.detail, result.until, before.usage.plus(result.usage))
