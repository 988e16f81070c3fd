"""Which backends there are: one table from the word in an agent's settings to how it is made."""

from collections.abc import Callable, Mapping

from attrs import frozen

from hive.agents.backend import Backend
from hive.agents.external import ExternalBackend
from hive.agents.rules import table
from hive.agents.scripted import RULES, ScriptedBackend, at_once
from hive.agents.shell import RunsCommands
from hive.agents.tools import OpenTools
from hive.protocol.commands import Settings
from hive.protocol.errors import Malformed


@frozen
class BackendParts:
    """What backends are made of; the composition root fills it in."""

    open_tools: OpenTools
    shell: RunsCommands
    wall: Callable[[], float]
    pace: Callable[[], float] = at_once


def _scripted(parts: BackendParts) -> Backend:
    return ScriptedBackend(parts.open_tools, parts.shell, parts.wall, parts.pace)


def _external(_parts: BackendParts) -> Backend:
    return ExternalBackend()


BACKENDS: Mapping[str, Callable[[BackendParts], Backend]] = {"scripted": _scripted, "external": _external}


def make_backend(name: str, parts: BackendParts) -> Backend:
    """The backend of that name; `Malformed` lists the ones there are."""
    return _maker(name)(parts)


def check_settings(settings: Settings) -> None:
    """Raise `Malformed` where no backend could run an agent with these settings."""
    if _maker(settings.backend) is _scripted:
        table(settings.rules, RULES)


def _maker(name: str) -> Callable[[BackendParts], Backend]:
    if name not in BACKENDS:
        message = f"there is no backend {name[:40]!r}; choose one of {', '.join(sorted(BACKENDS))}."
        raise Malformed(message)
    return BACKENDS[name]
