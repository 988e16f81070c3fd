"""What the daemon answered, as text for a person.  Pure: JSON in, lines out.

The rule kept here: whatever is shown as a fact was in the answer; nothing is guessed from its absence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hive.actors.protocol import HARNESS_PREFIX, agent_of
from hive.cli.tables import age, flat, table
from hive.protocol.wording import duration, stamp

Json = Mapping[str, Any]


def status(data: Json, _width: int | None) -> str:
    """One look at the hive."""
    counts = data["counts"]
    where = (
        f"hive {data['version']}, boot {data['boot']}: {data['agents']} agents, {data['running']} in a turn, "
        f"{data['parked']} parked; {data['unread']} unread for {data['operator']}."
    )
    sums = " + ".join(f"{counts[state]} {state}" for state in ("ready", "claimed", "blocked", "done", "dead"))
    mail = f"mail: {counts['accepted']} accepted = {sums} + {counts['removed']} removed by retention."
    lines = [where, mail, f"page: {data['origins'][0]} (hive open logs in)"]
    if (run := data.get("chaos")) and run["on"]:
        lines.append(chaos(run))
    if data["refusing"]:
        lines.append(f"THE STORE REFUSES COMMITS: {data['refusing']}")
    broken = data["violations"]
    if broken:
        lines += [f"BROKEN: invariant {one['invariant']}: {one['text']}" for one in broken]
    else:
        lines.append("every accepted message is accounted for.")
    lines.append(f"audit: {data['audit']['sentence']}.")
    return "\n".join(lines)


def chaos(run: Json) -> str:
    """The line that says that it is on."""
    return (
        f"CHAOS IS ON: {run['rate']} strikes a minute until {stamp(run['until'])}, {run['total']} so far "
        f"(seed {run['seed']}). End it: hive chaos off"
    )


def settings(data: Json, width: int | None) -> str:
    """Whose settings they are, and each with its source."""
    whose = (
        f"the hive on {data['directory']} (process {data['pid']}) runs with these:"
        if data["pid"]
        else f"no hive runs on {data['directory']}; started from here it would take these:"
    )
    rows = [[one["path"], f"{one['value']}", one["source"]] for one in data["settings"]]
    lines = [whose, table(["setting", "value", "from"], rows, width)]
    if data["edited"]:
        lines.append("hive.toml was changed after this start; the next start takes it: hive down, hive up")
    return "\n".join(lines)


def agents(data: Sequence[Json], width: int | None) -> str:
    """The agents and what each is doing."""
    if not data:
        return "no agents yet.  Add one: hive spawn boss --backend scripted --manager"
    rows = []
    for entry in data:
        view = entry["view"]
        waiting = view["ready"] + view["blocked"]
        role = view["settings"]["role"]
        rows.append([view["name"], role, view["settings"]["backend"], f"{waiting}", entry["why"]])
    return table(["agent", "role", "backend", "mail", "why"], rows, width)


def agent(data: Json, _width: int | None) -> str:
    """The sentence of `why`."""
    return str(data["why"])


def _standing(one: Json) -> str:
    match one["standing"]:
        case "parked":
            until = one["parked_until"]
            return f"{one['recipient']} is parked ({one['parked_for']})" + (
                "" if until is None else f" until {stamp(until)}"
            )
        case "person":
            return f"{one['recipient']} is a person"
        case standing:
            return f"{one['recipient']} is {standing}"


def accepted(one: Json) -> str:
    """What happens next to one message."""
    line = f"accepted as #{one['number']} ({one['id']}), {one['ahead']} ahead; {_standing(one)}."
    if one["blocked"]:
        line += f" It is held: {one['blocked']}. Let it pass: hive release {one['id']}"
    return line


def sent(data: Json, _width: int | None) -> str:
    """What became of a send."""
    lines = [accepted(one) for one in data["accepted"]]
    lines += [f"not accepted for {one['recipient']}: {one['why']}" for one in data["refused"]]
    return "\n".join(lines) or "nobody to send to."


def heads(mail: Sequence[Json], width: int | None) -> str:
    """A list of messages."""
    rows = [
        [
            f"#{one['number']}",
            one["from"],
            one["to"],
            one["state"] + ("" if one["to"] != "operator" or one["read"] else " *"),
            stamp(one["at"]),
            one["head"],
        ]
        for one in mail
    ]
    return table(["number", "from", "to", "state", "at", "text"], rows, width) if rows else "no mail."


def turns(data: Sequence[Json], width: int | None) -> str:
    """An agent's turns, newest first."""
    rows = [
        [
            f"{one['number']}",
            stamp(one["started_at"]),
            "" if one["ended_at"] is None else duration(one["ended_at"] - one["started_at"]),
            (one["outcome"] or "running").replace("_", " "),
            one["cause"],
            flat(one["model"]),
            *_used(one),
            _context(one),
            flat(_work(one)),
        ]
        for one in data
    ]
    heads_ = ["turn", "began", "took", "outcome", "cause", "model", "in", "out", "cost", "context", "work"]
    return table(heads_, rows, width) if rows else "no turns."


