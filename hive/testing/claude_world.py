"""Claude Code in memory: a CLI that speaks its protocol, and a world with it for the contract of backends."""

import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

import trio
from attrs import define, field

from hive.agents.backend import Backend, Prompt, SessionSpec
from hive.agents.beside import beside
from hive.agents.cli.claude import ClaudeBackend
from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.process import LEAVE_SECONDS, Cli, Heard
from hive.agents.tokens import CliSession
from hive.containers.port import Box
from hive.protocol.commands import Settings
from hive.testing.backend_world import Behaviour
from hive.testing.scripted_world import BOX, WALL

STEP_SECONDS: Final = 0.5
"""How long the model thinks before each line."""


def lifecycle(uuid: str, state: str) -> JsonObject:
    """A receipt."""
    return {"type": "command_lifecycle", "command_uuid": uuid, "state": state}


def init(session: str, *, connected: bool = True) -> JsonObject:
    """The beginning of a turn."""
    servers = [{"name": "hive", "status": "connected" if connected else "failed"}]
    return {
        "type": "system",
        "subtype": "init",
        "session_id": session,
        "model": "fake",
        "mcp_servers": servers,
    }


def assistant(*blocks: JsonObject, **more: object) -> JsonObject:
    """What the model says or does."""
    return {"type": "assistant", "message": {"model": "fake", "content": list(blocks)}, **more}


def result(text: str = "", **more: object) -> JsonObject:
    """The end of a turn, which calls itself a success whatever it is."""
    used = {"fake": {"inputTokens": 1, "outputTokens": 2, "costUSD": 0.5}}
    return {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "terminal_reason": "completed",
        "result": text,
        "model_usage_since_last_result": used,
        **more,
    }


CALL: Final[JsonObject] = {
    "type": "tool_use",
    "id": "toolu_1",
    "name": "mcp__hive__send",
    "input": {"to": "juno"},
}
RETURNED: Final[JsonObject] = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sent"}
LIMIT: Final[JsonObject] = {
    "type": "rate_limit_event",
    "rate_limit_info": {"status": "rejected", "resetsAt": WALL + 60},
}
DONE: Final[JsonObject] = {"type": "text", "text": "done"}
SLOW_DOWN: Final[JsonObject] = {"type": "text", "text": "slow down"}
FAILED: Final = {"is_error": True, "terminal_reason": "api_error", "api_error_status": 429}
ABORTED: Final = {"is_error": True, "subtype": "error_during_execution", "terminal_reason": "aborted_tools"}
CRASH: Final = 3
"""The status of a CLI that crashes."""

PLAYS: Final[Mapping[str, Sequence[JsonObject | int]]] = {
    Behaviour.WORK.name: (
        assistant(CALL),
        {"type": "user", "message": {"role": "user", "content": [RETURNED]}},
        assistant(DONE),
        result("done"),
    ),
    Behaviour.FAIL.name: (LIMIT, assistant(SLOW_DOWN, error="rate_limit"), result("slow down", **FAILED)),
    Behaviour.CRASH.name: (assistant(DONE), CRASH),
    Behaviour.HANG.name: (),
}
"""What happens in a turn, by the prompt's text: lines, or a status to die with."""


