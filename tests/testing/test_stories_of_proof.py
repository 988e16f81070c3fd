"""The stories of the proof hold under faults, repeat themselves, and each of them can fail."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from attrs import evolve

from hive.protocol.commands import BeginTurn, Command, EndTurn, Lease, Send
from hive.protocol.mail import Provenance, SendAnswer
from hive.protocol.outcome import Outcome
from hive.store import rows
from hive.store.batch import Handlers
from hive.store.handlers import HANDLERS
from hive.store.leases import lease
from hive.store.send import send
from hive.store.transaction import Transaction
from hive.store.turns import begin_turn, end_turn
from hive.store.verdicts import Change, Verdict, settle
from hive.testing import Faults, Simulation, Site, run, simulate
from hive.testing.stories import STORIES
from hive.testing.stories.book import Book
from hive.testing.stories.ending import come_to_rest, everything_is_accounted_for

SEEDS = int(os.environ.get("HIVE_SEEDS", "16"))
STRUCK = 0.1
"""In this share of a story's runs each kind of fault strikes, at least; in most it is nearly all of them."""

a_story = pytest.mark.parametrize("story", STORIES)


@a_story
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_goes_wrong_everything_accepted_is_accounted_for(story: str, seed: int) -> None:
    """Each story makes up its own account at its end."""
    simulate(STORIES[story], seed, faults=Faults.some())


@pytest.mark.slow
@a_story
def test_whatever_goes_wrong_with_any_seed(story: str) -> None:
    """Many seeds; and every kind of fault has its part in them."""
    struck = Counter[Site]()
    for seed in range(100, 100 + SEEDS):
        told = run(STORIES[story], seed, faults=Faults.some())
        told.outcome.unwrap()
        struck.update({fault.site for fault in told.injected})
    print(f"{story}: {SEEDS} runs; struck in", dict(struck))  # noqa: T201 - a sweep says how far it went
    if SEEDS >= 10:
        assert {site for site in Site if struck[site] < STRUCK * SEEDS} == set()


# --- repeated ------------------------------------------------------------------------------------

TRACE = """
import sys
from hashlib import sha256
from hive.testing import Faults, run
from hive.testing.stories import STORIES
told = run(STORIES[sys.argv[1]], 3, faults=Faults.some())
print(sha256("\\n".join(told.facts.trace()).encode()).hexdigest())
"""


def digest_of(story: str) -> str:
    """A fingerprint of every fact of one run."""
    return hashlib.sha256("\n".join(trace_of(story)).encode()).hexdigest()


def trace_of(story: str) -> list[str]:
    """Every fact of one run."""
    return run(STORIES[story], 3, faults=Faults.some()).facts.trace()


