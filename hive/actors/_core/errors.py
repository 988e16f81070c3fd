"""Everything the kernel raises on purpose, named after whose fault it is and what to do.

The four at the end are instructions, not failures: a handler raises them to end its handling otherwise than
by returning.
"""

from collections.abc import Sequence

from .policy import Crashed, describe


class HiveError(Exception):
    """The parent of every error that hive raises on purpose."""


class InvalidSpec(HiveError, ValueError):
    """A child spec or a supervisor contradicts itself. Correct it."""


class NameTaken(HiveError):
    """Another actor has this name. Names are free again once their actor is dropped."""


class NoSuchActor(HiveError):
    """Nobody has this name: never started, or dropped since."""


class NoSuchChild(HiveError):
    """This supervisor has no child of that name."""


class TooManyChildren(HiveError):
    """The supervisor has as many children as it may have. Drop one first."""


class StartFailed(HiveError):
    """A child did not become ready. Nothing of it is left running; `__cause__` says why."""

    def __init__(self, name: str, exit_: Crashed) -> None:
        super().__init__(f"{name!r} could not start: {describe(exit_.error)}")
        self.name = name
        self.exit = exit_
        self.__cause__ = exit_.error


class NotReadyInTime(HiveError):
    """A child took longer than its startup grace to become ready."""


class LeftTooSoon(HiveError):
    """A child returned before it said that it was ready."""


class StillLeaving(HiveError):
    """The child's last incarnation ignores its cancellation, so no new one can start."""


class RestartsExhausted(HiveError):
    """A family restarted more often than its budget allows. `__cause__` is the last child's crash."""


class HandlingTooLong(HiveError):
    """A handler ran into its actor's handling limit. Hold the message and settle it later instead."""


class Killed(HiveError):
    """The incarnation was ended from outside, without its grace."""


class Full(HiveError):
    """The mailbox has no room. `send` waits for room where the mailbox allows waiting."""


class NotHeld(HiveError):
    """This message is not in hand any more: it has its verdict, or its incarnation has ended."""


class ActorStopped(HiveError):
    """The actor stopped before it answered.

    `begun` tells whether it had started on the request. If not, asking again is safe.
    """

    def __init__(self, name: str, *, begun: bool) -> None:
        when = "while handling" if begun else "before it looked at"
        super().__init__(f"{name!r} stopped {when} this request")
        self.name = name
        self.begun = begun


class ActorCrashed(HiveError):
    """The actor crashed on this very request. Asking again may not be safe. `__cause__` is its error."""

    def __init__(self, name: str, error: BaseException) -> None:
        super().__init__(f"{name!r} crashed while it was handling this request")
        self.__cause__ = error


class WouldDeadlock(HiveError):
    """Waiting here would close a ring of actors that wait for each other."""

    def __init__(self, ring: Sequence[str]) -> None:
        super().__init__("waiting would close a ring: " + " -> ".join(ring))
        self.ring = tuple(ring)


class Leave(Exception):
    """Raised by a handler: this message is done, and the actor leaves normally.

    An asker that has not been answered is told that the actor stopped.
    """


class Snooze(Exception):
    """Raised by a handler: give me this message again in so many seconds.

    No attempt is charged, and an asker waits on.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class Reject(Exception):
    """Raised by a handler: this message can never be handled.

    It is buried, an asker gets the error, and the actor goes on.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(repr(error))
        self.error = error


class Decline(Reject):
    """Raised by a handler: the answer to this request is an error. It is raised at the asker, and we go on.

    Where nobody asked, the message is buried, so that the error is seen.
    """
