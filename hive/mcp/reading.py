"""The tool that reads a message whole, in parts of a size that clients let through.

The rule kept here: what somebody may not read does not exist for them, as with the resources; and the parts
joined are the text, character for character.
"""

from attrs import frozen

from hive.mcp.arguments import argument
from hive.mcp.desk import Call
from hive.mcp.resources import ATTACHMENT, MESSAGE, attachment, may_read
from hive.mcp.texts import describe_head, flat, quoted
from hive.protocol.errors import Refused
from hive.protocol.wording import read_call

USUAL_CHARACTERS = 10_000
"""Of one part: clients warn of or cut answers of 10,000 tokens, and a character is seldom more than one."""

MOST_CHARACTERS = 20_000
"""Of one part, if it is asked for: some clients take no answer beyond 25,000 tokens."""

REFERENCE_CHARACTERS = 128

_PREFIXES = tuple(template.partition("{")[0] for template in (MESSAGE, ATTACHMENT))


@frozen
class ReadArguments:
    """What `read` takes."""

    message: str = argument(
        "Id or number of the message, or the handle of an attachment.", least=1, most=REFERENCE_CHARACTERS
    )
    offset: int = argument("How many characters of the text to skip.", least=0, default=0)
    length: int = argument(
        "How many characters to show, at most.", least=1, most=MOST_CHARACTERS, default=USUAL_CHARACTERS
    )


async def read(call: Call, arguments: ReadArguments) -> str:
    """Show a part of a text one may read."""
    heading, text = _find(call, arguments.message)
    begin, end = arguments.offset, min(arguments.offset + arguments.length, len(text))
    if begin >= len(text):
        raise Refused(
            f"The text has {len(text)} characters, so there is nothing from offset {begin} on. "
            f"From the beginning: {read_call(arguments.message)}"
        )
    if (begin, end) == (0, len(text)):
        return f"{heading}\nAll of it, {end} characters:\n{quoted(text)}"
    more = {} if arguments.length == USUAL_CHARACTERS else {"length": arguments.length}
    what_next = (
        f"{len(text) - end} characters are left: {read_call(arguments.message, offset=end, **more)}"
        if end < len(text)
        else "This was the last part."
    )
    part = f"Characters {begin} to {end} of {len(text)}:"
    return f"{heading}\n{part}\n{quoted(text[begin:end])}\n{what_next}"


def _find(call: Call, asked: str) -> tuple[str, str]:
    """What hive knows of a text, and the text; `Refused` where there is none that this caller may read."""
    reader, reference = call.desk.reader, asked
    for prefix in _PREFIXES:
        reference = reference.removeprefix(prefix)
    mail = reader.mail(reference)
    if mail and may_read(mail, call.caller) and (body := reader.body(mail.id)) is not None:
        return describe_head(mail, call.now), body
    if (text := attachment(call.desk, call.caller, reference)) is not None:
        return ATTACHMENT.format(sha256=reference), text
    raise Refused(
        f"There is no message or attachment {flat(asked)!r} that you sent or got. "
        "`inbox` lists your mail with its numbers."
    )