def _work(one: Json) -> str:
    tools = " ".join(f"{name}*{count}" for name, count in one["tools"].items())
    return "; ".join(part for part in (one["error"] or one["final_text"], tools) if part)


def _used(one: Json) -> tuple[str, str, str]:
    money = f"${one['cost_usd']:.4f}" if one["cost_usd"] else ""
    return f"{one['input_tokens']:,}", f"{one['output_tokens']:,}", money


def _context(one: Json) -> str:
    """How full the model's room was, where somebody says."""
    used, room = one["context_tokens"], one["context_window"]
    return f"{used / room:.0%}" if room else (f"{used:,}" if used else "")


def cost(data: Sequence[Json], width: int | None) -> str:
    """What turns used, with a last line for all of them."""
    if not data:
        return "no turn has ended in that time."
    whole = {name: sum(one[name] for one in data) for name in data[0] if name != "of"}
    rows = [
        [
            flat(one["of"]) or "(unknown)",
            f"{one['turns']}",
            duration(one["seconds"]),
            f"{one['cached_tokens']:,}",
            *_used(one),
        ]
        for one in (*data, {"of": "all", **whole})
    ]
    return table(["of", "turns", "time", "cached", "in", "out", "cost"], rows, width)


def mailbox(data: Json, width: int | None) -> str:
    """A page of a mailbox."""
    text = heads(data["mail"], width)
    if not data["more"]:
        return text
    return f"{text}\n(there is older mail: --before {data['mail'][-1]['number']})"


def message(data: Json, _width: int | None) -> str:
    """The life story of a message, then what it says."""
    mail = data["mail"]
    nature = f"{mail['kind']}, {mail['priority']}, provenance {mail['provenance']}, {mail['size']} bytes"
    lines = [
        f"#{mail['number']} {mail['id']}  {mail['sender']} -> {mail['recipient']}",
        f"{nature}, hops {mail['hops']}, thread {mail['thread']}",
    ]
    if mail["label"]:
        lines.append(f"label (typed by the sender, not checked): {mail['label']}")
    lines.append(f"now {mail['state']}" + (f": {mail['why']}" if mail["why"] else ""))
    lines += ["", *(_step(row) for row in data["story"])]
    for turn in data["turns"]:
        if turn["final_text"]:
            lines += ["", f"turn {turn['number']} of {turn['agent']} said: {turn['final_text']}"]
    lines += ["", data["body"]]
    if data["cut"]:
        lines.append(f"(cut here; it has {mail['size']} bytes in all)")
    return "\n".join(lines)


STEPS: Mapping[str, Callable[[Json], str]] = {
    "msg.sent": lambda row: f"accepted from {row['from']} for {row['to']}, {row['state']}",
    "msg.claimed": lambda row: (
        f"claimed by turn {row['turn']}" if row["turn"] else "claimed by its own client"
    ),
    "msg.seen": lambda row: f"shown to the model in turn {row['turn']}",
    "msg.released": lambda row: f"given back uncharged: {row['why']}",
    "msg.retried": lambda row: f"to be tried again (attempt {row['attempts']}): {row['why']}",
    "msg.done": lambda row: f"done: {row['why']}",
    "msg.dead": lambda row: f"dead letter: {row['why']}",
    "msg.unblocked": lambda row: f"let pass: {row['why']}",
    "msg.read": lambda _: "read",
    "msg.unread": lambda _: "marked unread",
    "msg.redriven": lambda row: f"brought back as {row.get('as')}",
}


