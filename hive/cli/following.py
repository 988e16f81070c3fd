"""Verbs that go on: `tail`, `events`, and `send --wait`.

The rule kept here: a lost connection is taken up again where it broke; what was shown is not shown twice.
"""

import json
import secrets

import trio

from hive.cli import show
from hive.cli.client import Client, Event, Json, connected
from hive.cli.status import Failed, Status
from hive.cli.tables import cut
from hive.cli.verbs import Call, text_argument

WAIT_SECONDS = 300.0
SAID_NOT_SENT = "said, not sent"


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


async def events(call: Call) -> Status:
    """Follow the journal."""
    async with connected(call.places) as client:
        await client.greet()
        start = (await client.get("status"))["seq"]
        after = start if getattr(call.options, "from") is None else getattr(call.options, "from")
        while rows := await client.get("journal", after=after, limit=500):
            for row in rows:
                data = {**row["data"], "agent": row["agent"], "subject": row["subject"]}
                _print(call, "j", (row["seq"], row["at"], row["type"], data))
            after = rows[-1]["seq"]
        await _follow(call, client, {"j": after})
    return Status.OK


async def tail(call: Call) -> Status:
    """Follow agents' streams."""
    async with connected(call.places) as client:
        await client.greet()
        after: dict[str, int] = {}
        for agent in call.options.agent:
            view = (await client.get("agent", agent=agent))["view"]
            first = max(0, view["stream_head"] - 20)
            rows = await client.get("rows", agent=agent, after=first, limit=500)
            for row in rows:
                _print(call, f"a:{agent}", (row[0], row[1], row[2], row[3]))
            after[f"a:{agent}"] = rows[-1][0] if rows else first
        await _follow(call, client, after)
    return Status.OK


async def _follow(call: Call, client: Client, after: dict[str, int]) -> None:
    """Print what is new on these lanes, until interrupted."""
    await client.greet(*after)
    while True:
        lane, events_ = await client.next_events()
        for event in events_:
            if event[0] > after[lane]:
                after[lane] = event[0]
                _print(call, lane, event)


# --- send ----------------------------------------------------------------------------------------


async def send(call: Call) -> Status:
    """Send mail, and with --wait wait for what comes of it."""
    options = call.options
    arguments: dict[str, object] = {"to": options.to, "body": text_argument(options.text)}
    if options.urgent:
        arguments["priority"] = "urgent"
    if options.reply_to is not None:
        arguments["in_reply_to"] = options.reply_to
    async with connected(call.places) as client:
        await client.greet("j")
        ack = await client.command("message.send", arguments, secrets.token_hex(16))
        if not options.wait:
            call.out.show(ack["result"], show.sent)
            return Status.OK
        if not ack["result"]["accepted"]:
            raise Failed(Status.REFUSED, show.sent(ack["result"], None))
        seconds = WAIT_SECONDS if options.seconds is None else options.seconds
        with trio.move_on_after(seconds):
            return await _wait(call, client, ack["result"]["accepted"][0])
    return await _why_nothing(call, ack["result"]["accepted"][0], seconds)


async def _wait(call: Call, client: Client, accepted: Json) -> Status:
    """The first reply in the message's thread, else what its turn said."""
    message = await client.get("message", message=accepted["id"])
    known = {reply["id"] for reply in message["replies"]}
    if known:
        return await _show_reply(call, client, next(iter(known)))
    thread, recipient = message["mail"]["thread"], accepted["recipient"]
    while True:
        _, events_ = await client.next_events()
        for _n, _at, type_, data in events_:
            if type_ == "msg.sent" and data["thread"] == thread and data["from"] == recipient:
                return await _show_reply(call, client, data["subject"])
            if data.get("subject") == accepted["id"] and type_ in ("msg.done", "msg.dead"):
                return await _show_turn(call, client, accepted["id"])


async def _show_reply(call: Call, client: Client, reply: str) -> Status:
    found = await client.get("message", message=reply)
    call.out.show(found, lambda data, _: str(data["body"]))
    return Status.OK


async def _show_turn(call: Call, client: Client, message: str) -> Status:
    """The recipient's turn has ended without a reply; a reply may have come just before."""
    found = await client.get("message", message=message)
    if found["replies"]:
        return await _show_reply(call, client, found["replies"][0]["id"])
    spoken = [turn["final_text"] for turn in found["turns"] if turn["final_text"]]
    if found["mail"]["state"] == "dead" or not spoken:
        raise Failed(
            Status.REFUSED, f"no reply: the message is {found['mail']['state']}: {found['mail']['why']}"
        )
    call.out.show({"said": spoken[-1], "reply": None}, lambda data, _: f"({SAID_NOT_SENT}) {data['said']}")
    return Status.OK


async def _why_nothing(call: Call, accepted: Json, seconds: float) -> Status:
    async with connected(call.places) as client:
        await client.greet()
        why = (await client.get("agent", agent=accepted["recipient"]))["why"]
    raise Failed(Status.TIMEOUT, f"no reply to {accepted['id']} within {seconds:.0f} s. {why}")
