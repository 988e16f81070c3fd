"""The table of tools: what an agent can do at its endpoint.

The rule kept here: a tool is a row.  Its role is checked where tools are listed and again where one is
called, and a tool somebody may not use does not exist for them.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from attrs import Factory, define, field, frozen

from hive.mcp import looking, reading, receiving, sending
from hive.mcp.arguments import Schema, read, schema_of
from hive.mcp.desk import Call
from hive.mcp.identity import Caller
from hive.protocol.errors import HiveRefusal, Malformed

if TYPE_CHECKING:
    from mcp.types import CallToolResult, InputRequiredResult

    Native: TypeAlias = CallToolResult | InputRequiredResult

ENTRY_POINTS = "hive.tools"
"""Entry points of this group name further rows of the table."""

Handler = Callable[[Call, Any], Awaitable["str | Native"]]


@frozen
class ToolSpec:
    """One tool."""

    name: str
    arguments: type
    """An attrs class, or `dict` for a tool that checks its arguments itself."""

    handler: Handler
    description: str
    """For a model: what it does, when to use it and when not."""

    example: Mapping[str, object] = field(factory=dict)
    """The arguments of a call that is right, shown with every one that is not."""

    roles: frozenset[str] | None = None
    """Roles of agents that have it; None for every role that is not a test's own."""

    for_clients: bool = False
    """Only an agent's own client has it, not the CLI that runs its turns."""

    read_only: bool = False
    idempotent: bool = False
    schema: Schema = Factory(lambda self: schema_of(self.arguments), takes_self=True)

    def is_for(self, caller: Caller) -> bool:
        """Whether this caller has the tool."""
        return (self.roles is None or caller.role in self.roles) and (caller.client or not self.for_clients)


@frozen
class Said:
    """What a tool answered: text or the SDK's own result, and whether it did what was asked."""

    result: "str | Native"
    ok: bool = True


class UnknownTool(Exception):
    """This caller has no tool of that name.  The text names those there are."""


def _by_name(specs: Iterable[ToolSpec]) -> Mapping[str, ToolSpec]:
    return {spec.name: spec for spec in specs}


@define(eq=False)
class Toolbox:
    """The tools of one endpoint."""

    specs: Mapping[str, ToolSpec] = field(converter=_by_name)

    def of(self, caller: Caller) -> tuple[ToolSpec, ...]:
        """The tools a caller has."""
        return tuple(spec for spec in self.specs.values() if spec.is_for(caller))

    def schema(self, name: str) -> Schema | None:
        """A tool's schema, whoever asks."""
        spec = self.specs.get(name)
        return spec.schema if spec else None

    async def call(self, call: Call, name: str, given: Mapping[str, object]) -> Said:
        """Let a caller use a tool; what it did wrong comes back as text.  Raises `UnknownTool`."""
        # Whatever it asks, that it asks again shows that it was given its last mail.
        call.desk.heard_from(call.caller, call.holder)
        spec = self.specs.get(name)
        if spec is None or not spec.is_for(call.caller):
            known = ", ".join(spec.name for spec in self.of(call.caller))
            raise UnknownTool(f"There is no tool {name[:80]!r} here. The tools are: {known}.")
        try:
            arguments = given if spec.arguments is dict else read(spec.arguments, given)
        except Malformed as error:
            return Said(_correction(spec, error), ok=False)
        try:
            return Said(await spec.handler(call, arguments))
        except HiveRefusal as refusal:
            return Said(refusal.text, ok=False)


def builtin_and_installed() -> tuple[ToolSpec, ...]:
    """Our own tools, and those that installed packages add under `ENTRY_POINTS`."""
    installed = (
        point.load() for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    )
    return (*TOOLS, *_rows(installed))


def _rows(loaded: Iterable[object]) -> Iterable[ToolSpec]:
    for row in loaded:
        if not isinstance(row, ToolSpec):
            raise TypeError(f"an entry point of {ENTRY_POINTS} must name a ToolSpec, not {row!r}")
        yield row


