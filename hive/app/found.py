"""What a first start says it found, so that nobody has to guess what hive will do.

The rule kept here: each line says a fact and, where something is missing, what to type.
"""

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from hive.agents.clis import known
from hive.agents.logins import KEYS
from hive.containers.port import Driver
from hive.protocol.presets import Presets

Which = Callable[[str], str | None]
"""Where a program is."""


def command_lines(kept: Collection[str], presets: Presets, which: Which = shutil.which) -> Iterator[str]:
    """One line for each CLI that is installed; `kept` are the credentials there are.

    A login of the person's own is not looked for: hive uses none that it was not given.
    """
    for cli in known(presets):
        needed = cli.backend in KEYS and cli.backend not in kept
        lacks = f"; no key yet: hive secret set {cli.backend}" if needed else ""
        if (path := which(cli.program)) is not None:
            yield f"found {cli.title}: {path} (--backend {cli.backend}{lacks})"


def chosen(presets: Presets, which: Which = shutil.which) -> str:
    """The backend of agents of which nobody says more: the first CLI there is that needs no model's name."""
    there = (cli.backend for cli in known(presets) if not cli.needs_model and which(cli.program))
    return next(there, "")


def choices(presets: Presets, which: Which = shutil.which) -> str:
    """What somebody can choose who has not: what is there, and how to get the rest."""
    clis = known(presets)
    there = [cli.backend for cli in clis if which(cli.program)]
    others = [f"{cli.title} ({cli.install})" for cli in clis if not which(cli.program)]
    return (
        "Say what runs it: --backend scripted, external"
        f"{''.join(f', {name}' for name in there)}; or set agents.default_backend in hive.toml."
        + (f" Not installed: {'; '.join(others)}." if others else "")
    )


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
