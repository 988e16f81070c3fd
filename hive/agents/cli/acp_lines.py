"""What an ACP agent's updates and answers mean in hive's vocabulary.  Pure.

The rule kept here: a turn has ended well only by its answer's `stopReason`, and only where something was
said or done.  Updates of kinds unknown here, and of sessions not ours, are skipped.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from attrs import define, field, frozen

from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.shapes import a_list, number, string
from hive.agents.events import (
    ErrorClass,
    Noted,
    PromptAccepted,
    Result,
    Said,
    Thought,
    ToolCalled,
    ToolReturned,
    TurnEvent,
)
from hive.agents.frame import DETAIL_CHARACTERS
from hive.protocol.commands import Usage
from hive.protocol.presets import ErrorRule, Preset

AUTH_REQUIRED: Final = -32000

CODES: Mapping[int, ErrorClass] = {
    AUTH_REQUIRED: ErrorClass.AUTH,
    401: ErrorClass.AUTH,
    402: ErrorClass.BILLING,
    403: ErrorClass.AUTH,
    404: ErrorClass.MODEL,
    429: ErrorClass.RATE_LIMIT,
    -32700: ErrorClass.PROTOCOL,
    -32600: ErrorClass.PROTOCOL,
    -32601: ErrorClass.PROTOCOL,
    -32602: ErrorClass.PROTOCOL,
}
"""What an error's code means by itself; some agents put the status of their provider there."""

SERVER_ERRORS: Final = range(500, 600)

STOPS: Mapping[str, tuple[ErrorClass | None, str]] = {
    "end_turn": (None, ""),
    "max_tokens": (ErrorClass.STEP_LIMIT, "its answer was cut at the limit of tokens"),
    "max_turn_requests": (ErrorClass.STEP_LIMIT, "it met the limit of steps in one turn"),
    "refusal": (ErrorClass.REFUSED, "the model refused"),
    "cancelled": (ErrorClass.CANCELLED, "asked to stop"),
}
"""What an answer's `stopReason` means."""

WORD: Final = re.compile(r"[\w./:-]{1,64}")
"""A title that can be a tool's name."""

OF_A_TURN: Final = frozenset(
    {"agent_message_chunk", "agent_thought_chunk", "tool_call", "tool_call_update", "plan"}
)
"""Updates that show the prompt at work; others come at any time."""

COMMON_ERRORS: Final = (
    ErrorRule(r"(?i)\b(ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT|fetch failed)\b", ErrorClass.NETWORK),
    ErrorRule(r"(?i)overloaded", ErrorClass.OVERLOADED),
)
"""What every agent says alike, after what its preset knows."""


@frozen
class Failure:
    """What an error means."""

    error: ErrorClass
    detail: str
    seconds: float | None = None
    """After so long a limit is over, where that was said."""


@define(eq=False)
class _Call:
    """A tool call that is under way."""

    tool: str = ""
    arguments: JsonObject = field(factory=dict)
    told: bool = False


