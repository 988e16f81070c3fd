"""Agents as rows: added, removed, and what they say about themselves.

The rule kept here: removing an agent leaves nothing undecided.  Every message of it is dead with a reason,
and whoever sent it is told.
"""

import json

from attrs import asdict

from hive.protocol.commands import (
    AddAgent,
    AppendStream,
    ChangeAgent,
    NoteCredential,
    RemoveAgent,
    SetStatus,
    Settings,
)
from hive.protocol.errors import Conflict, Malformed
from hive.protocol.names import MANAGER, check_name
from hive.protocol.outcome import Outcome
from hive.protocol.parking import Reason
from hive.protocol.views import StreamView
from hive.store import rows, slots
from hive.store.logins import note_credential_changed, note_login_changed
from hive.store.notes import tell_undelivered
from hive.store.parking import lift_reason, set_reason
from hive.store.texts import check_text
from hive.store.transaction import Transaction
from hive.store.verdicts import Change, Verdict, kill_unclaimed, settle

ROLES = ("agent", MANAGER)
REMOVED = "removed"

SETTINGS_BYTES = 16 * 1024
"""Of an agent's settings as JSON, which every look at the agent reads."""


def add_agent(tx: Transaction, command: AddAgent) -> str:
    """Add an agent; a removed one of that name comes back clean, its numbers go on."""
    _check_new(tx, command.name, command.settings)
    tx.execute(
        "INSERT INTO agent (name, settings, added_at, batch_limit, idle_since) VALUES (?1, ?2, ?3, ?4, ?3)"
        " ON CONFLICT (name) DO UPDATE SET settings = ?2, added_at = ?3, batch_limit = ?4, idle_since = ?3,"
        " removed_at = NULL, status = '', status_at = NULL, client_token = NULL, client_seen_at = NULL,"
        " failures = 0, dead_in_a_row = 0, interruptions = 0, heard_hops = 0, heard_at = 0",
        *(command.name, rows.settings_text(command.settings), tx.now, tx.limits.batch_messages),
    )
    settings = asdict(command.settings)
    tx.journal("agent.added", command.name, command.name, settings=settings, by=command.by)
    if command.needs_login:
        set_reason(tx, command.name, Reason.LOGIN, detail=command.needs_login)
    return command.needs_login


def change_agent(tx: Transaction, command: ChangeAgent) -> Settings:
    """Keep other settings; the harness finds them at its next look."""
    before = rows.settings_of(rows.live_agent(tx, command.name)["settings"])
    settings = command.applied(before)
    _check_size(settings)
    if settings != before:
        tx.execute("UPDATE agent SET settings = ? WHERE name = ?", rows.settings_text(settings), command.name)
        tx.journal("agent.changed", command.name, command.name, settings=asdict(settings), by=command.by)
    if settings.login != before.login:
        note_login_changed(tx, command.name)
        lift_reason(tx, command.name, Reason.LOGIN, command.by)
        if command.needs_login:
            set_reason(tx, command.name, Reason.LOGIN, detail=command.needs_login)
    return settings


def note_credential(tx: Transaction, command: NoteCredential) -> tuple[str, ...]:
    """Wake whoever waited for this credential."""
    if not command.variables:
        tx.journal("credential.removed", None, command.name, by=command.by)
        return ()
    note_credential_changed(tx, command.name)
    tx.journal("credential.set", None, command.name, variables=command.variables, by=command.by)
    users = [
        str(row["name"])
        for row in tx.rows("SELECT name, settings FROM agent WHERE removed_at IS NULL ORDER BY name")
        if rows.settings_of(row["settings"]).login == command.name
    ]
    return tuple(name for name in users if lift_reason(tx, name, Reason.LOGIN, command.by))


def _check_new(tx: Transaction, name: str, settings: Settings) -> None:
    check_name(name)
    if settings.role not in ROLES:
        raise Malformed(f"{settings.role[:40]!r} is not a role; use {' or '.join(ROLES)}.")
    if name == MANAGER and settings.role != MANAGER:
        raise Malformed(f"Mail to {MANAGER!r} goes to who has that role; choose the role or another name.")
    _check_size(settings)
    if rows.is_live(tx, name):
        raise Conflict(f"There is an agent {name!r} already; choose another name, or remove it first.")
    manager = rows.manager_name(tx)
    if settings.role == MANAGER and manager is not None:
        raise Conflict(f"{manager!r} is the manager already; a hive has one at most.")


