"""Ready-to-paste configuration that lets somebody's own MCP client act as an agent.  Pure.

The rule kept here: a token is in the text only when it was just made; otherwise a placeholder says how to
make a new one.
"""

import json
from collections.abc import Callable, Mapping


def placeholder(agent: str) -> str:
    """What stands where a token was shown once already."""
    return f"TOKEN-WAS-SHOWN-ONCE--hive-endpoint-{agent}---rotate"


def _claude(url: str, token: str) -> str:
    return f'claude mcp add --transport http hive {url} --header "Authorization: Bearer {token}"'


def _codex(url: str, token: str) -> str:
    return "\n".join(
        (
            "# ~/.codex/config.toml",
            "[mcp_servers.hive]",
            f'url = "{url}"',
            f'http_headers = {{ "Authorization" = "Bearer {token}" }}',
        )
    )


def _opencode(url: str, token: str) -> str:
    server = {"type": "remote", "url": url, "headers": {"Authorization": f"Bearer {token}"}, "enabled": True}
    return "// opencode.json\n" + json.dumps({"mcp": {"hive": server}}, indent=2)


def _gemini(url: str, token: str) -> str:
    server = {"httpUrl": url, "headers": {"Authorization": f"Bearer {token}"}}
    return "// ~/.gemini/settings.json\n" + json.dumps({"mcpServers": {"hive": server}}, indent=2)


def _generic(url: str, token: str) -> str:
    server = {"type": "http", "url": url, "headers": {"Authorization": f"Bearer {token}"}}
    return json.dumps({"mcpServers": {"hive": server}}, indent=2)


CONFIGURATIONS: Mapping[str, Callable[[str, str], str]] = {
    "claude": _claude,
    "codex": _codex,
    "opencode": _opencode,
    "gemini": _gemini,
    "generic": _generic,
}