def digest_elsewhere(story: str, hash_seed: int) -> str:
    """The same, from a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", TRACE, story],
        capture_output=True,
        check=True,
        text=True,
        env={"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(Path.cwd())},
    )
    return ran.stdout.strip()


def test_a_story_is_the_same_in_another_process() -> None:
    """Neither the process nor its hash seed has a say, faults included."""
    assert digest_of("full_mailbox") == digest_elsewhere("full_mailbox", 1)


@pytest.mark.slow
@a_story
def test_every_story_is_the_same_when_it_is_told_again(story: str) -> None:
    """In this process, fact by fact, and in another one with other hashes."""
    first = trace_of(story)
    assert first == trace_of(story)
    assert hashlib.sha256("\n".join(first).encode()).hexdigest() == digest_elsewhere(story, 1)


# --- and that they can fail ------------------------------------------------------------------------


def loses_every_fifth(tx: Transaction, command: Command[object]) -> object:
    """The mistake: some mail is answered as accepted and is nowhere, and the counts agree with that."""
    assert isinstance(command, Send)
    answer = send(tx, command)
    for one in answer.accepted:
        if one.number % 5 == 0:
            tx.execute("DELETE FROM message WHERE number = ?", one.number)
            tx.execute("UPDATE tally SET accepted = accepted - 1 WHERE agent = ?", one.recipient)
    return answer


def trusts_everybody(tx: Transaction, command: Command[object]) -> SendAnswer:
    """The mistake: agents are believed to be the operator, whose mail no limit holds back."""
    assert isinstance(command, Send)
    return send(tx, evolve(command, provenance=Provenance.OPERATOR, own_token=False))


def says_nothing_of_the_guard(tx: Transaction, command: Command[object]) -> SendAnswer:
    """The mistake: who sends what is held back is not told so."""
    assert isinstance(command, Send)
    answer = send(tx, command)
    return evolve(answer, accepted=tuple(evolve(one, blocked=None) for one in answer.accepted))


def sends_at_once(tx: Transaction, command: Command[object]) -> SendAnswer:
    """The mistake: mail that is to wait does not."""
    assert isinstance(command, Send)
    return send(tx, evolve(command, not_before=None))


def pops(tx: Transaction, command: Command[object]) -> object:
    """The mistake: what a turn is handed is finished with, whatever becomes of the turn."""
    assert isinstance(command, BeginTurn)
    answer = begin_turn(tx, command)
    tx.execute("UPDATE message SET state = 'done', why = 'popped' WHERE state = 'claimed'")
    return answer


def knows_no_slots(tx: Transaction, command: Command[object]) -> object:
    """The mistake: as many turns run as want to."""
    assert isinstance(command, BeginTurn)
    limits, tx.limits = tx.limits, evolve(tx.limits, max_running_turns=1_000)
    try:
        return begin_turn(tx, command)
    finally:
        tx.limits = limits


def ends_well(tx: Transaction, command: Command[object]) -> None:
    """The mistake: whatever a turn ends with, its mail is done."""
    assert isinstance(command, EndTurn)
    end_turn(tx, evolve(command, outcome=Outcome.OK))


def waits_for_logins(tx: Transaction, command: Command[object]) -> None:
    """The mistake: what only a person can mend is tried again."""
    assert isinstance(command, EndTurn)
    mended = Outcome.NETWORK if command.outcome in {Outcome.LOGIN, Outcome.BILLING} else command.outcome
    end_turn(tx, evolve(command, outcome=mended))


def acks_by_itself(tx: Transaction, command: Command[object]) -> object:
    """The mistake: what a client takes is done."""
    assert isinstance(command, Lease)
    leased = lease(tx, command)
    for one in leased:
        row = rows.message(tx, one.mail.id)
        assert row is not None
        settle(tx, row, Change(Verdict.DONE, "ack"))
    return leased


MISTAKES: Mapping[str, tuple[Handlers, str]] = {
    "chatter": ({Send: loses_every_fifth}, "was accepted and is not there"),
    "rebuild_storm": ({BeginTurn: pops}, "done"),
    "operator_storm": ({Send: loses_every_fifth}, "was accepted and is not there"),
    "restart_storm": ({BeginTurn: pops}, "done"),
    "limit_storm": ({EndTurn: ends_well}, "nobody was ever given it"),
    "login_storm": ({EndTurn: waits_for_logins}, "too little: mended"),
    "always_fails": ({EndTurn: ends_well}, "not parked as failing"),
    "ring": ({Send: says_nothing_of_the_guard}, "were said to be held back"),
    "full_mailbox": ({Send: trusts_everybody}, "too little: met_a_full_mailbox"),
    "slots": ({BeginTurn: knows_no_slots}, "turns run at once"),
    "clock": ({Send: sends_at_once}, "before its time"),
    "external": ({Lease: acks_by_itself}, "nobody was ever given it"),
}


def mistaken(
    story: Callable[[Simulation], Awaitable[None]], wrong: Handlers
) -> Callable[[Simulation], Awaitable[None]]:
    """The same story over a store that makes a mistake."""

    async def told(sim: Simulation) -> None:
        sim.handlers = {**HANDLERS, **wrong}
        await story(sim)

    return told


@a_story
def test_every_story_finds_out_a_mistake(story: str) -> None:
    """Each by what it is about."""
    wrong, said = MISTAKES[story]
    with pytest.raises(AssertionError, match=said):
        simulate(mistaken(STORIES[story], wrong), 1)


def test_a_story_that_does_nothing_fails() -> None:
    """Its account is in order, and shows nothing."""

    async def idle(sim: Simulation) -> None:
        book = Book(sim)
        await sim.spawn("iris")
        await come_to_rest(book)
        everything_is_accounted_for(book)
        everything_is_accounted_for(book, turn_ended=1)

    with pytest.raises(AssertionError, match="too little: turn_ended 0 times, not 1"):
        simulate(idle, 1)
