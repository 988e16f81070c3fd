"""An agent that speaks ACP and misbehaves, as its first argument says.

It runs in a box, without hive: standard library only.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

LARGE = 20_000_000
SESSION = "ses_fake"
OTHER = "ses_other"
DONE = {"stopReason": "end_turn"}
CAPABLE = {"loadSession": True, "mcpCapabilities": {"http": True}}
OPTIONS = [
    {"optionId": "always", "kind": "allow_always"},
    {"optionId": "once", "kind": "allow_once"},
    {"optionId": "no", "kind": "reject_once"},
]


def tell(line: Mapping[str, object]) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **line}) + "\n")
    sys.stdout.flush()


def update(kind: str, session: str = SESSION, **more: object) -> None:
    """Tell something of a turn."""
    parameters = {"sessionId": session, "update": {"sessionUpdate": kind, **more}}
    tell({"method": "session/update", "params": parameters})


def speak(text: str = "done", session: str = SESSION, message: str | None = None) -> None:
    """Say something."""
    update("agent_message_chunk", session, content={"type": "text", "text": text}, messageId=message)


def ask(number: object, method: str, lines: Iterator[dict[str, object]], **parameters: object) -> object:
    """Ask for something, and wait for the answer."""
    tell({"id": number, "method": method, "params": {"sessionId": SESSION, **parameters}})
    for line in lines:
        if line.get("id") == number and "method" not in line:
            return line.get("result", line.get("error"))
    return None


def leave_children() -> None:
    """Start what does not want to be found, and write down who it is."""
    # The first holds our output open; the second leaves its parent, its session and its environment,
    # though not all within a moment.
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    subprocess.run(["sh", "-c", "env -i setsid sleep 300 & echo $! > child; sleep 0.5"], check=True)


def misbehave(how: str, lines: Iterator[dict[str, object]]) -> Mapping[str, object]:  # noqa: C901, PLR0912, PLR0915
    """Do one thing wrong, in the middle of a turn; answers what the prompt is answered with."""
    match how:
        case "garbage":
            os.write(1, b"warning: \xff\xfe\n[1, 2]\n" + b"[" * 100_000 + b"\n" + b"noise\n" * 1000)
            tell({"method": 3, "id": None, "params": []})
            tell({"method": "session/update", "params": {"sessionId": SESSION, "update": None}})
            speak("half \ud83d")
        case "large":
            os.write(1, b'{"method": "' + b"x" * 1000)
            while os.write(1, b"x" * LARGE):
                pass
        case "fitting":
            update("plan", padding="x" * 15_000_000)
            speak()
        case "silent" | "deaf":
            speak("hm")
            update("plan")
            time.sleep(300)
        case "unshown":
            time.sleep(300)
        case "dies":
            speak()
            sys.stderr.write("x" * 1_000_000 + " it hurts")
            sys.exit(7)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "never":
            speak()
            sys.exit(0)
        case "lies":
            return {"result": DONE}
        case "fails politely":
            speak("all done, everything went well")
            return {"error": {"code": -32603, "message": "all done, everything went well"}}
        case "children":
            leave_children()
            speak()
        case "children and dies":
            leave_children()
            sys.exit(7)
        case "children and deaf":
            leave_children()
            speak("hm")
            update("plan")
            time.sleep(300)
        case "asks":
            call = {"toolCallId": "c", "title": "rm -rf /", "kind": "execute"}
            permission = ask("p", "session/request_permission", lines, toolCall=call, options=OPTIONS)
            speak(json.dumps(permission), message="a")
            speak(json.dumps(ask(3, "fs/read_text_file", lines, path="/etc/passwd")), message="b")
            speak(json.dumps(ask("t", "terminal/create", lines, command="sh")), message="c")
        case "strangers":
            speak("not for us", OTHER)
            update("tool_call", OTHER, toolCallId="x", title="hive_send", status="in_progress")
            tell({"id": 999, "result": DONE})
            speak()
        case _:
            speak()
    return {"result": DONE}


def answer(line: Mapping[str, object], how: str, lines: Iterator[dict[str, object]]) -> None:
    """Answer one request."""
    match line.get("method"):
        case "initialize":
            if how == "mute":
                time.sleep(300)
            found: Mapping[str, object] = {"protocolVersion": 1, "agentCapabilities": CAPABLE}
            tell({"id": line["id"], "result": found})
        case "session/load":
            if how == "forgets":
                tell({"id": line["id"], "error": {"code": -32603, "message": "no such session"}})
                return
            for _ in range(3):
                speak("long ago")
            tell({"id": line["id"], "result": None})
            speak("not so long ago")
        case "session/new":
            tell({"id": line["id"], "result": {"sessionId": SESSION}})
        case "session/prompt":
            result = misbehave(how, lines)
            tell({"id": line["id"], **result})
            if how == "twice":
                tell({"id": line["id"], "error": {"code": -32000, "message": "again"}})
            if "stays" in how:
                time.sleep(300)


def main(how: str) -> None:
    """Play one turn."""
    if "deaf" in how:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    lines = (json.loads(line) for line in sys.stdin)
    for line in lines:
        answer(line, how, lines)


main(sys.argv[1])
