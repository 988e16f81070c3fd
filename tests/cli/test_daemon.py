"""One real daemon, and the verbs as a person types them, from the first start to the last."""

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from hive.directory import Directory, holder
from tests.cli.person import HIVE, Person, processes_of

KEY = "sk-secret-of-the-test"

pytestmark = pytest.mark.slow


def test_a_life_of_a_hive(person: Person) -> None:  # noqa: PLR0915 - one life, in order
    """Every verb that changes something, against what it changes."""
    started = person.types("up", "--detach")
    assert "hive.toml" in started
    assert "no isolation" in started
    assert "Next: hive spawn" in started
    assert "code=" not in started
    assert "already runs" in person.types("up", expect=1)
    assert f"pid {holder(Directory(person.root))}" in person.types("up", expect=1)
    assert not (person.root / "hive.sqlite3").stat().st_mode & 0o077
    served = {one["path"]: (one["value"], one["source"]) for one in person.asks("config")["settings"]}
    assert served["web.port"][0] != 0
    assert f":{served['web.port'][0]} " in started
    assert served["web.port"][1] == "HIVE_WEB_PORT"

    # Agents, mail and its story.
    person.types("spawn", "boss", "--backend", "scripted", "--manager", "--allow-shell")
    assert "already" in person.types("spawn", "boss", "--backend", "scripted", expect=4)
    answered = person.asks("send", "manager", "are you there?", "--wait")
    assert answered["reply"]["mail"]["sender"] == "boss"
    assert "(said, not sent) hello" in person.types("send", "boss", "!say hello", "--wait")
    refused = person.asks("send", "boss", "!error teapot", "--wait")["reply"]
    assert "no class of error; there are auth," in refused["body"]
    person.types("done", refused["mail"]["id"])
    story = person.types("message", answered["reply"]["mail"]["in_reply_to"])
    assert [step in story for step in ("accepted from", "claimed by", "shown to", "done:")] == [True] * 4
    mine = person.asks("inbox")["mail"][1]
    for verb, state, read in (("read", "ready", True), ("unread", "ready", False), ("done", "done", False)):
        person.types(verb, mine["id"])
        now = person.asks("inbox")["mail"][1]
        assert (now["state"], now["read"] if verb != "done" else False) == (state, read)
    assert "boss is idle" in person.types("why", "boss")
    assert person.asks("turns", "boss")[0]["cause"] == "operator"
    assert person.types("cost").splitlines()[-1].startswith("all")

    # A hook in the box reaches its own agent, and nobody reaches the operator's socket from there.
    script = (
        f"!sh hive wake --label hook --body 'from a hook'; HIVE_DIR={person.root} hive status; echo status $?"
    )
    person.types("send", "boss", script, "--wait", expect=1)
    stream = _printed(person, "tail", "boss")
    assert "use the tools of your own endpoint" in stream
    assert "status 1" in stream
    assert any(mail["label"] == "hook" for mail in person.asks("mail", "boss")["mail"])

    # What is not there.
    assert "See: hive ps" in person.types("why", "bos", expect=1)
    assert "Did you mean boss? See: hive ps" in person.types("pause", "bos", expect=1)
    assert "See: hive inbox" in person.types("bury", "#999", expect=1)

    # Pausing, kicking, cancelling.
    assert "paused: boss" in person.types("pause", "boss")
    assert "way out: hive resume boss" in person.types("why", "boss")
    assert "is parked" in person.types("send", "boss", "hi", "--wait", "--seconds", "0.5", expect=5)
    person.types("resume", "--all")
    person.types("kick", "boss")
    person.types("stop", "boss")
    assert "way out: hive start boss" in person.types("why", "boss")
    person.types("start", "boss")
    person.types("cancel", "boss", expect=1)

    # Dead letters.
    person.types("spawn", "iris", "--backend", "external")
    held = person.asks("send", "iris", "for a client")["accepted"][0]["id"]
    person.types("bury", held)
    assert person.asks("dead")[0]["id"] == held
    again = person.asks("redrive", held, "--to", "boss")
    assert again["recipient"] == "boss"
    person.types("redrive", held, expect=4)
    first = person.asks("endpoint", "iris")
    assert first["token"]
    assert person.asks("endpoint", "iris")["token"] is None
    assert person.asks("endpoint", "iris", "--rotate")["token"] not in (None, first["token"])
    person.types("send", "iris", "lost")
    assert "became dead letters" in person.types("remove", "iris")
    assert "agent:boss" in person.types("tree")
    assert "ok   invariants" in person.types("doctor")

    # Keys, and what an agent is run with.
    waits = person.types("spawn", "rosa", "--backend", "claude")
    assert waits == "rosa is there, but its CLI has no key yet: hive secret set claude\n"
    assert "its CLI has no key yet" in person.types("why", "rosa")
    assert "Claude Code" in person.types("doctor", expect=1)
    assert "No longer waiting for it: rosa." in person.types("secret", "set", "claude", given=f"{KEY}\n")
    assert "rosa is idle" in person.types("why", "rosa")
    assert "used by rosa" in person.types("secret", "list")
    (kept,) = (person.root / "credentials").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "run so from its next turn on" in person.types("change", "rosa", "--model", "opus")
    assert person.asks("ps")[-1]["view"]["settings"]["model"] == "opus"
    assert "is no model's name" in person.types("change", "rosa", "--model=--resume", expect=1)
    person.types("secret", "remove", "claude")
    assert list((person.root / "credentials").iterdir()) == []

    # Copies.
    copy, other = person.root.parent / "copy", person.root.parent / "other"
    person.types("backup", str(copy))
    person.types("backup", str(copy), expect=1)
    person.types("restore", str(copy), str(other))

    assert "has stopped" in person.types("down")
    assert holder(Directory(person.root)) is None
    assert processes_of(person.root) == []
    assert "not running" in person.types("status", expect=3)
    assert "no hive runs" in person.types("doctor", expect=1)
    log = (person.root / "hive.log").read_text()
    assert "code=" not in log
    assert "\x1b" not in log
    assert "Traceback" not in log
    assert [path for path in person.root.rglob("*") if path.is_file() and KEY in contents(path)] == []

    restored = Person(other)
    restored.types("up", "--detach")
    names = [entry["view"]["name"] for entry in restored.asks("ps")]
    restored.types("down")
    assert names == ["boss", "rosa"]


