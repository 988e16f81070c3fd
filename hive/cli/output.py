"""Where a verb's answer goes: a table on a terminal, JSON when asked.

The rules kept here: with `--json` standard output holds JSON and nothing else; and whatever an agent or a
command has said, no character of it steers the person's terminal.
"""

import json
import shutil
import sys
from collections.abc import Callable
from typing import Any, TextIO

from attrs import field, frozen

STEERING = (
    *(code for code in range(0x20) if chr(code) not in "\n\t"),
    *range(0x7F, 0xA0),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)
"""Control characters, and those that turn the direction of writing: a line that shows them may lie."""

SPELLED = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in STEERING}  # noqa: PLR2004 - two digits


def plain(text: str) -> str:
    """The text with every character that would steer a terminal spelled out."""
    return text.translate(SPELLED)


@frozen
class Output:
    """Prints answers."""

    as_json: bool
    stream: TextIO = field(factory=lambda: sys.stdout)

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where there is none."""
        return shutil.get_terminal_size().columns if self.stream.isatty() else None

    def show(self, data: Any, shown: Callable[[Any, int | None], str]) -> None:
        """Print an answer."""
        self.line(
            json.dumps(data, indent=2 if self.stream.isatty() else None)
            if self.as_json
            else shown(data, self.width)
        )

    def line(self, text: str) -> None:
        """Print a line at once, so that who follows us sees it."""
        self.stream.write(f"{plain(text)}\n")
        self.stream.flush()

    def remark(self, text: str) -> None:
        """Tell a person something that is not the answer, where one may be reading."""
        if not self.as_json:
            sys.stderr.write(f"hive: {plain(text)}\n")