@define(eq=False)
class Reading:
    """What has to be remembered from one update of a turn for another."""

    preset: Preset
    session: str
    messages: tuple[int, ...] = ()
    """What the prompt shows, until it was accepted."""

    cost: float | None = None
    """What the session had cost before; None where that is not known."""

    accepted: bool = field(default=False, init=False)
    worked: bool = field(default=False, init=False)
    """Whether the model has said or done anything."""

    _text: str = field(default="", init=False)
    _thought: str = field(default="", init=False)
    _message: object = field(default=None, init=False)
    _last: str = field(default="", init=False)
    _calls: dict[str, _Call] = field(factory=dict, init=False)
    _ended: set[str] = field(factory=set, init=False)
    _spent: float = field(default=0.0, init=False)

    def read(self, parameters: JsonObject) -> Iterator[TurnEvent]:
        """The events of a `session/update`."""
        match parameters:
            case {"sessionId": self.session, "update": dict(update)}:
                kind = string(update.get("sessionUpdate"))
                if kind in OF_A_TURN:
                    yield from self.accept()
                yield from self._update(kind, update)

    def accept(self) -> Iterator[TurnEvent]:
        """The prompt is at work: it has been given to the model."""
        if not self.accepted:
            self.accepted = True
            yield PromptAccepted(self.messages)

    def asked(self, call: JsonObject, *, allowed: bool) -> Iterator[TurnEvent]:
        """Permission was asked for a call, which may not have been told before."""
        yield from self.accept()
        yield from self.flush()
        yield from self._tool(call, begun=True)
        if not allowed:
            yield Noted("permission", f"refused: {string(call.get('title'))}"[:DETAIL_CHARACTERS])
            yield from self._returned(call, ok=False, text="hive refused it")

    def answered(self, result: JsonObject) -> Iterator[TurnEvent]:
        """The prompt has its answer; the last event is the turn's `Result`."""
        stop = string(result.get("stopReason"))
        unknown = (ErrorClass.PROTOCOL, f"it stopped for a reason unknown to hive: {stop or 'none'}")
        error, detail = STOPS.get(stop, unknown)
        if error is not ErrorClass.PROTOCOL:
            yield from self.accept()
        yield from self.flush()
        if error is None and not self.worked:
            # Often a stream that broke off.  Charged, for with some mail it may be so each time.
            error, detail = ErrorClass.PROTOCOL, "it ended its turn without a word"
        text = self._last if error is None else ""
        yield Result(text, error, detail, usage=usage_of(result, self._spent))

    def failed(self, error: JsonObject) -> tuple[Failure, Usage]:
        """What it means that the prompt was answered with an error, and what was used until then."""
        return failure(self.preset.errors, error), Usage(cost_usd=self._spent)

    def flush(self) -> Iterator[TurnEvent]:
        """What was said or thought and not yet told."""
        yield from self._flush_thought()
        yield from self._flush_text()

    def allowed(self, call: JsonObject, *, others: bool) -> bool:
        """Whether a call may be made: hive's own tools may, others where that is allowed."""
        known = self._calls.get(string(call.get("toolCallId")))
        ours = hive_tool(self.preset.tools, call)
        if known is not None and known.tool:
            ours = known.tool if known.tool.startswith("hive/") and _harmless(call) else None
        return ours is not None or others

    def _update(self, kind: str, update: JsonObject) -> Iterator[TurnEvent]:
        match kind:
            case "agent_message_chunk":
                yield from self._chunk(update)
            case "agent_thought_chunk":
                yield from self._flush_text()
                self._thought += _content(update.get("content"))
            case "tool_call" | "tool_call_update":
                yield from self.flush()
                yield from self._tool(update, begun=update.get("status") not in (None, "pending"))
                if (status := update.get("status")) in ("completed", "failed"):
                    yield from self._returned(update, ok=status == "completed", text=_output(update))
            case "usage_update":
                self._use(update)

    def _chunk(self, update: JsonObject) -> Iterator[TurnEvent]:
        yield from self._flush_thought()
        if update.get("messageId") != self._message:
            yield from self._flush_text()
        self._message = update.get("messageId")
        self._text += _content(update.get("content"))

    def _tool(self, update: JsonObject, *, begun: bool) -> Iterator[TurnEvent]:
        key = string(update.get("toolCallId"))
        call = self._calls.setdefault(key, _Call())
        call.tool = call.tool or _tool_name(self.preset.tools, update)
        call.arguments = _arguments(update) or call.arguments
        if begun and not call.told:
            call.told = self.worked = True
            yield ToolCalled(key, call.tool or "tool", call.arguments)

    def _returned(self, update: JsonObject, *, ok: bool, text: str) -> Iterator[TurnEvent]:
        key = string(update.get("toolCallId"))
        call = self._calls.get(key)
        if call is not None and key not in self._ended:
            self._ended.add(key)
            yield ToolReturned(key, ok, text)

    def _use(self, update: JsonObject) -> None:
        match update.get("cost"):
            case {"amount": amount}:
                total = number(amount)
                self.cost = total if self.cost is None else self.cost
                self._spent = max(0.0, total - self.cost)

    def _flush_text(self) -> Iterator[TurnEvent]:
        if self._text:
            self._last, self._text, self.worked = self._text, "", True
            yield Said(self._last)

    def _flush_thought(self) -> Iterator[TurnEvent]:
        if self._thought:
            thought, self._thought = self._thought, ""
            self.worked = True
            yield Thought(thought)


