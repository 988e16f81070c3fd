"""What text the store takes, and how it is shortened.

The rule kept here: text that is to be kept word for word is checked and refused; text of a verdict is
mended and cut instead, because a verdict must never fail.
"""

from hive.protocol.errors import Malformed
from hive.protocol.events import HEAD_CHARACTERS

EXCERPT_CHARACTERS = 600
"""How much of an attachment travels with its message."""

LABEL_CHARACTERS = 200

REASON_CHARACTERS = 2_000
"""So much is kept of why something happened, where nobody says otherwise."""


def check_text(text: str, what: str) -> str:
    """Return `text` if it can be stored word for word, else raise `Malformed`."""
    if "\0" in text:
        raise Malformed(f"{what} contains a NUL character; leave it out.")
    if not storable(text):
        raise Malformed(f"{what} contains half of a surrogate pair; send valid Unicode text.")
    return text


def check_label(label: str | None) -> str | None:
    """Return a label that can be stored and shown in one line, else raise `Malformed`."""
    if label is not None and len(check_text(label, "The label")) > LABEL_CHARACTERS:
        raise Malformed(f"The label has {len(label)} characters; use at most {LABEL_CHARACTERS}.")
    return label


def storable(text: str) -> bool:
    """Whether `text` can be encoded at all: lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def mended(text: str, characters: int = REASON_CHARACTERS) -> str:
    """The beginning of `text`, with what cannot be stored replaced by question marks."""
    return text[:characters].replace("\0", "?").encode(errors="replace").decode()


def head(text: str) -> str:
    """The beginning of a text, for the journal."""
    return text[:HEAD_CHARACTERS]


def one_line(text: str, characters: int) -> str:
    """The first words of a text in one line."""
    line = " ".join(text[: characters * 2].split())
    return line if len(line) <= characters else line[: characters - 1] + "…"
