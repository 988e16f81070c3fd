"""A scripted model that real agent CLIs talk to: no network, no account, the same answers every time.

    from hive.testing.model import Rule, scripted_model

    async with scripted_model(rules=[Rule("!say sunny", user="weather")]) as model:
        ...  # start a CLI with its base URL set to model.url
        assert "weather" in model.requests[-1].user

docs/testing.md is the way in.
"""

from hive.protocol.commands import Usage

from .conversation import (
    Asked,
    Brain,
    Context,
    Failure,
    Reply,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    UserText,
)
from .naming import NotOfferedError
from .rules import Rule
from .script import WrongScriptError, scripted
from .server import ScriptedModel, scripted_model

__all__ = [
    "Asked",
    "Brain",
    "Context",
    "Failure",
    "NotOfferedError",
    "Reply",
    "Rule",
    "ScriptedModel",
    "Text",
    "Thinking",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Usage",
    "UserText",
    "WrongScriptError",
    "scripted",
    "scripted_model",
]
