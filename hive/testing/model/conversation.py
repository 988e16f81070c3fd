"""What a model is asked and what it answers, whichever wire carries it.  Pure values.

The rule kept here: a request says everything there is to know about its conversation, so whoever answers
needs no memory of the agent that asks.
"""

from collections.abc import Callable, Mapping

from attrs import field, frozen

from hive.protocol.commands import Usage


@frozen
class UserText:
    """What the user wrote, or whoever drives the CLI."""

    text: str


@frozen
class Context:
    """What the CLI put in by itself: reminders, surroundings, summaries."""

    text: str


@frozen
class Text:
    """What the model said, or is to say."""

    text: str


@frozen
class Thinking:
    """What the model is to think aloud."""

    text: str


@frozen
class ToolCall:
    """A tool the model called, or is to call.

    In a reply the name may be `SERVER/TOOL`: it is looked up among the tools offered with the request, and
    an id is given where there is none.
    """

    name: str
    arguments: Mapping[str, object] = field(factory=dict)
    id: str = ""
    namespace: str = ""


@frozen
class ToolResult:
    """What came of a call."""

    id: str
    text: str
    failed: bool = False


Item = UserText | Context | Text | ToolCall | ToolResult
Block = Text | Thinking | ToolCall


@frozen
class Tool:
    """A tool offered with a request, under the name that the CLI gave it."""

    name: str
    namespace: str = ""


@frozen
class Asked:
    """One request for an answer."""

    wire: str
    """`anthropic`, `responses`, `chat` or `gemini`."""

    model: str = ""
    system: str = ""
    items: tuple[Item, ...] = ()
    tools: tuple[Tool, ...] = ()
    key: str = ""
    """The API key's chosen name, else its fingerprint; never the key."""

    structured: bool = False
    """Whether the answer must be JSON."""

    @property
    def user(self) -> str:
        """The newest user text, empty where there is none."""
        return next((item.text for item in reversed(self.items) if isinstance(item, UserText)), "")

    @property
    def finished(self) -> int:
        """How many groups of tool calls have their results since the newest user text.

        Calls of one answer are a group: their results come together.
        """
        groups, open_group = 0, False
        for item in self._since():
            match item:
                case ToolResult():
                    groups += not open_group
                    open_group = True
                case ToolCall():
                    open_group = False
                case _:
                    pass
        return groups

    @property
    def result(self) -> str | None:
        """The last tool result since the newest user text."""
        return next((item.text for item in reversed(self._since()) if isinstance(item, ToolResult)), None)

    def _since(self) -> tuple[Item, ...]:
        places = [place for place, item in enumerate(self.items) if isinstance(item, UserText)]
        return self.items[places[-1] + 1 :] if places else self.items


@frozen
class Failure:
    """An answer that is an error: the HTTP status, the provider's name for it, and a text."""

    status: int
    type: str
    text: str = ""


@frozen
class Reply:
    """One answer.  Where nothing else is said it ends as one that has said everything."""

    blocks: tuple[Block, ...] = ()
    stop: str = ""
    """Why it ends, in Anthropic's words (`max_tokens`, `refusal`); other wires say it in their own."""

    usage: Usage = Usage(input_tokens=10, output_tokens=10)
    error: Failure | None = None
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    """Seconds before the answer begins."""

    hang: bool = False
    """Say nothing more after the blocks, and keep the connection."""

    drop: bool = False
    """Cut the connection after the blocks."""

    id: str = ""
    """Given by the server where there is none."""

    model: str = ""
    """Which model claims to answer; the one that was asked where nothing is said."""

    @property
    def unfinished(self) -> bool:
        """Whether its end never comes."""
        return self.hang or self.drop

    @property
    def ended(self) -> str:
        """Why it ends: what was chosen, or what its blocks say."""
        calls = any(isinstance(block, ToolCall) for block in self.blocks)
        return self.stop or ("tool_use" if calls else "end_turn")


Brain = Callable[[Asked], Reply]
"""Who answers: a plain function.  What it raises becomes an error 400 with the reason."""
