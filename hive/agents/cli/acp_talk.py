"""One process of an agent that speaks ACP: what is asked of it, one thing at a time, until it has left.

The rule kept here: a prompt that was only written has not been shown, and one that was shown is not over
until it is answered.  There is never a second prompt while one is under way: agents take that in four ways.
"""

import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

import trio
from attrs import define, field, frozen

from hive.agents.backend import Prompt
from hive.agents.beside import beside
from hive.agents.cli import acp_words as words
from hive.agents.cli.acp_lines import Failure, Reading, ended, failure
from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.memory import WORD
from hive.agents.cli.process import Cli, Heard, Ladder, climb
from hive.agents.events import ErrorClass, Noted, PromptAccepted, Result, SessionOpened, TurnEvent
from hive.protocol.commands import Usage
from hive.protocol.presets import Leaves, Preset

BEAT_SECONDS: Final = 30.0
"""After so long an agent that writes, but nothing worth an event, is said to be alive."""

LOAD: Final = "session/load"

QUIET_SECONDS: Final = 0.3
"""An agent that loads a session has told its history when it has been silent for so long."""

HISTORY_SECONDS: Final = 20.0
"""How long it may take at most: some are never silent."""

TRANSIENT: Final = frozenset(
    {
        ErrorClass.AUTH,
        ErrorClass.BILLING,
        ErrorClass.RATE_LIMIT,
        ErrorClass.OVERLOADED,
        ErrorClass.NETWORK,
    }
)
"""What goes wrong with a session that may well be there another time."""


@frozen
class Ways:
    """How a conversation reaches the rest of its turn."""

    emit: Callable[[TurnEvent], Awaitable[None]]
    tell: Callable[[Noted], None]
    """For notes that may be lost, from where nobody can wait."""

    keep: Callable[[str], None]
    """Writes the session's id down."""

    listed: Callable[[], bool]
    """Whether the agent has asked hive which tools there are."""

    wall: Callable[[], float]
    asked_to_stop: trio.Event


@frozen
class Task:
    """What a process is to do."""

    preset: Preset
    place: JsonObject
    """Its directory and hive's tools."""

    kept: str | None
    """The session to go on with, where there is one."""

    model: str = ""
    allow_shell: bool = False
    """Whether it may run commands, and use other tools that it asks permission for and are not hive's."""


class _Gone(Exception):
    """The process has ended."""


@define
class _Refused(Exception):
    """What was asked was answered with an error."""

    failure: Failure
    usage: Usage = Usage()


