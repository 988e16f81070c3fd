"""One process of Codex's app server, from the first word said to it until it has left.

The rule kept here: each answer is to a request that was made, and each has one meaning; no mail is called
shown before the server has said that it took it.  What outlives a turn is in one place: `_thread` and
`_tools`, so that a process could be kept for the next.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from itertools import count

import trio
from attrs import define, field, frozen

from hive.agents.backend import Prompt
from hive.agents.beside import beside
from hive.agents.cli import codex_words as words
from hive.agents.cli.codex_lines import Reading
from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.process import Cli, Ladder, climb
from hive.agents.cli.shapes import an_object, string
from hive.agents.events import ErrorClass, Noted, PromptAccepted, Result, SessionOpened, TurnEvent
from hive.agents.frame import DETAIL_CHARACTERS

UNKNOWN = -32600
"""The error of a request that makes no sense to it; to resume a thread that it does not have is one."""

NO_LOGIN = "Codex is not logged in, and hive has no key for it"
NO_TOOLS = "it could not reach its hive tools"


@frozen
class Ways:
    """How a conversation reaches the rest of its turn."""

    emit: Callable[[TurnEvent], Awaitable[None]]
    tell: Callable[[Noted], None]
    """For notes that may be lost, from where nobody can wait."""

    keep: Callable[[str], None]
    """Writes the session's id down."""

    asked_to_stop: trio.Event


@frozen
class Opening:
    """How a thread is opened."""

    params: Mapping[str, object]
    kept: str | None
    """The one to go on with."""

    needs_login: bool


@frozen
class Asked:
    """A request of ours that has no answer yet."""

    method: str
    messages: tuple[int, ...] = ()
    """The mail it gives to the turn."""