def _correction(spec: ToolSpec, error: Malformed) -> str:
    example = orjson.dumps(spec.example).decode()
    return f"The arguments of {spec.name} are wrong: {error.text}\nA right call: {spec.name}({example})"


TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(
        "send",
        sending.SendArguments,
        sending.send,
        "Send a message to another agent, the manager, the operator ('operator') or everybody ('*'). Use "
        "it to ask, answer, hand over work or report. It returns as soon as the message is safely stored;"
        " the recipient reads it later and an answer comes as mail, so do not wait for it here. Do not "
        "send mere thanks or acknowledgements, and use '*' only for what every agent must know.",
        example={"to": "manager", "body": "The survey of src/ is done: 412 files."},
    ),
    ToolSpec(
        "recv",
        receiving.RecvArguments,
        receiving.recv,
        "Take your next mail, oldest first. Your turn's prompt already holds the mail it began with, so "
        "use this only to see what has come since, or to wait a moment for a quick answer. Mail you do "
        "not take starts a turn of its own later; nothing is lost by not calling this. To look without "
        "taking, use inbox.",
        example={"max": 5, "wait_seconds": 10},
    ),
    ToolSpec(
        "ack",
        receiving.HeldArguments,
        receiving.ack,
        "Say that a message recv gave you is handled. Unacknowledged messages come back when their time "
        "is over. Call it after the work, not before.",
        example={"message": "#12"},
        for_clients=True,
    ),
    ToolSpec(
        "release",
        receiving.HeldArguments,
        receiving.release,
        "Give back a message recv gave you, unhandled, so that it can be taken again. Use it when you "
        "cannot deal with it now.",
        example={"message": "#12"},
        for_clients=True,
    ),
    ToolSpec(
        "inbox",
        looking.InboxArguments,
        looking.inbox,
        "Look through your own mail, old and new, newest first, with excerpts. It takes nothing and "
        "changes nothing. Use it to find an earlier message or to see what waits; use recv to take mail.",
        example={"text": "survey", "state": "done", "limit": 10},
        read_only=True,
    ),
    ToolSpec(
        "read",
        reading.ReadArguments,
        reading.read,
        "Read a message you sent or got, or a long attachment, whole: up to "
        f"{reading.USUAL_CHARACTERS} characters at once, and each part names the call for the next one. Use "
        "it where recv, inbox or your prompt showed only the beginning. It takes nothing and changes "
        "nothing.",
        example={"message": "#12", "offset": 0},
        read_only=True,
    ),
    ToolSpec(
        "agents",
        looking.NoArguments,
        looking.agents,
        "List the agents you can write to: name, role, what each is doing and says about itself. Use it "
        "before you send to a name you are not sure of.",
        read_only=True,
    ),
    ToolSpec(
        "whoami",
        looking.NoArguments,
        looking.whoami,
        "Tell you your name, role and purpose, and who the operator is.",
        read_only=True,
    ),
    ToolSpec(
        "set_status",
        looking.StatusArguments,
        looking.set_status,
        "Set the one line that the operator and the other agents see beside your name. Use it when what "
        "you are doing changes; do not report results with it, send them.",
        example={"text": "surveying src/"},
        idempotent=True,
    ),
    ToolSpec(
        "notify",
        sending.NotifyArguments,
        sending.notify,
        "Show the operator a short notice. Use it rarely, for what a person should know soon: a decision "
        "needed, a finished piece of work. For anything longer, send to 'operator'. There is a limit per "
        "minute.",
        example={"title": "Survey finished", "body": "The report is in shared/report.md."},
    ),
    ToolSpec(
        "request_next_turn",
        sending.NextTurnArguments,
        sending.request_next_turn,
        "Ask for another turn after this one, to go on with work that does not fit into it. Several "
        "requests are one turn. Do not use it to wait for an answer: mail that arrives starts a turn by "
        "itself.",
        example={"reason": "Go on with the files from m to z."},
    ),
)


__all__ = ["ToolSpec"]
