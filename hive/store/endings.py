"""What an ending does to the mail of a turn and to its agent, as the table of outcomes says.

The rule kept here: only what the model was seen to be given can be done or charged; the rest goes back.
"""

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from attrs import asdict, frozen

from hive.protocol.commands import EndTurn, Usage
from hive.protocol.outcome import (
    CONSEQUENCES,
    DEAD_LETTERS_IN_A_ROW,
    Outcome,
    Settlement,
    charges,
    next_batch_limit,
)
from hive.protocol.parking import Reason
from hive.store import slots
from hive.store.guard import hear
from hive.store.logins import login_changed_at
from hive.store.notes import tell_cancelled, tell_undelivered
from hive.store.parking import set_reason
from hive.store.rows import Row, agent_row, changed, messages, record, settings_of
from hive.store.texts import head, mended
from hive.store.transaction import Transaction
from hive.store.verdicts import Change, Verdict, settle

COUNTERS = "SELECT failures, dead_in_a_row, interruptions, batch_limit FROM agent WHERE name = ?"

TEXT_CHARACTERS = 200_000
ERROR_CHARACTERS = 10_000
"""So much of a turn's final text and of its error is kept."""

NAME_CHARACTERS = 200
TOOLS_KEPT = 50
"""So much of a model's or tool's name, and so many different tools."""

MOST_TOKENS = 2**53

CLOSE = (
    "UPDATE turn SET ended_at = ?, outcome = ?, final_text = ?, error = ?, model = ?, cause = ?, tools = ?,"
    " input_tokens = ?, output_tokens = ?, cost_usd = ?, cached_tokens = ?, context_tokens = ?,"
    " context_window = ? WHERE number = ?"
)
"""In the order of `_close`, which ends with the fields of `Usage` in theirs."""

HELD = messages(
    """
JOIN turn_message ON message.number = turn_message.message
WHERE turn_message.turn = ? AND message.state = 'claimed' AND message.claim = turn_message.claim
ORDER BY turn_message.message
""",
    "turn_message.seen",
)


def held_by(tx: Transaction, turn: int) -> Sequence[sqlite3.Row]:
    """The messages a turn holds, by number, each with whether the model was `seen` to be given it."""
    return tx.rows(HELD, turn)


def see(tx: Transaction, turn: int, held: Iterable[Row], numbers: Iterable[int]) -> Sequence[Row]:
    """Note the evidence that the model was given these messages.  Answers what is held, as it is then."""
    now = {row["number"]: row for row in held}
    for number in numbers:
        if number in now and not now[number]["seen"]:
            tx.execute("UPDATE turn_message SET seen = 1 WHERE turn = ? AND message = ?", turn, number)
            record(tx, "msg.seen", now[number])
            now[number] = changed(now[number], seen=1)
    return tuple(now.values())


def end(tx: Transaction, turn: sqlite3.Row, ending: EndTurn) -> None:
    """Close an open turn: verdicts, the turn's row, the agent's counters and park reasons, the line."""
    held = see(tx, turn["number"], held_by(tx, turn["number"]), ending.seen)
    batch = sum(row["wakes"] for row in held)
    settled = _settle(tx, turn, ending, held, batch)
    _close(tx, turn, ending, settled, held)
    _tell(tx, turn["agent"], ending, settled)
    _consequences(tx, turn, ending, _Balance(batch, settled, held))
    hear(tx, turn["agent"], turn["hops"])
    slots.offer(tx)


Settled = Mapping[Verdict, Sequence[Row]]


@frozen
class _Balance:
    batch: int
    """Messages the turn held, without the notes that only ride along."""

    settled: Settled
    held: Sequence[Row]


def _settle(tx: Transaction, turn: sqlite3.Row, ending: EndTurn, held: Sequence[Row], batch: int) -> Settled:
    settled: dict[Verdict, list[Row]] = {verdict: [] for verdict in Verdict}
    for row in held:
        change = _judge(row, ending, batch, turn["number"], tx.limits.attempts)
        after = settle(tx, row, change)
        assert after is not None  # `held` was read in this very transaction
        settled[change.verdict].append(after)
    return settled


def _judge(row: Row, ending: EndTurn, batch: int, turn: int, attempts: int) -> Change:
    """The verdict on one message."""
    consequence = CONSEQUENCES[ending.outcome]
    how = f"turn {turn} ended: {ending.outcome}"
    if not row["seen"]:
        return Change(Verdict.RELEASED, f"{how}; it had not been shown to the model")
    match consequence.seen:
        case Settlement.DONE:
            return Change(Verdict.DONE, consequence.note or f"handled in turn {turn}")
        case Settlement.RELEASE:
            interruptions = int(consequence.interruption)
            return Change(Verdict.RELEASED, consequence.note or how, interruptions=interruptions)
        case Settlement.RETRY:
            return _retry(row, ending, batch, how, attempts)
        case _:
            assert_never(consequence.seen)