@define(eq=False)
class Conversation:
    """What is said between hive and one process."""

    _cli: Cli
    _ways: Ways
    _task: Task
    _ladder: Ladder
    result: Result | None = field(default=None, init=False)
    opened: bool = field(default=False, init=False)
    """Whether it has answered anything."""

    _session: str = field(default="", init=False)
    _reading: Reading | None = field(default=None, init=False)
    """Of the turn under way."""

    _begun: bool = field(default=False, init=False)
    """Whether the agent has been given a prompt."""

    _cost: float | None = field(default=None, init=False)
    _number: int = field(default=0, init=False)
    _beat: float = field(factory=trio.current_time, init=False)
    _listening: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    async def hold(self, prompt: Prompt) -> None:
        """Talk until the prompt has its answer or the process has ended, and let it leave."""
        async with beside(self._stop_when_asked):
            with self._listening:
                self.result = await self._carried_out(prompt)
        if self.result is not None:
            await self._leave()

    async def _carried_out(self, prompt: Prompt) -> Result | None:
        try:
            await self._begin()
            return await self._turn(prompt)
        except _Refused as refused:
            return ended(refused.failure, refused.usage, self._ways.wall())
        except _Gone:
            return None

    # --- before the first turn -------------------------------------------------------------------

    async def _begin(self) -> None:
        """Open the session: the one that was kept, or another."""
        known = await self._asked("initialize", words.CLIENT)
        capabilities = _able(known)
        preset = self._task.preset
        if preset.authenticate in _ways_to_log_in(known):
            await self._asked("authenticate", {"methodId": preset.authenticate}, otherwise=ErrorClass.AUTH)
        if not await self._resumed(capabilities):
            answer = await self._asked("session/new", self._task.place)
            self._session, self._cost = _session(answer), 0.0
        await self._set_up()
        await self._emit(SessionOpened(self._session, self._task.model))

    async def _resumed(self, capabilities: JsonObject) -> bool:
        kept, method = self._task.kept, _resuming(capabilities)
        if kept is None or method is None:
            return False
        answer = await self._ask(method, {"sessionId": kept, **self._task.place})
        match answer:
            case {"error": dict(error)}:
                failed = failure(self._task.preset.errors, error)
                if failed.error in TRANSIENT:
                    raise _Refused(failed)
                await self._emit(Noted("session", f"a new one, without the old: {failed.detail}"))
                return False
        self._session = kept
        if method == LOAD:
            await self._settle()
        return True

    async def _settle(self) -> None:
        """Let a history pass that goes on after the answer: else it would be taken for the turn's."""
        patience = trio.current_time() + HISTORY_SECONDS
        while True:
            heard = None
            with trio.move_on_after(QUIET_SECONDS):
                heard = await self._next()
            if heard is None or trio.current_time() > patience:
                return
            await self._take_in(heard)

    async def _set_up(self) -> None:
        """Model and mode are not remembered from one process to the next."""
        preset, model = self._task.preset, self._task.model
        if model and (chosen := words.choose_model(preset, self._session, model)):
            await self._asked(*chosen, otherwise=ErrorClass.MODEL)
        if chosen_mode := words.mode(preset, allow_shell=self._task.allow_shell):
            mode = {"sessionId": self._session, "modeId": chosen_mode}
            await self._asked("session/set_mode", mode, otherwise=ErrorClass.PROTOCOL)

    # --- a turn ----------------------------------------------------------------------------------

    async def _turn(self, prompt: Prompt) -> Result:
        reading = Reading(self._task.preset, self._session, prompt.messages, self._cost)
        self._reading, self._begun = reading, True
        answer: JsonObject | None = None
        with suppress(_Gone):
            answer = await self._ask("session/prompt", words.prompt(self._session, prompt.text))
        match answer:
            case {"result": dict(result)}:
                *before, last = reading.answered(result)
                await self._pass_on(before)
                assert isinstance(last, Result), "it comes last"
                return last
            case {"error": dict(error)}:
                await self._pass_on(reading.flush())
                raise _Refused(*reading.failed(error))
            case None:
                await self._pass_on(reading.flush())
                raise _Gone
        raise _Refused(Failure(ErrorClass.PROTOCOL, "it answered a prompt with nothing"))

    async def _pass_on(self, events: Iterable[TurnEvent]) -> None:
        for event in events:
            await self._emit(event)
            if isinstance(event, PromptAccepted):
                self._ways.keep(self._session)
                self._check_tools()

    def _check_tools(self) -> None:
        if not self._ways.listed():
            # Without them the model would do its work and could tell nobody.
            self._cli.say(words.cancel(self._session))
            raise _Refused(Failure(ErrorClass.TOOLS, "it could not reach its hive tools"))

    async def _emit(self, event: TurnEvent) -> None:
        self._beat = trio.current_time()
        await self._ways.emit(event)

    # --- requests --------------------------------------------------------------------------------

    async def _asked(
        self, method: str, parameters: Mapping[str, object], otherwise: ErrorClass | None = None
    ) -> JsonObject:
        """The result of a request.  Raises `_Refused`, of that class where its own says nothing."""
        answer = await self._ask(method, parameters)
        match answer:
            case {"error": dict(error)}:
                failed = failure(self._task.preset.errors, error)
                known = failed.error if failed.error in TRANSIENT or otherwise is None else otherwise
                raise _Refused(Failure(known, f"{method}: {failed.detail}", failed.seconds))
            case {"result": dict(result)}:
                return result
            case {"result": None}:
                return {}
        raise _Refused(Failure(ErrorClass.PROTOCOL, f"it answered {method} with nothing"))

    async def _ask(self, method: str, parameters: Mapping[str, object]) -> JsonObject:
        """The answer to a request; whatever else comes before it is heard.  Raises `_Gone`."""
        self._number += 1
        self._cli.say(words.request(self._number, method, parameters))
        while True:
            heard = await self._next()
            await self._take_in(heard)
            if not isinstance(heard, Noted) and "method" not in heard and heard.get("id") == self._number:
                self.opened = True
                return heard

    async def _next(self) -> Heard:
        async for heard in self._cli:
            return heard
        raise _Gone

    async def _take_in(self, heard: Heard) -> None:
        if isinstance(heard, Noted):
            await self._emit(heard)
        elif "method" in heard:
            await self._hear(heard)

    async def _hear(self, line: JsonObject) -> None:
        """Take in what it says or asks by itself."""
        match line:
            case {"method": "session/request_permission", "id": number, "params": dict(asked)}:
                await self._permit(number, asked)
            case {"method": str(), "id": number}:
                self._cli.say(words.refusal(number))
            case {"method": "session/update", "params": dict(parameters)}:
                await self._hear_update(parameters)
        if trio.current_time() - self._beat > BEAT_SECONDS:
            await self._emit(Noted("heartbeat", ""))

    async def _hear_update(self, parameters: JsonObject) -> None:
        if self._reading is not None:
            await self._pass_on(self._reading.read(parameters))
        else:
            # A session that is loaded tells all its history again; only its price is news.
            self._cost = _price(parameters, self._cost)

    async def _permit(self, number: object, asked: JsonObject) -> None:
        reading, call = self._reading, asked.get("toolCall")
        if reading is None or not isinstance(call, dict) or asked.get("sessionId") != self._session:
            self._cli.say(words.decision(number, asked.get("options"), allowed=False))
            return
        allowed = reading.allowed(call, others=self._task.allow_shell)
        await self._pass_on(reading.asked(call, allowed=allowed))
        self._cli.say(words.decision(number, asked.get("options"), allowed=allowed))

    # --- the end ---------------------------------------------------------------------------------

    async def _leave(self) -> None:
        match self._task.preset.leaves:
            case Leaves.EOF:
                await self._cli.hang_up()
            case Leaves.TERM:
                self._cli.signal(signal.SIGTERM)
                await self._cli.hang_up()
            case Leaves.KILL:
                await self._cli.kill()

    async def _stop_when_asked(self) -> None:
        await self._ways.asked_to_stop.wait()
        if not self._begun:
            self._listening.cancel(reason="the turn was asked to stop before it had begun")
            return
        await climb(
            self._cli, self._ladder, lambda: self._cli.say(words.cancel(self._session)), self._ways.tell
        )


