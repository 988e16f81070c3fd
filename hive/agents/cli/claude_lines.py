"""What Claude Code's stream-json lines mean in hive's vocabulary.  Pure.

The rule kept here: only typed fields decide.  A result is a success where `is_error` and
`terminal_reason` say so, whatever its `subtype` claims and whatever its text reads like.  Lines of types
unknown here are skipped: the CLI grows new ones.
"""

from collections.abc import Iterator, Mapping, Sequence

from attrs import define, field, frozen

from hive.agents.cli.json_lines import JsonObject
from hive.agents.cli.shapes import a_list, number, string, strings
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
    TurnEvent,
)
from hive.agents.frame import DETAIL_CHARACTERS
from hive.protocol.commands import Usage

SERVER = "hive"
"""What hive's tools are called among the CLI's MCP servers."""

SYNTHETIC = "<synthetic>"
"""The model of words that are the CLI's own."""

SHOWN = frozenset({"started", "completed"})
"""States of a message of ours in which the model has been given it."""

REASONS: Mapping[str, ErrorClass] = {
    "max_turns": ErrorClass.STEP_LIMIT,
    "budget_exhausted": ErrorClass.BUDGET,
    "prompt_too_long": ErrorClass.OVERFLOW,
    "blocking_limit": ErrorClass.OVERFLOW,
    "rapid_refill_breaker": ErrorClass.OVERFLOW,
    "aborted_streaming": ErrorClass.CANCELLED,
    "aborted_tools": ErrorClass.CANCELLED,
    "image_error": ErrorClass.MODEL,
}
"""What a `terminal_reason` means by itself, also where nothing calls it an error."""

ERRORS: Mapping[str, ErrorClass] = {
    "authentication_failed": ErrorClass.AUTH,
    "oauth_org_not_allowed": ErrorClass.AUTH,
    "billing_error": ErrorClass.BILLING,
    "rate_limit": ErrorClass.RATE_LIMIT,
    # Nothing of the mail's: a name that its owner has typed.
    "model_not_found": ErrorClass.NO_START,
    "invalid_request": ErrorClass.MODEL,
}
"""The `error` of an assistant line that the CLI made up."""

STATUSES: Mapping[int, ErrorClass] = {
    401: ErrorClass.AUTH,
    402: ErrorClass.BILLING,
    403: ErrorClass.AUTH,
    404: ErrorClass.NO_START,
    429: ErrorClass.RATE_LIMIT,
}

SERVER_ERRORS = 500

NOTES: Mapping[str, tuple[str, ...]] = {
    "api_retry": ("error", "error_status", "attempt", "max_retries"),
    "compact_boundary": ("compact_metadata",),
    "permission_denied": ("tool_name", "decision_reason_type"),
    "informational": ("content",),
    "status": ("status",),
}
"""The `system` lines worth a note, and which of their fields are."""


@frozen
class Failure:
    """An API error as the CLI's made-up assistant line has it."""

    error: str
    text: str


