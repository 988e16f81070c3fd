"""Codex in memory: an app server that speaks its protocol, and a world with it for the suite of backends."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Final

from attrs import define, field

from hive.agents.backend import Backend, Prompt, SessionSpec
from hive.agents.cli.codex import CodexBackend
from hive.agents.cli.json_lines import JsonObject
from hive.agents.tokens import CliSession
from hive.protocol.commands import Settings
from hive.testing.backend_world import Behaviour
from hive.testing.fake_clis import CRASH, FakeCli, FakeClis, KeptSession
from hive.testing.scripted_world import BOX, WALL


def notification(method: str, **params: object) -> JsonObject:
    """What is told of a turn; of which one is filled in by who tells it."""
    return {"method": method, "params": params}


def item(state: str, kind: str, **more: object) -> JsonObject:
    """The beginning or end of a part of a turn."""
    return notification(f"item/{state}", item={"type": kind, **more})


def completed(status: str = "completed", info: object = None, message: str = "") -> JsonObject:
    """The end of a turn."""
    error = None if info is None else {"message": message, "codexErrorInfo": info}
    return notification("turn/completed", turn={"status": status, "error": error})


CALL: Final = {"id": "call_1", "server": "hive", "tool": "send", "arguments": {"to": "juno"}}
SENT: Final = {"content": [{"type": "text", "text": "sent"}]}
SPENT: Final = {"primary": {"usedPercent": 100, "windowDurationMins": 300, "resetsAt": WALL + 60}}
SAID: Final = item("completed", "agentMessage", id="msg_1", text="done")

PLAYS: Final[Mapping[str, Sequence[JsonObject | int]]] = {
    Behaviour.WORK.name: (
        item("started", "mcpToolCall", **CALL, status="inProgress"),
        item("completed", "mcpToolCall", **CALL, status="completed", result=SENT),
        SAID,
        notification("thread/tokenUsage/updated"),
        completed(),
    ),
    Behaviour.FAIL.name: (
        notification("account/rateLimits/updated", rateLimits=SPENT),
        completed("failed", "usageLimitExceeded", "slow down"),
    ),
    Behaviour.CRASH.name: (SAID, CRASH),
    Behaviour.HANG.name: (),
}
"""What happens in a turn, by the prompt's text: lines, or a status to die with."""

USED: Final = {"inputTokens": 10, "outputTokens": 2}
"""What a turn uses."""


SHOWN: Final[JsonObject] = notification("item/completed", item={"type": "userMessage", "id": "item-0"})
"""The model was given the prompt, or what the turn was steered with."""


@define(eq=False)
class CodexCli(FakeCli):
    """An app server that is a task."""

    _all: "CodexClis"
    _thread: str = field(default="", init=False)
    _steered: int = field(default=0, init=False)
    """How much it was given that its model has not got yet."""

    def _take(self, line: JsonObject) -> None:
        match line:
            case {"id": number, "method": str(method), "params": dict(params)}:
                if method in self._all.unwilling:
                    self._refuse(number, -32603, self._all.unwilling[method])
                else:
                    self._answer(number, method, params)
            case _:
                pass

    def _answer(self, number: object, method: str, params: JsonObject) -> None:
        match method, params:
            case "account/read", _:
                account = {"type": "chatgpt"} if self._all.logged_in else None
                self._reply(number, account=account, requiresOpenaiAuth=True)
            case "thread/start", _:
                self._open(number, next(self._all.ids))
            case "thread/resume", {"threadId": str(thread)} if thread in self._all.sessions:
                self._open(number, thread)
            case "thread/resume", {"threadId": str(thread)}:
                self._refuse(number, -32600, f"no rollout found for thread id {thread}")
            case "turn/start", {"input": [{"text": str(text)}]}:
                self._begin(number, text)
            case "turn/steer", {"expectedTurnId": self._running} if not self._all.forgets:
                self._reply(number, turnId=self._running)
                self._steered += 1
            case "turn/steer", _:
                self._refuse(number, -32600, "no active turn to steer")
            case "turn/interrupt", {"turnId": self._running}:
                self._reply(number)
                self._step(completed("interrupted"))
            case _:
                self._reply(number)

    def _open(self, number: object, thread: str) -> None:
        self._thread = thread
        self._reply(number, thread={"id": thread}, model="fake")
        for status in ("starting", "ready" if self._all.connected else "failed"):
            self._write(notification("mcpServer/startupStatus/updated", name="hive", status=status))

    def _begin(self, number: object, text: str) -> None:
        self._all.sessions.add(self._thread)
        self._all.turns[self._thread] = turns = self._all.turns.get(self._thread, 0) + 1
        self._running = f"{self._thread}-{turns}"
        self._reply(number, turn={"id": self._running})
        self._step(notification("turn/started"))
        self._step(SHOWN)
        for ask in self._all.asks:
            self._write(ask)
        self._steps.extend(PLAYS[text])

    def _step(self, step: JsonObject) -> None:
        params = step["params"]
        assert isinstance(params, dict)
        known: JsonObject = {"threadId": self._thread, "turnId": self._running}
        if step["method"] == "thread/tokenUsage/updated":
            turns = self._all.turns[self._thread]
            total = {name: turns * used for name, used in USED.items()}
            known["tokenUsage"] = {"total": total, "last": dict(USED)}
        if str(step["method"]).startswith("turn/"):
            known["turn"] = {"id": self._running, **params.get("turn", {})}
        self._write({"method": step["method"], "params": {**params, **known}})
        if step["method"] == "item/completed" and step is not SHOWN:
            while self._steered:
                self._steered -= 1
                self._step(SHOWN)
        if step["method"] == "turn/completed":
            self._running = None
            self._steps.clear()

    def _reply(self, number: object, **result: object) -> None:
        self._write({"id": number, "result": result})

    def _refuse(self, number: object, code: int, message: str) -> None:
        self._write({"id": number, "error": {"code": code, "message": message}})


@define(eq=False)
class CodexClis(FakeClis):
    """Codex's app servers as tasks."""

    logged_in: bool = True
    unwilling: dict[str, str] = field(factory=dict)
    """The requests they refuse, and why."""

    turns: dict[str, int] = field(factory=dict, init=False)
    """How many turns each thread has had."""

    ids: Iterator[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin to count threads."""
        self.ids = (f"thread-{number}" for number in count(1))

    def _make(self, _argv: Sequence[str], /) -> FakeCli:
        return CodexCli(self.heard, self)


@define(eq=False)
class CodexWorld:
    """An agent of Codex whose CLI is in memory."""

    clis: CodexClis = field(factory=CodexClis)
    memory: KeptSession = field(factory=KeptSession)
    credentials: dict[str, str] = field(factory=dict)
    backend: Backend = field(init=False)
    spec: SessionSpec = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Put the backend together."""
        self.backend = CodexBackend(
            start=self.clis.start,
            url_of=lambda agent: f"http://hive/mcp/{agent}",
            credentials=lambda _agent: self.credentials,
            memory_of=lambda _box: self.memory,
        )
        self.spec = SessionSpec("iris", Settings(backend="codex"), CliSession("iris", "token"), BOX)

    def prompt(self, behaviour: Behaviour, *messages: int) -> Prompt:
        """A prompt whose text is the behaviour."""
        return Prompt(behaviour.name, messages)

    def take_tools_down(self) -> None:
        """See `World`."""
        self.clis.connected = False

    def left(self) -> Sequence[str]:
        """See `World`."""
        return ["a CLI"] * self.clis.running
