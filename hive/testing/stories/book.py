"""A story's own account of its mail: what was accepted, what was shown to whom, and what a person did.

The rule kept here: it is written from answers and from what brains are given, never from the store.  So what
the store says of itself is compared with something it had no hand in.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from hive.agents.tools import ToolAnswer, ToolsDown
from hive.protocol.errors import HiveRefusal
from hive.protocol.mail import Mail, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from hive.protocol.commands import Command
    from hive.protocol.mail import Accepted
    from hive.testing.brains import Turn
    from hive.testing.simulate import Simulation

ACCEPTED = re.compile(r"accepted as #\d+ \(([^)]+)\)(, but held back)?")
REFUSED = re.compile(r"^- ([a-z0-9-]+): NOT accepted", re.MULTILINE)
RECEIVED = re.compile(r"^#\d+ \(([^)]+)\) from ", re.MULTILINE)

IN_DOUBT = "hive cannot"
"""So begins a refusal that does not say whether an earlier try of the same call was carried out."""


@frozen
class Entry:
    """One message that somebody was told is accepted."""

    id: str
    sender: str
    text: str | None
    """What was sent; None where hive words the message or may have renewed it since."""

    held_back: bool


@define(eq=False)
class Held:
    """What one turn was given."""

    turn: Turn
    received: list[str] = field(factory=list)
    finished: bool = False

    @property
    def ids(self) -> Iterator[str]:
        """The messages in its prompts and those it took."""
        yield from (mail.id for mail in self.turn.mail)
        yield from self.received


@define(eq=False)
class Book:
    """The account of one story."""

    sim: Simulation
    accepted: dict[str, Entry] = field(factory=dict, init=False)
    refused: set[tuple[str, str]] = field(factory=set, init=False)
    """Texts that were not accepted, with the recipient each was for."""

    held: list[Held] = field(factory=list, init=False)
    acked: set[str] = field(factory=set, init=False)
    """What clients said is handled, also where the answer was lost."""

    done_by_hand: set[str] = field(factory=set, init=False)
    removed: set[str] = field(factory=set, init=False)
    """Agents that were removed at some time: nobody tells them of their mail."""

    happened: Counter[str] = field(factory=Counter, init=False)
    """Interesting things, by name: a story that saw too few of them has shown nothing."""

    _letters: int = field(default=0, init=False)

    # --- what is sent ----------------------------------------------------------------------------

    def text(self, words: str) -> str:
        """A body that no other message has; `words_of` gives the words back."""
        self._letters += 1
        return f"letter {self._letters}: {words}"

    async def send(self, to: str, words: str) -> str | None:
        """The operator writes.  Answers the message's id; None where it was refused."""
        text = self.text(words)
        try:
            letter = await self.sim.send(to, text)
        except HiveRefusal as refusal:
            self._note_refusal(refusal.text, text, to)
            return None
        self.happened["sent by the operator"] += 1
        self.accepted[letter.id] = Entry(letter.id, "operator", text, held_back=False)
        return letter.id

    def note(self, accepted: Accepted, text: str) -> None:
        """Enter what the operator was answered for a command of another kind."""
        self.accepted[accepted.id] = Entry(accepted.id, "operator", text, bool(accepted.blocked))

    async def post(self, turn: Turn, to: str, words: str, **arguments: object) -> ToolAnswer:
        """An agent writes, in its turn."""
        text = self.text(words)
        answer = await turn.send(to, text, **arguments)
        self.read_answer(turn.agent, text, to, answer)
        return answer

    def read_answer(self, sender: str, text: str | None, to: str, answer: ToolAnswer) -> None:
        """Enter what a tool that sends has answered."""
        if not answer.ok:
            self._note_refusal(answer.text, text, to)
        for message, held_back in ACCEPTED.findall(answer.text):
            self.happened["sent by agents"] += 1
            self.accepted[message] = Entry(message, sender, text, bool(held_back))
        for recipient in REFUSED.findall(answer.text):
            self._note_refusal("", text, recipient)

    def _note_refusal(self, why: str, text: str | None, to: str) -> None:
        self.happened["refused"] += 1
        if text is not None and IN_DOUBT not in why:
            self.refused.add((text, to))

    # --- what is shown ---------------------------------------------------------------------------

    def brain(self, think: Callable[[Turn], Awaitable[None]]) -> Callable[[Turn], Awaitable[None]]:
        """The same brain, with what it is given entered here."""

        async def thinking(turn: Turn) -> None:
            held = Held(turn)
            self.held.append(held)
            await think(turn)
            held.finished = True

        return thinking

    async def receive(self, turn: Turn, most: int = 3, *, wait_seconds: int = 0) -> ToolAnswer:
        """An agent takes more mail into its turn."""
        answer = await turn.call("recv", max=most, wait_seconds=wait_seconds)
        mine = next(held for held in reversed(self.held) if held.turn is turn)
        mine.received += RECEIVED.findall(answer.text)
        return answer

    # --- what a person does ----------------------------------------------------------------------

    async def do(self, command: Command[object], what: str) -> object:
        """The operator acts; a refusal is none of the story's business.  Answers None for one."""
        try:
            answer = await self.sim.do(command)
        except HiveRefusal:
            self.happened[f"{what} refused"] += 1
            return None
        self.happened[what] += 1
        if isinstance(answer, Mail):  # a redriven letter is accepted anew, on behalf of who sent it
            self.accepted[answer.id] = Entry(
                answer.id, answer.sender, None, held_back=answer.state is State.BLOCKED
            )
        return answer


def words_of(mail: Mail) -> str:
    """What `Book.text` was given."""
    return mail.body.partition(": ")[2]


async def attempt(call: Awaitable[ToolAnswer]) -> ToolAnswer:
    """A client's call; an endpoint that cannot be reached is an answer too."""
    try:
        return await call
    except ToolsDown as error:
        return ToolAnswer(f"{IN_DOUBT} be reached: {error}", ok=False)
