"""Claude Code in memory: a CLI that speaks its protocol, and a world with it for the contract of backends."""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final

from attrs import define, field

from hive.agents.backend import Backend, Prompt, SessionSpec
from hive.agents.cli.claude import ClaudeBackend
from hive.agents.cli.json_lines import JsonObject
from hive.agents.tokens import CliSession
from hive.protocol.commands import Settings
from hive.testing.backend_world import Behaviour
from hive.testing.fake_clis import CRASH, FakeCli, FakeClis, KeptSession
from hive.testing.scripted_world import BOX, WALL


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
class ClaudeCli(FakeCli):
    """A CLI that is a task."""

    _session: str
    _all: "ClaudeClis"
    _waiting: deque[JsonObject] = field(factory=deque, init=False)

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

    def refuse(self, complaint: str) -> None:
        """Leave before anything has begun, as it does where it does not know the session."""
        if not self._all.speechless:
            self._write(result("", is_error=True, terminal_reason=None, errors=[complaint]))
        self.fail(complaint, 1)

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

    def _step(self, step: JsonObject) -> None:
        self._write(step)
        if step["type"] == "user":
            while self._waiting:
                self._write(lifecycle(str(self._waiting.popleft()["uuid"]), "started"))
        elif step["type"] == "result":
            self._running = None
            self._steps.clear()
            if self._waiting:
                self._begin(self._waiting.popleft())


@define(eq=False)
class ClaudeClis(FakeClis):
    """Claude Code as tasks."""

    speechless: bool = False
    """Whether they leave with a status alone, where they do not know a session."""

    unwilling: str = ""
    """Why they answer no request, if they do not."""

    def _make(self, argv: Sequence[str], /) -> FakeCli:
        *_, flag, session = argv
        cli = ClaudeCli(self.heard, session, self)
        if flag == "--resume" and session not in self.sessions:
            cli.refuse(f"No conversation found with session ID: {session}")
        self.sessions.add(session)
        return cli


@define(eq=False)
class ClaudeWorld:
    """An agent of Claude Code whose CLI is in memory."""

    clis: ClaudeClis = field(factory=ClaudeClis)
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