def _step(row: Json) -> str:
    words = STEPS.get(row["type"])
    return f"{stamp(row['at'])}  {row['type'] if words is None else words(row['data'])}"


def with_work(node: Json, agents_: Mapping[str, Json]) -> Json:
    """A supervision tree in which each agent's harness bears its agent's turn and mail."""
    if "children" in node:
        return {**node, "children": [with_work(child, agents_) for child in node["children"]]}
    view = agents_.get(agent_of(node["name"])) if node["name"].startswith(HARNESS_PREFIX) else None
    if view is None:
        return node
    mail = {"waiting": view["deliverable"], "since": view["deliverable_since"]}
    return {**node, "turn": view["open_turn"], "mail": mail}


def tree(data: Json, width: int | None) -> str:
    """The supervision tree."""
    rows = list(_branch(data["tree"], 0, data["now"]))
    return table(["actor", "state", "incarnation", "restarts", "waiting", "doing"], rows, width)


def _branch(node: Json, depth: int, now: float) -> Iterator[Sequence[str]]:
    actor = node.get("actor", node)
    budget = node.get("budget")
    doing = [*_doing(actor, now)]
    if budget:
        allowed = f"{budget['intensity']} restarts in {budget['period']:.0f} s"
        doing.append(f"{node['kinship']}: restarts {node['strategy']}, {allowed}")
    if actor["last_error"]:
        doing.append(f"last error: {actor['last_error']}")
    yield (
        f"{'  ' * depth}{actor['name']}",
        actor["status"],
        f"{actor['incarnation']}",
        f"{actor['restarts']}",
        _waiting(actor, now),
        "; ".join(doing),
    )
    for child in node.get("children", ()):
        yield from _branch(child, depth + 1, now)


def _doing(actor: Json, now: float) -> Iterator[str]:
    if turn := actor.get("turn"):
        yield f"turn {turn['number']} for {age(now - turn['started_at'])}"
    elif handling := actor["handling"]:
        yield f"{handling['kind']} for {age(handling['age'])}"
    if actor["waits_for"]:
        yield f"waits for {', '.join(actor['waits_for'])}"


def _waiting(actor: Json, now: float) -> str:
    """What its mailbox holds; for a harness its agent's mail as well."""
    kinds = actor["mailbox"]["waiting"].values()
    count = sum(kind["count"] for kind in kinds)
    ages = [kind["oldest"] for kind in kinds]
    if mail := actor.get("mail"):
        count += mail["waiting"]
        ages += [] if mail["since"] is None else [now - mail["since"]]
    return f"{count}, {age(max(ages))}" if ages else f"{count}"


def doctor(data: Sequence[Json], _width: int | None) -> str:
    """Findings with cause and remedy."""
    lines = []
    for finding in data:
        lines.append(f"{'ok  ' if finding['ok'] else 'BAD '} {finding['what']}: {finding['cause']}")
        if finding["remedy"]:
            lines.append(f"     -> {finding['remedy']}")
    return "\n".join(lines)


NOT_SHOWN = frozenset({"agent", "subject", "boot", "turn", "id"})
"""Fields of an event that its line shows elsewhere, or not at all."""


def stream_line(agent_: str, at: float, type_: str, data: Json) -> str:
    """One line of `tail`."""
    words = flat(" ".join(str(value) for _, value in _told(data)))
    return f"{stamp(at)}  {agent_}  {type_:<9} {words}"


def journal_line(number: int, at: float, type_: str, data: Json) -> str:
    """One line of `events`."""
    about = " ".join(str(data[name]) for name in ("agent", "subject") if data.get(name))
    words = flat(" ".join(f"{name}={value}" for name, value in _told(data)))
    return f"{number:>7}  {stamp(at)}  {type_:<16} {about}  {words}"


def _told(data: Json) -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if name not in NOT_SHOWN and value not in (None, "", [], {}):
            yield name, value


SHOWN: Mapping[str, Callable[[Any, int | None], str]] = {
    "status": status,
    "agents": agents,
    "agent": agent,
    "turns": turns,
    "cost": cost,
    "tree": tree,
    "mailbox": mailbox,
    "message": message,
    "dead": heads,
    "doctor": doctor,
}
"""How the answer to each `get` is shown."""
