"""What a first start says it found, so that nobody has to guess what hive will do.

The rule kept here: each line says a fact and, where something is missing, what to type.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from hive.containers.port import Driver

KNOWN_CLIS: Mapping[str, str] = {
    "claude": "Claude Code",
    "codex": "Codex",
    "opencode": "OpenCode",
    "gemini": "Gemini CLI",
    "goose": "Goose",
}

LOGIN_FILES: Mapping[str, str] = {
    "claude": ".claude/.credentials.json",
    "codex": ".codex/auth.json",
    "opencode": ".local/share/opencode/auth.json",
    "gemini": ".gemini/oauth_creds.json",
}


def command_lines(home: Path, which: Callable[[str], str | None] = shutil.which) -> Iterator[str]:
    """One line for each known CLI that is installed, with its login as far as a file tells."""
    for command, title in KNOWN_CLIS.items():
        path = which(command)
        if path is None:
            continue
        login = LOGIN_FILES.get(command)
        state = "login unknown" if login is None else "not logged in"
        if login is not None and (home / login).is_file():
            state = "a login exists"
        yield f"found {title}: {path} ({state})"


def report(
    made: Sequence[Path], home: Path, driver: Driver, manager: str | None, agents: int
) -> Iterator[str]:
    """The lines of a start."""
    for path in made:
        yield f"made {path}"
    found = tuple(command_lines(home))
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
