"""The real Codex in a real hive, against a model that follows a script: no network, no account.

It is too large to be asked for: `bin/agent-clis DIRECTORY` installs it, and these tests run where
HIVE_AGENT_CLIS names that directory.
"""

import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import pytest
from attrs import evolve

from hive.agents.cli.codex_words import CONFIGURATION
from hive.protocol.commands import Settings
from hive.protocol.parking import Reason
from tests.real.agent_scene import NEEDS_CLIS, Kind, Scene, agent_scene, rests_on

pytestmark = [*NEEDS_CLIS]
# To its own models Codex offers its tools in another way, which the scripted model does not read.
SETTINGS: Final = Settings(backend="codex", model="scripted")


def scene(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, logged_in: bool = True, allow_shell: bool = False
) -> AbstractAsyncContextManager[Scene]:
    """A hive with an agent of Codex."""
    settings = evolve(SETTINGS, allow_shell=allow_shell)
    kind = Kind(settings, lambda url: {"OPENAI_API_KEY": "a key", "OPENAI_BASE_URL": f"{url}/v1"})
    return agent_scene(kind, path, monkeypatch, logged_in=logged_in)


async def test_mail_is_answered_with_hive_s_tools_and_the_session_outlives_hive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompt, tool, answer, result; a second hive on the same directory goes on with what was said."""
    for first in (True, False):
        async with scene(tmp_path, monkeypatch) as place:
            await place.answers_and_remembers(first)


async def test_a_turn_that_hangs_is_cancelled_by_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CLI is interrupted; the mail is done as cancelled, and the next one is handled."""
    async with scene(tmp_path, monkeypatch) as place:
        await place.is_cancelled_by_a_person()


async def test_an_agent_that_is_not_logged_in_waits_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mail is neither lost nor tried again and again; no model was asked to find it out."""
    async with scene(tmp_path, monkeypatch, logged_in=False) as place:
        await place.waits("!say hello", Reason.LOGIN)
        assert place.model.requests == []


async def test_an_agent_that_meets_a_limit_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is the account's, not the mail's fault."""
    async with scene(tmp_path, monkeypatch) as place:
        await place.waits("!error 429 rate_limit_exceeded Slow down", Reason.LIMIT)


@pytest.mark.parametrize("allow_shell", [True, False])
async def test_commands_are_run_only_where_that_is_allowed(
    allow_shell: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its box and nowhere else: not where its settings are, which are commands themselves."""
    state = tmp_path / "hive" / "agents" / "iris" / "state"
    targets = (state / "here", state / CONFIGURATION / "config.toml", tmp_path / "outside")
    script = "; ".join(f"touch {target}" for target in targets)
    call = json.dumps({"cmd": f"{script}; echo the key is $OPENAI_API_KEY."})
    async with scene(tmp_path, monkeypatch, allow_shell=allow_shell) as place:
        offered = f"!call exec_command {call}\n!say tried"
        turn = await place.turn(offered if allow_shell else "!say tried")
        assert turn.final_text == "tried"
        tools = {tool.name for tool in place.model.requests[0].tools}
        assert ("exec_command" in tools) is allow_shell
        assert ("the key is ." in str(place.model.requests[-1].items[-1])) is allow_shell
    assert [target.exists() for target in targets] == [allow_shell, False, False]


async def test_mail_that_comes_during_a_turn_is_folded_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is shown it after its next step, and both are done with the one turn."""
    async with scene(tmp_path, monkeypatch) as place:
        await place.send("!wait 2\n!call hive/whoami {}\n!say not yet")
        await place.asked()
        await place.send("!say and that too")
        view = await place.until(lambda view: view.last_turn is not None and not rests_on(view))
        assert view.last_turn is not None
        assert view.last_turn.final_text == "and that too"
        assert (view.done, len(place.running.store.reader.turns("iris"))) == (2, 1)


async def test_mail_is_text_to_the_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a skill that it names nor a file is put into the prompt, and no command is carried out."""
    async with scene(tmp_path, monkeypatch) as place:
        await place.turn("/clear $skill-creator @/etc/passwd\n!say well")
        asked = str(place.model.requests[0])
        assert "/clear $skill-creator @/etc/passwd" in asked
        assert "<skill>" not in asked
        assert "root:" not in asked
