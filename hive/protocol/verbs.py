"""Every verb of hive: one table for the command line's help, the page's commands and the documentation.

A verb changes something (`wire` names a command of the protocol `hive.1`), reads something (`get`), or is
done by the command line itself (`local`).  What the page may ask for is in `hive.protocol.requests`.
"""

from hive.protocol.grammar import Argument, Verb
from hive.protocol.parking import RESUMABLE

BACKENDS = ("scripted", "claude", "codex", "external")
CHAOS_KINDS = ("hints", "actor", "box", "commit", "provider", "request")
RULES = ("plain", "demo-manager", "demo-surveyor")

FAULTS = "none, some, some*3, crash=0.01,hang=0.1, or faults by name"
"""How faults can be written."""


def _option(name: str, text: str, *, number: bool = False, default: str | None = None) -> Argument:
    return Argument(name, text, option=True, required=False, number=number, default=default)


def _switch(name: str, text: str) -> Argument:
    return Argument(name, text, option=True, required=False, switch=True)


_AGENT = Argument("agent", "an agent's name")
_MESSAGE = Argument("message", "a message's id or number")
_ONE_OR_ALL = (
    Argument("agent", "an agent's name", required=False),
    _switch("all", "every agent"),
)
_BEFORE = _option("before", "only mail with a smaller number than this", number=True)

