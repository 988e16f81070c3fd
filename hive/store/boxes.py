"""Boxes, the processes in them, and what the kernel saw.

The rule kept here: every way in which a box comes up is this one function, so none forgets to tell the agent.
"""

from hive.protocol.commands import BoxDown, BoxStarted, ForgetProcess, NoteFact, RecordProcess
from hive.protocol.parking import Reason
from hive.store.notes import leave_restart_note
from hive.store.parking import lift_reason, set_reason
from hive.store.rows import agent_row, live_agent
from hive.store.texts import mended
from hive.store.transaction import Transaction

COLUMNS = frozenset({"type_", "agent", "subject"})


def box_started(tx: Transaction, command: BoxStarted) -> int:
    """A box came up: next epoch, `box_down` lifted, and from the second start on a restart note."""
    epoch: int = live_agent(tx, command.agent)["epoch"] + 1
    cause = mended(command.cause)
    tx.execute("UPDATE agent SET epoch = ? WHERE name = ?", epoch, command.agent)
    tx.journal("box.started", command.agent, command.agent, epoch=epoch, cause=cause)
    lift_reason(tx, command.agent, Reason.BOX_DOWN, by="box")
    if epoch > 1 or command.wakes:
        text = f"Your box was started: {cause}. What ran in it before is gone; files are where they were."
        leave_restart_note(tx, command.agent, text, wakes=command.wakes)
    return epoch


def box_down(tx: Transaction, command: BoxDown) -> None:
    """A box is gone; its turn ends by itself."""
    agent = agent_row(tx, command.agent)
    if agent is None or agent["removed_at"] is not None:
        return
    cause = mended(command.cause)
    if set_reason(tx, command.agent, Reason.BOX_DOWN, detail=cause):
        tx.journal("box.down", command.agent, command.agent, epoch=agent["epoch"], cause=cause)


def record_process(tx: Transaction, command: RecordProcess) -> None:
    """A process runs for an agent; known before it is used."""
    tx.execute(
        "INSERT OR REPLACE INTO process (agent, pid, started, boot, at) VALUES (?, ?, ?, ?, ?)",
        *(command.agent, command.pid, command.started, tx.boot, tx.now),
    )
    tx.journal("process.recorded", command.agent, command.pid, started=command.started)


def forget_process(tx: Transaction, command: ForgetProcess) -> None:
    """A process is gone."""
    gone = tx.execute("DELETE FROM process WHERE pid = ? AND started = ?", command.pid, command.started)
    if gone.rowcount:
        tx.journal("process.gone", command.agent, command.pid, started=command.started)


def note_fact(tx: Transaction, command: NoteFact) -> None:
    """Journal a kernel fact or a warning.  The `path` of a child, if it has one, is the row's subject."""
    path = command.data.get("path")
    # What the row says in a column of its own is not said again.
    data = {name: value for name, value in command.data.items() if name not in COLUMNS}
    tx.journal(command.type, command.agent, None if path is None else str(path), **data)
