"""The composition root: what the verbs `up` and `demo` start.  Nothing below imports it.

The rule kept here: importing this package costs nothing; serving imports what it needs when it is called.
"""

from pathlib import Path

from attrs import frozen


@frozen
class UpOptions:
    """What `hive up` was asked."""

    directory: Path
    detach: bool = False


@frozen
class DemoOptions:
    """What `hive demo` was asked."""

    on: Path
    seconds: float | None = None
    headless: bool = False
    json: bool = False
    open_browser: bool = True
    chaos: int | None = None
    """Strikes a minute; None for none."""

    i_know: bool = False
    """Whether whoever asks for chaos knows what it does."""


def up(options: UpOptions) -> int:
    """Run, or start in the background, the hive of a directory.  Returns an exit status."""
    from hive.app.daemon import up as run_up  # noqa: PLC0415 - serving imports half a second of packages

    return run_up(options)


def demo(options: DemoOptions) -> int:
    """Run a temporary swarm.  Returns an exit status."""
    from hive.app.demo import demo as run_demo  # noqa: PLC0415 - as above

    return run_demo(options)
