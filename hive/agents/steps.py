"""What the scripted backend can do: one value a step.

Directives are read into steps and rules answer with steps, so there is one place that carries them out.
"""

from attrs import field, frozen

from hive.agents.events import ErrorClass
from hive.protocol.commands import Usage


@frozen
class Call:
    """Call one of hive's tools with these arguments."""

    tool: str
    arguments: dict[str, object] = field(factory=dict)


@frozen
class Tell:
    """Send mail in which `{name}` stands for the output an earlier step kept under that name."""

    to: str
    text: str
    in_reply_to: str | None = None


@frozen
class Shell:
    """Run a shell command in the agent's box."""

    command: str
    keep: str | None = None
    """Name under which `Tell` finds the output."""

    seconds: float | None = None
    """After so long it is stopped; None leaves it to the turn's own watchdog."""


@frozen
class Say:
    """Say something.  The last thing said is the turn's final text.  Kept outputs are filled in."""

    text: str


@frozen
class Think:
    """Show a thought."""

    text: str


@frozen
class Wait:
    """Do nothing for a while, in seconds."""

    seconds: float


@frozen
class Fail:
    """End the turn with an error."""

    error: ErrorClass
    text: str = ""
    after: float | None = None
    """For a limit: it ends so many seconds from now."""


@frozen
class Crash:
    """Break down as a CLI would that dies."""


@frozen
class Hang:
    """Never come back, until cancelled."""


@frozen
class Use:
    """Pretend to have used tokens."""

    usage: Usage


@frozen
class Note:
    """Leave a line in the stream."""

    text: str


@frozen
class IgnoreFoldIn:
    """From here on give no receipt for mail that is folded in, and do nothing about it."""


Step = Call | Tell | Shell | Say | Think | Wait | Fail | Crash | Hang | Use | Note | IgnoreFoldIn


@frozen
class Wrong:
    """A script that cannot be carried out as it is: a sentence for each of its directives that is wrong."""

    faults: tuple[str, ...]
