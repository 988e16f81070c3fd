"""A CLI that speaks Codex's protocol and misbehaves, as its first argument says.

It runs in a box, without hive: standard library only.
"""

import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.agents.misbehaving import be_deaf, heard, misbehave, tell

TURN = "turn-1"


class Codex:
    """How Codex's app server says things."""

    def words(self, text: str) -> object:
        """The model says something."""
        return self.notification("item/completed", item={"type": "agentMessage", "id": "1", "text": text})

    def filler(self, padding: str) -> object:
        """Nothing that matters."""
        return self.notification("item/mcpToolCall/progress", message=padding)

    def result(self, text: str = "done", *, ok: bool = True) -> object:
        """The turn has ended; what it says of a failure reads as it likes."""
        turn = {"id": TURN, "status": "completed" if ok else "failed", "error": {"message": text}}
        return self.notification("turn/completed", turn=turn)

    def notification(self, method: str, **params: object) -> object:
        """What is told of the turn."""
        return {"method": method, "params": params}


def answer(line: dict[str, object], how: str) -> None:
    """Answer a request."""
    speech = Codex()
    match line["method"]:
        case "thread/resume" if how == "forgets":
            tell({"id": line["id"], "error": {"code": -32600, "message": "no such session"}})
        case "thread/start" | "thread/resume" as method:
            params = line["params"]
            assert isinstance(params, dict)
            thread = str(uuid.uuid4()) if method == "thread/start" else params["threadId"]
            tell({"id": line["id"], "result": {"thread": {"id": thread}}})
            tell(speech.notification("mcpServer/startupStatus/updated", name="hive", status="ready"))
        case "account/read":
            tell({"id": line["id"], "result": {"account": {"type": "apiKey"}}})
        case "turn/start":
            tell({"id": line["id"], "result": {"turn": {"id": TURN}}})
            misbehave(how, speech)
        case _:
            tell({"id": line["id"], "result": {}})


def main(how: str) -> None:
    """Play one turn."""
    be_deaf(how)
    for line in heard():
        if "id" in line:
            answer(line, how)


main(sys.argv[1])