VERBS: tuple[Verb, ...] = (
    Verb(
        "demo",
        "a temporary swarm of five scripted agents that survey a directory tree",
        "start",
        (
            _option("on", "the tree to survey (default: the current directory)"),
            _option("seconds", "stop after so many seconds", number=True),
            _option("chaos", "break it so many times a minute (hive chaos)", number=True),
            _switch("i-know", "what chaos breaks"),
            _switch("headless", "no browser, no page link"),
            _switch("json", "print one JSON object at the end"),
            _switch("no-open", "do not open a browser"),
        ),
        local=True,
        details=(
            "The agents run real commands, talk through the same endpoints as any agent, and write "
            "shared/report.md. Everything is removed at the end. With --seconds and --json the object says "
            "sent, turns, done, retried, dead, wake_ms_p50, wake_ms_p99 and violations; the status is 0 only "
            "where no invariant was violated. With --chaos it says struck as well."
        ),
    ),
    Verb(
        "up",
        "run the hive of a directory until it is told to stop",
        "start",
        (_switch("detach", "run in the background"),),
        local=True,
        details=(
            "The first start makes the directory and a commented hive.toml. On a terminal it prints a link "
            "that logs in. SIGTERM and Ctrl-C stop it in order; a second one does not wait."
        ),
    ),
    Verb(
        "down",
        "stop the hive, in order",
        "start",
        wire="hive.stop",
        details="Returns when the daemon's process is gone.",
    ),
    Verb(
        "open",
        "print a fresh one-time link to the page, and open it",
        "start",
        wire="session.link",
        details="Over ssh it prints the ssh -L command to type on your own machine instead.",
    ),
    Verb(
        "config",
        "effective settings and where each comes from",
        "start",
        local=True,
        details="Those of the daemon that runs; without one those that a start from here would take.",
    ),
    Verb("status", "one look at the whole hive", "look", get="status"),
    Verb("ps", "the agents and what each is doing", "look", get="agents"),
    Verb(
        "tree",
        "the supervision tree: restarts, last errors, what is being handled",
        "look",
        get="tree",
        also=("agents",),
    ),
    Verb("why", "one sentence: why an agent is awake, idle or parked", "look", (_AGENT,), get="agent"),
    Verb(
        "tail",
        "follow what agents do",
        "look",
        (Argument("agent", "agents to follow", many=True),),
        get="rows",
        also=("agent",),
    ),
    Verb(
        "events",
        "follow the journal",
        "look",
        (_option("from", "begin with this number", number=True),),
        get="journal",
        also=("status",),
        details="Without --from it begins with what happens next.",
    ),
    Verb(
        "doctor",
        "check invariants, disk, sizes, ports and versions; print cause and remedy",
        "look",
        get="doctor",
        local=True,
        details=(
            "The status is 1 when something is wrong. Of a running hive it tells when all history was last "
            "checked. While the daemon is down it examines the files, and changes none."
        ),
    ),
    Verb(
        "chaos",
        "break a live hive at random, to see that nothing accepted is lost",
        "look",
        (
            Argument(
                "switch",
                "turn it on or off; without it: what it has done",
                required=False,
                choices=("on", "off"),
            ),
            _option("rate", "strikes a minute at most, 1 to 600", number=True),
            _option("seconds", "for how long (default: 600)", number=True),
            Argument(
                "only",
                f"only these kinds, with commas between: {', '.join(CHAOS_KINDS)}",
                option=True,
                required=False,
            ),
            _option("seed", "draw the strikes of an earlier run again", number=True),
            _switch("i-know", "I know what it will do"),
        ),
        wire="chaos.on",
        get="chaos",
        also=("chaos.off",),
        details=(
            "While it is on, the daemon drops hints, kills actors and boxes, fails commits and provider "
            "calls, and carries keyed requests out twice. Turns are interrupted and tried again, so agents "
            "may do things twice and models may be paid twice; nothing accepted is lost. It is off after "
            "--seconds, after hive chaos off, and after a restart. hive events shows every strike. Kills are "
            "paced: of each budget of restarts it leaves three, so a supervisor with 5 restarts in 30 s "
            "loses two children in that time at most, and the daemon goes on."
        ),
    ),
    Verb(
        "spawn",
        "add an agent",
        "agents",
        (
            Argument("name", "its name: a-z, 0-9, '-'"),
            Argument("backend", "what runs it", option=True, choices=BACKENDS),
            _switch("manager", "make it the manager"),
            _option("purpose", "what it is for, shown to it and to others"),
            _option("model", "what its CLI is to think with (default: the CLI's own choice)"),
            Argument("rules", "rule table of a scripted agent", option=True, required=False, choices=RULES),
            _switch("allow-shell", "let it run commands: by !sh in a script, by the shell of an agent's CLI"),
            Argument(
                "directives-from", "senders a scripted agent obeys", option=True, required=False, many=True
            ),
        ),
        wire="agent.spawn",
        details=(
            "A scripted agent obeys lines that begin with ! from the senders named, and otherwise its rules. "
            "A claude agent is run with Claude Code. "
            "A codex agent is run with Codex. "
            "An external agent is a client of yours that connects to its endpoint: hive endpoint NAME."
        ),
    ),
    Verb(
        "remove",
        "remove an agent; its mail becomes dead letters",
        "agents",
        (_AGENT,),
        wire="agent.remove",
        details='The letters are called "removed", their senders are told, and hive redrive ID --to brings '
        "one back.",
    ),
    Verb(
        "pause",
        "stop an agent from taking mail; a running turn finishes",
        "agents",
        (
            *_ONE_OR_ALL,
            _switch("now", "interrupt the turn, requeue its mail"),
        ),
        wire="agent.pause",
    ),
    Verb(
        "resume",
        "end a pause, or what else a person must end",
        "agents",
        (
            *_ONE_OR_ALL,
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
        _ONE_OR_ALL,
        wire="agent.stop",
        details="A running turn is interrupted and its mail requeued.",
    ),
    Verb(
        "start",
        "let a stopped agent's box come up again, with its next turn",
        "agents",
        _ONE_OR_ALL,
        wire="agent.start",
    ),
    Verb("kick", "wake an agent now, ending a backoff", "agents", _ONE_OR_ALL, wire="agent.kick"),
    Verb(
        "cancel",
        "stop an agent's running turn",
        "agents",
        (_AGENT, _switch("requeue", "try its mail again")),
        wire="turn.cancel",
    ),
    Verb(
        "endpoint",
        "an agent's tools endpoint and ready-to-paste client configuration",
        "agents",
        (
            _AGENT,
            Argument(
                "for",
                "which client",
                option=True,
                required=False,
                choices=("claude", "codex", "opencode", "gemini", "generic"),
                default="generic",
            ),
            _switch("rotate", "replace the token"),
        ),
        wire="client.token",
        get="endpoint",
        details="The first use makes a token and shows it, once; later a placeholder stands in its place.",
    ),
    Verb(
        "send",
        "send mail as the operator",
        "mail",
        (
            Argument("to", "an agent, manager, or '*' for every agent"),
            Argument("text", "the message, or - to read it from standard input"),
            _switch("wait", "wait for the first reply"),
            _switch("urgent", "overtake normal mail"),
            _option("reply-to", "the message this answers"),
            _option("seconds", "how long --wait waits (default: 300)", number=True),
        ),
        wire="message.send",
        also=("message", "agent", "status"),
        details=(
            "With --wait it prints the first reply; where the turn ends without one, its final text, marked "
            "(said, not sent); else why neither came. When time is up the status is 5."
        ),
    ),
    Verb("inbox", "the operator's mail", "mail", (_BEFORE,), get="mailbox", details="A * marks unread mail."),
    Verb("mail", "an agent's mailbox", "mail", (_AGENT, _BEFORE), get="mailbox"),
    Verb("message", "the life story of a message", "mail", (_MESSAGE,), get="message"),
    Verb("read", "mark a message to you as read", "mail", (_MESSAGE,), wire="message.read"),
    Verb("unread", "mark a message to you as unread", "mail", (_MESSAGE,), wire="message.read"),
    Verb("done", "mark a message to you as dealt with", "mail", (_MESSAGE,), wire="message.done"),
    Verb("dead", "dead letters", "mail", get="dead"),
    Verb(
        "redrive",
        "bring a dead letter back",
        "mail",
        (
            _MESSAGE,
            _option("to", "to somebody else"),
            _switch("edit", "edit the text first, in $EDITOR"),
        ),
        wire="message.redrive",
        also=("message",),
    ),
    Verb("bury", "make an unclaimed message a dead letter", "mail", (_MESSAGE,), wire="message.bury"),
    Verb("release", "let mail pass that the loop guard holds", "mail", (_MESSAGE,), wire="message.release"),
    Verb(
        "backup",
        "copy the store of a live hive to a file",
        "keep",
        (Argument("file", "the file to write"),),
        wire="hive.backup",
    ),
    Verb(
        "restore",
        "make a hive's directory from a backup",
        "keep",
        (Argument("file", "the backup"), Argument("directory", "a directory without a hive")),
        local=True,
        details="A file that is damaged, or of a newer hive, is refused.",
    ),
    Verb(
        "torture",
        "kill a hive of its own again and again under load, and see whether a message is lost",
        "try",
        (
            _option("minutes", "for so long (default: 1; none with --kills)", number=True),
            _option("kills", "stop after so many kills", number=True),
            _option("seed", "of its chances", number=True),
        ),
        local=True,
        details=(
            "A daemon in a temporary directory is killed with SIGKILL at random instants; now and then its "
            "log is cut as by a power cut. The status is 0 only where nothing that was acknowledged is "
            "missing and no invariant is broken; else the directory is kept. The seed repeats the chances, "
            "not the instants. Ctrl-C ends it in order, with the verdict so far; a second one at once."
        ),
    ),
    Verb(
        "sim",
        "tell stories of agents in virtual time, under many seeds and faults",
        "try",
        (
            _option("story", "the name of one of hive's, or FILE.py:NAME (default: all of hive's, in turn)"),
            _option("seeds", "FIRST..LAST (default: 0..99)", default="0..99"),
            _option("faults", f"what goes wrong: {FAULTS} (default: none)", default="none"),
            _option("jobs", "processes at once (default: the cores)", number=True),
            _option(
                "seconds-per-seed", "real time until a story is said to hang (default: 120)", number=True
            ),
            _option("stop-at", "begin no more seeds after so many failed", number=True),
            _switch("shrink", "leave out the faults that a failure does not need"),
            _switch("twice", "tell each seed again in another process, and compare"),
            _switch("list", "list hive's own stories"),
        ),
        local=True,
        details=(
            "A story is an async function of one parameter, the simulation. Without --story each seed tells "
            "one of hive's own, dealt out in the order of --list. The same seed and faults give "
            "the same run, and each failure comes with the command that repeats it; a single seed shows all "
            "that is known of its failure. --shrink looks for fewer faults that still make the first failure "
            "of each kind. Ctrl-C ends with what was found so far. The status is 0 where no seed failed."
        ),
    ),
    Verb(
        "mcp-stdio",
        "bridge an agent's endpoint to standard input and output",
        "inside",
        (Argument("agent", "the agent (default: the one in whose box it runs)", required=False),),
        local=True,
        details="For clients that only speak stdio. HIVE_TOKEN_FILE may name a file that holds a token.",
    ),
    Verb(
        "wake",
        "inside a box: leave mail for one's own agent",
        "inside",
        (
            Argument("label", "who says so, as shown to the agent", option=True),
            Argument("body", "the text, or - for standard input", option=True),
        ),
        local=True,
    ),
)
