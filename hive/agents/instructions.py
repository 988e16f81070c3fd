"""What an agent's CLI is told once for a whole session: how an agent lives, its tools, and whom to believe.

The rule kept here: the words are a person's to change, in files of the hive; a file that cannot be used is
told of and does not keep an agent from working.
"""

import stat
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from attrs import field, frozen

from hive.protocol.commands import Settings
from hive.protocol.names import MANAGER

AGENT_FILE: Final = "agent.md"
MANAGER_FILE: Final = "manager.md"
OWN_FOLDER: Final = "agents"
"""Where the words of single agents lie, each in NAME.md."""

LARGEST_BYTES: Final = 64 * 1024
"""Of one file: more would cost every turn its room."""


@frozen
class Instructions:
    """What a CLI is told, and what was wrong with the files."""

    text: str = ""
    problems: tuple[str, ...] = ()


@frozen
class Told:
    """Who is told, and where things are for it."""

    name: str
    settings: Settings
    state_dir: str
    shared_dir: str


def rendered(text: str, told: Told) -> str:
    """A file's text with its `$names` filled in; one that is unknown stays as it is written.  Pure."""
    purpose = told.settings.purpose
    return Template(text).safe_substitute(
        name=told.name,
        role=told.settings.role,
        state=told.state_dir,
        shared=told.shared_dir,
        purpose=f"\n# Your purpose\n{purpose}\n" if purpose else "",
    )


@frozen
class Prompts:
    """The files of a hive, which stand in for those of the package where they are there."""

    folder: Path | None = None
    _ours: Mapping[str, str] = field(init=False, repr=False)

    @_ours.default
    def _read_ours(self) -> Mapping[str, str]:
        package = files("hive.agents") / "prompts"
        return {name: (package / name).read_text(encoding="utf-8") for name in (AGENT_FILE, MANAGER_FILE)}

    def instructions(self, told: Told) -> Instructions:
        """What this agent is told: its own file, or those of its role."""
        problems: list[str] = []
        own = self._read(f"{OWN_FOLDER}/{told.name}.md", problems)
        parts = [own] if own is not None else list(self._of_role(told.settings.role, problems))
        text = "".join(parts)
        # Whoever writes words of their own has not taken the agent's purpose away.
        whole = text if "$purpose" in text else f"{text}\n$purpose"
        return Instructions(rendered(whole, told).strip(), tuple(problems))

    def _of_role(self, role: str, problems: list[str]) -> Iterator[str]:
        for name in (AGENT_FILE, MANAGER_FILE) if role == MANAGER else (AGENT_FILE,):
            theirs = self._read(name, problems)
            yield self._ours[name] if theirs is None else theirs

    def _read(self, name: str, problems: list[str]) -> str | None:
        """A file of the hive's own; None where there is none, or none that can be used."""
        if self.folder is None:
            return None
        path = self.folder / name
        try:
            status = path.stat()
            if stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_BYTES:
                return path.read_bytes().decode()
            problems.append(f"{path} is not used: it is no file of at most {LARGEST_BYTES} bytes")
        except FileNotFoundError:
            pass
        except (OSError, UnicodeError) as error:
            problems.append(f"{path} is not used: {error}")
        return None
