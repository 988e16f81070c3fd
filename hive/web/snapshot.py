"""What a client is given instead of history: the window of the hive at one number of a lane.

The rule kept here: a snapshot is read in one moment of the store together with the number it stands for,
so that applying the events after that number leads to the same state as a later snapshot.
"""

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from hive.protocol.events import HEAD_CHARACTERS
from hive.protocol.mail import Mail
from hive.protocol.views import AgentView, TurnView
from hive.store.codec import unstructure
from hive.store.port import Reader
from hive.web import wire
from hive.web.lanes import stream_event

NEWEST_MESSAGES = 500
UNREAD_MESSAGES = 2_000
NEWEST_TURNS = 100
NEWEST_ROWS = 2_000
ROWS_BYTES = 2 * 1024 * 1024
"""Of the newest rows of a stream so many bytes at most."""


@frozen
class Snapshot:
    """Frames of one lane's snapshot and the number it stands for."""

    n: int
    frames: tuple[str, ...]


def message_head(mail: Mail) -> Mapping[str, object]:
    """A message as lists show it; the whole body comes by `get message`."""
    return {
        "id": mail.id,
        "number": mail.number,
        "from": mail.sender,
        "to": mail.recipient,
        "kind": mail.kind,
        "thread": mail.thread,
        "head": mail.body[:HEAD_CHARACTERS],
        "size": mail.size,
        "hops": mail.hops,
        "in_reply_to": mail.in_reply_to,
        "priority": mail.priority,
        "provenance": mail.provenance,
        "label": mail.label,
        "broadcast": mail.broadcast,
        "wakes": mail.wakes,
        "not_before": mail.not_before,
        "cause": mail.cause,
        "state": mail.state,
        "attempts": mail.attempts,
        "turn": mail.turn,
        "why": mail.why,
        "at": mail.created_at,
        "read": mail.read_at is not None,
    }


def agent_head(view: AgentView) -> Mapping[str, object]:
    """An agent as events keep it up to date."""
    return {
        "name": view.name,
        "settings": unstructure(view.settings),
        "added_at": view.added_at,
        "status": view.status,
        "status_at": view.status_at,
        "parked": [unstructure(parked) for parked in view.parked],
        "turn": None if view.open_turn is None else view.open_turn.number,
        "epoch": view.epoch,
    }


def turn_head(turn: TurnView) -> Mapping[str, object]:
    """A turn as events keep it up to date."""
    return {
        "number": turn.number,
        "agent": turn.agent,
        "started_at": turn.started_at,
        "ended_at": turn.ended_at,
        "outcome": turn.outcome,
        "error": turn.error[:HEAD_CHARACTERS],
        "text": turn.final_text[:HEAD_CHARACTERS],
        "stop": turn.stop_requested,
        "messages": list(turn.messages),
    }


def journal_snapshot(reader: Reader) -> Snapshot:
    """The window of the whole hive."""
    with reader.moment():
        head = reader.head()
        rows = {
            "agents": [wire.item(agent_head(view)) for view in reader.agents()],
            "turns": [wire.item(turn_head(turn)) for turn in _turns(reader)],
            "messages": [wire.item(message_head(mail)) for mail in _messages(reader)],
        }
    return Snapshot(head.seq, tuple(_frames(wire.JOURNAL, head.seq, head.boot, rows)))


def stream_snapshot(reader: Reader, agent: str) -> Snapshot:
    """The newest rows of one agent's stream."""
    with reader.moment():
        boot = reader.head().boot
        rows = reader.stream_tail(agent, limit=NEWEST_ROWS)
        view = reader.agent(agent)
    n = 0 if view is None else view.stream_head
    newest = {"rows": _newest([stream_event(row) for row in rows])}
    return Snapshot(n, tuple(_frames(wire.STREAM_PREFIX + agent, n, boot, newest)))


def _newest(rows: Sequence[str]) -> Sequence[str]:
    """The newest rows whose bytes are within bounds."""
    room = ROWS_BYTES
    for index in range(len(rows) - 1, -1, -1):
        room -= wire.size(rows[index])
        if room < 0:
            return rows[index + 1 :]
    return rows


def _messages(reader: Reader) -> Sequence[Mail]:
    """Everything unfinished, what the operator has not read, and the newest; by number, each once."""
    chosen = {mail.number: mail for mail in reader.traffic(limit=NEWEST_MESSAGES).mail}
    chosen.update({mail.number: mail for mail in reader.unfinished()})
    chosen.update({mail.number: mail for mail in reader.unread_mail(limit=UNREAD_MESSAGES)})
    return [chosen[number] for number in sorted(chosen)]


def _turns(reader: Reader) -> Sequence[TurnView]:
    chosen = {turn.number: turn for turn in reader.turns(limit=NEWEST_TURNS)}
    chosen.update({turn.number: turn for turn in reader.open_turns()})
    return [chosen[number] for number in sorted(chosen)]


def _frames(lane: str, n: int, boot: int, rows: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield wire.frame("snap", lane=lane, part="begin", n=n, boot=boot)
    for kind, some in rows.items():
        start = 0
        while start < len(some):
            end = wire.fitting(some, wire.SNAPSHOT_ROWS, start)
            yield wire.rows(lane, kind, some[start:end])
            start = end
    yield wire.frame("snap", lane=lane, part="end", n=n)
