"""Senders repeat what was not answered, write down what was, and know what they have in flight."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing
from attrs import define, field

from hive.agents.directives import directives
from hive.agents.steps import Call, Note, Shell
from hive.cli.places import Place
from hive.testing.torture.book import Book, Letter
from hive.testing.torture.load import Load
from hive.testing.torture.senders import Connect, Gate, Post, Sender, compose


@define(eq=False)
class Office:
    """Takes letters, as a hive would."""

    down: bool = False
    full: bool = False
    slow: float = 0.0
    accepted: dict[str, int] = field(factory=dict)
    posts: int = 0

    def way(self) -> Connect:
        """How its senders reach it."""

        @asynccontextmanager
        async def connect(sender: Sender) -> AsyncIterator[Post]:
            async def post(letter: Letter) -> str:
                self.posts += 1
                sender.written = True
                await trio.sleep(self.slow)
                if self.full:
                    return "the mailbox is full"
                number = self.accepted.setdefault(letter.key, len(self.accepted))
                if self.down:
                    raise ConnectionResetError
                return f"accepted as #{number} (m-{number})"

            yield post

        return connect


async def run_for(
    seconds: float, office: Office, change: Callable[[Load], None] = lambda _load: None
) -> Load:
    """One sender for so long; halfway something changes."""
    gate, book = Gate(), Book()
    sender = Sender("fake", office.way(), ["worker-1", "worker-2"], Random(2), book, gate)
    load = Load(Place(Path("/nowhere"), "test"), book, [sender], gate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run, load.stopping)
        await trio.sleep(seconds / 2)
        change(load)
        await trio.sleep(seconds / 2)
        load.stop()
    return load


async def test_every_answer_is_in_the_book(autojump_clock: trio.testing.MockClock) -> None:
    """And some letters are sent again long after, with the answer they had."""
    office = Office()
    load = await run_for(20.0, office)
    assert load.book.acknowledged == {key: f"m-{number}" for key, number in office.accepted.items()}
    assert len(office.accepted) < office.posts
    assert load.book.contradicted == {}
    await load.senders[0].repeat()
    assert load.book.contradicted == {}


async def test_a_letter_that_was_not_answered_is_sent_again(autojump_clock: trio.testing.MockClock) -> None:
    """Under its key, until it is; nothing is acknowledged meanwhile."""
    office = Office(down=True)

    def comes_up(load: Load) -> None:
        assert load.book.acknowledged == {}
        assert len(load.book.offered) == len(office.accepted) == 1
        office.down = False

    load = await run_for(1.0, office, comes_up)
    assert len(load.book.acknowledged) > 5


async def test_what_was_refused_is_offered_again(autojump_clock: trio.testing.MockClock) -> None:
    """It counts as no promise."""
    office = Office(full=True)
    load = await run_for(0.9, office)
    assert load.book.acknowledged == {}
    assert load.book.refusals == 5


async def test_what_is_in_flight_is_known_at_any_instant(autojump_clock: trio.testing.MockClock) -> None:
    """While its request is written and its answer has not come; who waits to hear it can be waited for."""
    office = Office(slow=1.0)
    load = await run_for(1.0, office)
    assert load.in_flight == {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.senders[0].run, trio.Event())
        await trio.sleep(0.5)
        assert list(load.in_flight.values()) == ["fake"]
        before = trio.current_time()
        await load.heard_out()
        assert trio.current_time() - before == pytest.approx(0.5, abs=0.01)
        nursery.cancel_scope.cancel(reason="seen")


async def test_a_shut_gate_holds_everybody_between_two_letters(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Between two letters, until it is opened."""
    office = Office()
    posts = []

    def shut(load: Load) -> None:
        load.gate.shut()
        posts.append(office.posts)

    await run_for(10.0, office, shut)
    assert office.posts <= posts[0] + 2


def test_letters_make_their_readers_work() -> None:
    """Each is obeyed whole: it leaves a line, and some run a program that leaves a trace, or send."""
    chance, kinds = Random(1), set()
    for _ in range(200):
        letter = compose(chance, ["worker-1"])
        steps = directives(letter.body, allow_shell=True)
        assert isinstance(steps, tuple)
        assert Note(letter.key) in steps
        assert letter.leaves_trace == any(
            isinstance(step, Shell) and letter.key in step.command for step in steps
        )
        assert len(letter.body) < 4096
        kinds |= {type(step) for step in steps}
    assert kinds == {Note, Shell, Call}
