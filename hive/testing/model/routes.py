"""What is asked for at which address, and by whom.  Pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs

from attrs import frozen

from hive.testing.model import chat, gemini, messages, responses
from hive.testing.model.wire import Wire

FIXED: Mapping[str, tuple[Wire, bool]] = {
    "/v1/messages": (messages.WIRE, False),
    "/v1/messages/count_tokens": (messages.WIRE, True),
    "/v1/responses": (responses.WIRE, False),
    "/v1/chat/completions": (chat.WIRE, False),
}
"""For each address its wire, and whether it only counts."""

FINGERPRINT = 12
"""Digits of a key's hash, enough to tell the keys of a test apart."""

_GEMINI = re.compile(
    r"/v1(?:beta|alpha)?/models/([^/:]+):(streamGenerateContent|generateContent|countTokens)"
)
_KEY_HEADERS = ("x-api-key", "x-goog-api-key", "authorization")


@frozen
class Route:
    """What one address is for."""

    wire: Wire
    counts: bool = False
    model: str = ""
    """A model that stands in the path."""

    streams: bool | None = None
    """Whether the answer is a stream; None leaves it to the body's `stream`."""


def routed(path: str) -> Route | None:
    """What a POST to a path is for; None where there is nothing."""
    if path in FIXED:
        wire, counts = FIXED[path]
        return Route(wire, counts)
    if found := _GEMINI.fullmatch(path):
        model, verb = found.groups()
        return Route(gemini.WIRE, verb == "countTokens", model, verb == "streamGenerateContent")
    return None


def key_of(headers: Iterable[tuple[bytes, bytes]], query: str) -> str:
    """The API key of a request, wherever its provider wants it; empty where there is none."""
    given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
    found = next((given[name] for name in _KEY_HEADERS if name in given), "")
    return found.removeprefix("Bearer ") or next(iter(parse_qs(query).get("key", ())), "")


def called(key: str, names: Mapping[str, str]) -> str:
    """What a key is called in what is kept: its chosen name, else its fingerprint."""
    if not key:
        return ""
    return names.get(key, f"sha256:{hashlib.sha256(key.encode()).hexdigest()[:FINGERPRINT]}")
