"""The verbs that add agents, change what they are run with, steer them and take them away.

The rule kept here: what stops an agent has a verb beside it that lets it go on.
"""

from hive.protocol.grammar import Argument, Verb, option, switch
from hive.protocol.parking import RESUMABLE

BACKENDS = ("scripted", "claude", "codex", "external")
"""Those without a preset: the others are known to the daemon, which has read its owner's."""

RULES = ("plain", "demo-manager", "demo-surveyor")

ONE_AGENT = Argument("agent", "an agent's name")
ONE_OR_ALL = (
    Argument("agent", "an agent's name", required=False),
    switch("all", "every agent"),
)

AGENT_VERBS: tuple[Verb, ...] = (
    Verb(
        "spawn",
        "add an agent",
        "agents",
        (
            Argument("name", "its name: a-z, 0-9, '-'"),
            Argument(
                "backend",
                f"what runs it: {', '.join(BACKENDS)}, or a preset such as opencode or gemini "
                "(default: agents.default_backend of hive.toml)",
                option=True,
                required=False,
            ),
            switch("manager", "make it the manager"),
            option("purpose", "what it is for, shown to it and to others"),
            option("model", "what its CLI is to think with (default: the CLI's own choice)"),
            option("credential", "what logs its CLI in (default: the one that its backend is named after)"),
            Argument("rules", "rule table of a scripted agent", option=True, required=False, choices=RULES),
            switch("allow-shell", "let it run commands: by !sh in a script, by the shell of an agent's CLI"),
            Argument(
                "directives-from", "senders a scripted agent obeys", option=True, required=False, many=True
            ),
        ),
        wire="agent.spawn",
        details=(
            "A scripted agent obeys lines that begin with ! from the senders named, and otherwise its rules. "
            "A claude agent is run with Claude Code, a codex agent with Codex; each is parked until there is "
            "a key for it. One of a preset is run with a CLI that speaks ACP: docs/presets.md lists them and "
            "tells how to add one. "
            "An external agent is a client of yours that connects to its endpoint: hive endpoint NAME."
        ),
    ),
    Verb(
        "change",
        "change what an agent is run with, from its next turn on",
        "agents",
        (
            ONE_AGENT,
            option("purpose", "what it is for, shown to it and to others"),
            option("model", "what its CLI is to think with; '' for the CLI's own choice"),
            option("credential", "what logs its CLI in; '' for the one that its backend is named after"),
            Argument(
                "allow-shell",
                "whether it may run commands",
                option=True,
                required=False,
                choices=("yes", "no"),
            ),
        ),
        wire="agent.change",
        details="What is not named stays as it is. A turn that runs ends as it began.",
    ),
    Verb(
        "secret",
        "keep the keys by which agents' CLIs are logged in",
        "agents",
        (
            Argument("deed", "set reads the key from standard input", choices=("set", "list", "remove")),
            Argument("name", "the credential's name; claude is the one of all claude agents", required=False),
            option("variable", "the variable that hands it to the CLI (default: the key of the backend)"),
        ),
        wire="secret.set",
        get="secrets",
        also=("secret.remove",),
        details=(
            "On a terminal the key is typed unseen. It is kept in the hive's directory in a file that nobody "
            "else can read, is no part of a backup, and is never printed. A CLI finds it in its environment, "
            "and so does whatever it runs: give agents keys of their own that you can take back. Agents "
            "that were waiting for it wake at once."
        ),
    ),
    Verb(
        "remove",
        "remove an agent; its mail becomes dead letters",
        "agents",
        (ONE_AGENT,),
        wire="agent.remove",
        details='The letters are called "removed", their senders are told, and hive redrive ID --to brings '
        "one back.",
    ),
    Verb(
        "pause",
        "stop an agent from taking mail; a running turn finishes",
        "agents",
        (
            *ONE_OR_ALL,
            switch("now", "interrupt the turn, requeue its mail"),
        ),
        wire="agent.pause",
    ),
    Verb(
        "resume",
        "end a pause, or what else a person must end",
        "agents",
        (
            *ONE_OR_ALL,
            Argument(
                "reason",
                "lift these reasons and not the pause",
                option=True,
                required=False,
                many=True,
                choices=tuple(reason.value for reason in RESUMABLE),
            ),
        ),
        wire="agent.resume",
        details="Each reason is lifted by its name only; hive why AGENT says which hold.",
    ),
    Verb(
        "stop",
        "take an agent's box down and keep it down; its mail waits",
        "agents",
        ONE_OR_ALL,
        wire="agent.stop",
        details="A running turn is interrupted and its mail requeued.",
    ),
    Verb(
        "start",
        "let a stopped agent's box come up again, with its next turn",
        "agents",
        ONE_OR_ALL,
        wire="agent.start",
    ),
    Verb("kick", "wake an agent now, ending a backoff", "agents", ONE_OR_ALL, wire="agent.kick"),
    Verb(
        "cancel",
        "stop an agent's running turn",
        "agents",
        (ONE_AGENT, switch("requeue", "try its mail again")),
        wire="turn.cancel",
    ),
    Verb(
        "endpoint",
        "an agent's tools endpoint and ready-to-paste client configuration",
        "agents",
        (
            ONE_AGENT,
            Argument(
                "for",
                "which client",
                option=True,
                required=False,
                choices=("claude", "codex", "opencode", "gemini", "generic"),
                default="generic",
            ),
            switch("rotate", "replace the token"),
        ),
        wire="client.token",
        get="endpoint",
        details="The first use makes a token and shows it, once; later a placeholder stands in its place.",
    ),
)
