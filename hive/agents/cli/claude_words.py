"""How Claude Code is started and what is said to it.  Pure.

The rule kept here: the session token stands in the `initialize` request alone.  Arguments can be read by
everybody on the machine, and the environment by every tool the CLI runs.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from hive.agents.cli.claude_lines import SERVER
from hive.agents.cli.json_lines import JsonObject
from hive.containers.port import Box
from hive.protocol.commands import Settings

INITIALIZE: Final = "hive-initialize"
INTERRUPT: Final = "hive-interrupt"
"""The ids of our requests."""

ALLOWED: Final = ("Read", "Edit", "Write", "NotebookEdit", "Glob", "Grep", "TodoWrite", "ToolSearch", "Skill")
"""Tools an agent may use besides hive's own, without anybody being asked."""

SHELL: Final = ("Bash", "BashOutput", "KillShell", "TaskStop")
"""Tools of an agent that may run commands."""

DENIED: Final = (
    "Agent",
    "AskUserQuestion",
    "CronCreate",
    "CronDelete",
    "CronList",
    "ListAgents",
    "Monitor",
    "RemoteTrigger",
    "ScheduleWakeup",
    "SendMessage",
    "Task",
    "Workflow",
)
"""Tools by which work would start, or mail pass, that hive does not see."""

SWITCHES: Final[Mapping[str, str]] = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "CLAUDE_CODE_MAX_RETRIES": "2",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_CRON": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
}
"""Few retries: the long wait is hive's.  No background: a turn ends with its result."""

CONFIGURATION: Final = ".claude-config"
"""The CLI's own directory, in the agent's; another than the `.claude` of a project there."""

SETTINGS: Final = json.dumps({"crossSessionInbound": "refuse"})


def command(program: Sequence[str], settings: Settings, session: str, *, resumed: bool) -> tuple[str, ...]:
    """The arguments of a turn in this session."""
    allowed = (f"mcp__{SERVER}", *ALLOWED, *(SHELL if settings.allow_shell else ()))
    return (
        *program,
        "-p",
        *("--input-format", "stream-json", "--output-format", "stream-json", "--verbose"),
        "--await-initialize",
        "--strict-mcp-config",
        *("--permission-mode", "dontAsk"),
        *("--allowedTools", ",".join(allowed)),
        *("--disallowedTools", ",".join(DENIED)),
        *("--settings", SETTINGS),
        # Settings that an agent writes may hold hooks, which are commands.  Its CLAUDE.md goes with them.
        *(() if settings.allow_shell else ("--setting-sources", "")),
        *("--system-prompt-snapshot", "off"),
        *(("--model", settings.model) if settings.model else ()),
        *("--resume" if resumed else "--session-id", session),
    )


def environment(box: Box, credentials: Mapping[str, str]) -> Mapping[str, str]:
    """What the CLI finds in its environment besides what every process of its box does."""
    return {**credentials, **SWITCHES, "CLAUDE_CONFIG_DIR": f"{box.home}/{CONFIGURATION}"}


def initialize(url: str, token: str, instructions: str = "") -> JsonObject:
    """The first request: where hive's tools are, what opens them, and what is true of all turns."""
    server = {
        "type": "http",
        "url": url,
        "headers": {"Authorization": f"Bearer {token}"},
        # Else the model sees no more than the tools' names.
        "alwaysLoad": True,
    }
    request: JsonObject = {
        "subtype": "initialize",
        "mcpServers": {SERVER: server},
        # Else a session would go on with what it was told first, whatever it is told now.
        "systemPromptSnapshot": False,
    }
    return _request(INITIALIZE, {**request, "appendSystemPrompt": instructions} if instructions else request)


def user(uuid: str, text: str) -> JsonObject:
    """A prompt."""
    return {
        "type": "user",
        "uuid": uuid,
        "message": {"role": "user", "content": text},
        "parent_tool_use_id": None,
        "session_id": "",
        # Else a `/command` or `@/path` in somebody's mail would be carried out.
        "client_composed": True,
    }


def interrupt() -> JsonObject:
    """The request to stop the turn and forget what waits for the next."""
    return _request(INTERRUPT, {"subtype": "interrupt", "cancel_queued": True})


def refusal(request: str) -> JsonObject:
    """The answer to whatever the CLI asks: without one it would wait for ever."""
    response = {"subtype": "error", "request_id": request, "error": "hive answers no requests"}
    return {"type": "control_response", "response": response}


def _request(number: str, request: Mapping[str, object]) -> JsonObject:
    return {"type": "control_request", "request_id": number, "request": dict(request)}
