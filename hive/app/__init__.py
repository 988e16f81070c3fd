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


# Not named as what they call: importing the module `hive.app.demo` makes `demo` of this package the module.
def run_up(options: UpOptions) -> int:
    """Run, or start in the background, the hive of a directory.  Returns an exit status."""
    from hive.app.daemon import up  # noqa: PLC0415 - serving imports half a second of packages

    return up(options)


def run_demo(options: DemoOptions) -> int:
    """Run a temporary swarm.  Returns an exit status."""
    from hive.app.demo import demo  # noqa: PLC0415 - as above

    return demo(options)
