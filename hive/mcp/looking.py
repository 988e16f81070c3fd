"""The tools that look and change nothing but one's own status line."""

from attrs import frozen

from hive.mcp.arguments import argument
from hive.mcp.desk import Call
from hive.mcp.texts import describe_agents, describe_inbox, describe_self
from hive.protocol.commands import SetStatus, Settings
from hive.protocol.mail import State

INBOX_MESSAGES = 50
STATUS_CHARACTERS = 200
SEARCH_CHARACTERS = 200


@frozen
class InboxArguments:
    """What `inbox` takes."""

    text: str | None = argument(
        "Only messages that contain these words.", default=None, most=SEARCH_CHARACTERS
    )
    state: State | None = argument("Only messages in this state; ready is what waits for you.", default=None)
    limit: int = argument("How many, newest first.", least=1, most=INBOX_MESSAGES, default=20)


@frozen
class NoArguments:
    """What tools without arguments take."""


@frozen
class StatusArguments:
    """What `set_status` takes."""

    text: str = argument("What you are doing, in one line.", most=STATUS_CHARACTERS)


async def inbox(call: Call, arguments: InboxArguments) -> str:
    """Look at one's own mail without taking any."""
    states = (arguments.state,) if arguments.state else ()
    page = call.desk.reader.mailbox(
        call.agent, states=states, text=arguments.text or "", limit=arguments.limit
    )
    return describe_inbox(page, call.now)


async def agents(call: Call, _: NoArguments) -> str:
    """Say who is there."""
    return describe_agents(call.desk.reader.agents(), call.agent, call.now)


async def whoami(call: Call, _: NoArguments) -> str:
    """Say who the caller is."""
    view, parts = call.desk.reader.agent(call.agent), call.desk.parts
    settings = view.settings if view else Settings(role=call.caller.role)
    return describe_self(call.agent, settings, parts.operator_name, parts.operator_pronouns, parts.version)


async def set_status(call: Call, arguments: StatusArguments) -> str:
    """Change one's own status line."""
    await call.desk.perform(SetStatus(call.agent, arguments.text))
    return "Your status is set." if arguments.text else "Your status is cleared."
