"""Text for people: tables, ages, cut lines.  Pure.

The rule kept here: on a terminal a line fits it; in a pipe nothing is cut.
"""

from collections.abc import Sequence

MINUTE = 60
HOUR = 3600
DAY = 86_400
SHORTEST_LAST_COLUMN = 20


def age(seconds: float) -> str:
    """A stretch of time as `3 s`, `5 min`, `2 h`, `4 d`."""
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h"
    return f"{whole // DAY} d"


def flat(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())


def cut(line: str, width: int | None) -> str:
    """At most `width` characters of a line; None leaves its length alone."""
    if width is None or len(line) <= width:
        return line
    return line[: max(1, width - 1)] + "…"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> str:
    """Columns under a head; the last column takes what room is left."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head) - 1)]
    taken = sum(widths) + 2 * len(widths)
    last = None if width is None else max(SHORTEST_LAST_COLUMN, width - taken)
    return "\n".join(_line(row, widths, last) for row in cells)


def _line(row: Sequence[str], widths: Sequence[int], last: int | None) -> str:
    fixed = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
    return "  ".join([*fixed, cut(flat(row[-1]), last)]).rstrip()
