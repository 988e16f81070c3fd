"""A client's frames as values.

The rule kept here: nothing is guessed.  What is not a frame of this version is `Malformed`; an operation
this version does not know is no fault, because clients may be newer.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import orjson
from attrs import frozen

from hive.protocol.errors import Malformed
from hive.web import wire

LARGEST_NUMBER: Final = 2**53 - 1
"""Beyond it a browser's numbers are no longer whole."""

Position: TypeAlias = tuple[int, int | None]
"""An event's number, and the boot it is remembered from where the client knows it."""


@frozen
class Hello:
    """A client opens the conversation, or takes it up again."""

    version: object
    log_id: str | None
    at: Mapping[str, Position]
    want: tuple[str, ...]


@frozen
class Subscribe:
    """Open a lane, or ask again after a gap."""

    lane: str
    at: Position | None


@frozen
class Unsubscribe:
    """Close a lane."""

    lane: str


@frozen
class Part:
    """A piece of a long body."""

    id: str
    n: int
    text: str
    last: bool


@frozen
class Command:
    """A client asks for a change."""

    id: str
    name: str
    arguments: Mapping[str, object]
    expect: Mapping[str, object]


@frozen
class Question:
    """A client asks for detail."""

    id: str
    what: str
    arguments: Mapping[str, object]


@frozen
class Heard:
    """A beat, or an operation of a later version: that it came is all it means."""


Incoming: TypeAlias = Hello | Subscribe | Unsubscribe | Part | Command | Question | Heard


def read(text: str) -> Incoming:
    """Read one frame.  Raises `Malformed`."""
    try:
        received = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"this is not JSON: {error}") from None
    if not isinstance(received, dict):
        raise Malformed("expected an object")
    return _read(received)


def _read(received: Mapping[str, object]) -> Incoming:  # noqa: PLR0911 - one return an op
    match _text(received, "op"):
        case "hello":
            return _hello(received)
        case "sub":
            return Subscribe(_text(received, "lane"), position(received.get("at")))
        case "unsub":
            return Unsubscribe(_text(received, "lane"))
        case "part":
            n, last = received.get("n"), received.get("last", False)
            if not isinstance(n, int) or not isinstance(last, bool):
                raise Malformed("n, last: expected a whole number, and true or false")
            return Part(_id(received), n, _text(received, "text"), last)
        case "cmd":
            name, arguments = _text(received, "name"), _object(received, "args")
            return Command(_id(received), name, arguments, _object(received, "expect"))
        case "get":
            return Question(_id(received), _text(received, "what"), _object(received, "args"))
        case _:
            return Heard()


def _hello(received: Mapping[str, object]) -> Hello:
    if received.get("v") != wire.VERSION:
        return Hello(received.get("v"), None, {}, ())  # whatever else it says is in another version's words
    log_id, want = received.get("log_id"), received.get("want", [])
    if log_id is not None and not isinstance(log_id, str):
        raise Malformed("log_id: expected text")
    if not isinstance(want, list):
        raise Malformed("want: expected a list")
    at = {lane: at for lane, value in _object(received, "at").items() if (at := position(value)) is not None}
    return Hello(wire.VERSION, log_id, at, tuple(lane for lane in want if isinstance(lane, str)))


def position(value: object) -> Position | None:
    """A remembered position [n, boot]; None where it is not one, which means a snapshot."""
    match value:
        case [int(n), int() | None as boot] if 0 <= n <= LARGEST_NUMBER:
            return n, boot
        case _:
            return None


def _text(received: Mapping[str, object], name: str) -> str:
    value = received.get(name)
    if not isinstance(value, str):
        raise Malformed(f"{name}: expected text")
    return value


def _id(received: Mapping[str, object]) -> str:
    value = _text(received, "id")
    if not 1 <= len(value) <= wire.LONGEST_ID:
        raise Malformed(f"id: expected 1 to {wire.LONGEST_ID} characters")
    return value


def _object(received: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = received.get(name, {})
    if not isinstance(value, dict):
        raise Malformed(f"{name}: expected an object")
    return value
