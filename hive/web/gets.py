"""Detail on demand: everything a client may ask for without changing anything.

The rule kept here: an answer is of one moment, bounded, and built from committed state only.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import trio
from attrs import evolve

from hive.protocol.chaos import DEEDS
from hive.protocol.errors import Forbidden, HiveRefusal, Malformed, NotFound
from hive.protocol.names import OPERATOR
from hive.protocol.requests import GETS
from hive.protocol.views import COSTS_BY, AgentView
from hive.protocol.wording import audit_sentence, why_sentence
from hive.store.codec import unstructure
from hive.store.texts import head
from hive.web import wire
from hive.web.health import broken
from hive.web.incoming import LARGEST_NUMBER, Question
from hive.web.parts import FAULT, Login, WebParts
from hive.web.plain import plain
from hive.web.snapshot import message_head

COST_DAYS = 30
DAY_SECONDS = 24 * 3600.0
PAGE_ROWS = 500
PAGE_BYTES = 192 * 1024
"""Of rows or of a body in one answer."""

DIAGNOSIS_SECONDS = 15.0

Arguments: TypeAlias = Mapping[str, object]


async def answer(parts: WebParts, login: Login, question: Question) -> dict[str, object]:
    """Answer one question with the fields of its `got`."""
    try:
        data = await _answered(parts, login, question)
    except HiveRefusal as refusal:
        return {"id": question.id, "ok": False, "error": {"code": refusal.code, "text": refusal.text}}
    except Exception as error:  # noqa: BLE001 - a fault of ours in one answer must not end the connection
        parts.on_error(error)
        return {"id": question.id, "ok": False, "error": FAULT}
    return {"id": question.id, "ok": True, "data": data}


async def _answered(parts: WebParts, login: Login, question: Question) -> object:
    get = GETS.get(question.what)
    if get is None:
        raise NotFound(f"there is nothing called {question.what[:80]!r} to get; there are {', '.join(GETS)}")
    if login.role < get.role:
        raise Forbidden(f"{get.name} is for the {get.role.name.lower()}")
    match question.what:
        case "doctor":
            return await _doctor(parts)
        case "cost":
            return await _cost(parts, question.arguments)
    await trio.lowlevel.checkpoint()
    with parts.store.reader.moment():
        return ANSWERS[question.what](parts, question.arguments)


# --- arguments -----------------------------------------------------------------------------------


def _text(arguments: Arguments, name: str, default: str | None = None) -> str:
    value = arguments.get(name, default)
    if not isinstance(value, str):
        raise Malformed(f"{name}: expected text")
    return value


def _number(arguments: Arguments, name: str, default: int) -> int:
    value = arguments.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_NUMBER:
        raise Malformed(f"{name}: expected a whole number from 0 up")
    return value


def _before(arguments: Arguments) -> int | None:
    return None if arguments.get("before") is None else _number(arguments, "before", 0)


def _limit(arguments: Arguments) -> int:
    return min(PAGE_ROWS, _number(arguments, "limit", 50))


def _view(parts: WebParts, arguments: Arguments) -> AgentView:
    name = _text(arguments, "agent")
    view = parts.store.reader.agent(name)
    if view is None:
        raise NotFound(f"there is no agent {name[:40]!r}")
    return view


# --- answers -------------------------------------------------------------------------------------


def _status(parts: WebParts, _arguments: Arguments) -> object:
    reader = parts.store.reader
    agents = reader.agents()
    return {
        "version": parts.version,
        "boot": reader.head().boot,
        "seq": reader.head().seq,
        "log_id": reader.head().log_id,
        "now": parts.wall(),
        "operator": parts.operator,
        "origins": list(parts.origins()),
        "refusing": parts.store.refusing,
        "violations": unstructure(broken(reader, parts.audit())),
        "audit": _audit(parts),
        "chaos": parts.powers.chaos.said(),
        "counts": unstructure(reader.counts()),
        "unread": reader.unread(),
        "agents": len(agents),
        "running": sum(view.open_turn is not None for view in agents),
        "parked": sum(bool(view.parked) for view in agents),
    }


def _audit(parts: WebParts) -> Mapping[str, object]:
    view, now = parts.audit(), parts.wall()
    return {
        "looks": view.looks,
        "full_age": view.full_age(now),
        "full_seconds": view.full_seconds,
        "share": view.share(now),
        "sentence": audit_sentence(view, now),
    }


def _described(parts: WebParts, view: AgentView) -> Mapping[str, object]:
    return {"view": unstructure(view), "why": why_sentence(view, parts.wall())}


def _agents(parts: WebParts, _arguments: Arguments) -> object:
    return [_described(parts, view) for view in parts.store.reader.agents()]


def _agent(parts: WebParts, arguments: Arguments) -> object:
    return _described(parts, _view(parts, arguments))


def _chaos(parts: WebParts, _arguments: Arguments) -> Mapping[str, object]:
    return {"kinds": {kind.value: deed for kind, deed in DEEDS.items()}, "last": parts.powers.chaos.said()}


def _secrets(parts: WebParts, _arguments: Arguments) -> Sequence[Mapping[str, object]]:
    """Who uses a credential is who would: no value is looked at."""
    agents = parts.store.reader.agents()
    return [
        {
            "name": one.name,
            "variables": list(one.variables),
            "changed_at": one.changed_at,
            "used_by": [view.name for view in agents if view.settings.login == one.name],
        }
        for one in parts.powers.secrets.credentials()
    ]


def _tree(parts: WebParts, _arguments: Arguments) -> object:
    return plain(parts.powers.tree())


def _message(parts: WebParts, arguments: Arguments) -> object:
    reader = parts.store.reader
    ref = _text(arguments, "message")
    mail = reader.mail(ref)
    if mail is None:
        raise NotFound(f"there is no message {ref[:60]!r}")
    start = _number(arguments, "from", 0)
    rest = (reader.body(ref) or "")[start:]
    body = _shortened(rest)
    turns = sorted({turn for row in reader.story(ref) if isinstance(turn := row.data.get("turn"), int)})
    return {
        "mail": unstructure(mail),
        "body": body,
        "cut": len(body) < len(rest),
        "story": unstructure(reader.story(ref)),
        "turns": [unstructure(turn) for number in turns if (turn := reader.turn(number))],
        "replies": [
            message_head(reply) for reply in reader.thread(mail.thread) if reply.in_reply_to == mail.id
        ],
    }


def _shortened(text: str) -> str:
    """As much of a text as one answer holds; the rest comes by `from`."""
    while wire.size(wire.encoded(text)) > PAGE_BYTES:
        text = text[: min(len(text) - 1, PAGE_BYTES, len(text) * 3 // 4)]
    return text


def _mailbox(parts: WebParts, arguments: Arguments) -> object:
    states = arguments.get("states", [])
    if not isinstance(states, list) or not all(isinstance(state, str) for state in states):
        raise Malformed("states: expected a list of texts")
    page = parts.store.reader.mailbox(
        _text(arguments, "recipient", OPERATOR),
        states=tuple(states),
        text=_text(arguments, "text", ""),
        before=_before(arguments),
        limit=_limit(arguments),
    )
    return {"mail": [message_head(mail) for mail in page.mail], "more": page.more}


def _traffic(parts: WebParts, arguments: Arguments) -> object:
    page = parts.store.reader.traffic(before=_before(arguments), limit=_limit(arguments))
    return {"mail": [message_head(mail) for mail in page.mail], "more": page.more}


def _thread(parts: WebParts, arguments: Arguments) -> object:
    return [message_head(mail) for mail in parts.store.reader.thread(_text(arguments, "thread"))]


def _dead(parts: WebParts, arguments: Arguments) -> object:
    return [message_head(mail) for mail in parts.store.reader.dead(limit=_limit(arguments))]


def _turn(parts: WebParts, arguments: Arguments) -> object:
    turn = parts.store.reader.turn(_number(arguments, "turn", 0))
    if turn is None:
        raise NotFound(f"there is no turn {arguments.get('turn')}")
    return unstructure(turn)


def _turns(parts: WebParts, arguments: Arguments) -> object:
    """Newest first, with the beginnings of their texts: the whole ones are in `turn`."""
    name = None if arguments.get("agent") is None else _view(parts, arguments).name
    found = parts.store.reader.turns(name, limit=_limit(arguments))
    cut = (evolve(turn, final_text=head(turn.final_text), error=head(turn.error)) for turn in found)
    return _first([unstructure(turn) for turn in cut])


async def _cost(parts: WebParts, arguments: Arguments) -> object:
    """What turns used; of a year they are so many that nobody should have to wait for it."""
    by = _text(arguments, "by", COSTS_BY[0])
    if by not in COSTS_BY:
        raise Malformed(f"by: expected one of {', '.join(COSTS_BY)}")
    since = parts.wall() - _number(arguments, "days", COST_DAYS) * DAY_SECONDS
    found = await parts.store.study(lambda reader: reader.costs(by, since))
    return [unstructure(cost) for cost in found]


def _rows(parts: WebParts, arguments: Arguments) -> object:
    name, after = _view(parts, arguments).name, _number(arguments, "after", 0)
    rows = parts.store.reader.stream(name, after=after, limit=_limit(arguments))
    return _first([[row.n, row.at, row.kind, {**row.data, "turn": row.turn}] for row in rows])


def _journal(parts: WebParts, arguments: Arguments) -> object:
    after = _number(arguments, "after", 0)
    return _first([unstructure(row) for row in parts.store.reader.journal(after, limit=_limit(arguments))])


def _first(rows: Sequence[object]) -> Sequence[object]:
    """The rows that one answer holds, one at least; whoever wants more asks for what follows the last."""
    room = PAGE_BYTES
    for index, row in enumerate(rows):
        room -= wire.size(wire.encoded(row)) + 1
        if room < 0 and index:
            return rows[:index]
    return rows


def _endpoint(parts: WebParts, arguments: Arguments) -> object:
    view = _view(parts, arguments)
    return {**parts.powers.endpoint(view.name), "has_token": view.has_client_token}


ANSWERS: Mapping[str, Callable[[WebParts, Arguments], object]] = {
    "status": _status,
    "agents": _agents,
    "agent": _agent,
    "tree": _tree,
    "chaos": _chaos,
    "secrets": _secrets,
    "message": _message,
    "mailbox": _mailbox,
    "traffic": _traffic,
    "thread": _thread,
    "dead": _dead,
    "turn": _turn,
    "turns": _turns,
    "rows": _rows,
    "journal": _journal,
    "endpoint": _endpoint,
}


async def _doctor(parts: WebParts) -> Sequence[Mapping[str, object]]:
    """Findings, worst first.  Disk and processes are looked at in a thread, with a deadline."""
    findings: list[Mapping[str, object]] = [
        {
            "ok": False,
            "what": f"invariant {violation.invariant}",
            "cause": violation.text,
            "remedy": "this is a fault of hive: keep a backup (hive backup FILE) and report it",
        }
        for violation in broken(parts.store.reader, parts.audit())
    ]
    if not findings:
        findings.append({"ok": True, "what": "invariants", "cause": "all four hold", "remedy": ""})
    audited = audit_sentence(parts.audit(), parts.wall())
    findings.append({"ok": True, "what": "audit", "cause": audited, "remedy": ""})
    if refusing := parts.store.refusing:
        remedy = "free some space, or end what else has the database open"
        findings.append({"ok": False, "what": "store", "cause": refusing, "remedy": remedy})
    agents = [view.settings for view in parts.store.reader.agents() if view.removed_at is None]
    with trio.move_on_after(DIAGNOSIS_SECONDS) as deadline:
        diagnosis = partial(parts.powers.diagnosis, agents)
        findings += await trio.to_thread.run_sync(diagnosis, abandon_on_cancel=True)
    if deadline.cancelled_caught:
        cause = f"the machine did not answer within {DIAGNOSIS_SECONDS:.0f} s"
        findings.append({"ok": False, "what": "machine", "cause": cause, "remedy": "look at its load"})
    return sorted(findings, key=lambda finding: bool(finding["ok"]))
