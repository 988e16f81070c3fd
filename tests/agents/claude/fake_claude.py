"""A CLI that speaks Claude Code's protocol and misbehaves, as its first argument says.

It runs in a box, without hive: standard library only.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

LARGE = 20_000_000
WORDS = {"type": "assistant", "message": {"model": "fake", "content": [{"type": "text", "text": "done"}]}}
RESULT = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "terminal_reason": "completed",
    "result": "done",
}


def tell(line: object) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def heard() -> Iterator[dict[str, object]]:
    """What is said to us."""
    for line in sys.stdin:
        yield json.loads(line)


def begin(prompt: dict[str, object], session: str) -> None:
    """Take the prompt."""
    tell({"type": "command_lifecycle", "command_uuid": prompt["uuid"], "state": "started"})
    servers = [{"name": "hive", "status": "connected"}]
    tell({"type": "system", "subtype": "init", "session_id": session, "mcp_servers": servers})


def leave_children() -> None:
    """Start what does not want to be found, and write down who it is."""
    # The first holds our output open; the second leaves its parent, its session and its environment,
    # though not all within a moment.
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    subprocess.run(["sh", "-c", "env -i setsid sleep 300 & echo $! > child; sleep 0.5"], check=True)


def misbehave(how: str) -> None:  # noqa: C901, PLR0912 - a list of sins
    """Do one thing wrong, in the middle of a turn."""
    match how:
        case "well" | "forgets":
            tell(WORDS)
            tell(RESULT)
        case "garbage":
            os.write(1, b"warning: \xff\xfe\n[1, 2]\n" + b"[" * 100_000 + b"\n" + b"noise\n" * 1000)
            tell({"type": "assistant", "message": {"content": [{"type": "text", "text": "half \ud83d"}]}})
            tell(RESULT)
        case "large":
            os.write(1, b'{"type": "' + b"x" * 1000)
            while os.write(1, b"x" * LARGE):
                pass
        case "fitting":
            tell({"type": "tool_progress", "padding": "x" * 15_000_000})
            tell(WORDS)
            tell(RESULT)
        case "silent" | "deaf":
            time.sleep(300)
        case "dies":
            tell(WORDS)
            sys.stderr.write("x" * 1_000_000 + " it hurts")
            sys.exit(7)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "twice":
            tell(WORDS)
            tell(RESULT)
            tell({**RESULT, "is_error": True, "result": "again"})
        case "never":
            tell(WORDS)
            sys.exit(0)
        case "lies":
            tell({**RESULT, "is_error": True, "result": "all done, everything went well"})
        case "children":
            leave_children()
            tell(WORDS)
            tell(RESULT)
        case "children and dies":
            leave_children()
            sys.exit(7)
        case "children and deaf":
            leave_children()
            time.sleep(300)
        case "stays":
            tell(WORDS)
            tell(RESULT)
            time.sleep(300)


def main(how: str, session: str) -> None:
    """Play one turn."""
    if "deaf" in how:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    if how == "forgets" and "--resume" in sys.argv:
        tell({**RESULT, "is_error": True, "errors": ["no such session"], "result": None})
        time.sleep(0.2)
        sys.exit(1)
    for line in heard():
        match line:
            case {"type": "control_request", "request_id": request}:
                tell({"type": "control_response", "response": {"subtype": "success", "request_id": request}})
            case {"type": "user"}:
                begin(line, session)
                misbehave(how)


main(sys.argv[1], sys.argv[-1])
