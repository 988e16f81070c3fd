"""Verbs that go on: `tail`, `events`, and `send --wait`.

The rule kept here: a lost connection is taken up again where it broke; what was shown is not shown twice.
"""

import json
from collections.abc import Awaitable, Callable

import trio
from attrs import define, field

from hive.cli import show
from hive.cli.client import Client, Event, Json, Position, T, insist, persist
from hive.cli.status import Failed, Status
from hive.cli.tables import cut
from hive.cli.verbs import Call, text_argument
from hive.protocol.names import EVERYONE, OPERATOR

WAIT_SECONDS = 300.0
PAGE_ROWS = 500
TAIL_ROWS = 20
"""How much of the past `tail` begins with."""


@define(eq=False)
class Cursor:
    """How far each lane has been read, within one history of the hive."""

    log_id: str | None = None
    at: dict[str, Position] = field(factory=dict)


async def follow(
    call: Call,
    cursor: Cursor,
    begin: Callable[[Client], Awaitable[T | None]],
    take: Callable[[Client, str, Event], Awaitable[T | None]],
) -> T:
    """Hear every event after the cursor once, over as many connections as it takes.

    `begin` looks around on each fresh connection and may move the cursor.  The first answer of either is
    the answer of all.
    """

    async def talk(client: Client) -> T:
        if (answer := await begin(client)) is not None:
            return answer
        await client.greet(cursor.log_id, cursor.at)
        while True:
            frame = await client.news()
            if frame["op"] == "snap":
                _move(cursor, client, frame)
                continue
            for event in _fresh(cursor, frame):
                if (answer := await take(client, frame["lane"], event)) is not None:
                    return answer

    return await persist(call.places, talk)


def _move(cursor: Cursor, client: Client, frame: Json) -> None:
    """A snapshot instead of events: what lies between is no longer to be had, or it is another history."""
    if frame["part"] == "begin":
        cursor.log_id = client.welcome["log_id"]
        cursor.at[frame["lane"]] = (frame["n"], frame["boot"])


def _fresh(cursor: Cursor, frame: Json) -> list[Event]:
    """The events of a frame that the cursor has not passed; it passes them now."""
    lane = frame["lane"]
    fresh = [(e[0], e[1], e[2], e[3]) for e in frame["e"] if e[0] > cursor.at[lane][0]]
    if fresh:
        cursor.at[lane] = (fresh[-1][0], fresh[-1][3].get("boot"))
    return fresh


# --- showing what happens ------------------------------------------------------------------------


def _print(call: Call, lane: str, event: Event) -> None:
    number, at, type_, data = event
    if call.out.as_json:
        call.out.line(json.dumps({"lane": lane, "n": number, "at": at, "type": type_, "data": data}))
    else:
        line = (
            show.journal_line(number, at, type_, data)
            if lane == "j"
            else show.stream_line(lane.removeprefix("a:"), at, type_, data)
        )
        call.out.line(cut(line, call.out.width))


async def _follow_and_print(call: Call, begin: Callable[[Client, Cursor], Awaitable[None]]) -> Status:
    """Print what is new, until interrupted; `begin` once sets the cursor and prints what is old."""
    cursor = Cursor()

    async def catch_up(client: Client) -> Status | None:
        if not cursor.at:
            await begin(client, cursor)
        return None

    async def show_it(_client: Client, lane: str, event: Event) -> Status | None:
        _print(call, lane, event)
        await trio.lowlevel.checkpoint()
        return None

    return await follow(call, cursor, catch_up, show_it)


async def events(call: Call) -> Status:
    """Follow the journal."""
    first: int | None = getattr(call.options, "from")

    async def begin(client: Client, cursor: Cursor) -> None:
        status = await client.get("status")
        cursor.log_id = status["log_id"]
        if first is None:
            cursor.at["j"] = (status["seq"], status["boot"])
            return
        after = max(0, first - 1)
        while rows := await client.get("journal", after=after, limit=PAGE_ROWS):
            for row in rows:
                data = {**row["data"], "agent": row["agent"], "subject": row["subject"]}
                _print(call, "j", (row["seq"], row["at"], row["type"], data))
            after = rows[-1]["seq"]
            cursor.at["j"] = (after, rows[-1]["boot"])
        cursor.at.setdefault("j", (after, None))

    return await _follow_and_print(call, begin)


