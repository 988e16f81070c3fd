"""Which failures are the same one: of one type, from one place, and with one complaint.  Pure.

The rule kept here: ids, names and numbers differ from run to run of one failure, and tell no two apart.
"""

import re
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path

from .guilt import OURS, is_library

KIT = Path(__file__).parent

QUOTED = re.compile(r"(?<!\w)'[^']*'|\"[^\"]*\"")
BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
VARYING = re.compile(r"\S*\d\S*|\bm-\S+")


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors that a group holds, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error


def kind_of(error: BaseException, names: Collection[str]) -> str:
    """What all failures of this kind share; `names` are those of whom it may be about."""
    return " ".join(sorted({_kind(one, names) for one in leaves(error)}))


def _kind(error: BaseException, names: Collection[str]) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__qualname__
    # Where a library or the kit raises for many, the line of the story that asked it says more.
    told = [
        frame for frame in frames if not (is_library(frame.filename) or Path(frame.filename).parent == KIT)
    ]
    places = dict.fromkeys(f"{at.filename}:{at.lineno}:{at.name}" for at in (frames[-1], *told[-1:]))
    # One line of hive's own asserts many things, as all invariants; a line of anybody else's but one.
    said = f" {gist(str(error), names)}" if frames[-1].filename.startswith(OURS) else ""
    return f"{type(error).__qualname__}@{'@'.join(places)}{said}"


def gist(text: str, names: Collection[str]) -> str:
    """The first line of a complaint, whoever and whatever it is about."""
    first = next(iter(text.strip().splitlines()), "")
    for pattern in (QUOTED, BRACKETED, VARYING):
        first = pattern.sub("…", first)
    return re.sub(r"[\w-]+", lambda word: "…" if word[0] in names else word[0], first)
