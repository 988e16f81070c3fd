"""Which backends there are: from the word in an agent's settings to how it is made.

The rule kept here: every preset is a backend under its own name; an agent whose preset is gone keeps its
mail and says what it lacks.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from attrs import field, frozen

from hive.agents.backend import Backend
from hive.agents.cli.acp import AcpBackend
from hive.agents.cli.claude import ClaudeBackend
from hive.agents.cli.codex import CodexBackend
from hive.agents.cli.memory import WORD, SessionFile
from hive.agents.cli.process import StartCli
from hive.agents.external import ExternalBackend
from hive.agents.missing import MissingBackend
from hive.agents.presets import built_in
from hive.agents.rules import table
from hive.agents.scripted import RULES, ScriptedBackend, at_once
from hive.agents.shell import RunsCommands
from hive.agents.tools import OpenTools
from hive.containers.port import Box
from hive.protocol.commands import Settings
from hive.protocol.errors import Conflict, Malformed
from hive.protocol.names import check_name, near
from hive.protocol.presets import ModelWay, Preset, Presets

MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]+-]{0,127}")
"""A model's name, which becomes an argument of a CLI and must not be taken for an option."""


@frozen
class CliParts:
    """What backends that drive somebody else's CLI are made of."""

    start: StartCli
    url_of: Callable[[str], str]
    """Where an agent's endpoint is."""

    credentials: Callable[[str], Mapping[str, str]]
    """Environment by which an agent's CLI is logged in."""

    new_id: Callable[[], str]
    """Makes a UUID."""

    program: Callable[[str], str]
    """The path of a program, or its bare name where it is nowhere to be found."""


@frozen
class BackendParts:
    """What backends are made of; the composition root fills it in."""

    open_tools: OpenTools
    shell: RunsCommands
    wall: Callable[[], float]
    pace: Callable[[], float] = at_once
    clis: CliParts | None = None
    """None where none can be run."""

    presets: Presets = field(factory=built_in)
    """How agents that speak ACP are driven, by the backend's name."""


def _scripted(parts: BackendParts) -> Backend:
    return ScriptedBackend(parts.open_tools, parts.shell, parts.wall, parts.pace)


def _external(_parts: BackendParts) -> Backend:
    return ExternalBackend()


def _claude(parts: BackendParts) -> Backend:
    clis = _clis(parts)
    return ClaudeBackend(
        start=clis.start,
        url_of=clis.url_of,
        credentials=clis.credentials,
        new_id=clis.new_id,
        memory_of=lambda box: _session_file(box, "claude"),
        program=(clis.program("claude"),),
    )


def _codex(parts: BackendParts) -> Backend:
    clis = _clis(parts)
    return CodexBackend(
        start=clis.start,
        url_of=clis.url_of,
        credentials=clis.credentials,
        memory_of=lambda box: _session_file(box, "codex"),
        program=(clis.program("codex"),),
    )


def _acp(name: str, preset: Preset, parts: BackendParts) -> Backend:
    clis = _clis(parts)
    return AcpBackend(
        preset=preset,
        start=clis.start,
        url_of=clis.url_of,
        credentials=clis.credentials,
        memory_of=lambda box: SessionFile(box.state_dir / f".{name}-session", WORD),
        wall=parts.wall,
        program=(clis.program(preset.program),),
    )


def _clis(parts: BackendParts) -> CliParts:
    if parts.clis is None:
        raise Conflict("this hive runs no agent's CLI.")
    return parts.clis


def _session_file(box: Box, backend: str) -> SessionFile:
    return SessionFile(box.state_dir / f".{backend}-session")


Maker = Callable[[BackendParts], Backend]

BACKENDS: Mapping[str, Maker] = {
    "claude": _claude,
    "codex": _codex,
    "external": _external,
    "scripted": _scripted,
}
"""Those that are code of their own; every preset is another."""


def make_backend(name: str, parts: BackendParts) -> Backend:
    """The backend of that name; `Malformed` lists the ones there are."""
    return _maker(name, parts.presets)(parts)


def backend_of(settings: Settings, parts: BackendParts) -> Backend:
    """An agent's backend: of one that its owner has taken away, one that runs no turn and says why."""
    try:
        # What its owner has changed since it was added counts, too.
        check_settings(settings, parts.presets)
        return make_backend(settings.backend, parts)
    except Malformed as error:
        return MissingBackend(error.text)


def check_settings(settings: Settings, presets: Presets | None = None) -> None:
    """Raise `Malformed` where no backend could run an agent with these settings."""
    if settings.credential:
        check_name(settings.credential)
    known = built_in() if presets is None else presets
    maker = _maker(settings.backend, known)
    if maker is _scripted:
        table(settings.rules, RULES)
    if settings.model:
        if maker in (_scripted, _external):
            raise Malformed(f"hive chooses no model for an agent of the backend {settings.backend}.")
        if not MODEL.fullmatch(settings.model):
            raise Malformed(
                f"{settings.model[:40]!r} is no model's name: use 1 to 128 of letters, digits and ._:/@[]+-,"
                " beginning with a letter or digit."
            )
    if settings.backend not in BACKENDS:
        _check_model(settings, known[settings.backend])


def _check_model(settings: Settings, preset: Preset) -> None:
    if settings.model and preset.model.way is ModelWay.NONE:
        raise Malformed(f"hive cannot choose the model of {preset.title}: its preset does not say how.")
    if preset.model.required and not settings.model:
        raise Malformed(f"{preset.title} needs a model: {preset.model.required}.")


def _maker(name: str, presets: Presets) -> Maker:
    if name in BACKENDS:
        return BACKENDS[name]
    if name in presets:
        return partial(_acp, name, presets[name])
    known = sorted({*BACKENDS, *presets})
    similar = near(name, known)
    hint = f" did you mean {' or '.join(similar)}?" if similar else ""
    raise Malformed(f"there is no backend {name[:40]!r};{hint} choose one of {', '.join(known)}.")
