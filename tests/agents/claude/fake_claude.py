"""A CLI that speaks Claude Code's protocol and misbehaves, as its first argument says.

It runs in a box, without hive: standard library only.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.agents.misbehaving import be_deaf, heard, misbehave, tell


class Claude:
    """How Claude Code says things."""

    def words(self, text: str) -> object:
        """The model says something."""
        content = [{"type": "text", "text": text}]
        return {"type": "assistant", "message": {"model": "fake", "content": content}}

    def filler(self, padding: str) -> object:
        """Nothing that matters."""
        return {"type": "tool_progress", "padding": padding}

    def result(self, text: str = "done", *, ok: bool = True) -> dict[str, object]:
        """The turn has ended; it calls itself a success whatever it is."""
        return {
            "type": "result",
            "subtype": "success",
            "is_error": not ok,
            "terminal_reason": "completed",
            "result": text,
        }


def begin(prompt: dict[str, object], session: str) -> None:
    """Take the prompt."""
    tell({"type": "command_lifecycle", "command_uuid": prompt["uuid"], "state": "started"})
    servers = [{"name": "hive", "status": "connected"}]
    tell({"type": "system", "subtype": "init", "session_id": session, "mcp_servers": servers})


def main(how: str, session: str) -> None:
    """Play one turn."""
    be_deaf(how)
    speech = Claude()
    if how == "forgets" and "--resume" in sys.argv:
        tell({**speech.result(ok=False), "errors": ["no such session"], "result": None})
        time.sleep(0.2)
        sys.exit(1)
    for line in heard():
        match line:
            case {"type": "control_request", "request_id": request}:
                tell({"type": "control_response", "response": {"subtype": "success", "request_id": request}})
            case {"type": "user"}:
                begin(line, session)
                misbehave(how, speech)


main(sys.argv[1], sys.argv[-1])
