"""What a first start says it found, so that nobody has to guess what hive will do.

The rule kept here: each line says a fact and, where something is missing, what to type.
"""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from hive.agents.logins import KEYS
from hive.containers.port import Driver

KNOWN_CLIS: Mapping[str, str] = {
    "claude": "Claude Code",
    "codex": "Codex",
    "opencode": "OpenCode",
    "gemini": "Gemini CLI",
    "goose": "Goose",
}


def command_lines(kept: Collection[str], which: Callable[[str], str | None] = shutil.which) -> Iterator[str]:
    """One line for each known CLI that is installed; `kept` are the credentials there are.

    A login of the person's own is not looked for: hive uses none that it was not given.
    """
    for command, title in KNOWN_CLIS.items():
        path = which(command)
        if path is None:
            continue
        needed = command in KEYS and command not in kept
        yield f"found {title}: {path}" + (f" (no key yet: hive secret set {command})" if needed else "")


def report(
    made: Sequence[Path], kept: Collection[str], driver: Driver, manager: str | None, agents: int
) -> Iterator[str]:
    """The lines of a start."""
    for path in made:
        yield f"made {path}"
    found = tuple(command_lines(kept))
    yield from found or ("no agent CLI found on PATH; scripted and external agents work without one",)
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
