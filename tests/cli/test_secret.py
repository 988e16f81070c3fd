"""`hive secret`: a key goes from standard input to the daemon, and nowhere else."""

import io
from typing import Any

import pytest

from hive.cli.status import Failed, Status
from tests.cli.conftest import FakeDaemon, Run

KEPT: dict[str, Any] = {"name": "claude", "variables": ["ANTHROPIC_API_KEY"], "woken": []}


def types(monkeypatch: pytest.MonkeyPatch, text: str, *, terminal: bool = False) -> None:
    """Have a person or a pipe give this on standard input."""
    stdin = io.StringIO(text)
    monkeypatch.setattr(stdin, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stdin", stdin)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: text)


@pytest.mark.parametrize("terminal", [True, False])
async def test_a_key_is_read_and_never_printed(
    daemon: FakeDaemon, run: Run, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    """Piped, or typed unseen; the end of its line is not part of it."""
    daemon.results = {"secret.set": {**KEPT, "woken": ["iris", "ben"]}}
    types(monkeypatch, "sk-secret\n", terminal=terminal)
    status, said = await run("secret", "set", "claude")
    (command,) = daemon.said("cmd")
    assert (command["name"], command["args"]) == ("secret.set", {"name": "claude", "value": "sk-secret"})
    assert status is Status.OK
    assert said == "claude is kept, with ANTHROPIC_API_KEY. No longer waiting for it: iris, ben.\n"


async def test_a_variable_may_be_named(daemon: FakeDaemon, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential holds as many as its CLI needs."""
    daemon.results = {"secret.set": KEPT}
    types(monkeypatch, "http://127.0.0.1:1")
    await run("secret", "set", "claude", "--variable", "ANTHROPIC_BASE_URL")
    (command,) = daemon.said("cmd")
    assert command["args"]["variable"] == "ANTHROPIC_BASE_URL"


async def test_a_list_says_who_uses_what(daemon: FakeDaemon, run: Run) -> None:
    """Or how to begin."""
    daemon.answers = {"secrets": []}
    assert "hive secret set claude" in (await run("secret", "list"))[1]
    one = {"name": "claude", "variables": ["ANTHROPIC_API_KEY"], "changed_at": 0.0}
    daemon.answers = {"secrets": [{**one, "used_by": ["iris"]}, {**one, "name": "work", "used_by": []}]}
    _, said = await run("secret", "list")
    assert [line.rsplit(", ", 1)[1] for line in said.splitlines()] == ["used by iris", "used by nobody"]


async def test_a_credential_is_taken_away(daemon: FakeDaemon, run: Run) -> None:
    """By its name."""
    daemon.results = {"secret.remove": {"name": "claude", "left": []}}
    assert await run("secret", "remove", "claude") == (Status.OK, "claude is gone.\n")
    daemon.results = {"secret.remove": {"name": "claude", "left": ["A"]}}
    _, said = await run("secret", "remove", "claude", "--variable", "B")
    assert said == "claude has A left.\n"
    assert daemon.said("cmd")[-1]["args"] == {"name": "claude", "variable": "B"}


@pytest.mark.parametrize("typed", ["set", "remove", "list claude", "list --variable A"])
async def test_what_makes_no_sense_is_not_sent(daemon: FakeDaemon, run: Run, typed: str) -> None:
    """Nor is anything read for it."""
    with pytest.raises(Failed) as failed:
        await run("secret", *typed.split())
    assert failed.value.status is Status.USAGE
    assert not daemon.said("cmd")
