"""Exit statuses, and what goes wrong on the way to them.

The rule kept here: a script can tell from the status alone what to do next.
"""

from collections.abc import Mapping
from enum import IntEnum


class Status(IntEnum):
    """What a verb ends with."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NO_DAEMON = 3
    CONFLICT = 4
    TIMEOUT = 5


BY_CODE: Mapping[str, Status] = {"conflict": Status.CONFLICT, "unknown": Status.TIMEOUT}
"""Statuses for codes of the protocol that are not plain refusals."""


class Failed(Exception):
    """A verb ends with this status and this sentence."""

    def __init__(self, status: Status, text: str) -> None:
        """Keep both."""
        super().__init__(text)
        self.status = status


def refused(code: str, text: str) -> Failed:
    """The failure for a refusal of the daemon."""
    return Failed(BY_CODE.get(code, Status.REFUSED), text)
