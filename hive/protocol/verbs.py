"""Every verb of hive: one table for the command line's help, the page's commands and the documentation.

A verb changes something (`wire` names a command of the protocol `hive.1`), reads something (`get`), or is
done by the command line itself (`local`).  What the page may ask for is in `hive.protocol.requests`.
"""

from hive.protocol.agent_verbs import AGENT_VERBS, ONE_AGENT
from hive.protocol.grammar import Argument, Verb, option, switch
from hive.protocol.views import COSTS_BY

CHAOS_KINDS = ("hints", "actor", "box", "commit", "provider", "request")

FAULTS = "none, some, some*3, crash=0.01,hang=0.1, or faults by name"
"""How faults can be written."""


_MESSAGE = Argument("message", "a message's id or number")
_BEFORE = option("before", "only mail with a smaller number than this", number=True)

VERBS: tuple[Verb, ...] = (
    Verb(
        "demo",
        "a temporary swarm of five scripted agents that survey a directory tree",
        "start",
        (
            option("on", "the tree to survey (default: the current directory)"),
            option("seconds", "stop after so many seconds", number=True),
            option("chaos", "break it so many times a minute (hive chaos)", number=True),
            switch("i-know", "what chaos breaks"),
            switch("headless", "no browser, no page link"),
            switch("json", "print one JSON object at the end"),
            switch("no-open", "do not open a browser"),
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
        (switch("detach", "run in the background"),),
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
    Verb("why", "one sentence: why an agent is awake, idle or parked", "look", (ONE_AGENT,), get="agent"),
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
        (option("from", "begin with this number", number=True),),
        get="journal",
        also=("status",),
        details="Without --from it begins with what happens next.",
    ),
    Verb(
        "turns",
        "what an agent's latest turns were about, took and used",
        "look",
        (ONE_AGENT, option("limit", "how many, 500 at most (default: 20)", number=True)),
        get="turns",
    ),
    Verb(
        "cost",
        "what turns used: time, tokens and money, dearest first",
        "look",
        (
            Argument(
                "by", "added up by what (default: agent)", option=True, required=False, choices=COSTS_BY
            ),
            option("days", "of so many days (default: 30)", number=True),
        ),
        get="cost",
        details=(
            "Money is what the agents' CLIs say they were charged; tokens that came from a provider's cache "
            "are part of those that went in. A cause is who woke the agent: the operator, another agent, "
            "hive itself or somebody outside."
        ),
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
            option("rate", "strikes a minute at most, 1 to 600", number=True),
            option("seconds", "for how long (default: 600)", number=True),
            Argument(
                "only",
                f"only these kinds, with commas between: {', '.join(CHAOS_KINDS)}",
                option=True,
                required=False,
            ),
            option("seed", "draw the strikes of an earlier run again", number=True),
            switch("i-know", "I know what it will do"),
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
    *AGENT_VERBS,
    Verb(
        "send",
        "send mail as the operator",
        "mail",
        (
            Argument("to", "an agent, manager, or '*' for every agent"),
            Argument("text", "the message, or - to read it from standard input"),
            switch("wait", "wait for the first reply"),
            switch("urgent", "overtake normal mail"),
            option("reply-to", "the message this answers"),
            option("seconds", "how long --wait waits (default: 300)", number=True),
        ),
        wire="message.send",
        also=("message", "agent", "status"),
        details=(
            "With --wait it prints the first reply; where the turn ends without one, its final text, marked "
            "(said, not sent); else why neither came. When time is up the status is 5."
        ),
    ),
    Verb("inbox", "the operator's mail", "mail", (_BEFORE,), get="mailbox", details="A * marks unread mail."),
    Verb("mail", "an agent's mailbox", "mail", (ONE_AGENT, _BEFORE), get="mailbox"),
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
            option("to", "to somebody else"),
            switch("edit", "edit the text first, in $EDITOR"),
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
            option("minutes", "for so long (default: 1; none with --kills)", number=True),
            option("kills", "stop after so many kills", number=True),
            option("seed", "of its chances", number=True),
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
            option("story", "the name of one of hive's, or FILE.py:NAME (default: all of hive's, in turn)"),
            option("seeds", "FIRST..LAST (default: 0..99)", default="0..99"),
            option("faults", f"what goes wrong: {FAULTS} (default: none)", default="none"),
            option("jobs", "processes at once (default: the cores)", number=True),
            option("seconds-per-seed", "real time until a story is said to hang (default: 120)", number=True),
            option("stop-at", "begin no more seeds after so many failed", number=True),
            switch("shrink", "leave out the faults that a failure does not need"),
            switch("twice", "tell each seed again in another process, and compare"),
            switch("list", "list hive's own stories"),
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