def _able(known: JsonObject) -> JsonObject:
    """What an agent says it can do.  Raises `_Refused` where that is too little."""
    version = known.get("protocolVersion")
    if version != words.VERSION:
        detail = f"it speaks version {version} of the protocol, hive speaks {words.VERSION}"
        raise _Refused(Failure(ErrorClass.PROTOCOL, detail))
    match known:
        case {"agentCapabilities": dict(able)} if _uses_http(able):
            return able
    raise _Refused(Failure(ErrorClass.TOOLS, "it uses no tools over HTTP, so it could not reach hive's"))


def _uses_http(able: JsonObject) -> bool:
    match able.get("mcpCapabilities"):
        case {"http": True}:
            return True
    return False


def _ways_to_log_in(known: JsonObject) -> frozenset[str]:
    match known.get("authMethods"):
        case list(methods):
            found = [method.get("id") for method in methods if isinstance(method, dict)]
            return frozenset(one for one in found if isinstance(one, str))
    return frozenset()


def _resuming(capabilities: JsonObject) -> str | None:
    """The method that goes on with a session, the one that tells no history before the other."""
    match capabilities:
        case {"sessionCapabilities": {"resume": dict()}}:
            return "session/resume"
        case {"loadSession": True}:
            return LOAD
    return None


def _session(answer: JsonObject) -> str:
    match answer.get("sessionId"):
        case str(session) if WORD.fullmatch(session):
            return session
    raise _Refused(Failure(ErrorClass.PROTOCOL, "it opened a session without an id that could be kept"))


def _price(parameters: JsonObject, before: float | None) -> float | None:
    """What the session has cost, where an update says so."""
    match parameters:
        case {"update": {"sessionUpdate": "usage_update", "cost": {"amount": int() | float() as amount}}}:
            return float(amount)
    return before


__all__ = ["Conversation", "Task", "Ways"]
