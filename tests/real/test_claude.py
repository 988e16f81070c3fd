"""The real Claude Code in a real hive, against a model that follows a script: no network, no account.

It is too large to be asked for: `bin/agent-clis DIRECTORY` installs it, and these tests run where
HIVE_AGENT_CLIS names that directory.
"""

import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import pytest
import trio

from hive.agents.cli.claude_words import CONFIGURATION
from hive.protocol.commands import Settings
from hive.protocol.parking import Reason
from tests.real.agent_scene import NEEDS_CLIS, Kind, Scene, agent_scene

pytestmark = [*NEEDS_CLIS]
CLAUDE: Final = Kind(
    Settings(backend="claude"), lambda url: {"ANTHROPIC_API_KEY": "a key", "ANTHROPIC_BASE_URL": url}
)


def scene(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, logged_in: bool = True
) -> AbstractAsyncContextManager[Scene]:
    """A hive with an agent of Claude Code."""
    return agent_scene(CLAUDE, path, monkeypatch, logged_in=logged_in)


async def test_mail_is_answered_with_hive_s_tools_and_the_session_outlives_hive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompt, tool, answer, result; a second hive on the same directory goes on with what was said."""
    for first in (True, False):
        async with scene(tmp_path, monkeypatch) as place:
            await place.answers_and_remembers(first)


async def test_the_model_is_told_how_an_agent_lives_and_by_whom_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, in what the CLI tells it of all turns; a person's other words hold from the next turn on."""
    async with scene(tmp_path, monkeypatch) as place:
        await place.turn("!say hello")
        assert "You are iris, an agent in a hive" in place.model.requests[-1].system
        assert "Tools of the `hive` server" not in str(place.model.requests[-1].items)
        prompts = tmp_path / "hive" / "prompts"
        prompts.mkdir()
        (prompts / "agent.md").write_text("You are $name, and a cat.")
        await place.turn("!say meow")
        assert "You are iris, and a cat." in place.model.requests[-1].system
        assert "an agent in a hive:" not in place.model.requests[-1].system


async def test_an_agent_without_a_shell_gets_none_by_settings_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by a rule that allows one nor by a hook, in its project's settings or in its own."""
    command = {"type": "command", "command": f"touch {tmp_path}/hook"}
    hooks = {when: [{"hooks": [command]}] for when in ("PreToolUse", "UserPromptSubmit")}
    text = json.dumps({"permissions": {"allow": ["Bash"]}, "hooks": hooks})
    async with scene(tmp_path, monkeypatch) as place:
        await place.turn("!say the directories are there now")
        state = tmp_path / "hive" / "agents" / "iris" / "state"
        for folder in (".claude", CONFIGURATION):
            (state / folder).mkdir(exist_ok=True)
            (state / folder / "settings.json").write_text(text)
        call = json.dumps({"command": f"touch {tmp_path}/shell"})
        assert (await place.turn(f"!call Bash {call}\n!say tried")).final_text == "tried"
    assert not await trio.Path(tmp_path, "hook").exists()
    assert not await trio.Path(tmp_path, "shell").exists()


async def test_a_turn_that_hangs_is_cancelled_by_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CLI is interrupted; the mail is done as cancelled, and the next one is handled."""
    async with scene(tmp_path, monkeypatch) as place:
        await place.is_cancelled_by_a_person()


async def test_an_agent_that_is_not_logged_in_waits_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mail is neither lost nor tried again and again."""
    async with scene(tmp_path, monkeypatch, logged_in=False) as place:
        await place.waits("!say hello", Reason.LOGIN)
