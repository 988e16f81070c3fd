"""What logs an agent's CLI in, by its backend, and what to type where nothing does.  Pure.

The rule kept here: a hint is one command that can be typed as it stands.
"""

from collections.abc import Collection, Mapping
from typing import Final

from hive.protocol.commands import Settings
from hive.protocol.errors import Malformed

KEYS: Final[Mapping[str, str]] = {"claude": "ANTHROPIC_API_KEY"}
"""The variable that a backend's CLI takes its key from.  Other backends need none."""


def variable_of(credential: str) -> str:
    """The variable meant where a credential is named after a backend.  Raises `Malformed` elsewhere."""
    if credential in KEYS:
        return KEYS[credential]
    raise Malformed(
        f"Say which variable of {credential!r} this is, as in --variable {next(iter(KEYS.values()))}."
        f" Only the credentials {', '.join(KEYS)} have one by themselves."
    )


def missing(settings: Settings, variables: Collection[str]) -> str:
    """What to do so that an agent can log in whose credential has these; empty where nothing is needed."""
    if settings.backend not in KEYS or variables:
        return ""
    return f"its CLI has no key yet: {set_key(settings)}"


def set_key(settings: Settings) -> str:
    """The command that gives an agent its key."""
    named = "" if settings.login in KEYS else f" --variable {KEYS[settings.backend]}"
    return f"hive secret set {settings.login}{named}"
