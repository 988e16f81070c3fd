"""A scripted agent whose tools and commands are in memory: one world for the contract of backends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import define, field

from hive.agents.backend import Backend, Prompt, SessionSpec
from hive.agents.events import SessionOpened, TurnEvent
from hive.agents.scripted import ScriptedBackend
from hive.agents.tokens import CliSession
from hive.containers.port import Box
from hive.protocol.commands import Settings
from hive.protocol.mail import Mail, Provenance
from hive.testing.backend_world import Behaviour, one_turn
from hive.testing.fake_tools import FakeShell, FakeTools
from hive.testing.simulate import simulate

SCRIPTS: Final = {
    Behaviour.WORK: '!call hive/send {"to": "juno"}\n!think hm\n!sh make\n!wait 1\n!usage 1 2\n!say done',
    Behaviour.FAIL: "!error rate_limit in 60 slow down",
    Behaviour.CRASH: "!crash",
    Behaviour.HANG: "!hang",
}

WALL: Final = 5_000.0
"""The wall clock, which stands still."""

BOX: Final = Box("iris", Path("state"), Path("shared"), {})


def mail(
    number: int, text: str, *, sender: str = "operator", provenance: Provenance = Provenance.OPERATOR
) -> Mail:
    """A message to iris."""
    return Mail(
        number=number,
        id=f"m-{number}",
        sender=sender,
        recipient="iris",
        body=text,
        thread=f"m-{number}",
        provenance=provenance,
        created_at=0.0,
    )


def prompt(*mails: Mail) -> Prompt:
    """A prompt that shows these."""
    return Prompt("not read by scripts", tuple(one.number for one in mails), mails)


@define(eq=False)
class ScriptedWorld:
    """A scripted agent with tools and a shell in memory."""

    settings: Settings = Settings(allow_shell=True)
    tools: FakeTools = field(factory=lambda: FakeTools(seconds=0.5))
    shell: FakeShell = field(factory=lambda: FakeShell(seconds=0.5))
    backend: Backend = field(init=False)
    spec: SessionSpec = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Put the backend together."""
        self.backend = ScriptedBackend(self.tools.open, self.shell, lambda: WALL)
        self.spec = SessionSpec("iris", self.settings, CliSession("iris", "token"), BOX)

    def prompt(self, behaviour: Behaviour, *messages: int) -> Prompt:
        """The script that behaves so, in the last of these messages."""
        *quiet, last = messages
        return prompt(*(mail(number, "!note hello") for number in quiet), mail(last, SCRIPTS[behaviour]))

    def take_tools_down(self) -> None:
        """See `World`."""
        self.tools.down = True

    def left(self) -> Sequence[str]:
        """See `World`."""
        return ["tools"] * self.tools.opened + ["a command"] * self.shell.running

    def run(self, *mails: Mail) -> list[TurnEvent]:
        """All events of one turn, without the opening of the session."""

        async def story(_sim: object) -> list[TurnEvent]:
            async with one_turn(self, prompt(*mails)) as run:
                events = [event async for event in run]
            assert isinstance(events[0], SessionOpened)
            return events[1:]

        return simulate(story, 0)
