"""Exit statuses, and what goes wrong on the way to them.

The rule kept here: a script can tell from the status alone what to do next.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum

from hive.protocol.errors import NotFound


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

    def __init__(self, status: Status, text: str, code: str = "") -> None:
        """Keep them; `code` is the protocol's, where the daemon refused."""
        super().__init__(text)
        self.status = status
        self.code = code


class Lost(Failed):
    """A daemon that was there is no more, or does not want to talk now."""

    def __init__(self, text: str) -> None:
        """Keep what is known of it."""
        super().__init__(Status.NO_DAEMON, text)


def refused(code: str, text: str) -> Failed:
    """The failure for a refusal of the daemon."""
    return Failed(BY_CODE.get(code, Status.REFUSED), text, code)


LISTS: Mapping[str, str] = {
    "agent": "hive ps",
    "to": "hive ps",
    "message": "hive inbox",
    "reply-to": "hive inbox",
}
"""By what an argument names: the verb that lists such things."""


def pointed(failed: Failed, arguments: Iterable[str]) -> Failed:
    """A failure with where to look for what was not found, in the words of the command line."""
    lists = dict.fromkeys(LISTS[name] for name in arguments if name in LISTS)
    if failed.code != NotFound.code or not lists:
        return failed
    said = str(failed)
    end = "" if said.endswith((".", "?")) else "."
    return Failed(failed.status, f"{said}{end} See: {', '.join(lists)}", failed.code)
