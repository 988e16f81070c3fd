"""What thinks in a simulated agent: directives, a table of rules, or an async Python function.

The rule kept here: a brain acts through the agent's own tools and its turn's events, as a model would, so
whatever it does is delivered, repeated and lost like the work of a real one.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import count
from random import Random
from typing import TypeAlias

import trio
from attrs import Factory, define, evolve, field, frozen

from hive.agents.backend import Backend, Capabilities, Prompt, Session, SessionSpec, TurnRun
from hive.agents.events import (
    ErrorClass,
    PromptAccepted,
    Result,
    Said,
    SessionOpened,
    ToolCalled,
    ToolReturned,
    TurnEvent,
)
from hive.agents.frame import TurnByTurn, cause_of
from hive.agents.rules import Rule, Rules
from hive.agents.scripted import RULES, PlayedTurn, ScriptedBackend
from hive.agents.steps import Call
from hive.agents.tools import OpenTools, ToolAnswer, Tools, ToolsDown
from hive.containers.port import BoxDown
from hive.protocol.errors import HiveRefusal
from hive.protocol.mail import Mail, Provenance
from hive.protocol.names import OPERATOR


@frozen(init=False)
class Script:
    """Directives for turn after turn, whatever the mail says: the first, the second, and so on.

    The last one is for all further turns.  See `hive.agents.directives` for what can be written.
    """

    turns: tuple[str, ...]

    def __init__(self, *turns: str) -> None:
        if not turns:
            raise ValueError('a script needs a turn, as Script("!say hello")')
        self.__attrs_init__(turns)


class TurnFailed(Exception):
    """Raise it in a brain to have its turn fail as a provider makes turns fail."""

    def __init__(self, error: ErrorClass | str, detail: str = "", *, after: float | None = None) -> None:
        """`error` is one of `ErrorClass`; `after` says in how many seconds a limit is lifted."""
        super().__init__(f"{error}: {detail}")
        self.error, self.detail, self.after = ErrorClass(error), detail, after


@define(eq=False)
class Turn:
    """What a brain has in hand during one turn."""

    agent: str
    mail: tuple[Mail, ...]
    """The messages of this turn, newest last."""

    random: Random
    wall: Callable[[], float]
    """The wall clock, in seconds since the epoch."""

    _tools: Tools
    _emit: Callable[[TurnEvent], Awaitable[None]]
    _calls: "count[int]" = field(default=Factory(lambda: count(1)), init=False)
    _folded_in: deque[Prompt] = field(factory=deque, init=False)
    said: str = field(default="", init=False)
    """The last thing it said, which becomes the turn's final text."""

    @property
    def text(self) -> str:
        """All bodies, a line between them."""
        return "\n".join(one.body for one in self.mail)

    async def call(self, tool: str, **arguments: object) -> ToolAnswer:
        """Call a tool at the agent's endpoint.

        A refusal is an answer with `ok` false.  Raises `ToolsDown` where the endpoint cannot be reached.
        """
        call = f"call-{next(self._calls)}"
        await self._emit(ToolCalled(call, f"hive/{tool}", dict(arguments)))
        answer = await self._tools.call(tool, arguments)
        await self._emit(ToolReturned(call, answer.ok, answer.text))
        return answer

    async def send(self, to: str, body: str, **arguments: object) -> ToolAnswer:
        """Send mail, by the tool of that name."""
        return await self.call("send", to=to, body=body, **arguments)

    async def more(self) -> tuple[Mail, ...]:
        """Take what came since the turn began; it is added to `mail`.

        What a brain does not take goes back to the mailbox when the turn ends, and drives another one.
        """
        await trio.lowlevel.checkpoint()
        taken: tuple[Mail, ...] = ()
        while self._folded_in:
            prompt = self._folded_in.popleft()
            taken += prompt.mail
            self.mail += prompt.mail
            await self._emit(PromptAccepted(prompt.messages))
        return taken

    async def say(self, text: str) -> None:
        """Say something, as a model does between its calls."""
        self.said = text
        await self._emit(Said(text))


Calls: TypeAlias = Iterable[Call] | str | None
"""What a brain may return: further calls to make, or what to say last, or nothing."""

Thinking: TypeAlias = Callable[[Turn], Awaitable[Calls]]
Brain: TypeAlias = Script | str | Rules | Thinking | Backend | None
"""A script, the name of a table of rules or such a table, an async function of a turn, or a whole backend.

A text that begins with `!` is a script of one turn.  None obeys the directives in the operator's mail and
answers who asks: the table `plain`.
"""


@frozen
class BrainParts:
    """What a simulation gives its brains."""

    open_tools: OpenTools
    scripted: Callable[[Rules | None], ScriptedBackend]
    """Makes the built-in backend with one table of rules more, called `brain`."""

    random: Random
    wall: Callable[[], float]
    on_bug: Callable[[Exception], None]
    """Told of every error that a brain raises by mistake, or by asserting."""


OWN_RULES = "brain"
"""The name under which a table of rules of a story's own is in the agent's settings."""


