"""The real Claude Code in a real hive, against a model that follows a script: no network, no account.

It is too large to be asked for: `bin/agent-clis DIRECTORY` installs it, and these tests run where
HIVE_AGENT_CLIS names that directory.
"""

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define

from hive import config
from hive.actors.protocol import BROKER, Perform
from hive.agents.cli.claude_words import CONFIGURATION
from hive.agents.keyring import Keyring
from hive.app.compose import run_hive
from hive.app.running import Running
from hive.directory import Directory, locked
from hive.protocol.commands import AddAgent, CancelTurn, Send, Settings
from hive.protocol.mail import Accepted, Provenance, State
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from hive.protocol.views import AgentView, TurnView
from hive.store.hints import ANY
from hive.testing.model import ScriptedModel, scripted_model

CLIS = os.environ.get("HIVE_AGENT_CLIS", "")
SECONDS = 60.0

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not CLIS, reason="needs HIVE_AGENT_CLIS: bin/agent-clis DIRECTORY"),
]


@define(eq=False)
class Scene:
    """A hive with an agent of Claude Code, and its model."""

    running: Running
    model: ScriptedModel

    async def send(self, body: str) -> str:
        """Write to the agent as the operator; answers the message's id."""
        command = Send("operator", "iris", body, Provenance.OPERATOR)
        answer = await self.running.hive.ref(BROKER).ask(Perform(command))
        (accepted,) = answer.accepted
        assert isinstance(accepted, Accepted)
        return accepted.id

    async def until(self, true: Callable[[AgentView], bool]) -> AgentView:
        """Wait for something to be true of the agent."""
        while True:
            mark = self.running.store.hints.mark(ANY)
            view = self.running.store.reader.agent("iris")
            assert view is not None
            if true(view):
                return view
            with trio.move_on_after(1.0):
                await self.running.store.hints.wait(ANY, mark)

    async def turn(self, body: str) -> TurnView:
        """Have the agent handle a message, well; answers its turn."""
        message = await self.send(body)
        view = await self.until(lambda view: view.last_turn is not None and not rests_on(view))
        mail = self.running.store.reader.mail(message)
        assert mail is not None
        assert view.last_turn is not None
        assert (mail.state, view.last_turn.outcome) == (State.DONE, Outcome.OK), view.last_turn
        return view.last_turn


def rests_on(view: AgentView) -> int:
    """How much there is that it has yet to handle."""
    return view.deliverable + view.claimed


@asynccontextmanager
async def scene(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, key: str | None = "a key"
) -> AsyncIterator[Scene]:
    """A hive whose agent has this key to the model, in a directory that may have been used before."""
    monkeypatch.setenv("PATH", f"{CLIS}/bin:{os.environ['PATH']}")
    directory = Directory(path / "hive")
    directory.create()
    settings = config.Config(web=config.Listen(port=0), mcp=config.Listen(port=0))
    with trio.fail_after(SECONDS), locked(directory):
        try:
            async with scripted_model() as model:
                login = {} if key is None else {"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": model.url}
                for variable, value in login.items():
                    Keyring(directory.credentials).put("claude", variable, value)
                async with run_hive(directory, settings) as running:
                    if running.store.reader.agent("iris") is None:
                        added = AddAgent("iris", Settings(backend="claude"))
                        await running.hive.ref(BROKER).ask(Perform(added))
                    yield Scene(running, model)
        finally:
            directory.clear()


async def test_mail_is_answered_with_hive_s_tools_and_the_session_outlives_hive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompt, tool, answer, result; a second hive on the same directory goes on with what was said."""
    async with scene(tmp_path, monkeypatch) as first:
        turn = await first.turn('!call hive/send {"to": "operator", "body": "hello"}\n!say quite done')
        assert turn.final_text == "quite done"
        assert ("iris", "hello") in [
            (one.sender, one.body) for one in first.running.store.reader.unread_mail()
        ]
    async with scene(tmp_path, monkeypatch) as second:
        await second.turn("!say again")
        assert "quite done" in str(second.model.requests[-1])


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
        await place.send("!hang")
        while not place.model.requests:  # noqa: ASYNC110 - the model tells nobody
            await trio.sleep(0.1)
        await place.running.hive.ref(BROKER).ask(Perform(CancelTurn("iris")))
        view = await place.until(lambda view: view.last_turn is not None and not rests_on(view))
        assert view.last_turn is not None
        assert view.last_turn.outcome == Outcome.CANCELLED
        assert (await place.turn("!say well again")).final_text == "well again"


async def test_an_agent_that_is_not_logged_in_waits_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mail is neither lost nor tried again and again."""
    async with scene(tmp_path, monkeypatch, key=None) as place:
        await place.send("!say hello")
        view = await place.until(lambda view: bool(view.parked))
        assert [parked.reason for parked in view.parked] == [Reason.LOGIN]
        assert (view.ready, view.done, view.dead) == (1, 0, 0)
