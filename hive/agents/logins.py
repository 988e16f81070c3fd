"""What logs an agent's CLI in, by its backend, and what to type where nothing does.  Pure.

The rule kept here: a hint is one command that can be typed as it stands.
"""

from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

from hive.protocol.commands import Settings
from hive.protocol.errors import Malformed
from hive.protocol.presets import Presets

Takes: TypeAlias = Mapping[str, tuple[str, ...]]
"""The variables by which a backend's CLI can be logged in."""

KEYS: Final[Takes] = {
    "claude": ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN"),
    # With an address Codex is told of a model that may want no key.
    "codex": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
}
"""Those of the backends whose CLI can do nothing without one, the usual one first."""


def takes(presets: Presets) -> Takes:
    """Those of all backends."""
    return {**{name: preset.credentials for name, preset in presets.items()}, **KEYS}


def variable_of(credential: str, known: Takes = KEYS) -> str:
    """The variable meant where a credential is named after a backend that leaves no doubt.

    Raises `Malformed` elsewhere, which names those that could be meant.
    """
    variables = known.get(credential, ())
    if credential in KEYS or len(variables) == 1:
        return variables[0]
    could_be = " or ".join(variables) or KEYS["claude"][0]
    raise Malformed(f"Say which variable of {credential!r} this is, as in --variable {could_be}.")


def missing(settings: Settings, variables: Collection[str]) -> str:
    """What to do so that an agent can log in whose credential has these; empty where nothing is needed."""
    if settings.backend not in KEYS or {*KEYS[settings.backend]} & {*variables}:
        return ""
    return f"its CLI has no key yet: {set_key(settings)}"


def set_key(settings: Settings) -> str:
    """The command that gives an agent its key."""
    named = "" if settings.login == settings.backend else f" --variable {KEYS[settings.backend][0]}"
    return f"hive secret set {settings.login}{named}"