def rules_of(brain: Brain) -> str:
    """The table of rules that belongs into the agent's settings."""
    match brain:
        case str() if not brain.startswith("!"):
            if brain not in RULES:
                known = ", ".join(sorted(RULES))
                raise ValueError(f"there are no rules {brain!r} (there are {known}); directives begin with !")
            return brain
        case list() | tuple():
            if wrong := [one for one in brain if not isinstance(one, Rule)]:
                raise TypeError(f"a table of rules holds rules, not {wrong[0]!r}")
            return OWN_RULES
        case _:
            return "plain"


def backend_of(brain: Brain, parts: BrainParts) -> Backend:
    """The backend that thinks with this brain."""
    match brain:
        case str() if brain.startswith("!"):
            return backend_of(Script(brain), parts)
        case None | str():
            return parts.scripted(None)
        case Script():
            return _ScriptBackend(parts.scripted(None), brain, count())
        case list() | tuple():
            return parts.scripted(brain)
        case _ if callable(brain):
            return _FunctionBackend(brain, parts)
        case _ if hasattr(brain, "open"):
            return brain  # type: ignore[return-value]
        case _:
            message = f"a brain is a Script, rules or an async function of a turn, not {brain!r}"
            raise TypeError(message)


# --- directives ------------------------------------------------------------------------------------


@frozen
class _ScriptBackend:
    backend: ScriptedBackend
    script: Script
    turns: "count[int]"

    @property
    def capabilities(self) -> Capabilities:
        return self.backend.capabilities

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator[Session]:
        settings = evolve(spec.settings, directives_from=(OPERATOR,))
        async with self.backend.open(evolve(spec, settings=settings)) as session:
            yield _ScriptSession(session, self)


@frozen
class _ScriptSession:
    session: Session
    backend: _ScriptBackend

    @asynccontextmanager
    async def turn(self, prompt: Prompt) -> AsyncIterator[TurnRun]:
        script = self.backend.script.turns
        text = script[min(next(self.backend.turns), len(script) - 1)]
        # The script takes the place of all mail, as if the operator had written it.
        mail = evolve(
            prompt.mail[-1], body=text, sender=OPERATOR, provenance=Provenance.OPERATOR, attachment=None
        )
        async with self.session.turn(evolve(prompt, mail=(mail,))) as run:
            yield _ScriptRun(run)


@frozen
class _ScriptRun:
    run: TurnRun

    def __aiter__(self) -> AsyncIterator[TurnEvent]:
        return aiter(self.run)

    async def fold_in(self, prompt: Prompt) -> None:
        await self.run.fold_in(evolve(prompt, mail=()))

    async def cancel(self) -> None:
        await self.run.cancel()


# --- a function ------------------------------------------------------------------------------------


@frozen
class _FunctionBackend:
    think: Thinking
    parts: BrainParts

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(fold_in=True)

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator[Session]:
        await trio.lowlevel.checkpoint()
        yield TurnByTurn(partial(_FunctionRun, self, spec))


@define(eq=False)
class _FunctionRun(PlayedTurn):
    _backend: _FunctionBackend
    _spec: SessionSpec
    _prompt: Prompt
    _turn: Turn | None = field(default=None, init=False)

    async def fold_in(self, prompt: Prompt) -> None:
        await trio.lowlevel.checkpoint()
        # Shown once the brain takes it: without that receipt the mail goes back when the turn ends.
        if self._turn is not None:
            self._turn._folded_in.append(prompt)  # noqa: SLF001 - two halves of one turn

    def _open_tools(self) -> AbstractAsyncContextManager[Tools]:
        return self._backend.parts.open_tools(self._spec.token)

    async def _follow(self, tools: Tools) -> Result:
        parts, spec, prompt = self._backend.parts, self._spec, self._prompt
        await self._emit(SessionOpened(f"function:{spec.agent}"))
        await self._emit(PromptAccepted(prompt.messages))
        self._turn = turn = Turn(spec.agent, prompt.mail, parts.random, parts.wall, tools, self._emit)
        try:
            thought = self._backend.think(turn)
            if not isinstance(thought, Awaitable):
                raise TypeError(f"a brain is an async function: {self._backend.think!r} returned {thought!r}")
            await _carry_out(turn, await thought)
        finally:
            self._turn = None
        return Result(turn.said)

    def _broken(self, error: Exception) -> Result:
        match cause := cause_of(error):
            case TurnFailed():
                until = None if cause.after is None else self._backend.parts.wall() + cause.after
                return Result(error=cause.error, detail=cause.detail, until=until)
            case ToolsDown() | BoxDown() | HiveRefusal():
                pass
            case _:
                # Otherwise a test would pass over a brain that breaks down, for its turn is tried again.
                self._backend.parts.on_bug(cause)
        return super()._broken(cause)


async def _carry_out(turn: Turn, calls: Calls) -> None:
    match calls:
        case None:
            return
        case str():
            await turn.say(calls)
        case Iterable():
            for call in calls:
                await turn.call(call.tool, **call.arguments)
        case _:
            raise TypeError(f"a brain returns calls, a text or nothing, not {calls!r}")
