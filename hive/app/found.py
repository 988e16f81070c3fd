"""What a first start says it found, so that nobody has to guess what hive will do.

The rule kept here: each line says a fact and, where something is missing, what to type.
"""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from hive.agents.logins import KEYS
from hive.containers.port import Driver
from hive.protocol.presets import Presets

OWN_CLIS: Mapping[str, str] = {"claude": "Claude Code", "codex": "Codex"}
"""The CLIs that hive has backends of its own for."""


def command_lines(
    kept: Collection[str], presets: Presets, which: Callable[[str], str | None] = shutil.which
) -> Iterator[str]:
    """One line for each CLI that is installed; `kept` are the credentials there are.

    A login of the person's own is not looked for: hive uses none that it was not given.
    """
    others = {name: (preset.title, preset.program) for name, preset in presets.items()}
    for backend, (title, program) in {
        **{name: (title, name) for name, title in OWN_CLIS.items()},
        **others,
    }.items():
        path = which(program)
        needed = backend in KEYS and backend not in kept
        lacks = f"; no key yet: hive secret set {backend}" if needed else ""
        if path is not None:
            yield f"found {title}: {path} (--backend {backend}{lacks})"


def report(made: Sequence[Path], driver: Driver, manager: str | None, agents: int) -> Iterator[str]:
    """The lines of a start, besides those about CLIs."""
    for path in made:
        yield f"made {path}"
    yield f"driver: {driver.name}; " + (
        "agents are isolated from each other"
        if driver.isolates
        else "no isolation: an agent can do what you can do on this machine"
    )
    if agents == 0:
        yield "no agents yet. Next: hive spawn boss --backend scripted --manager"
    elif manager is None:
        yield f"{agents} agents, no manager. Mail to 'manager' is refused until one is spawned with --manager"
    else:
        yield f"{agents} agents; the manager is {manager}"
