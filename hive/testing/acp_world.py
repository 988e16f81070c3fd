"""An agent that speaks ACP, in memory, and a world with it for the contract of backends."""

import signal
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import define, evolve, field

from hive.agents.backend import Backend, Prompt, SessionSpec
from hive.agents.cli.acp import AcpBackend
from hive.agents.cli.json_lines import JsonObject
from hive.agents.tokens import CliSession
from hive.protocol.commands import Settings
from hive.protocol.failures import ErrorClass
from hive.protocol.presets import ErrorRule, Preset
from hive.testing.backend_world import Behaviour
from hive.testing.fake_clis import FakeCli, FakeClis, KeptSession
from hive.testing.scripted_world import BOX, WALL

CHATTER_SECONDS: Final = 0.1
"""Between two words of an agent that is never silent."""

CRASH: Final = 3
"""The status of an agent that crashes."""

PRESET: Final = Preset(
    title="Fake",
    program="fake",
    install="it is not to be had",
    credentials=("FAKE_API_KEY",),
    mode="build",
    errors=(ErrorRule(r"retry in (?P<seconds>\d+)s", ErrorClass.RATE_LIMIT),),
)
"""How the agent in memory is driven."""


def update(what: str, /, **more: object) -> JsonObject:
    """What `session/update` says, without its session."""
    return {"sessionUpdate": what, **more}


def chunk(text: str, **more: object) -> JsonObject:
    """A piece of what the model says."""
    return update("agent_message_chunk", content={"type": "text", "text": text}, **more)


def called(status: str, **more: object) -> JsonObject:
    """A call of one of hive's tools, as it is told first."""
    named = {"title": "hive_send", "kind": "other", **more}
    return update("tool_call", toolCallId="call-1", status=status, rawInput={"to": "juno"}, **named)


def returned(text: str, status: str = "completed", call: str = "call-1") -> JsonObject:
    """What a call has brought."""
    content = [{"type": "content", "content": {"type": "text", "text": text}}]
    return update("tool_call_update", toolCallId=call, status=status, content=content)


def stopped(reason: str, **more: object) -> JsonObject:
    """The answer to a prompt."""
    usage = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}
    return {"result": {"stopReason": reason, "usage": usage, **more}}


def error(code: int, message: str) -> JsonObject:
    """An answer that is an error."""
    return {"error": {"code": code, "message": message}}


LIMIT: Final = error(-32603, "Internal error: too much, retry in 60s")

PLAYS: Final[Mapping[str, Sequence[JsonObject | int]]] = {
    Behaviour.WORK.name: (
        called("in_progress"),
        returned("sent"),
        chunk("do"),
        chunk("ne"),
        stopped("end_turn"),
    ),
    Behaviour.FAIL.name: (chunk("hm"), LIMIT),
    Behaviour.CRASH.name: (chunk("hm"), CRASH),
    Behaviour.HANG.name: (update("agent_thought_chunk", content={"type": "text", "text": "hm"}),),
}
"""What happens in a turn, by the prompt's text: updates, an answer, or a status to die with."""

CAPABLE: Final[JsonObject] = {"loadSession": True, "mcpCapabilities": {"http": True}}


@define(eq=False)
class FakeAgent(FakeCli):
    """An agent that is a task."""

    _all: "FakeAgents"
    _session: str = field(default="", init=False)
    _prompt: object = field(default=None, init=False)
    """The id of the prompt that has no answer yet."""

    _chatter: bool = field(default=False, init=False)
    """Whether it never stops talking."""

    def signal(self, number: signal.Signals) -> None:
        """It dies of any."""
        self._all.signals.append(number)
        super().signal(number)

    async def kill(self) -> None:
        """See `Cli`."""
        self._all.signals.append(signal.SIGKILL)
        await super().kill()

    def _pause(self) -> float:
        return min(super()._pause(), CHATTER_SECONDS if self._chatter else float("inf"))

    def _next(self) -> JsonObject | int:
        return super()._next() if self._steps else update("plan")

    def _take(self, line: JsonObject) -> None:
        number = line.get("id")
        match line:
            case {"method": "session/cancel"}:
                if self._prompt is not None and not self._all.stubborn:
                    self._steps.clear()
                    self._answer(self._prompt, stopped("cancelled"))
                    self._prompt = None
            case {"method": "session/prompt", "params": {"prompt": [{"text": str(text)}]}}:
                self._prompt = number
                self._steps.extend(self._all.plays[text])
            case {"method": str(method), "params": dict(parameters)}:
                self._answer(number, self._all.answer(method, parameters))
                self._session = self._all.session_of(method, parameters) or self._session
                if method == "session/load":  # which tells its history when it has answered
                    self._write_update(chunk("what was said long ago"))
                    self._chatter = self._all.chatters

    def _step(self, step: JsonObject) -> None:
        match step:
            case {"sessionUpdate": str()}:
                self._write_update(step)
            case {"method": str()}:
                self._write({"jsonrpc": "2.0", **step})
            case _:
                self._answer(self._prompt, step)
                self._prompt = None

    def _answer(self, number: object, answer: JsonObject) -> None:
        self._write({"jsonrpc": "2.0", "id": number, **answer})

    def _write_update(self, said: JsonObject) -> None:
        parameters = {"sessionId": self._session, "update": said}
        self._write({"jsonrpc": "2.0", "method": "session/update", "params": parameters})


