"""What the pages tell a person to type: lines of blocks, and inline code, that begin with a program's name.

In a block marked `sh` every line is a command; `# fails: N` after one says with which status it ends.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{one.name}" for one in ROOT.glob("docs/*.md")),
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}(\S.*)$", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
COMMENT = re.compile(r"\s+# (?!fails: ).*")
SHELL = frozenset({"sh", "bash", "console"})

OURS = r"(?:bin/[\w-]+|\.ci/run)(?: \S.*)?"
"""These are commands without any argument too."""

PROGRAMS = (
    "apt|bash|curl|docker|escript|flake8|git|hive|make|mypy|nix|nix-shell|npm|npx|pip|podman|pytest|python3?|ruff|sh"
    "|sudo|systemctl|uv|uvx"
)
COMMAND = re.compile(rf"(?:[A-Z_]+=\S* )*(?:{OURS}|(?:\.venv/bin/)?(?:{PROGRAMS}) \S.*)")


@frozen
class Command:
    """What a page says to type."""

    page: str
    text: str
    marked: bool = False
    """It stands in a block that is marked as one of commands."""


def commands() -> Iterator[Command]:
    """Every command of every page."""
    for page in PAGES:
        yield from found_in((ROOT / page).read_text(), page)


def found_in(text: str, page: str = "") -> Iterator[Command]:
    """The commands of one page: in its blocks, in what is indented like one, and in its sentences."""
    for language, block in BLOCK.findall(text):
        if language in SHELL or not language:
            lines = (COMMENT.sub("", line).removeprefix("$ ") for line in block.splitlines() if line.strip())
            marked = language in SHELL
            yield from (Command(page, line, marked) for line in lines if marked or COMMAND.fullmatch(line))
    rest = BLOCK.sub("", text)
    lines = (COMMENT.sub("", line) for line in INDENTED.findall(rest) + INLINE.findall(rest))
    yield from (Command(page, line) for line in lines if COMMAND.fullmatch(line))
