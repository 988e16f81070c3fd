"""A real hive with an agent of somebody else's real CLI, against a model that follows a script.

What the tests of every such CLI share: no network, no account, a directory that a second hive can go on with.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trio
from attrs import define, frozen

from hive import config
from hive.actors.protocol import BROKER, Perform
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

CLIS: Final = os.environ.get("HIVE_AGENT_CLIS", "")

NEEDS_CLIS: Final = (
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not CLIS, reason="needs HIVE_AGENT_CLIS: bin/agent-clis DIRECTORY"),
)


@frozen
class Kind:
    """What is special about a CLI."""

    settings: Settings
    login: Callable[[str], Mapping[str, str]]
    """The credentials that lead it to a model at this address."""

    key: str | None = None
    """The one key that the model takes; None where it takes any."""

    seconds: float = 60.0
    """How long a test of it may take."""


@define(eq=False)
class Scene:
    """A hive with one agent, and its model."""

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

    async def rests(self) -> AgentView:
        """Wait until a turn has ended and there is nothing left to handle."""
        return await self.until(lambda view: view.last_turn is not None and not rests_on(view))

    async def asked(self, times: int = 1) -> None:
        """Wait until the model has been asked so many times."""
        while len(self.model.requests) < times:  # noqa: ASYNC110 - the model tells nobody
            await trio.sleep(0.1)

    async def turn(self, body: str) -> TurnView:
        """Have the agent handle a message, well; answers its turn."""
        message = await self.send(body)
        view = await self.rests()
        mail = self.running.store.reader.mail(message)
        assert mail is not None
        assert view.last_turn is not None
        assert (mail.state, view.last_turn.outcome) == (State.DONE, Outcome.OK), view.last_turn
        return view.last_turn

    async def answers_and_remembers(self, first: bool) -> None:
        """Answer mail with hive's tools; in a second hive on the same directory, know what was said."""
        if first:
            turn = await self.turn('!call hive/send {"to": "operator", "body": "hello"}\n!say quite done')
            assert turn.final_text == "quite done"
            unread = self.running.store.reader.unread_mail()
            assert ("iris", "hello") in [(one.sender, one.body) for one in unread]
        else:
            await self.turn("!say again")
            assert "quite done" in str(self.model.requests[-1])

    async def is_cancelled_by_a_person(self) -> None:
        """Hang, be cancelled, have the mail done as cancelled, and handle the next one."""
        await self.send("!hang")
        await self.asked()
        await self.running.hive.ref(BROKER).ask(Perform(CancelTurn("iris")))
        view = await self.rests()
        assert view.last_turn is not None
        assert view.last_turn.outcome == Outcome.CANCELLED
        assert (await self.turn("!say well again")).final_text == "well again"

    async def waits(self, body: str, reason: Reason) -> None:
        """Be parked for this reason by a message that is neither lost nor tried again and again."""
        await self.send(body)
        view = await self.until(lambda view: bool(view.parked))
        assert [parked.reason for parked in view.parked] == [reason]
        assert (view.ready, view.done, view.dead) == (1, 0, 0)


def rests_on(view: AgentView) -> int:
    """How much there is that it has yet to handle."""
    return view.deliverable + view.claimed


@asynccontextmanager
async def agent_scene(
    kind: Kind, path: Path, monkeypatch: pytest.MonkeyPatch, *, logged_in: bool = True
) -> AsyncIterator[Scene]:
    """A hive with an agent of that kind, in a directory that may have been used before."""
    monkeypatch.setenv("PATH", f"{CLIS}/bin:{os.environ['PATH']}")
    directory = Directory(path / "hive")
    directory.create()
    settings = config.Config(web=config.Listen(port=0), mcp=config.Listen(port=0))
    with trio.fail_after(kind.seconds), locked(directory):
        try:
            async with scripted_model(key=kind.key) as model:
                login = kind.login(model.url) if logged_in else {}
                for variable, value in login.items():
                    Keyring(directory.credentials).put(kind.settings.backend, variable, value)
                async with run_hive(directory, settings) as running:
                    if running.store.reader.agent("iris") is None:
                        added = AddAgent("iris", kind.settings)
                        await running.hive.ref(BROKER).ask(Perform(added))
                    yield Scene(running, model)
        finally:
            directory.clear()
