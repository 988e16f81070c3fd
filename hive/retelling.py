"""How a story is to be told again: said by whoever runs it, heeded by the simulation kit.

The rule kept here: pytest loads its plugins in every run, so what they share with the kit weighs nothing.
"""

from contextvars import ContextVar

AGAIN: ContextVar[str | None] = ContextVar("AGAIN", default=None)
"""The command that runs the same again, as a failure shows it; `{faults}` in it stands for what struck."""

TWICE: ContextVar[bool] = ContextVar("TWICE", default=False)
"""Whether `simulate` tells every story twice and compares: what `pytest --hive-twice` sets."""
