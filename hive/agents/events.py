"""What happens during a turn, in one vocabulary for every kind of agent.

The rule kept here: a turn yields any number of events and ends in exactly one `Result`, made by the
driver even when the process dies.
"""

from attrs import field, frozen

from hive.protocol.commands import Usage
from hive.protocol.failures import ErrorClass


@frozen
class SessionOpened:
    """The CLI's conversation is open."""

    session: str
    model: str = ""
    tools_ok: bool = True


@frozen
class PromptAccepted:
    """The backend has taken the prompt (or a fold-in, with its receipt): these messages were shown."""

    messages: tuple[int, ...]


@frozen
class Said:
    """Text of the model."""

    text: str


@frozen
class Thought:
    """Thinking of the model, where the backend shows it."""

    text: str


@frozen
class ToolCalled:
    """The model called a tool.  `tool` is `server/name`, or a bare name for the CLI's own tools."""

    id: str
    tool: str
    arguments: dict[str, object] = field(factory=dict)


@frozen
class ToolReturned:
    """A tool result came back to the model."""

    id: str
    ok: bool
    text: str = ""


@frozen
class Noted:
    """Anything worth a line: a retry, a compaction, a heartbeat."""

    what: str
    text: str = ""


@frozen
class Used:
    """Usage so far in this turn."""

    usage: Usage


@frozen
class Result:
    """The end of the turn.  `error` None means it ended well."""

    text: str = ""
    error: ErrorClass | None = None
    detail: str = ""
    until: float | None = None
    """Wall-clock time at which a limit resets, when the service said so."""

    usage: Usage = Usage()


TurnEvent = (
    SessionOpened | PromptAccepted | Said | Thought | ToolCalled | ToolReturned | Noted | Used | Result
)

__all__ = [
    "ErrorClass",
    "Noted",
    "PromptAccepted",
    "Result",
    "Said",
    "SessionOpened",
    "Thought",
    "ToolCalled",
    "ToolReturned",
    "TurnEvent",
    "Used",
]
