"""What in the user's role is the user's.  Pure.

CLIs put text of their own there, and hive frames the mail it shows.  The rule kept here: only what somebody
wrote to the agent is a user text, so no reminder and no summary is ever taken for a script.
"""

import re

from hive.testing.model.conversation import Context, Item, UserText

TAGS = (
    "INSTRUCTIONS",
    "command-args",
    "command-message",
    "command-name",
    "environment_context",
    "local-command-caveat",
    "local-command-stderr",
    "local-command-stdout",
    "recommended_plugins",
    "session_context",
    "skills_instructions",
    "state_snapshot",
    "system-reminder",
    "turn_aborted",
    "user_instructions",
)
"""Elements in which CLIs wrap what they put in."""

OPENINGS = (
    "# AGENTS.md instructions",
    "Another language model started to solve this problem",
    "This is the Gemini CLI. We are setting up the context",
    "This session is being continued from a previous conversation",
    "[Request interrupted by user",
)
"""How texts begin that are a CLI's as a whole."""

_TAGGED = re.compile(rf"<({'|'.join(TAGS)})\b[^>]*>.*?</\1>", re.DOTALL)
_HEADING = re.compile(r"## Message \d+ of \d+")
_FENCE = re.compile("`{3,}")


def heard(text: str) -> tuple[Item, ...]:
    """One text in the user's role, taken apart."""
    if text.lstrip().startswith(OPENINGS):
        return (Context(text),)
    put_in = tuple(Context(found[0]) for found in _TAGGED.finditer(text))
    written = _TAGGED.sub("", text).strip() if put_in else text
    return (*put_in, UserText(written)) if written.strip() else put_in


def newest_mail(text: str) -> str:
    """The body of the last message that a prompt of hive shows; any other text as it is."""
    found, fence, headed = text, "", False
    body: list[str] = []
    for line in text.splitlines():
        if fence and line == fence:
            found, fence = "\n".join(body), ""
        elif fence:
            body.append(line)
        elif headed and _FENCE.fullmatch(line):
            fence, body, headed = line, [], False
        else:
            headed = headed or _HEADING.fullmatch(line) is not None
    return found
