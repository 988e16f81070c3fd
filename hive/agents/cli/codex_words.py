"""How Codex is started and what is said to its app server.  Pure.

The rule kept here: the session token stands in the message that opens the thread alone.  Arguments can be
read by everybody on the machine, and the environment by every tool the CLI runs.  The key to the model has
to be in the environment: it is kept from commands by a policy of Codex, and by its sandbox's own processes.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from hive.agents.cli.json_lines import JsonObject
from hive.containers.port import Box
from hive.protocol.commands import Settings

SERVER: Final = "hive"
"""What hive's tools are called among the CLI's MCP servers."""

PROVIDER: Final = "hive-credentials"
"""What the provider of the model is called where hive hands over a key or an address for it."""

KEY: Final = "OPENAI_API_KEY"
BASE_URL: Final = "OPENAI_BASE_URL"
OPENAI: Final = "https://api.openai.com/v1"
"""Where the model is, where nobody says otherwise."""

OFF: Final = (
    "apps",
    "browser_use",
    "browser_use_external",
    "browser_use_full_cdp_access",
    "computer_use",
    "daemon_auto_start",
    "goals",
    "hooks",
    "image_generation",
    "in_app_browser",
    "in_app_chat",
    "in_app_local_automation",
    "memories",
    "multi_agent",
    "multi_agent_v2",
    "plugin_sharing",
    "plugins",
    "remote_plugin",
    "shell_snapshot",
    "skill_mcp_dependency_install",
    "skill_search",
    "sleep_tool",
    "tool_suggest",
    # It would wait for the network for ever, inside a turn.
    "unbounded_connection_retries",
    "workspace_dependencies",
)
"""Features by which work would start, or mail pass, or waiting go on, that hive does not see."""

SHELL: Final = ("shell_tool", "unified_exec")
"""Features of an agent that may run commands."""

# Codex keeps its own directory of this name from the commands that it runs in its sandbox, so that none can
# write settings which are commands themselves.  Where it lies under the directory for temporary files, it
# makes no links to its helpers and says so; commands run all the same, so in tests that is all it means.
CONFIGURATION: Final = ".codex"
"""The CLI's own directory, in the agent's."""

# It leaves at once where that directory is not there.  Made in the box, with the rights that it has there.
PREPARED: Final = ("/bin/sh", "-c", 'mkdir -p "$CODEX_HOME"; exec "$0" "$@"')

CLIENT: Final = {"name": "hive", "title": None, "version": "1"}


def command(program: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """The arguments of the process."""
    off = (*OFF, *(() if settings.allow_shell else SHELL))
    options = (
        *(f"features.{name}=false" for name in off),
        'web_search="disabled"',
        # Else a `$name` in somebody's mail would put a skill that nobody asked for into the prompt.
        "skills.bundled.enabled=false",
        # One would find other programs than the box has.
        "allow_login_shell=false",
        "analytics.enabled=false",
        "check_for_update_on_startup=false",
    )
    return (*PREPARED, *program, "app-server", *(word for option in options for word in ("-c", option)))


def environment(box: Box, credentials: Mapping[str, str]) -> Mapping[str, str]:
    """What the CLI finds in its environment besides what every process of its box does."""
    login = {name: value for name, value in credentials.items() if name != BASE_URL}
    return {**login, "CODEX_HOME": f"{box.home}/{CONFIGURATION}"}


def needs_login(credentials: Mapping[str, str]) -> bool:
    """Whether Codex needs a login of its own, hive having no key and no address for it."""
    return not {KEY, BASE_URL} & {*credentials}


def initialize() -> JsonObject:
    """What the first request says."""
    return {"clientInfo": dict(CLIENT), "capabilities": None}


def thread(
    settings: Settings, box: Box, url: str, token: str, credentials: Mapping[str, str]
) -> dict[str, object]:
    """What a thread is opened with: where hive's tools are, what opens them, and what may be done."""
    server = {
        "url": url,
        "http_headers": {"Authorization": f"Bearer {token}"},
        # Else every call would want a person to allow it.
        "default_tools_approval_mode": "approve",
        # With True a server that is down is an error without a type.  Its status is waited for instead.
        "required": False,
    }
    return {
        "sandbox": "workspace-write" if settings.allow_shell else "read-only",
        "approvalPolicy": "never",
        **({"model": settings.model} if settings.model else {}),
        **({} if needs_login(credentials) else {"modelProvider": PROVIDER}),
        "config": {
            "mcp_servers": {SERVER: server},
            "sandbox_workspace_write": {
                "writable_roots": [box.shared],
                "exclude_slash_tmp": True,
                "exclude_tmpdir_env_var": True,
            },
            "shell_environment_policy": {"exclude": sorted({KEY, *credentials})},
            **({} if needs_login(credentials) else {"model_providers": {PROVIDER: _provider(credentials)}}),
        },
    }


def resume(session: str, opening: Mapping[str, object]) -> JsonObject:
    """What a thread that is known is opened again with; what was said in it is not wanted."""
    return {"threadId": session, "excludeTurns": True, **opening}


def turn(session: str, text: str) -> JsonObject:
    """What a turn is begun with."""
    return {"threadId": session, "input": _input(text)}


def steer(session: str, turn: str, text: str) -> JsonObject:
    """What more mail is shown to a running turn with."""
    return {"threadId": session, "expectedTurnId": turn, "input": _input(text)}


def interrupt(session: str, turn: str) -> JsonObject:
    """What a turn is stopped with."""
    return {"threadId": session, "turnId": turn}


def request(number: int, method: str, params: Mapping[str, object]) -> JsonObject:
    """A request of ours."""
    return {"id": number, "method": method, "params": dict(params)}


def refusal(request: object) -> JsonObject:
    """The answer to whatever the CLI asks: without one it would wait for ever."""
    return {"id": request, "error": {"code": -32601, "message": "hive answers no requests"}}


def _provider(credentials: Mapping[str, str]) -> JsonObject:
    return {
        "name": "the provider this hive was given",
        "base_url": credentials.get(BASE_URL, OPENAI),
        "wire_api": "responses",
        **({"env_key": KEY} if KEY in credentials else {}),
        "supports_websockets": False,
        # The long wait is hive's.  Without a retry a stream that broke off would be an error without a type.
        "request_max_retries": 1,
        "stream_max_retries": 1,
    }


def _input(text: str) -> list[JsonObject]:
    return [{"type": "text", "text": text, "text_elements": []}]