def _retry(row: Row, ending: EndTurn, batch: int, how: str, attempts: int) -> Change:
    if not row["wakes"]:
        return Change(Verdict.RELEASED, f"{how}; it rides with the next one")
    if not charges(ending.outcome, batch):
        return Change(Verdict.RELEASED, f"{how}; retried as part of a smaller batch")
    error = head(mended(ending.error))
    if row["attempts"] + 1 >= attempts:
        why = f"it failed {row['attempts'] + 1} times, at last: {error or ending.outcome}"
        return Change(Verdict.DEAD, why, attempts=1, error=error)
    return Change(Verdict.RETRIED, how, attempts=1, error=error)


def _close(
    tx: Transaction, turn: sqlite3.Row, ending: EndTurn, settled: Settled, held: Sequence[Row]
) -> None:
    text, error = mended(ending.final_text, TEXT_CHARACTERS), mended(ending.error, ERROR_CHARACTERS)
    usage = _countable(ending.usage)
    told = {
        "ended_at": tx.now,
        "outcome": ending.outcome.value,
        "final_text": text,
        "error": error,
        "model": mended(ending.model, NAME_CHARACTERS),
        "cause": _cause(held),
        "tools": _counts(ending.tools),
        **asdict(usage),
    }
    tx.execute(CLOSE, *told.values(), turn["number"])
    tx.journal(
        "turn.ended",
        turn["agent"],
        turn["number"],
        outcome=ending.outcome.value,
        error=head(error),
        text=head(text),
        usage=asdict(usage),
        **{verdict.value: len(mail) for verdict, mail in settled.items()},
    )


def _cause(held: Sequence[Row]) -> str:
    """Where the oldest message came from that woke it; empty where everything was taken from it meanwhile."""
    return next((str(row["provenance"]) for row in held if row["wakes"]), "")


def _counts(tools: Mapping[str, int]) -> str:
    """The tools called most often, as JSON: a model may make names up."""
    most = sorted(tools.items(), key=lambda called: (-called[1], called[0]))[:TOOLS_KEPT]
    return json.dumps({mended(name, NAME_CHARACTERS): count for name, count in most})


def _countable(usage: Usage) -> Usage:
    """What a backend says it used, as numbers a row can hold: a verdict must not fail over them."""
    cost = usage.cost_usd if math.isfinite(usage.cost_usd) else 0.0
    return Usage(
        _tokens(usage.input_tokens),
        _tokens(usage.output_tokens),
        cost,
        *map(_tokens, (usage.cached_tokens, usage.context_tokens, usage.context_window)),
    )


def _tokens(count: int) -> int:
    return min(max(0, count), MOST_TOKENS)


def _tell(tx: Transaction, agent: str, ending: EndTurn, settled: Settled) -> None:
    if ending.outcome is Outcome.CANCELLED:
        tell_cancelled(tx, agent, settled[Verdict.DONE])
    for row in settled[Verdict.DEAD]:
        tell_undelivered(tx, [row], row["why"])


def _consequences(tx: Transaction, turn: sqlite3.Row, ending: EndTurn, balance: _Balance) -> None:
    """Counters first: the length of a backoff is read from them."""
    name = turn["agent"]
    agent = tx.row(COUNTERS, name)
    assert agent is not None  # it has had a turn
    consequence = CONSEQUENCES[ending.outcome]
    kept = 0 if consequence.success else 1
    failures = kept * agent["failures"] + (consequence.park is not None)
    dead = kept * agent["dead_in_a_row"] + len(balance.settled[Verdict.DEAD])
    interruptions = kept * agent["interruptions"] + consequence.interruption
    limit = next_batch_limit(ending.outcome, agent["batch_limit"], balance.batch, tx.limits.batch_messages)
    tx.execute(
        "UPDATE agent SET failures = ?, dead_in_a_row = ?, interruptions = ?, batch_limit = ?, idle_since = ?"
        " WHERE name = ?",
        *(failures, dead, interruptions, limit, tx.now, name),
    )
    if consequence.park is not None:
        park = Reason.BACKOFF if _is_out_of_date(tx, turn, ending) else consequence.park
        set_reason(tx, name, park, until=_until(ending), detail=head(mended(ending.error)))
    if dead >= DEAD_LETTERS_IN_A_ROW:
        detail = f"the last one is {_names(balance.settled[Verdict.DEAD])}"
        set_reason(tx, name, Reason.FAILING, detail=detail)
    if interruptions >= tx.limits.interruptions:
        detail = f"{interruptions} times, at last with {_names(balance.held)}"
        set_reason(tx, name, Reason.INTERRUPTED, detail=detail)


def _is_out_of_date(tx: Transaction, turn: sqlite3.Row, ending: EndTurn) -> bool:
    """Whether it was refused with a login that has been replaced since: nobody would wake it for that."""
    if CONSEQUENCES[ending.outcome].park is not Reason.LOGIN:
        return False
    agent = agent_row(tx, turn["agent"])
    assert agent is not None  # it has had this turn
    login = settings_of(agent["settings"]).login
    return login_changed_at(tx, turn["agent"], login) >= float(turn["started_at"])


def _until(ending: EndTurn) -> float | None:
    """Only a rate limit's end is known to somebody; everything else backs off."""
    return ending.until if CONSEQUENCES[ending.outcome].park is Reason.LIMIT else None


def _names(mail: Sequence[Row]) -> str:
    return ", ".join(f"#{row['number']} ({row['id']})" for row in mail) or "no mail"
