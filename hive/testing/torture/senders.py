"""Clients of a real daemon that send all the time, and know at any instant what they have in flight.

In flight is a send whose request was written whole and whose answer has not been read.  Each is repeated
under its key, over a new connection, until it is accepted; its key is in its body, so that the message can be
found in the file whether or not its sender ever heard of it.  Now and then one that was accepted long ago is
sent again, and must get the answer it got.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio
from attrs import define, field

from hive.agents.tools import ToolsDown
from hive.cli.status import Failed
from hive.testing.torture.book import Book, Letter

PAUSE_SECONDS: Final = 0.05
REFUSED_SECONDS: Final = 0.2
SHELL_SHARE: Final = 0.1
"""So many of the letters start a program that runs for a while and leaves a trace."""

SHELL_SECONDS: Final = 0.5
"""At most."""

CALL_SHARE: Final = 0.05
"""So many have their reader send something itself."""

LONG_SHARE: Final = 0.1
LONG_CHARACTERS: Final = 3_000
"""At most; what is longer than some pages of text becomes an attachment, and is not obeyed."""

AGAIN_SHARE: Final = 0.03
"""So many of the sends repeat one that was accepted before."""

TRACES: Final = "traces"
"""A file in the folder that agents share; a line for each handling that ran a program."""

Post = Callable[[Letter], Awaitable[str]]
"""Sends a letter and returns the answer's words.  Raises one of `GONE` where the daemon went away."""

GONE = (Failed, OSError, ToolsDown, trio.TooSlowError)


@define(eq=False)
class Gate:
    """Holds senders back between two letters while it is shut."""

    _open: trio.Event = field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        """It begins open."""
        self._open.set()

    def shut(self) -> None:
        """Let nobody begin a letter."""
        self._open = trio.Event()

    def open(self) -> None:
        """Let everybody pass."""
        self._open.set()

    async def passed(self) -> None:
        """Wait until it is open."""
        await self._open.wait()


@define(eq=False)
class Sender:
    """One who sends one letter after the other."""

    way: str
    connect: "Connect"
    recipients: Sequence[str]
    chance: random.Random
    book: Book
    gate: Gate
    heard: Callable[[], object] = field(default=lambda: None)
    """Called as soon as a letter was accepted."""

    accepted: list[Letter] = field(factory=list, init=False)
    trying: Letter | None = field(default=None, init=False)
    written: bool = field(default=False, init=False)
    """The request of the letter being tried was written whole, and its answer has not been read."""

    posting: bool = field(default=False, init=False)
    tries: int = field(default=0, init=False)

    @property
    def in_flight(self) -> Letter | None:
        """What is in flight now."""
        return self.trying if self.written else None

    async def run(self, stopping: trio.Event) -> None:
        """Send until told to stop."""
        self.trying = self._next()
        while not stopping.is_set():
            try:
                async with self.connect(self) as post:
                    while not stopping.is_set():
                        await self.gate.passed()
                        await trio.sleep(PAUSE_SECONDS if await self._try(post) else REFUSED_SECONDS)
            except GONE:
                await trio.sleep(PAUSE_SECONDS)

    async def _try(self, post: Post) -> bool:
        """Send the letter in hand; what was not accepted stays in hand, and is sent again."""
        assert self.trying is not None
        self.posting = True
        try:
            said = await post(self.trying)
        finally:
            self.posting = self.written = False
            self.tries += 1
        again = self.trying.key in self.book.answers
        if not self.book.hear(self.trying, said):
            return False
        self.heard()
        if not again:
            self.accepted.append(self.trying)
        self.trying = self._next()
        return True

    def _next(self) -> Letter:
        if self.accepted and self.chance.random() < AGAIN_SHARE:
            return self.chance.choice(self.accepted)
        letter = compose(self.chance, self.recipients)
        self.book.offer(letter)
        return letter

    async def repeat(self) -> None:
        """Send the letter accepted last once more; the book sees whether the answer is the same."""
        if self.accepted:
            async with self.connect(self) as post:
                self.book.hear(self.accepted[-1], await post(self.accepted[-1]))


def compose(chance: random.Random, recipients: Sequence[str]) -> Letter:
    """A letter of its own: all leave a line in the stream, some run a program, make mail, or are long."""
    key, to = f"{chance.getrandbits(128):032x}", chance.choice(recipients)
    runs = chance.random() < SHELL_SHARE
    seconds = chance.uniform(0.0, SHELL_SECONDS)
    work = f'!sh echo {key} >> "$HIVE_SHARED/{TRACES}"; sleep {seconds:.2f}\n' if runs else ""
    if chance.random() < CALL_SHARE:
        work += f'!call hive/send {{"to": "{chance.choice(recipients)}", "body": "because of {key}"}}\n'
    long = chance.random() < LONG_SHARE
    padding = "\n" + "x" * chance.randrange(LONG_CHARACTERS) if long else ""
    return Letter(key, to, f"!note {key}\n{work}{padding}", leaves_trace=runs)


Connect = Callable[[Sender], AbstractAsyncContextManager[Post]]
"""Opens a way for a sender's letters."""
