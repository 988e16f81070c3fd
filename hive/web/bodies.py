"""Long bodies, which come in parts ahead of the command that names them.

The rule kept here: a body is whole or it is not there, and what waits for its command is bounded.
"""

from typing import Final

from attrs import Factory, define, field

from hive.protocol.errors import Malformed, Refused
from hive.web import wire
from hive.web.incoming import Part

BODIES_AT_ONCE: Final = 4
BODIES_BYTES: Final = 4 * 1024 * 1024


@define(eq=False)
class Body:
    """The parts of one body so far."""

    parts: list[str] = field(default=Factory(list), init=False)
    size: int = field(default=0, init=False)
    whole: bool = field(default=False, init=False)


@define(eq=False)
class Bodies:
    """Bodies of one connection that wait for their command."""

    _waiting: dict[str, Body] = field(default=Factory(dict), init=False)

    def take(self, part: Part) -> None:
        """Take one part, in order; part 0 begins anew.

        Raises `Malformed` for a part out of order, and `Refused` when too much waits.
        """
        if part.n == 0:
            self._waiting[part.id] = Body()
        body = self._waiting.get(part.id)
        if body is None or body.whole or part.n != len(body.parts):
            raise Malformed(f"part {part.n} of {part.id} is out of order")
        body.parts.append(part.text)
        body.size += wire.size(part.text)
        body.whole = part.last
        if len(self._waiting) > BODIES_AT_ONCE or self._bytes() > BODIES_BYTES:
            raise Refused("too many parts wait for their command")

    def assembled(self, key: str) -> str | None:
        """The whole body under `key`, which is forgotten here; None where some of it is missing."""
        body = self._waiting.pop(key, None)
        return "".join(body.parts) if body is not None and body.whole else None

    def _bytes(self) -> int:
        return sum(body.size for body in self._waiting.values())
