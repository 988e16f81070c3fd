"""The table of who implements which command.

The rule kept here: a command without a row does not exist; a test compares the table with the protocol.
"""

from collections.abc import Callable, Mapping
from typing import Any

from hive.protocol import commands
from hive.store import (
    agents,
    alarms,
    attachments,
    boxes,
    leases,
    once,
    operator,
    retention,
    send,
    steering,
    tokens,
    turns,
)
from hive.store.transaction import Transaction

# The argument's type is the key's; the type system has no words for that.
Handler = Callable[[Transaction, Any], object]

HANDLERS: Mapping[type[commands.Command[Any]], Handler] = {
    commands.AddAgent: agents.add_agent,
    commands.ChangeAgent: agents.change_agent,
    commands.NoteCredential: agents.note_credential,
    commands.RemoveAgent: agents.remove_agent,
    commands.SetStatus: agents.set_status,
    commands.AppendStream: agents.append_stream,
    commands.Park: steering.park,
    commands.Lift: steering.lift,
    commands.Pause: steering.pause,
    commands.Resume: steering.resume,
    commands.StartAgent: steering.start_agent,
    commands.StopAgent: steering.stop_agent,
    commands.Kick: steering.kick,
    commands.CancelTurn: steering.cancel_turn,
    commands.Send: send.send,
    commands.StoreAttachment: attachments.store_attachment,
    commands.Lease: leases.lease,
    commands.ExtendLeases: leases.extend_leases,
    commands.Ack: leases.ack,
    commands.Release: leases.release,
    commands.ExpireLeases: leases.expire_leases,
    commands.MarkRead: operator.mark_read,
    commands.MarkDone: operator.mark_done,
    commands.Redrive: operator.redrive,
    commands.Bury: operator.bury,
    commands.ReleaseBlocked: operator.release_blocked,
    commands.BeginTurn: turns.begin_turn,
    commands.ClaimIntoTurn: turns.claim_into_turn,
    commands.MarkSeen: turns.mark_seen,
    commands.Withdraw: turns.withdraw,
    commands.EndTurn: turns.end_turn,
    commands.EndOrphans: turns.end_orphans,
    commands.RecordProcess: boxes.record_process,
    commands.ForgetProcess: boxes.forget_process,
    commands.BoxStarted: boxes.box_started,
    commands.BoxDown: boxes.box_down,
    commands.KeepAnswer: once.keep_answer,
    commands.NoteFact: boxes.note_fact,
    commands.SetClientToken: tokens.set_client_token,
    commands.TouchClient: tokens.touch_client,
    commands.AddWebSession: tokens.add_web_session,
    commands.RevokeWebSession: tokens.revoke_web_session,
    commands.TellAudit: alarms.tell_audit,
    commands.Sweep: retention.sweep,
}
