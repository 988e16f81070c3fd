"""The CLIs that can run an agent: what each is called, what is started, and how one gets it.  Pure.

The rule kept here: every backend that starts somebody else's program is in this list, under its own name.
"""

from typing import Final

from attrs import frozen

from hive.protocol.presets import Presets


@frozen
class Cli:
    """One of them."""

    backend: str
    title: str
    program: str
    install: str
    """How to get it, in a few words."""

    needs_model: bool = False
    """Whether it is not started without a model's name."""


CLAUDE: Final = Cli(
    "claude", "Claude Code", "claude", "install it with `npm install -g @anthropic-ai/claude-code`"
)
CODEX: Final = Cli("codex", "Codex", "codex", "install it with `npm install -g @openai/codex`")
OWN: Final = (CLAUDE, CODEX)
"""Those that hive has backends of its own for."""


def known(presets: Presets) -> tuple[Cli, ...]:
    """All of them, those of hive's own backends first."""
    others = (
        Cli(name, one.title, one.program, one.install, needs_model=bool(one.model.required))
        for name, one in presets.items()
    )
    return (*OWN, *others)


def not_there(program: str, install: str) -> str:
    """What to say where a program cannot be found."""
    return f"there is no `{program}` to run: {install}, and start hive where `{program}` is on the PATH"


__all__ = ["CLAUDE", "CODEX", "OWN", "Cli", "known", "not_there"]
