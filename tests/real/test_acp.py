"""The real OpenCode and Gemini in a real hive, against a model that follows a script: no network, no account.

They are too large to be asked for: `bin/agent-clis DIRECTORY` installs them, and these tests run where
HIVE_AGENT_CLIS names that directory.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio
from attrs import frozen

from hive.actors.protocol import BROKER, Perform
from hive.agents.tokens import CliSession, Sessions
from hive.containers.processes import everything, marked
from hive.protocol.commands import CancelTurn, Settings
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from tests.real import agent_scene
from tests.real.agent_scene import NEEDS_CLIS, Scene

SECONDS = 120.0
KEY = "the right key"

pytestmark = [*NEEDS_CLIS]


def opencode(url: str, key: str) -> Mapping[str, str]:
    """OpenCode's login at a provider of our own."""
    limit = {"context": 100_000, "output": 4_000}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{url}/v1", "apiKey": key},
        "models": {"scripted": {"name": "scripted", "limit": limit}},
    }
    return {
        "OPENCODE_CONFIG_CONTENT": json.dumps({"provider": {"local": provider}}),
        "npm_config_offline": "true",
    }


def gemini(url: str, key: str) -> Mapping[str, str]:
    """Gemini's login at an address of our own."""
    return {"GEMINI_API_KEY": key, "GOOGLE_GEMINI_BASE_URL": url}


@frozen
class Kind:
    """One CLI."""

    name: str
    login: Callable[[str, str], Mapping[str, str]]
    model: str
    shell: str
    """The script line by which its model runs `touch` with a file."""

    write: str
    """That by which it writes one."""


KINDS = (
    Kind(
        "opencode",
        opencode,
        "local/scripted",
        '!call bash {"command": "touch FILE", "description": "x"}',
        '!call write {"filePath": "FILE", "content": "x"}',
    ),
    Kind(
        "gemini",
        gemini,
        "gemini-2.5-pro",
        '!call run_shell_command {"command": "touch FILE"}',
        '!call write_file {"file_path": "FILE", "content": "x"}',
    ),
)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each of them."""
    found: Kind = request.param
    return found


def scene(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, *, key: str = KEY, allow_shell: bool = False
) -> AbstractAsyncContextManager[Scene]:
    """A hive with an agent of that CLI, which has this key to the model."""
    settings = Settings(backend=kind.name, model=kind.model, allow_shell=allow_shell)
    one = agent_scene.Kind(settings, lambda url: kind.login(url, key), KEY, SECONDS)
    return agent_scene.agent_scene(one, path, monkeypatch)


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that has opened an agent's endpoint."""
    minted: list[str] = []
    mint = Sessions.mint

    def noted(sessions: Sessions, agent: str) -> CliSession:
        session = mint(sessions, agent)
        minted.append(session.token)
        return session

    monkeypatch.setattr(Sessions, "mint", noted)
    return minted


def left_running(path: Path) -> list[str]:
    """What still lives of all that was started in the hive's boxes."""
    stats = everything()
    here = str((path / "hive").absolute())
    return [f"{pid}" for pid in stats if f"HIVE_BOX={here}".encode() in environment_of(pid)] + [
        str(one) for one in marked(f"HIVE_BOX={here}", stats)
    ]


def environment_of(pid: int) -> bytes:
    """A process's environment, where it can be read."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def holding(state: Path, words: list[str]) -> list[str]:
    """The agent's files in which one of these words stands."""
    found = []
    for file in state.rglob("*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            found += [str(file) for word in words if word.encode() in content]
    return found


def a_minute_passes(state: Path) -> None:
    """Gemini forgets a session that is loaded in the minute it began in: it writes over its file."""
    for file in state.glob(".gemini/tmp/*/chats/session-*.jsonl"):
        _, year, rest = file.name.split("-", 2)
        file.rename(file.with_name(f"session-{int(year) - 1}-{rest}"))


async def test_mail_is_answered_with_hive_s_tools_and_the_session_outlives_hive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, tokens: list[str]
) -> None:
    """Prompt, tool, answer, result; a second hive on the same directory goes on with what was said.

    And nothing of it survives: no process, and in no file what opens the agent's endpoint.
    """
    state = tmp_path / "hive" / "agents" / "iris" / "state"
    for first in (True, False):
        async with scene(tmp_path, monkeypatch, kind) as place:
            await place.answers_and_remembers(first)
        assert left_running(tmp_path) == []
        a_minute_passes(state)
    assert len(tokens) == 2
    assert holding(state, tokens) == []


async def test_a_turn_that_hangs_is_cancelled_by_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """The agent is asked to stop; the mail is done as cancelled, and the next one is handled."""
    async with scene(tmp_path, monkeypatch, kind) as place:
        await place.send("!say begun\n!hang")
        # What is asked without tools is a title.  Its first words show that the prompt was taken.
        while not any(asked.tools for asked in place.model.requests):  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.1)
        await trio.sleep(1.0)
        await place.running.hive.ref(BROKER).ask(Perform(CancelTurn("iris")))
        view = await place.rests()
        assert view.last_turn is not None
        assert view.last_turn.outcome == Outcome.CANCELLED
        assert (await place.turn("!say well again")).final_text == "well again"
    assert left_running(tmp_path) == []


async def test_an_agent_whose_key_is_wrong_waits_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Its mail is neither lost nor tried again and again."""
    async with scene(tmp_path, monkeypatch, kind, key="a wrong key") as place:
        await place.waits("!say hello", Reason.LOGIN)
    assert left_running(tmp_path) == []


@pytest.mark.parametrize("allow_shell", [True, False])
@pytest.mark.parametrize("by", ["shell", "write"])
async def test_an_agent_acts_only_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, by: str, allow_shell: bool
) -> None:
    """Whatever its model tries, by a shell or by writing what would be run; it may not even be offered it."""
    file = tmp_path / "hive" / "agents" / "iris" / "state" / "made"
    call = {"shell": kind.shell, "write": kind.write}[by].replace("FILE", str(file))
    async with scene(tmp_path, monkeypatch, kind, allow_shell=allow_shell) as place:
        await place.send(f"{call}\n!say tried")
        await place.until(lambda view: view.last_turn is not None)
        assert any(str(file) in str(asked) for asked in place.model.requests)
    assert file.exists() is allow_shell


async def test_mail_is_no_command_to_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Neither is a file read that it names: it is shown as it was written."""
    secret = tmp_path / "secret"
    secret.write_text("what nobody should see")
    async with scene(tmp_path, monkeypatch, kind) as place:
        turn = await place.turn(f"/compact\n/help @{secret}\n!say read")
        assert turn.final_text == "read"
        asked = str(place.model.requests)
    assert f"@{secret}" in asked
    assert "what nobody should see" not in asked