@define(eq=False)
class Conversation:
    """What is said between hive and one process."""

    _cli: Cli
    _ways: Ways
    _ladder: Ladder
    _opening: Opening
    _prompt: Prompt
    result: Result | None = field(default=None, init=False)
    opened: bool = field(default=False, init=False)
    """Whether it has answered anything."""

    _reading: Reading = field(factory=Reading, init=False)
    _numbers: "count[int]" = field(factory=lambda: count(1), init=False)
    _asked: dict[int, Asked] = field(factory=dict, init=False)
    _thread: str = field(default="", init=False)
    _model: str = field(default="", init=False)
    _tools: bool | None = field(default=None, init=False)
    """Whether hive's tools can be reached; None while it tries."""

    _steered: deque[tuple[int, ...]] = field(factory=deque, init=False)
    """Mail that it has taken and not given to its model yet."""

    _prompt_shown: bool = field(default=False, init=False)
    _accepted: bool = field(default=False, init=False)
    _takes_mail: bool = field(default=False, init=False)
    _stopping: bool = field(default=False, init=False)
    _listening: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    async def hold(self) -> None:
        """Talk until there is a result or the process has ended, and let it leave."""
        self._ask("initialize", words.initialize())
        async with beside(self._stop_when_asked):
            with self._listening:
                async for heard in self._cli:
                    if isinstance(heard, Noted):
                        await self._ways.emit(heard)
                        continue
                    await self._hear(heard)
                    if self.result is not None:
                        break
        self._takes_mail = False
        if self.result is None:
            return
        if self._accepted and not self._reading.ended:
            self._interrupt()
        await self._cli.hang_up()

    def show(self, prompt: Prompt) -> None:
        """Give it mail, unless it is too soon or too late."""
        if self._takes_mail:
            params = words.steer(self._thread, self._reading.turn, prompt.text)
            self._ask("turn/steer", params, prompt.messages)

    def _ask(self, method: str, params: Mapping[str, object], messages: tuple[int, ...] = ()) -> None:
        number = next(self._numbers)
        self._asked[number] = Asked(method, messages)
        self._cli.say(words.request(number, method, params))

    async def _hear(self, line: JsonObject) -> None:
        match line:
            case {"id": number, "method": str()}:
                self._cli.say(words.refusal(number))
            case {"id": int(number), "result": dict(result)} if number in self._asked:
                self.opened = True
                await self._answered(self._asked.pop(number), result)
            case {"id": int(number), "error": dict(error)} if number in self._asked:
                self.opened = True
                await self._refused(self._asked.pop(number), error)
            case {"method": "mcpServer/startupStatus/updated", "params": {"name": words.SERVER, **status}}:
                await self._connected(string(status.get("status")))
            case {"method": "turn/started", "params": {"threadId": self._thread, "turn": dict(turn)}}:
                await self._begun(string(turn.get("id")))
            case {"method": "item/completed", "params": {"item": {"type": "userMessage"}}}:
                await self._shown()
            case {"method": str()}:
                await self._notified(line)

    async def _shown(self) -> None:
        """It has given its model the prompt, or the next of what the turn was steered with since."""
        if self._prompt_shown and self._steered:
            await self._ways.emit(PromptAccepted(self._steered.popleft()))
        self._prompt_shown = True

    async def _notified(self, line: JsonObject) -> None:
        for event in self._reading.read(line):
            if isinstance(event, Result):
                self.result, self._takes_mail = event, False
                return
            await self._ways.emit(event)

    async def _answered(self, asked: Asked, result: JsonObject) -> None:
        match asked.method:
            case "initialize":
                self._cli.say({"method": "initialized"})
                if self._opening.needs_login:
                    self._ask("account/read", {})
                else:
                    self._open(self._opening.kept)
            case "account/read":
                if result.get("account") is None and result.get("requiresOpenaiAuth") is not False:
                    self.result = Result(error=ErrorClass.AUTH, detail=NO_LOGIN)
                else:
                    self._open(self._opening.kept)
            case "thread/start" | "thread/resume":
                await self._opened(result)
            case "turn/start":
                await self._begun(string(an_object(result.get("turn")).get("id")))
            case "turn/steer":
                # It waits for the model's next word; a turn that ends before has not shown it.
                self._steered.append(asked.messages)

    async def _refused(self, asked: Asked, error: JsonObject) -> None:
        said = string(error.get("message"))[:DETAIL_CHARACTERS]
        match asked.method:
            case "turn/steer" | "turn/interrupt":
                # It came too late; how the turn ended is told by itself.
                await self._ways.emit(Noted("refused", f"{asked.method}: {said}"))
            case "thread/resume" if error.get("code") == UNKNOWN:
                await self._ways.emit(Noted("session", f"a new one, without the old: {said}"))
                self._open(None)
            case _:
                self.result = Result(error=ErrorClass.PROTOCOL, detail=f"it refused {asked.method}: {said}")

    def _open(self, kept: str | None) -> None:
        if kept is None:
            self._ask("thread/start", self._opening.params)
        else:
            self._ask("thread/resume", words.resume(kept, self._opening.params))

    async def _opened(self, result: JsonObject) -> None:
        self._thread = self._reading.session = string(an_object(result.get("thread")).get("id"))
        self._model = string(result.get("model"))
        await self._begin()

    async def _connected(self, status: str) -> None:
        if self._tools is None and status in {"ready", "failed", "cancelled"}:
            self._tools = status == "ready"
            await self._begin()

    async def _begin(self) -> None:
        """Give it the prompt, once its thread is open and it has hive's tools."""
        if not self._thread or self._tools is None:
            return
        await self._ways.emit(SessionOpened(self._thread, self._model, tools_ok=self._tools))
        if self._tools:
            self._ask("turn/start", words.turn(self._thread, self._prompt.text))
        else:
            # Without them the model would do its work and could tell nobody.
            self.result = Result(error=ErrorClass.TOOLS, detail=NO_TOOLS)

    async def _begun(self, turn: str) -> None:
        if self._accepted or not turn:
            return
        self._accepted = self._takes_mail = True
        self._reading.turn = turn
        # Not before: a thread without a turn is not on its disk.
        self._ways.keep(self._thread)
        if self._stopping:
            self._interrupt()
        await self._ways.emit(PromptAccepted(self._prompt.messages))

    def _interrupt(self) -> None:
        """Ask it to stop the turn; of one that it has not named yet, as soon as it has."""
        self._stopping = True
        if self._accepted:
            self._ask("turn/interrupt", words.interrupt(self._thread, self._reading.turn))

    async def _stop_when_asked(self) -> None:
        await self._ways.asked_to_stop.wait()
        if not any(asked.method == "turn/start" for asked in self._asked.values()) and not self._accepted:
            self._listening.cancel(reason="the turn was asked to stop before it had begun")
            return
        await climb(self._cli, self._ladder, self._interrupt, self._ways.tell)
