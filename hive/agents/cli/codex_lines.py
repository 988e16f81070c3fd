"""What the notifications of Codex's app server mean in hive's vocabulary.  Pure.

The rule kept here: only typed fields decide.  Why a turn failed is in `codexErrorInfo`, whatever the message
beside it reads like.  Notifications and items of kinds unknown here are skipped: the CLI grows new ones.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from attrs import define, evolve, field, frozen

from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.shapes import a_list, an_object, number, string, strings
from hive.agents.events import (
    ErrorClass,
    Noted,
    Result,
    Said,
    Thought,
    ToolCalled,
    ToolReturned,
    TurnEvent,
    Used,
)
from hive.agents.frame import DETAIL_CHARACTERS
from hive.protocol.commands import Usage

ERRORS: Final[Mapping[str, ErrorClass]] = {
    "contextWindowExceeded": ErrorClass.OVERFLOW,
    "sessionBudgetExceeded": ErrorClass.BUDGET,
    "usageLimitExceeded": ErrorClass.RATE_LIMIT,
    "rateLimitExceeded": ErrorClass.RATE_LIMIT,
    "flexUnavailable": ErrorClass.OVERLOADED,
    "serverOverloaded": ErrorClass.OVERLOADED,
    "policyCapacityUnavailable": ErrorClass.OVERLOADED,
    "internalServerError": ErrorClass.OVERLOADED,
    # Nothing of the mail's: a name that its owner has typed.
    "modelNotFound": ErrorClass.NO_START,
    "badRequest": ErrorClass.MODEL,
    "unauthorized": ErrorClass.AUTH,
    "inferenceHookDenied": ErrorClass.REFUSED,
    "cyberPolicy": ErrorClass.REFUSED,
    "misalignmentPolicyViolation": ErrorClass.REFUSED,
    "tooManyDenials": ErrorClass.REFUSED,
}
"""A `codexErrorInfo` that is a word."""

CONNECTIONS: Final = frozenset(
    {
        "httpConnectionFailed",
        "responseStreamConnectionFailed",
        "responseStreamDisconnected",
        "responseTooManyFailedAttempts",
    }
)
"""Those that are objects, with an HTTP status where there was one."""

STATUSES: Final[Mapping[int, ErrorClass]] = {
    401: ErrorClass.AUTH,
    402: ErrorClass.BILLING,
    403: ErrorClass.AUTH,
    404: ErrorClass.NO_START,
    429: ErrorClass.RATE_LIMIT,
}

SERVER_ERRORS = 500

EXHAUSTED_PERCENT = 100.0

WARNINGS: Final = frozenset({"warning", "guardianWarning"})
"""Those about a thread.  What there is to say of the configuration is the same in every turn."""


@frozen
class Call:
    """An item that is the use of a tool: what it is called and given, and what came back."""

    tool: str
    arguments: dict[str, object]
    text: str = ""


@define(eq=False)
class Reading:
    """What has to be remembered from one notification of a turn for another."""

    session: str = ""
    """The thread: what happens in others is not told."""

    turn: str = ""
    ended: bool = field(default=False, init=False)
    """Whether the turn is over by the server's own word."""

    usage: Usage = field(default=Usage(), init=False)
    _before: Usage | None = field(default=None, init=False)
    _text: str = field(default="", init=False)
    _retried: ErrorClass | None = field(default=None, init=False)
    """What it tried again after."""

    _windows: dict[str, JsonObject] = field(factory=dict, init=False)

    def read(self, line: JsonObject) -> Iterator[TurnEvent]:
        """The events of a notification; of the turn's last one they end in its `Result`."""
        match line:
            case {"params": {"threadId": str(thread)}} if thread != self.session:
                return
            case {"params": {"turnId": str(turn)}} if turn != self.turn:
                return
            case {"method": "item/started", "params": {"item": dict(item)}}:
                yield from _started(item)
            case {"method": "item/completed", "params": {"item": dict(item)}}:
                yield from self._completed(item)
            case {"method": "thread/tokenUsage/updated", "params": {"tokenUsage": dict(usage)}}:
                yield self._used(usage)
            case {"method": "account/rateLimits/updated", "params": {"rateLimits": dict(limits)}}:
                yield from self._limits(limits)
            case {"method": "error", "params": {"error": dict(error), **rest}}:
                yield from self._failing(error, will_retry=rest.get("willRetry") is True)
            case {"method": str(method), "params": dict(params)} if method in WARNINGS:
                yield Noted("warning", string(params.get("message")))
            case {"method": "turn/completed", "params": {"turn": {"id": str(turn), **rest}}} if (
                turn == self.turn
            ):
                self.ended = True
                yield self._result(rest)

    def _failing(self, error: JsonObject, *, will_retry: bool) -> Iterator[TurnEvent]:
        yield Noted("retry" if will_retry else "error", _detail(error))
        if not will_retry:
            return
        self._retried = error_of(error.get("codexErrorInfo"))
        if self._retried is ErrorClass.RATE_LIMIT:
            # It would sit out whatever time the service asks for, hours too, with the mail in its hands.
            yield self._failed(error)

    def _completed(self, item: JsonObject) -> Iterator[TurnEvent]:
        match item:
            case {"type": "agentMessage", "text": str(text)} if text:
                self._text = text
                yield Said(text)
            case {"type": "reasoning"}:
                text = "\n\n".join(strings(item.get("summary")) or strings(item.get("content")))
                yield from [Thought(text)] if text else []
            case {"type": "contextCompaction"}:
                yield Noted("compacted")
            case {"id": str(key), "status": status}:
                if (call := _call(item)) is not None:
                    yield ToolReturned(key, status == "completed", call.text)

    def _used(self, usage: JsonObject) -> Used:
        """What this turn used: the totals are of the whole thread, since it was first opened."""
        total, last = _tokens(usage.get("total")), _tokens(usage.get("last"))
        if self._before is None:
            self._before = _minus(total, last)
        self.usage = _minus(total, self._before)
        # An answer came to its end: what was tried again before it is over.
        self._retried = None
        return Used(self.usage)

    def _limits(self, limits: JsonObject) -> Iterator[TurnEvent]:
        for name in ("primary", "secondary"):
            window = limits.get(name)
            if isinstance(window, dict):
                self._windows[name] = window
                percent, resets = window.get("usedPercent"), window.get("resetsAt")
                yield Noted("limit", f"{name}: used {percent} %, resets at {resets}")

    def _result(self, turn: Mapping[object, object]) -> Result:
        result = Result(usage=self.usage)
        match turn:
            case {"status": "completed"}:
                return evolve(result, text=self._text)
            case {"status": "interrupted"}:
                return evolve(result, error=ErrorClass.CANCELLED, detail="it was interrupted")
            case {"status": "failed", "error": dict(error)}:
                return self._failed(error)
            case _:
                return evolve(result, error=ErrorClass.CRASH, detail=f"it ended as {turn.get('status')}")

    def _failed(self, error: JsonObject) -> Result:
        kind = error_of(error.get("codexErrorInfo"))
        if kind is ErrorClass.CRASH and self._retried is not None:
            # The last word on a stream that broke off is `other`; that of the try before it has a type.
            kind = self._retried
        return Result(
            error=kind,
            detail=_detail(error) or "it failed",
            until=self._until() if kind is ErrorClass.RATE_LIMIT else None,
            usage=self.usage,
        )

    def _until(self) -> float | None:
        """When the last of the limits that are reached ends."""
        spent = [one for one in self._windows.values() if number(one.get("usedPercent")) >= EXHAUSTED_PERCENT]
        return max((number(one.get("resetsAt")) for one in spent), default=0.0) or None


