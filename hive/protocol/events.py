"""The words of the journal: every type of row, the agent it concerns, and its data.

Page, command line and tests are projections of these rows.  New types and new fields may be added; a
type or a field is never renamed, because journals outlive programs.

Every `msg.*` row has the message's id as subject, its recipient as agent, and at least the fields of
`MESSAGE_FIELDS`; it tells where the message is after the change.
"""

from collections.abc import Mapping

MESSAGE_FIELDS = ("number", "from", "to", "state", "attempts", "turn", "why")

SENT_FIELDS = (
    "kind",
    "thread",
    "head",
    "size",
    "hops",
    "in_reply_to",
    "priority",
    "provenance",
    "label",
    "broadcast",
    "wakes",
    "not_before",
    "cause",
)
"""What `msg.sent` adds; `head` is the body's first 160 characters."""

HEAD_CHARACTERS = 160

TYPES: Mapping[str, str] = {
    "hive.booted": "the daemon began to serve; data: version",
    "hive.stopped": "an ordered shutdown; data: why",
    "hive.warning": "something the operator should know; data: code, text",
    "audit.broken": "subject: its key; data: invariant, text, message, rows (those involved), told (letter)",
    "audit.mended": "subject: its key; it has not been found again; data: invariant, text, message, told",
    "agent.added": "subject: name; data: settings, by",
    "agent.changed": "subject: name; data: settings, by",
    "agent.removed": "subject: name; data: by, dead",
    "agent.status": "data: text",
    "park.set": "subject: reason; data: until, detail",
    "park.lifted": "subject: reason; data: by",
    "msg.sent": "accepted; data also SENT_FIELDS",
    "msg.claimed": "a turn or a lease holds it; data also claim, holder",
    "msg.seen": "there is evidence that the model was given it",
    "msg.released": "back to the front, uncharged",
    "msg.retried": "its own turn failed; an attempt was charged; data also error",
    "msg.done": "handled",
    "msg.dead": "a dead letter",
    "msg.unblocked": "a person let it pass the loop guard",
    "msg.read": "the operator has read it",
    "msg.unread": "the operator has not read it after all",
    "msg.redriven": "a fresh copy was made; data also as",
    "turn.started": "subject: number; data: messages (ids), hops, incarnation",
    "turn.stop": "subject: number; somebody asked it to stop; data: how, by",
    "turn.ended": "subject: number; data: outcome, error, text (head), usage, done, released, retried, dead",
    "box.started": "subject: agent; data: epoch, cause",
    "box.down": "subject: agent; data: epoch, cause",
    "process.recorded": "subject: pid; data: started",
    "process.gone": "subject: pid; data: started",
    "credential.set": "subject: its name; data: variables (their names), by",
    "credential.removed": "subject: its name; data: by",
    "client.token": "a client token was made; data: by",
    "session.added": "a browser logged in; data: role",
    "session.revoked": "a browser was logged out",
    "child.started": "subject: path; data: incarnation",
    "child.exited": "subject: path; data: reason, error",
    "child.parked": "subject: path; data: error",
    "chaos.on": "data: rate, seconds, kinds, seed, by",
    "chaos.struck": "one fault hit; data: kind, target",
    "chaos.off": "also when its time is over; not when the daemon dies; data: why, struck {kind: number}",
    "command.refused": "a keyed command was refused; data: code, text",
}