@define(eq=False)
class Reading:
    """What has to be remembered from one line of a turn for another."""

    ours: dict[str, tuple[int, ...]] = field(factory=dict)
    """The messages in each user message we wrote, by its uuid, until it was shown."""

    opened: bool = field(default=False, init=False)
    """Whether the session has been opened."""

    ended: bool = field(default=False, init=False)
    """Whether a turn has ended, or none could begin, by a line that says so."""

    spoke: bool = field(default=False, init=False)
    """Whether the model has said or done anything."""

    failure: Failure | None = field(default=None, init=False)
    until: float | None = field(default=None, init=False)

    def read(self, line: JsonObject) -> Iterator[TurnEvent]:
        """The events of a line; of the turn's last one they end in its `Result`."""
        match line:
            case {"type": "system", "subtype": "init"}:
                self.opened = True
                yield _opened(line)
            case {"type": "system", "subtype": str(subtype)} if subtype in NOTES:
                yield Noted(subtype, _words(line, NOTES[subtype]))
            case {"type": "command_lifecycle", "command_uuid": str(uuid), "state": str(state)}:
                yield from self._receipts([uuid] if state in SHOWN else [])
            case {"type": "assistant", "message": dict(message)}:
                yield from self._assistant(line, message)
            case {"type": "user", "message": dict(message)}:
                yield from _user(line, message)
            case {"type": "rate_limit_event", "rate_limit_info": dict(info)}:
                self.until = _until(info)
                yield Noted("limit", _words(info, ("status", "rateLimitType", "utilization", "resetsAt")))
            case {"type": "tool_progress"}:
                yield Noted("heartbeat", _words(line, ("tool_name", "elapsed_time_seconds")))
            case {"type": "result"}:
                yield from self._receipts(strings(line.get("user_message_uuids")))
                result = self._result(line)
                # What comes after it is of another turn.
                self.ended, self.spoke, self.failure, self.until = True, False, None, None
                yield result

    def _receipts(self, uuids: Sequence[str]) -> Iterator[TurnEvent]:
        for uuid in uuids:
            if uuid in self.ours:
                yield PromptAccepted(self.ours.pop(uuid))

    def _assistant(self, line: JsonObject, message: JsonObject) -> Iterator[TurnEvent]:
        if message.get("model") == SYNTHETIC or "error" in line:
            text = "\n".join(text for event in _blocks(message) if (text := getattr(event, "text", "")))
            self.failure = Failure(string(line.get("error")), text)
            yield Noted("error", text)
            return
        for event in _blocks(message):
            self.spoke = True
            # What a helper of the model says is not the model's word to us.
            if isinstance(event, ToolCalled) or line.get("parent_tool_use_id") is None:
                yield event

    def _result(self, line: JsonObject) -> Result:
        error = self._error(line)
        text = string(line.get("result"))
        return Result(
            text=text if error is None else "",
            error=error,
            detail="" if error is None else self._detail(line, text)[:DETAIL_CHARACTERS],
            until=self.until if error is ErrorClass.RATE_LIMIT else None,
            usage=usage_of(line),
        )

    def _error(self, line: JsonObject) -> ErrorClass | None:
        reason = string(line.get("terminal_reason"))
        if reason in REASONS:
            return REASONS[reason]
        if line.get("is_error") is not False:
            return self._api_error(line)
        if self.spoke:
            return None
        # A stream that broke off inside an answer is called a success without a word.
        return ErrorClass.NETWORK if self.failure is None else self._api_error(line)

    def _api_error(self, line: JsonObject) -> ErrorClass:
        if line.get("stop_reason") == "refusal":
            return ErrorClass.REFUSED
        kind = "" if self.failure is None else self.failure.error
        if kind in ERRORS:
            return ERRORS[kind]
        match line.get("api_error_status"):
            case int(status):
                fallback = ErrorClass.OVERLOADED if status >= SERVER_ERRORS else ErrorClass.MODEL
                return STATUSES.get(status, fallback)
            case _:
                return ErrorClass.NETWORK if kind == "server_error" else ErrorClass.CRASH

    def _detail(self, line: JsonObject, text: str) -> str:
        errors = "; ".join(strings(line.get("errors")))
        said = "" if self.failure is None else self.failure.text
        return text or said or errors or _words(line, ("subtype", "terminal_reason"))


def usage_of(line: JsonObject) -> Usage:
    """What this turn used: everything else in a result is summed up over the session."""
    match line.get("model_usage_since_last_result"):
        case dict(models):
            used = [one for one in models.values() if isinstance(one, dict)]
        case _:
            used = []
    read = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    return Usage(
        input_tokens=int(sum(number(one.get(name)) for one in used for name in read)),
        output_tokens=int(sum(number(one.get("outputTokens")) for one in used)),
        cost_usd=sum(number(one.get("costUSD")) for one in used),
    )


def tool_name(name: str) -> str:
    """`mcp__hive__send` is `hive/send`; the CLI's own tools keep their names."""
    match name.split("__", 2):
        case ["mcp", server, tool]:
            return f"{server}/{tool}"
        case _:
            return name


def _opened(line: JsonObject) -> SessionOpened:
    servers = [one for one in a_list(line.get("mcp_servers")) if isinstance(one, dict)]
    connected = any(one.get("name") == SERVER and one.get("status") == "connected" for one in servers)
    return SessionOpened(string(line.get("session_id")), string(line.get("model")), tools_ok=connected)


def _blocks(message: JsonObject) -> Iterator[Said | Thought | ToolCalled]:
    for block in a_list(message.get("content")):
        match block:
            case {"type": "text", "text": str(text)} if text:
                yield Said(text)
            case {"type": "thinking", "thinking": str(text)}:
                yield Thought(text)
            case {"type": "tool_use", "id": str(call), "name": str(name), "input": dict(arguments)}:
                yield ToolCalled(call, tool_name(name), arguments)


def _user(line: JsonObject, message: JsonObject) -> Iterator[TurnEvent]:
    for block in a_list(message.get("content")):
        match block:
            case {"type": "tool_result", "tool_use_id": str(call), **rest}:
                yield ToolReturned(call, rest.get("is_error") is not True, _text(rest.get("content")))
            case {"type": "text", "text": str(text)} if not line.get("isReplay"):
                yield Noted("nudge", text)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = [block for block in a_list(content) if isinstance(block, dict)]
    return "\n".join(string(block.get("text")) for block in blocks if "text" in block)


def _until(info: JsonObject) -> float | None:
    resets = number(info.get("resetsAt"))
    return resets if resets and info.get("status") == "rejected" else None


def _words(line: JsonObject, names: Sequence[str]) -> str:
    return ", ".join(f"{name} {line[name]}" for name in names if line.get(name) is not None)
