"""The built-in agent without a model: it does what directives and rules say, with the real tools.

The rule kept here: a turn ends in exactly one `Result`, whatever goes wrong inside it, and leaving its
block ends everything it started.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import assert_never

import trio
from attrs import define, evolve, field, frozen

from hive.agents.backend import Capabilities, Prompt, Session, SessionSpec
from hive.agents.demo_rules import MANAGER, SURVEYOR
from hive.agents.events import (
    ErrorClass,
    Noted,
    PromptAccepted,
    Result,
    Said,
    SessionOpened,
    Thought,
    ToolCalled,
    ToolReturned,
    Used,
)
from hive.agents.frame import TurnByTurn, TurnFrame, broken
from hive.agents.rules import PLAIN, Rules, interpret
from hive.agents.shell import RunsCommands
from hive.agents.steps import (
    Call,
    Crash,
    Fail,
    Hang,
    IgnoreFoldIn,
    Note,
    Say,
    Shell,
    Step,
    Tell,
    Think,
    Use,
    Wait,
)
from hive.agents.tools import OpenTools, Tools
from hive.protocol.commands import Usage

KEPT_CHARACTERS = 200
"""How much of a kept output is filled into mail."""

RULES: Mapping[str, Rules] = {"plain": PLAIN, "demo-manager": MANAGER, "demo-surveyor": SURVEYOR}
"""The rule tables a scripted agent can be given."""


def at_once() -> float:
    """No rest before a step."""
    return 0.0


@frozen
class ScriptedBackend:
    """Runs agents by script, in this process."""

    open_tools: OpenTools
    shell: RunsCommands
    wall: Callable[[], float]
    """The wall clock, in seconds since the epoch: limits end by it."""

    pace: Callable[[], float] = at_once
    """Seconds to rest before each step."""

    rules: Mapping[str, Rules] = RULES

    @property
    def capabilities(self) -> Capabilities:
        """Mail can be folded into a running turn."""
        return Capabilities(fold_in=True)

    @asynccontextmanager
    async def open(self, spec: SessionSpec) -> AsyncIterator[Session]:
        """Open a session.  There is nothing to open: even the tools are opened by each turn."""
        yield TurnByTurn(partial(ScriptedTurn, self, spec))


@define(eq=False)
class PlayedTurn(TurnFrame):
    """A turn that is played in this process."""

    _work: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    async def cancel(self) -> None:
        """Ask the turn to stop; its `Result` says `cancelled` unless it had ended by itself."""
        await trio.lowlevel.checkpoint()
        self._work.cancel(reason="the turn was asked to stop")

    async def _play(self) -> Result:
        result = None
        try:
            with self._work:
                async with self._open_tools() as tools:
                    result = await self._follow(tools)
        except Exception as error:  # noqa: BLE001 - a turn that breaks down ends in a Result too
            # Trouble with closing the tools changes nothing about a turn that had ended.
            result = self._broken(error) if result is None else result
        return self._summed_up(result or Result(error=ErrorClass.CANCELLED, detail="asked to stop"))

    def _open_tools(self) -> AbstractAsyncContextManager[Tools]:
        raise NotImplementedError

    async def _follow(self, tools: Tools) -> Result:
        raise NotImplementedError

    def _broken(self, error: Exception) -> Result:
        return broken(error)

    def _summed_up(self, result: Result) -> Result:
        return result


@define(eq=False)
class ScriptedTurn(PlayedTurn):
    """One running turn."""

    _backend: ScriptedBackend
    _spec: SessionSpec
    _prompt: Prompt
    _todo: deque[Step] = field(factory=deque, init=False)
    _folded_in: deque[Prompt] = field(factory=deque, init=False)
    _gives_receipts: bool = field(default=True, init=False)
    _kept: dict[str, str] = field(factory=dict, init=False)
    _said: str = field(default="", init=False)
    _usage: Usage = field(factory=Usage, init=False)
    _calls: int = field(default=0, init=False)

    async def fold_in(self, prompt: Prompt) -> None:
        """Show more mail before the next step.  A turn that has no next step never shows it."""
        await trio.lowlevel.checkpoint()
        self._folded_in.append(prompt)

    def _open_tools(self) -> AbstractAsyncContextManager[Tools]:
        return self._backend.open_tools(self._spec.token)

    def _summed_up(self, result: Result) -> Result:
        return evolve(result, usage=self._usage, text=result.text or self._said)

    async def _follow(self, tools: Tools) -> Result:
        await self._emit(SessionOpened(f"scripted:{self._spec.agent}", model=self._spec.settings.rules))
        await self._show(self._prompt)
        while True:
            await self._take_fold_ins()
            if not self._todo:
                return Result()
            await trio.sleep(self._backend.pace())
            ended = await self._carry_out(self._todo.popleft(), tools)
            if ended is not None:
                return ended

    async def _show(self, prompt: Prompt) -> None:
        for mail in prompt.mail:
            self._todo.extend(interpret(mail, self._spec.settings, self._backend.rules))
        await self._emit(PromptAccepted(prompt.messages))

    async def _take_fold_ins(self) -> None:
        while self._folded_in:
            prompt = self._folded_in.popleft()
            if self._gives_receipts:
                await self._show(prompt)

    async def _carry_out(self, step: Step, tools: Tools) -> Result | None:
        """Do one step.  Answers the turn's end where the step is one."""
        match step:
            case Call() | Tell() | Shell():
                await self._use_tool(step, tools)
            case Say() | Think() | Note() | Use():
                await self._utter(step)
            case Wait(seconds):
                await trio.sleep(seconds)
            case IgnoreFoldIn():
                self._gives_receipts = False
            case Hang():
                await trio.sleep_forever()
            case Crash():
                raise RuntimeError("told to crash")
            case Fail(error, text, after):
                until = None if after is None else self._backend.wall() + after
                return Result(error=error, detail=text, until=until)
            case _:
                assert_never(step)
        return None

    async def _use_tool(self, step: Call | Tell | Shell, tools: Tools) -> None:
        match step:
            case Call(tool, arguments):
                await self._call(tools, tool, arguments)
            case Tell(to, text, in_reply_to):
                await self._call(tools, "send", _send(to, self._filled(text), in_reply_to))
            case Shell():
                await self._run(step)
            case _:
                assert_never(step)

    async def _utter(self, step: Say | Think | Note | Use) -> None:
        match step:
            case Say(text):
                await self._say(self._filled(text))
            case Think(text):
                await self._emit(Thought(text))
            case Note(text):
                await self._emit(Noted("note", text))
            case Use(usage):
                await self._use(usage)
            case _:
                assert_never(step)

    async def _call(self, tools: Tools, tool: str, arguments: Mapping[str, object]) -> None:
        call = self._next_call()
        await self._emit(ToolCalled(call, f"hive/{tool}", dict(arguments)))
        answer = await tools.call(tool, arguments)
        await self._emit(ToolReturned(call, answer.ok, answer.text))

    async def _run(self, step: Shell) -> None:
        call = self._next_call()
        await self._emit(ToolCalled(call, "sh", {"command": step.command}))
        returned = ToolReturned(call, ok=False, text=f"stopped after {step.seconds} s")
        with trio.move_on_after(float("inf") if step.seconds is None else step.seconds):
            answer = await self._backend.shell.run(self._spec.box, step.command)
            text = answer.text if answer.status == 0 else f"{answer.text}\n(exit status {answer.status})"
            returned = ToolReturned(call, answer.status == 0, text.strip())
        if step.keep is not None:
            self._kept[step.keep] = returned.text[:KEPT_CHARACTERS]
        await self._emit(returned)

    async def _say(self, text: str) -> None:
        self._said = text
        await self._emit(Said(text))

    async def _use(self, usage: Usage) -> None:
        self._usage = self._usage.plus(usage)
        await self._emit(Used(self._usage))

    def _next_call(self) -> str:
        self._calls += 1
        return f"call-{self._calls}"

    def _filled(self, text: str) -> str:
        for name, output in self._kept.items():
            text = text.replace(f"{{{name}}}", output)
        return text


def _send(to: str, body: str, in_reply_to: str | None) -> Mapping[str, object]:
    arguments: dict[str, object] = {"to": to, "body": body}
    return arguments if in_reply_to is None else {**arguments, "in_reply_to": in_reply_to}