@define(eq=False)
class FakeAgents(FakeClis):
    """Agents that are tasks."""

    token: CliSession = field(kw_only=True)
    stubborn: bool = False
    """Whether they go on when asked to stop."""

    capable: JsonObject = field(factory=lambda: dict(CAPABLE))
    """What they say they can do."""

    chatters: bool = False
    """Whether they are never silent once they have loaded a session."""

    version: int = 1
    answers: dict[str, JsonObject] = field(factory=dict)
    """What they answer to a method, other than ordinarily."""

    plays: dict[str, Sequence[JsonObject | int]] = field(factory=lambda: dict(PLAYS))
    signals: list[signal.Signals] = field(factory=list, init=False)

    def _make(self, _argv: Sequence[str], /) -> FakeCli:
        self.token.listed = False
        return FakeAgent(self.heard, self)

    def methods(self) -> list[object]:
        """What they were asked, in order."""
        return [line["method"] for line in self.heard if "method" in line]

    def asked(self, method: str) -> list[JsonObject]:
        """What was said with a method."""
        found = [line["params"] for line in self.heard if line.get("method") == method]
        return [parameters for parameters in found if isinstance(parameters, dict)]

    def answer(self, method: str, parameters: JsonObject) -> JsonObject:
        """What they answer to anything but a prompt."""
        if method in self.answers:
            return self.answers[method]
        match method:
            case "initialize":
                methods = [{"id": "key"}]
                known = {"agentCapabilities": self.capable, "authMethods": methods}
                return {"result": {"protocolVersion": self.version, **known}}
            case "session/new":
                return {"result": {"sessionId": f"ses_{len(self.sessions) + 1}"}}
            case "session/load" | "session/resume" if parameters["sessionId"] not in self.sessions:
                return error(-32603, "no such session")
        return {"result": {}}

    def session_of(self, method: str, parameters: JsonObject) -> str | None:
        """The session that is open after this, where it opens one."""
        opened = {"session/new": f"ses_{len(self.sessions) + 1}"}
        session = str(opened.get(method) or parameters.get("sessionId") or "") or None
        if method in ("session/new", "session/load", "session/resume"):
            self.token.listed = self.connected
            self.sessions |= {session} if method == "session/new" and session else set()
        return session


@define(eq=False)
class AcpWorld:
    """An agent that speaks ACP and is in memory."""

    preset: Preset = PRESET
    settings: Settings = Settings(backend="fake")
    credentials: Mapping[str, str] = field(factory=dict)
    agents: FakeAgents = field(init=False)
    memory: KeptSession = field(factory=KeptSession)
    backend: Backend = field(init=False)
    spec: SessionSpec = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Put the backend together."""
        token = CliSession("iris", "token")
        self.agents = FakeAgents(token=token)
        self.backend = AcpBackend(
            # There is no directory to write settings into.
            preset=evolve(self.preset, settings=None),
            start=self.agents.start,
            url_of=lambda agent: f"http://hive/mcp/{agent}",
            credentials=lambda _agent: self.credentials,
            memory_of=lambda _box: self.memory,
            wall=lambda: WALL,
            program=(self.preset.program,),
        )
        self.spec = SessionSpec("iris", self.settings, token, BOX)

    def prompt(self, behaviour: Behaviour, *messages: int) -> Prompt:
        """A prompt whose text is the behaviour."""
        return Prompt(behaviour.name, messages)

    def take_tools_down(self) -> None:
        """See `World`."""
        self.agents.connected = False

    def left(self) -> Sequence[str]:
        """See `World`."""
        return ["an agent"] * self.agents.running