def failure(rules: Sequence[ErrorRule], error: JsonObject) -> Failure:
    """What a JSON-RPC error means: by its words where the preset knows them, else by its code."""
    code, message = error.get("code"), string(error.get("message"))
    details = "" if error.get("data") is None else json.dumps(error["data"])
    detail = (message or details or f"error {code}")[:DETAIL_CHARACTERS]
    for rule in (*rules, *COMMON_ERRORS):
        if found := re.search(rule.pattern, f"{message}\n{details}"):
            return Failure(rule.error, detail, _seconds(found))
    if isinstance(code, int) and code in SERVER_ERRORS:
        return Failure(ErrorClass.OVERLOADED, detail)
    return Failure(
        CODES.get(code, ErrorClass.CRASH) if isinstance(code, int) else ErrorClass.PROTOCOL, detail
    )


def ended(failed: Failure, usage: Usage, wall: float) -> Result:
    """The end of a turn that failed so, at this time."""
    until = wall + failed.seconds if failed.error is ErrorClass.RATE_LIMIT and failed.seconds else None
    return Result(error=failed.error, detail=failed.detail, until=until, usage=usage)


def hive_tool(patterns: Sequence[str], call: JsonObject) -> str | None:
    """The name of one of hive's tools, where a call is of one.  A command's title may read like anything."""
    title = string(call.get("title"))
    for pattern in patterns if _harmless(call) else ():
        if found := re.fullmatch(pattern, title):
            return found["tool"]
    return None


def usage_of(result: JsonObject, cost: float = 0.0) -> Usage:
    """What a turn used, from the answer to its prompt: the protocol's way, or Gemini's."""
    match result:
        case {"usage": dict(used)}:
            read = ("inputTokens", "cachedReadTokens", "cachedWriteTokens")
            written = ("outputTokens", "thoughtTokens")
        case {"_meta": {"quota": {"token_count": dict(used)}}}:
            read, written = ("input_tokens",), ("output_tokens",)  # type: ignore[assignment]
        case _:
            used, read, written = {}, (), ()  # type: ignore[assignment]
    return Usage(
        input_tokens=int(sum(number(used.get(name)) for name in read)),
        output_tokens=int(sum(number(used.get(name)) for name in written)),
        cost_usd=cost,
    )


def _harmless(call: JsonObject) -> bool:
    return call.get("kind") in (None, "other")


def _tool_name(patterns: Sequence[str], call: JsonObject) -> str:
    title, kind = string(call.get("title")), string(call.get("kind"))
    if ours := hive_tool(patterns, call):
        return f"hive/{ours}"
    return title if WORD.fullmatch(title) and not title.startswith("hive/") else kind


def _arguments(call: JsonObject) -> JsonObject:
    """What a call is made with, as far as it says."""
    match call:
        case {"rawInput": dict(arguments)} if arguments:
            return arguments
        case {"status": "completed" | "failed"}:
            return {}
    try:
        found = json.loads(_output(call))
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    title = string(call.get("title"))
    return {"title": title} if title and not WORD.fullmatch(title) and not _harmless(call) else {}


def _output(update: JsonObject) -> str:
    blocks = update.get("content")
    texts = [_content(one.get("content")) for one in a_list(blocks) if isinstance(one, dict)]
    raw = update.get("rawOutput")
    if not any(texts) and isinstance(raw, dict):
        return string(raw.get("output")) or string(raw.get("error"))
    return "\n".join(text for text in texts if text)


def _content(block: object) -> str:
    return string(block.get("text")) if isinstance(block, dict) else ""


def _seconds(found: re.Match[str]) -> float | None:
    try:
        return number(float(found["seconds"])) or None
    except (IndexError, TypeError, ValueError):
        return None
