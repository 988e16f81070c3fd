"""`hive chaos`: turning it on and off, and what it says of itself.

The rule kept here: whoever turns it on has been told what it will do, and by which seed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from hive.cli import show
from hive.cli.client import connected, insist
from hive.cli.status import Failed, Status
from hive.cli.verbs import Call
from hive.protocol.wording import stamp

Json = Mapping[str, Any]

ON = ("rate", "seconds", "only", "seed")
"""Options that go with `on`."""


async def chaos(call: Call) -> Status:
    """Turn it on or off, or say what it is and what it has done."""
    options = call.options
    given = {name: value for name in ON if (value := getattr(options, name)) is not None}
    if options.switch != "on" and (given or options.i_know):
        raise Failed(Status.USAGE, "these options are for hive chaos on")
    match options.switch:
        case "on":
            ack = await insist(call.places, "chaos.on", {**given, "i_know": options.i_know})
            call.out.show(ack["result"], lambda run, _: _turned_on(run))
        case "off":
            ack = await insist(call.places, "chaos.off", {})
            call.out.show(ack["result"], lambda data, _: _turned_off(data["last"]))
        case _:
            async with connected(call.places) as client:
                data = await client.get("chaos")
            call.out.show(data, lambda data, _: "\n".join(_told(data)))
    return Status.OK


def _turned_on(run: Json) -> str:
    return (
        f"chaos is on: {run['rate']} strikes a minute of {', '.join(run['kinds'])}, until "
        f"{stamp(run['until'])}, seed {run['seed']}. Watch: hive events. End it: hive chaos off"
    )


def _turned_off(run: Json | None) -> str:
    return "chaos was not on." if run is None else f"chaos is off. {_sum(run)}"


def _sum(run: Json) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in run["struck"].items() if count)
    return f"{run['total']} strikes since {stamp(run['since'])}{f': {kinds}' if kinds else ''}."


def _told(data: Json) -> Iterator[str]:
    yield "Chaos breaks this hive at random, to see that nothing accepted is lost. It"
    yield from (f"  {deed} ({kind})" for kind, deed in data["kinds"].items())
    run = data["last"]
    if run is None:
        yield "It has not been on since this daemon started. Turn it on: hive chaos on --rate 6"
    elif run["on"]:
        yield f"{show.chaos(run)} {_sum(run)}"
    else:
        yield f"It is off: {run['why']}. The last time: seed {run['seed']}; {_sum(run)}"