async def tail(call: Call) -> Status:
    """Follow agents' streams."""

    async def begin(client: Client, cursor: Cursor) -> None:
        cursor.log_id = client.welcome["log_id"]
        at: dict[str, Position] = {}
        for agent in call.options.agent:
            view = (await client.get("agent", agent=agent))["view"]
            after = max(0, view["stream_head"] - TAIL_ROWS)
            rows = await client.get("rows", agent=agent, after=after, limit=PAGE_ROWS)
            for row in rows:
                _print(call, f"a:{agent}", (row[0], row[1], row[2], row[3]))
            at[f"a:{agent}"] = (rows[-1][0] if rows else after, None)
        cursor.at.update(at)

    return await _follow_and_print(call, begin)


# --- send ----------------------------------------------------------------------------------------


async def send(call: Call) -> Status:
    """Send mail, and with --wait wait for what comes of it."""
    options = call.options
    if options.wait and options.to in (EVERYONE, OPERATOR):
        raise Failed(Status.USAGE, "--wait waits for the reply of one agent; name one")
    arguments: dict[str, object] = {"to": options.to, "body": text_argument(options.text)}
    if options.urgent:
        arguments["priority"] = "urgent"
    if options.reply_to is not None:
        arguments["in_reply_to"] = options.reply_to
    result = (await insist(call.places, "message.send", arguments))["result"]
    if not options.wait:
        call.out.show(result, show.sent)
        return Status.OK
    return await _wait(call, result["accepted"][0])


async def _wait(call: Call, accepted: Json) -> Status:
    """The first reply, else what the turn said, else why neither came."""
    options, cursor = call.options, Cursor()
    if accepted["standing"] == "parked" or accepted["blocked"]:
        call.out.remark(show.accepted(accepted))

    async def begin(client: Client) -> Status | None:
        head = await client.get("status")
        cursor.log_id, cursor.at["j"] = head["log_id"], (head["seq"], head["boot"])
        # After the position, so that whatever happens between is heard.
        return await _outcome(call, client, accepted["id"])

    async def take(client: Client, _lane: str, event: Event) -> Status | None:
        ours = event[3].get("subject") == accepted["id"] or event[3].get("in_reply_to") == accepted["id"]
        return await _outcome(call, client, accepted["id"]) if ours else None

    seconds = WAIT_SECONDS if options.seconds is None else options.seconds
    with trio.move_on_after(seconds):
        return await follow(call, cursor, begin, take)
    return await _why_nothing(call, accepted, seconds)


async def _outcome(call: Call, client: Client, message: str) -> Status | None:
    """What has come of a message by now: computed from the message itself, events only say when to look."""
    found = await client.get("message", message=message)
    mail = found["mail"]
    if found["replies"]:
        reply = await client.get("message", message=found["replies"][0]["id"])
        call.out.show({"reply": reply, "said": None}, lambda data, _: str(data["reply"]["body"]))
        return Status.OK
    if mail["state"] == "dead":
        raise Failed(Status.REFUSED, f"{message} became a dead letter: {mail['why']}")
    if mail["state"] != "done":
        return None
    spoken = [turn["final_text"] for turn in found["turns"] if turn["final_text"]]
    if not spoken:
        seen = f"{message} is {mail['why']}; more: hive tail {mail['recipient']}"
        raise Failed(Status.REFUSED, f"no reply came, and nothing was said: {seen}")
    call.out.show({"reply": None, "said": spoken[-1]}, lambda data, _: f"(said, not sent) {data['said']}")
    return Status.OK


async def _why_nothing(call: Call, accepted: Json, seconds: float) -> Status:
    """Time is up: the state of the message, and of whom it is for, is the reason."""

    async def ask(client: Client) -> str:
        mail = (await client.get("message", message=accepted["id"]))["mail"]
        because = f": {mail['why']}" if mail["why"] else ""
        why = (await client.get("agent", agent=accepted["recipient"]))["why"]
        return f"{accepted['id']} is {mail['state']}{because}. {why}"

    raise Failed(Status.TIMEOUT, f"no reply within {seconds:g} s; {await persist(call.places, ask)}")
