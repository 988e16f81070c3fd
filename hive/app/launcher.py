"""Starting this very hive again: for a daemon in the background, and for agents' hooks inside their boxes.

The rule kept here: it is the same interpreter and the same package, whatever lies on PATH or in the current
directory.
"""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import hive

PACKAGES = "PYTHONPATH"


def command() -> Sequence[str]:
    """The words that start hive."""
    # -P: the folder we are called in must not provide modules.
    return (sys.executable, "-P", "-m", "hive")


def package_path(environment: Mapping[str, str]) -> str:
    """A PYTHONPATH on which this package is found first."""
    ours = str(Path(hive.__file__).parent.parent)
    return os.pathsep.join(filter(None, (ours, environment.get(PACKAGES))))


def write_launcher(folder: Path) -> Path:
    """Make a program called `hive` in a folder of its own, for whoever has that folder on PATH."""
    folder.mkdir(exist_ok=True)
    program = folder / "hive"
    written = program.with_name(".hive.new")
    path = shlex.quote(package_path({}))
    written.write_text(f'#!/bin/sh\n{PACKAGES}={path} exec {shlex.join(command())} "$@"\n', encoding="utf-8")
    written.chmod(0o755)
    written.replace(program)
    return program
