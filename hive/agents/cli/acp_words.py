"""How an agent that speaks ACP is started and what is said to it.  Pure.

The rule kept here: the session token stands in the servers of `session/new`, `session/resume` and
`session/load` alone.  Arguments can be read by everybody on the machine, and the environment by every tool
the agent runs.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from hive.agents.cli.json_lines import JsonObject
from hive.protocol.presets import HOME, MODEL, ModelWay, Preset, Start

SERVER: Final = "hive"
"""What hive's tools are called among the agent's MCP servers."""

VERSION: Final = 1
"""Of the protocol."""

METHOD_NOT_FOUND: Final = -32601

CLIENT: Final[JsonObject] = {
    "protocolVersion": VERSION,
    "clientInfo": {"name": "hive", "version": "1"},
    # An agent that may not ask us for files and terminals uses its own, in its box.
    "clientCapabilities": {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False},
}
"""What `initialize` says of us."""


def start(program: Sequence[str], preset: Preset, *, model: str, allow_shell: bool, home: str) -> Start:
    """The arguments and the environment of a process."""
    parts = [Start(preset.arguments, preset.environment)]
    if not allow_shell:
        parts.append(Start(preset.without_shell.arguments, preset.without_shell.environment))
    if model:
        parts.append(Start(preset.model.arguments, preset.model.environment))
    fill = {HOME: home, MODEL: model}
    return Start(
        (*program, *(_filled(word, fill) for part in parts for word in part.arguments)),
        {name: _filled(word, fill) for part in parts for name, word in part.environment.items()},
    )


def request(number: int, method: str, parameters: Mapping[str, object]) -> JsonObject:
    """A request, to be answered under its number."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": dict(parameters)}


def place(home: str, url: str, token: str) -> JsonObject:
    """Where a session is: its directory, and hive's tools with what opens them."""
    header = {"name": "Authorization", "value": f"Bearer {token}"}
    server = {"type": "http", "name": SERVER, "url": url, "headers": [header]}
    return {"cwd": home, "mcpServers": [server]}


def prompt(session: str, text: str) -> JsonObject:
    """The parameters of a prompt.

    One text block: a file is only attached by a block of another kind.  What an agent makes of `/command`
    at the very beginning is its own affair, so the text must not be somebody's mail as it came.
    """
    return {"sessionId": session, "prompt": [{"type": "text", "text": text}]}


def cancel(session: str) -> JsonObject:
    """The notice to stop the turn."""
    return {"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": session}}


def mode(preset: Preset, *, allow_shell: bool) -> str:
    """The mode to set; empty for the agent's own default."""
    return preset.mode if allow_shell else preset.without_shell.mode or preset.mode


def choose_model(preset: Preset, session: str, model: str) -> tuple[str, Mapping[str, str]] | None:
    """The method and the parameters that set the model; None where no request does."""
    match preset.model.way:
        case ModelWay.OPTION:
            option = {"sessionId": session, "configId": preset.model.option, "value": model}
            return "session/set_config_option", option
        case ModelWay.METHOD:
            return "session/set_model", {"sessionId": session, "modelId": model}
        case ModelWay.NONE | ModelWay.START:
            return None


def decision(number: object, options: object, *, allowed: bool) -> JsonObject:
    """The answer to a request for permission: this once, or not this once, and never for always."""
    wanted = "allow_once" if allowed else "reject_once"
    for option in options if isinstance(options, list) else []:
        match option:
            case {"kind": str(kind), "optionId": str(chosen)} if kind == wanted:
                return _answer(number, {"outcome": {"outcome": "selected", "optionId": chosen}})
    return _answer(number, {"outcome": {"outcome": "cancelled"}})


def refusal(number: object) -> JsonObject:
    """The answer to whatever else the agent asks: without one it would wait for ever."""
    error = {"code": METHOD_NOT_FOUND, "message": "hive answers no such request"}
    return {"jsonrpc": "2.0", "id": number, "error": error}


def _answer(number: object, result: Mapping[str, object]) -> JsonObject:
    return {"jsonrpc": "2.0", "id": number, "result": dict(result)}


def _filled(word: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word
