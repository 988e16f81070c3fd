"""Where a verb's answer goes: a table on a terminal, JSON when asked.

The rule kept here: with `--json` standard output holds JSON and nothing else.
"""

import json
import shutil
import sys
from collections.abc import Callable
from typing import Any, TextIO

from attrs import field, frozen


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
        self.stream.write(f"{text}\n")
        self.stream.flush()

    def remark(self, text: str) -> None:
        """Tell a person something that is not the answer, where one may be reading."""
        if not self.as_json:
            sys.stderr.write(f"hive: {text}\n")
