"""How every story ends: what a person has to lift is lifted, the swarm settles, and the account is made up.

The rule kept here: *accepted* is what a sender was answered, and each such message is done with evidence, or
dead or blocked with a reason that its sender or the operator is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hive.actors.look import LOOK_SECONDS
from hive.protocol.commands import Resume, StartAgent
from hive.protocol.mail import Kind, Mail, Provenance, State
from hive.protocol.names import OPERATOR
from hive.protocol.parking import RESUMABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hive.protocol.views import AgentView
    from hive.store.port import Reader
    from hive.testing.simulate import Simulation

    from .book import Book, Entry

ROUNDS = 30
"""How often a person looks for something to lift before a story is taken to go round in circles."""

EVERYTHING = 1_000_000
"""More than any story has."""


async def come_to_rest(book: Book) -> None:
    """Nothing goes wrong any more; lift and wait until no mail can be delivered that is not."""
    sim = book.sim
    sim.calm()
    waiting: list[AgentView] = []
    for _ in range(ROUNDS):
        await sim.do(Resume(None, RESUMABLE))
        await sim.do(StartAgent(None))
        await sim.settle()
        if (lease_end := reader_of(sim).next_lease_end()) is not None:
            await sim.advance(seconds=max(0.0, lease_end - sim.wall()) + LOOK_SECONDS)
        elif not (waiting := _waiting(sim)):
            return
    raise AssertionError(f"after {ROUNDS} rounds of resuming, mail still waits: {waiting}")


def _waiting(sim: Simulation) -> list[AgentView]:
    """Agents with mail that hive has to deliver."""
    return [
        view for view in reader_of(sim).agents() if view.deliverable and view.settings.backend != "external"
    ]


def reader_of(sim: Simulation) -> Reader:
    """Committed state."""
    assert sim.reading is not None
    return sim.reading


def everything_is_accounted_for(book: Book, **least: int) -> None:
    """Assert that nothing accepted is missing, nothing refused is there, and enough has happened.

    `least` are numbers of things that must have happened, by the names in `Book.happened` or of the
    journal's types, with _ for a space or a point.
    """
    reader = reader_of(book.sim)
    wrong = [
        *_too_little(book, least),
        *_lost(book, reader),
        *_twice(book, reader),
        *_left(reader),
    ]
    assert not wrong, "\n".join(wrong)


def _too_little(book: Book, least: dict[str, int]) -> Iterator[str]:
    seen = {**book.sim.facts.counts, **book.happened}
    had = {name.replace(" ", "_").replace(".", "_"): number for name, number in seen.items()}
    for name, number in least.items():
        if had.get(name, 0) < number:
            yield f"the story has shown too little: {name} {had.get(name, 0)} times, not {number}"


# --- each message that was accepted ----------------------------------------------------------------


def _lost(book: Book, reader: Reader) -> Iterator[str]:
    dead = {mail.id for mail in reader.dead(limit=EVERYTHING)}
    for entry in book.accepted.values():
        mail = reader.mail(entry.id)
        if mail is None:
            yield f"{entry.id} from {entry.sender} was accepted and is not there: {entry.text!r}"
            continue
        if entry.text is not None and reader.body(entry.id) != entry.text:
            yield f"{entry.id} was accepted as {entry.text[:80]!r} and reads {mail.body[:80]!r}"
        yield from (f"{_named(mail)}: {problem}" for problem in _unexplained(book, reader, entry, mail, dead))


def _named(mail: Mail) -> str:
    return f"{mail.id} from {mail.sender} to {mail.recipient} ({mail.state}, {mail.why}, {mail.body[:60]!r})"


def _unexplained(book: Book, reader: Reader, entry: Entry, mail: Mail, dead: set[str]) -> Iterator[str]:
    match mail.state:
        case State.DONE if not _has_evidence(book, mail):
            yield "it is done and nobody was ever given it"
        case State.DEAD if not mail.why or mail.id not in dead:
            yield "it is dead and the operator is not shown why"
        case State.DEAD if not _is_told(book, reader, mail):
            yield "it is dead and its sender was not told"
        case State.BLOCKED if not (mail.why and entry.held_back):
            yield "it is blocked and its sender was not told"
        case State.READY | State.CLAIMED if mail.recipient != OPERATOR:
            yield "it was accepted and nothing has become of it"
        case _:
            pass


def _has_evidence(book: Book, mail: Mail) -> bool:
    """What this story knows of the message agrees with the reason for which it is done."""
    if mail.recipient == OPERATOR:
        return mail.id in book.done_by_hand
    if mail.why == "ack":
        return mail.id in book.acked
    cancelled = mail.why == "cancelled" and book.happened["cancel"] > 0
    return any(mail.id in held.ids for held in book.held if held.finished or cancelled)


def _is_told(book: Book, reader: Reader, mail: Mail) -> bool:
    """The sender of a dead letter has a note that names it, or counts it where there are many."""
    if mail.sender == OPERATOR or mail.sender in book.removed or mail.provenance is Provenance.SYSTEM:
        return True
    notes = (
        one
        for one in reader.mailbox(mail.sender, limit=EVERYTHING).mail
        if one.kind is Kind.UNDELIVERED and one.why != "removed"
    )
    return any(f"({mail.id})" in text or " more." in text for text in map(_whole(reader), notes))


def _whole(reader: Reader) -> Callable[[Mail], str]:
    return lambda mail: reader.body(mail.id) or mail.body


# --- everything else that is there -----------------------------------------------------------------


def _twice(book: Book, reader: Reader) -> Iterator[str]:
    """What was sent once is there once for each recipient, and what was refused is not there."""
    seen: set[tuple[str, str]] = set()
    for mail in reader.traffic(limit=EVERYTHING).mail:
        if not mail.body.startswith("letter ") or (mail.cause or "").startswith("redrive:"):
            continue
        body = reader.body(mail.id) or mail.body
        if (body, mail.recipient) in seen:
            yield f"{_named(mail)}: it was sent once and is there twice"
        if (body, mail.recipient) in book.refused:
            yield f"{_named(mail)}: it was refused and is there"
        seen.add((body, mail.recipient))


def _left(reader: Reader) -> Iterator[str]:
    """Whoever sent it, nothing waits but for a person, for its time, or for something to ride with."""
    for mail in reader.unfinished():
        if mail.recipient != OPERATOR and mail.state is not State.BLOCKED and mail.wakes:
            yield f"{_named(mail)}: it is left"
