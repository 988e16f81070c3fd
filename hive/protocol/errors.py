"""What hive refuses, named after whose fault it is.

Each error is one sentence that says what was wrong and what to do; it is shown as it stands to an
agent's model, to the operator and on the command line.  `code` is the same word on every wire.
"""

from typing import ClassVar


class HiveRefusal(Exception):
    """Something was asked of hive and nothing was changed."""

    code: ClassVar[str] = "refused"

    @property
    def text(self) -> str:
        """The sentence to show."""
        return str(self)


class Malformed(HiveRefusal):
    """The request itself is wrong; repeating it will not help."""

    code = "malformed"


class NotFound(HiveRefusal):
    """What the request names does not exist (any more)."""

    code = "not_found"


class Conflict(HiveRefusal):
    """The request was right when it was written; the state has moved on since."""

    code = "conflict"


class Refused(HiveRefusal):
    """A limit or a rule forbids it now; the text says which and until when."""

    code = "refused"


class Forbidden(HiveRefusal):
    """Whoever asks may not do this."""

    code = "forbidden"


class StoreUnavailable(HiveRefusal):
    """The store cannot commit at the moment.  Nothing was accepted; asking again later is safe."""

    code = "unavailable"
