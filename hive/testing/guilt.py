"""Who called it: the line of simulated code that is answerable for a call somewhere below it.

The rule kept here: a library does what it was asked to do. The nearest frame that is neither of the standard
library nor of an installed package is the one to mend; a call that no simulated code stands behind (Trio's
own loop, an instrument's set-up, the test around the run) is nobody's.
"""

import sysconfig
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Final

import trio
from attrs import frozen

import hive

from .forbidden import ALLOWED, PASS_ON, Allowed, Forbidden

OURS: Final = str(Path(hive.__file__).parent) + "/"
"""hive's own code is judged, wherever it is installed."""

LIBRARIES: Final = tuple(
    sorted({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})
)

_LOOP: Final = trio._core._run.unrolled_run.__code__  # noqa: SLF001 - all simulated code is called from here


@frozen
class Place:
    """A line of simulated code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        """As a person looks for it."""
        return f"{shown(self.file)}:{self.line} in {self.function}"


def shown(file: str) -> str:
    """A file's name, relative to where we are if it is below."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


@cache
def is_library(file: str) -> bool:
    """Whether this file is of the standard library or an installed package, or was made up at run time."""
    if file.startswith(OURS):
        return False
    installed = file.startswith(LIBRARIES) or "/site-packages/" in file or "/dist-packages/" in file
    return installed or (file.startswith("<") and not file.startswith(("<stdin>", "<ipython")))


@cache
def _excused(module: str, name: str, allowed: tuple[Allowed, ...]) -> bool:
    return any(one.covers(module, name) for one in (*ALLOWED, *allowed))


def guilty(frame: FrameType | None, what: Forbidden, allowed: tuple[Allowed, ...]) -> Place | None:
    """The place that is answerable for this call, if any is; `frame` is the one that made it."""
    suspect: FrameType | None = None
    while frame is not None and frame.f_code is not _LOOP:
        if suspect is None:
            module = str(frame.f_globals.get("__name__"))
            if module == "importlib._bootstrap":
                return None  # what a library does while it is imported is not done for whoever imports it
            if _excused(module, what.name, allowed):
                return None
            if module not in PASS_ON and not is_library(frame.f_code.co_filename):
                suspect = frame
        frame = frame.f_back
    if frame is None or suspect is None:
        return None
    return Place(suspect.f_code.co_filename, suspect.f_lineno, suspect.f_code.co_qualname)
