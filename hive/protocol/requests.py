"""What can be asked of a running hive over its protocol `hive.1`: commands that change, questions that read.

The rule kept here: one table for the page and the command line, so neither can do what the other cannot.
"""

from collections.abc import Mapping

from hive.protocol import commands
from hive.protocol.grammar import Get, Role, WireCommand

WIRE_COMMANDS: Mapping[str, WireCommand] = {
    wire.name: wire
    for wire in (
        WireCommand(
            "message.send",
            commands.Send,
            filled=("sender", "provenance", "kind", "turn", "cause", "own_token"),
        ),
        WireCommand("message.read", commands.MarkRead),
        WireCommand("message.done", commands.MarkDone),
        WireCommand("message.redrive", commands.Redrive),
        WireCommand("message.bury", commands.Bury),
        WireCommand("message.release", commands.ReleaseBlocked),
        WireCommand("agent.spawn", commands.AddAgent, filled=("by", "needs_login")),
        WireCommand("agent.change", commands.ChangeAgent, filled=("by", "needs_login")),
        WireCommand("agent.remove", commands.RemoveAgent),
        WireCommand("agent.pause", commands.Pause),
        WireCommand("agent.resume", commands.Resume),
        WireCommand("agent.stop", commands.StopAgent),
        WireCommand("agent.start", commands.StartAgent),
        WireCommand("agent.kick", commands.Kick),
        WireCommand("turn.cancel", commands.CancelTurn),
        WireCommand("client.token", None, Role.OWNER),
        WireCommand("secret.set", None, Role.OWNER),
        WireCommand("secret.remove", None, Role.OWNER),
        WireCommand("session.link", None, Role.OWNER),
        WireCommand("session.revoke", commands.RevokeWebSession, Role.OWNER, filled=()),
        WireCommand("chaos.on", None, Role.OWNER),
        WireCommand("chaos.off", None, Role.OWNER),
        WireCommand("hive.backup", None, Role.OWNER),
        WireCommand("hive.stop", None, Role.OWNER),
    )
}

GETS: Mapping[str, Get] = {
    get.name: get
    for get in (
        Get("status", "one sentence, counts, ports, boot, invariants"),
        Get("agents", "every agent's view"),
        Get("agent", "one agent's view and the sentence of `why`; args: agent"),
        Get("tree", "the supervision tree"),
        Get("chaos", "what chaos can do, and what it is doing or did the last time"),
        Get("message", "one message whole, its story, the turns that held it; args: message"),
        Get("mailbox", "a page of one recipient's mail; args: recipient, states, text, before, limit"),
        Get("traffic", "older message heads; args: before, limit"),
        Get("thread", "a thread in order; args: thread"),
        Get("dead", "dead letters; args: limit"),
        Get("turn", "one turn; args: turn"),
        Get("turns", "newest turns; args: agent, limit"),
        Get("cost", "what turns used; args: by (agent, model, day, cause), days"),
        Get("rows", "older rows of a stream; args: agent, after, limit"),
        Get("journal", "journal rows; args: after, limit"),
        Get("endpoint", "URL, socket and header of an agent's tools; args: agent", Role.OPERATOR),
        Get("secrets", "the credentials, without their values, and who uses each", Role.OWNER),
        Get("doctor", "invariants, disk, sizes, ports, versions, each with cause and remedy"),
    )
}

PAGE_ONLY = frozenset({"session.revoke", "traffic", "thread", "turn"})
"""Commands and gets without a verb: the page logs out, scrolls and draws turns."""