def _check_size(settings: Settings) -> None:
    if (size := len(rows.settings_text(settings))) > SETTINGS_BYTES:
        raise Malformed(f"The settings have {size} bytes; {SETTINGS_BYTES} is the most.")


def remove_agent(tx: Transaction, command: RemoveAgent) -> int:
    """Remove an agent and bury its unfinished mail.  Answers how many messages died."""
    rows.live_agent(tx, command.name)
    tx.execute(
        "UPDATE agent SET removed_at = ?, client_token = NULL, client_seen_at = NULL WHERE name = ?",
        *(tx.now, command.name),
    )
    dead = _bury_all(tx, command.name)
    _end_turn(tx, command.name, len(dead))
    tx.execute("DELETE FROM park WHERE agent = ?", command.name)
    tx.journal("agent.removed", command.name, command.name, by=command.by, dead=len(dead))
    tell_undelivered(tx, dead, f"{command.name} was removed")
    slots.offer(tx)
    return len(dead)


CLAIMED = rows.messages("INDEXED BY message_claimed WHERE state = 'claimed' AND recipient = ?")


def _bury_all(tx: Transaction, agent: str) -> list[rows.Row]:
    claimed = tx.rows(CLAIMED, agent)
    change = Change(Verdict.DEAD, REMOVED)
    dead: list[rows.Row | None] = [settle(tx, row, change) for row in claimed]
    for state in ("ready", "blocked"):
        waiting = tx.rows(
            f"SELECT number FROM message INDEXED BY message_{state}"  # noqa: S608 - one of two literals
            f" WHERE state = '{state}' AND recipient = ?",
            agent,
        )
        dead += [kill_unclaimed(tx, row["number"], REMOVED) for row in waiting]
    return sorted((row for row in dead if row is not None), key=lambda row: int(row["number"]))


def _end_turn(tx: Transaction, agent: str, dead: int) -> None:
    turn = rows.open_turn_of(tx, agent)
    if turn is None:
        return
    tx.execute(
        "UPDATE turn SET ended_at = ?, outcome = ?, error = ? WHERE number = ?",
        *(tx.now, Outcome.INTERRUPTED, REMOVED, turn["number"]),
    )
    data = {"outcome": Outcome.INTERRUPTED.value, "error": REMOVED, "text": "", "usage": {}}
    tx.journal("turn.ended", agent, turn["number"], **data, done=0, released=0, retried=0, dead=dead)


def set_status(tx: Transaction, command: SetStatus) -> None:
    """Keep the one line an agent says about itself."""
    rows.live_agent(tx, command.agent)
    text = " ".join(check_text(command.text, "The status").split())
    if len(text) > tx.limits.status_characters:
        raise Malformed(f"The status has {len(text)} characters; {tx.limits.status_characters} is the most.")
    tx.execute("UPDATE agent SET status = ?, status_at = ? WHERE name = ?", text, tx.now, command.agent)
    tx.journal("agent.status", command.agent, command.agent, text=text)


def append_stream(tx: Transaction, command: AppendStream) -> None:
    """Add rows to an agent's lane; a name nobody ever bore is ignored."""
    agent = rows.agent_row(tx, command.agent)
    if agent is None:
        return
    first = agent["stream_head"] + 1
    views = [
        StreamView(n, command.turn, tx.now, row.kind, row.data) for n, row in enumerate(command.rows, first)
    ]
    tx.many(
        "INSERT INTO stream (agent, n, turn, at, kind, data) VALUES (?, ?, ?, ?, ?, ?)",
        [(command.agent, one.n, one.turn, one.at, one.kind, json.dumps(one.data)) for one in views],
    )
    tx.stream_rows.extend((command.agent, one) for one in views)
    head = first + len(views) - 1
    tx.execute("UPDATE agent SET stream_head = ? WHERE name = ?", head, command.agent)