def contents(path: Path) -> str:
    """A file's bytes as text, whatever they are."""
    return path.read_bytes().decode("latin-1")


def _printed(person: Person, *words: str) -> str:
    """What a verb that goes on prints within two seconds; Ctrl-C ends it with its own status."""
    following = subprocess.Popen(
        [*HIVE, *words],
        env=person.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        following.communicate(timeout=2)
    following.send_signal(signal.SIGINT)
    printed, _ = following.communicate(timeout=60)
    assert following.returncode == 130
    return printed


def test_signals_stop_it_in_order_and_a_second_one_at_once(person: Person) -> None:
    """What was running is settled at the next start."""
    person.types("up", "--detach")
    person.types("spawn", "boss", "--backend", "scripted", "--allow-shell")
    person.types("send", "boss", "!sh sleep 300")
    pid = holder(Directory(person.root))
    assert pid
    gone = os.pidfd_open(pid)
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    assert _left(gone, 10)
    assert processes_of(person.root) == []
    log = (person.root / "hive.log").read_text()
    assert "stopped at once" in log
    assert "Traceback" not in log
    person.types("up", "--detach")
    assert person.asks("status")["violations"] == []
    person.types("down")


def test_a_daemon_whose_files_were_taken_away_says_so_and_is_saved(person: Person) -> None:
    """Its store is copied from what it has open; without its socket it is stopped by a signal."""
    person.types("up", "--detach")
    person.types("spawn", "iris", "--backend", "external")
    person.types("send", "iris", "kept")
    assert "those that hive has open" in person.types("doctor")
    directory, copy, other = Directory(person.root), person.root.parent / "copy", person.root.parent / "other"
    for name in ("run/x", "hive.sqlite3-new", "hive.log2/x", "n" * 300):
        text = person.types("backup", str(person.root / name), expect=1)
        assert "choose another" in text.lower() or "Choose a file" in text
    directory.agent_socket("iris").unlink()
    assert f"missing: {directory.agent_socket('iris')}" in person.types("doctor", expect=1)
    taken = person.root / "hive.sqlite3-wal"
    taken.unlink()
    assert f"{taken} was deleted or replaced" in person.types("doctor", expect=1)
    directory.store.replace(person.root / "moved")
    directory.store.touch()
    told = person.types("doctor", expect=1)
    assert f"{directory.store} was deleted or replaced" in told
    assert "make a backup now" in told
    person.types("backup", str(copy))
    directory.operator_socket.unlink()
    assert f"its socket {directory.operator_socket} is gone" in person.types("doctor", expect=1)
    assert "told by SIGTERM" in person.types("down")
    assert holder(directory) is None
    person.types("down", expect=3)
    person.types("restore", str(copy), str(other))
    restored = Person(other)
    restored.types("up", "--detach")
    try:
        assert [one["state"] for one in restored.asks("mail", "iris")["mail"]] == ["ready"]
    finally:
        restored.types("down")


def _left(handle: int, seconds: float) -> bool:
    """Whether a process ends in time."""
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)
