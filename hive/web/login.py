"""Who may see the page: one-time codes, sessions, and where a request may come from.

The rule kept here: Host and Origin are checked before anything is accepted, a code works once, and only a
hash of a session is ever stored.
"""

import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Iterable
from urllib.parse import quote, urlsplit

from attrs import Factory, define, field, frozen

CODE_SECONDS = 600.0
CODE_TRIES = 5
CODES_AT_ONCE = 16
SESSION_SECONDS = 30 * 24 * 3600.0
COOKIE = "hive_session"
COOKIE_DIGITS = 12
"""Of the log's id, in the cookie's name."""


def hashed(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


@frozen
class Code:
    """One code that has not been used."""

    secret: str = field(repr=False)
    ends_at: float


@define(eq=False)
class Codes:
    """One-time codes.  In memory: a restart makes them worthless."""

    _new_secret: Callable[[], str]
    _wall: Callable[[], float]
    _open: deque[Code] = field(default=Factory(lambda: deque(maxlen=CODES_AT_ONCE)), init=False)
    _wrong: int = field(default=0, init=False)

    def new(self) -> str:
        """Make a code that works once within ten minutes."""
        self._wrong = 0
        code = Code(self._new_secret(), self._wall() + CODE_SECONDS)
        self._open.append(code)
        return code.secret

    def link(self, origin: str) -> str:
        """A link that logs in once."""
        return f"{origin}/login?code={quote(self.new())}"

    def take(self, secret: str) -> bool:
        """Use a code up.  After five wrong ones every code is worthless until a new one is made."""
        now = self._wall()
        for code in tuple(self._open):
            if code.ends_at <= now:
                self._open.remove(code)
            elif hmac.compare_digest(code.secret.encode(), secret.encode()):
                self._open.remove(code)
                return True
        self._wrong += 1
        if self._wrong >= CODE_TRIES:
            self._open.clear()
        return False


def host_allowed(host: str | None, origins: Iterable[str]) -> bool:
    """Whether the Host header is one of ours: defeats DNS rebinding."""
    return host is not None and host.lower() in {urlsplit(origin).netloc for origin in origins}


def origin_allowed(origin: str | None, origins: Iterable[str]) -> bool:
    """Whether the Origin header is present and exactly one of ours."""
    return origin is not None and origin in set(origins)


def cookie_name(log_id: str) -> str:
    """What a hive calls its cookie: cookies ignore ports, and a host may have several hives."""
    return f"{COOKIE}_{log_id[:COOKIE_DIGITS]}"


def session_secret(cookie_header: str | None, name: str) -> str | None:
    """The session's secret in a Cookie header."""
    # By hand: the standard library gives up the whole header for one odd name that somebody else has set.
    pairs = (pair.strip().partition("=") for pair in (cookie_header or "").split(";"))
    return next((value for key, _, value in pairs if key == name), None)


def session_cookie(name: str, secret: str, seconds: float = SESSION_SECONDS) -> str:
    """The Set-Cookie header of a session.  Plain HTTP on loopback, hence no `__Host-` prefix."""
    return f"{name}={secret}; Path=/; Max-Age={int(seconds)}; HttpOnly; SameSite=Strict"
