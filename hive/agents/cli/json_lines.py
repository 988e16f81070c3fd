"""Bytes as they come from a pipe, cut into lines of JSON.  Pure.

The rule kept here: whatever comes, what goes on is an object that can be stored, or a word about why not.
"""

import json
from typing import TypeAlias

from attrs import define, field

JsonObject: TypeAlias = dict[str, object]

LINE_BYTES = 16 * 1024 * 1024
"""The longest line: a CLI may send a whole file in one."""


class TooLong(Exception):
    """A line did not end within `LINE_BYTES`; nothing that follows can be trusted."""


@define(eq=False)
class Splitter:
    """Cuts chunks into lines.  Keeps no more than one line."""

    limit: int = LINE_BYTES
    _rest: bytearray = field(factory=bytearray, init=False)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are complete now.  Raises `TooLong`."""
        # Only what is new can hold the end of a line: a long one is not searched again and again.
        *ended, rest = chunk.split(b"\n")
        lines = []
        for piece in ended:
            self._keep(piece)
            lines.append(bytes(self._rest))
            self._rest.clear()
        self._keep(rest)
        return lines

    def last(self) -> bytes:
        """What was not ended when the bytes did."""
        return bytes(self._rest)

    def _keep(self, piece: bytes) -> None:
        if len(self._rest) + len(piece) > self.limit:
            raise TooLong(f"it wrote a line of more than {self.limit} bytes")
        self._rest += piece


def parse(line: bytes) -> JsonObject | None:
    """The object of a line, fit to be stored; None where it is none."""
    try:
        value = json.loads(line.decode())  # bytes themselves are let pass with half characters in them
        if b"\\ud" in line or b"\\uD" in line:
            # Half a character, as cut-off text has it, is JSON to a parser and poison to everybody else.
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