@define(eq=False)
class FakeCli:
    """A CLI that is a task."""

    _session: str
    _all: "FakeClis"
    status: int | None = field(default=None, init=False)
    complaint: str = field(default="", init=False)
    _said: trio.MemorySendChannel[JsonObject] = field(init=False)
    _input: trio.MemoryReceiveChannel[JsonObject] = field(init=False)
    _output: trio.MemorySendChannel[Heard] = field(init=False)
    _heard: trio.MemoryReceiveChannel[Heard] = field(init=False)
    _steps: deque[JsonObject | int] = field(factory=deque, init=False)
    _running: str | None = field(default=None, init=False)
    _waiting: deque[JsonObject] = field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        """Make its pipes, which are never full."""
        self._said, self._input = trio.open_memory_channel[JsonObject](float("inf"))
        self._output, self._heard = trio.open_memory_channel[Heard](float("inf"))

    def __aiter__(self) -> AsyncIterator[Heard]:
        """What it says."""
        return self._heard

    def say(self, line: Mapping[str, object]) -> None:
        """See `Cli`."""
        self._all.heard.append(dict(line))
        self._said.send_nowait(dict(line))

    async def hang_up(self) -> None:
        """See `Cli`."""
        self._said.close()
        with trio.move_on_after(LEAVE_SECONDS):
            async for _ in self._heard:
                pass

    def signal(self, number: signal.Signals) -> None:
        """It dies of any."""
        self._die(-number)

    async def kill(self) -> None:
        """See `Cli`."""
        await trio.lowlevel.checkpoint()
        self._die(-signal.SIGKILL)

    async def run(self) -> None:
        """Play until nothing more is said to it and the turn is over."""
        while self.status is None:
            try:
                with trio.move_on_after(STEP_SECONDS if self._steps else float("inf")):
                    self._take(await self._input.receive())
                    continue
            except trio.EndOfChannel:
                if self._running is None:
                    return self._die(0)
                await trio.sleep(STEP_SECONDS if self._steps else float("inf"))
            self._step(self._steps.popleft())
        return None

    def _take(self, line: JsonObject) -> None:
        match line:
            case {"type": "control_request", "request_id": number, "request": {"subtype": subtype}}:
                answer = {"subtype": "success", "request_id": number, "error": self._all.unwilling}
                if self._all.unwilling:
                    answer["subtype"] = "error"
                self._write({"type": "control_response", "response": answer})
                if subtype == "interrupt" and self._running is not None:
                    self._waiting.clear()
                    self._step(result("", **ABORTED))
            case {"type": "user"} if self._running is None:
                self._begin(line)
            case {"type": "user"} if not self._all.forgets:
                self._waiting.append(line)

    def refuse(self, complaint: str, status: int = 1) -> None:
        """Leave before anything has begun, as it does where it does not know the session."""
        self.complaint = complaint
        if status == 1 and not self._all.speechless:
            self._write(result("", is_error=True, terminal_reason=None, errors=[complaint]))
        self._die(status)

    def _begin(self, line: JsonObject) -> None:
        self._running = str(line["uuid"])
        self._write(lifecycle(self._running, "queued"))
        self._write(lifecycle(self._running, "started"))
        self._write(init(self._session, connected=self._all.connected))
        for ask in self._all.asks:
            self._write(ask)
        message = line["message"]
        assert isinstance(message, dict)
        self._steps.extend(PLAYS[message["content"]])

    def _step(self, step: JsonObject | int) -> None:
        if isinstance(step, int):
            self.complaint = "it hurts"
            return self._die(step)
        self._write(step)
        if step["type"] == "user":
            while self._waiting:
                self._write(lifecycle(str(self._waiting.popleft()["uuid"]), "started"))
        elif step["type"] == "result":
            self._running = None
            self._steps.clear()
            if self._waiting:
                self._begin(self._waiting.popleft())
        return None

    def _write(self, line: JsonObject) -> None:
        if self.status is None:
            self._output.send_nowait(line)

    def _die(self, status: int) -> None:
        if self.status is None:
            self.status = status
            self._output.close()


@define(eq=False)
class FakeClis:
    """CLIs that are tasks.  Its method `start` is a `StartCli`."""

    connected: bool = True
    """Whether they reach hive's tools."""

    forgets: bool = False
    """Whether they lose mail that comes during a turn."""

    speechless: bool = False
    """Whether they leave with a status alone, where they do not know a session."""

    unwilling: str = ""
    """Why they answer no request, if they do not."""

    asks: Sequence[JsonObject] = ()
    """What they ask for at the beginning of a turn."""

    missing: bool = False
    """Whether there is no such program."""

    sessions: set[str] = field(factory=set)
    """The sessions they know."""

    started: list[tuple[str, ...]] = field(factory=list, init=False)
    heard: list[JsonObject] = field(factory=list, init=False)
    """Everything said to them."""

    running: int = field(default=0, init=False)

    @asynccontextmanager
    async def start(
        self, _box: Box, argv: Sequence[str], _environment: Mapping[str, str]
    ) -> AsyncIterator[Cli]:
        """Start one."""
        await trio.lowlevel.checkpoint()
        self.started.append(tuple(argv))
        *_, flag, session = argv
        cli = FakeCli(session, self)
        self.running += 1
        try:
            async with beside(cli.run):
                if self.missing:
                    cli.refuse("not found", 127)
                elif flag == "--resume" and session not in self.sessions:
                    cli.refuse(f"No conversation found with session ID: {session}")
                self.sessions.add(session)
                yield cli
        finally:
            self.running -= 1


@define(eq=False)
class KeptSession:
    """A `Memory` in memory."""

    kept: str | None = None
    broken: bool = False

    def session(self) -> str | None:
        """See `Memory`."""
        return self.kept

    def keep(self, session: str) -> None:
        """See `Memory`."""
        if self.broken:
            raise OSError("the disk is full")
        self.kept = session


@define(eq=False)
class ClaudeWorld:
    """An agent of Claude Code whose CLI is in memory."""

    clis: FakeClis = field(factory=FakeClis)
    memory: KeptSession = field(factory=KeptSession)
    backend: Backend = field(init=False)
    spec: SessionSpec = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Put the backend together."""
        ids = count(1)
        self.backend = ClaudeBackend(
            start=self.clis.start,
            url_of=lambda agent: f"http://hive/mcp/{agent}",
            credentials=lambda _agent: {},
            new_id=lambda: f"id-{next(ids)}",
            memory_of=lambda _box: self.memory,
        )
        self.spec = SessionSpec("iris", Settings(backend="claude"), CliSession("iris", "token"), BOX)

    def prompt(self, behaviour: Behaviour, *messages: int) -> Prompt:
        """A prompt whose text is the behaviour."""
        return Prompt(behaviour.name, messages)

    def take_tools_down(self) -> None:
        """See `World`."""
        self.clis.connected = False

    def left(self) -> Sequence[str]:
        """See `World`."""
        return ["a CLI"] * self.clis.running