def error_of(info: object) -> ErrorClass:
    """The class of a `codexErrorInfo`."""
    match info:
        case str(word):
            return ERRORS.get(word, ErrorClass.CRASH)
        case dict(kinds) if kind := next((kind for kind in kinds if kind in CONNECTIONS), None):
            inner = kinds[kind]
            return _status(inner.get("httpStatusCode") if isinstance(inner, dict) else None)
        case _:
            return ErrorClass.CRASH


def _status(status: object) -> ErrorClass:
    if not isinstance(status, int):
        return ErrorClass.NETWORK
    return STATUSES.get(status, ErrorClass.OVERLOADED if status >= SERVER_ERRORS else ErrorClass.MODEL)


def _started(item: JsonObject) -> Iterator[TurnEvent]:
    call = _call(item)
    if call is not None and isinstance(key := item.get("id"), str):
        yield ToolCalled(key, call.tool, call.arguments)


def _call(item: JsonObject) -> Call | None:
    match item:
        case {"type": "mcpToolCall", "server": str(server), "tool": str(tool)}:
            text = _content(item.get("result")) or string(an_object(item.get("error")).get("message"))
            return Call(f"{server}/{tool}", an_object(item.get("arguments")), text)
        case {"type": "commandExecution", "command": str(command)}:
            return Call("shell", {"command": command}, string(item.get("aggregatedOutput")))
        case {"type": "fileChange"}:
            changes = [string(an_object(one).get("path")) for one in a_list(item.get("changes"))]
            return Call("apply_patch", {"paths": changes})
        case {"type": "dynamicToolCall" | "collabAgentToolCall", "tool": str(tool)}:
            return Call(tool, an_object(item.get("arguments")))
        case _:
            return None


def _content(result: object) -> str:
    blocks = [an_object(one) for one in a_list(an_object(result).get("content"))]
    return "\n".join(string(block.get("text")) for block in blocks if "text" in block)


def _detail(error: JsonObject) -> str:
    said = (string(error.get("message")), string(error.get("additionalDetails")))
    return ": ".join(text for text in said if text)[:DETAIL_CHARACTERS]


def _tokens(counts: object) -> Usage:
    given = an_object(counts)
    return Usage(int(number(given.get("inputTokens"))), int(number(given.get("outputTokens"))))


def _minus(usage: Usage, other: Usage) -> Usage:
    return Usage(
        max(0, usage.input_tokens - other.input_tokens), max(0, usage.output_tokens - other.output_tokens)
    )
