"""The verb `torture`: what was typed becomes a plan, and the verdict an exit status.

The rule kept here: whatever is not the verdict goes to standard error.
"""

import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import asdict

from hive.cli.output import plain
from hive.cli.status import Failed, Status
from hive.cli.verbs import Call

DEFAULT_MINUTES = 1.0
SEEDS = 2**32
IMPATIENT = 130
ERASE = "\r\x1b[K"
"""Back to the front of the line, and away with what stands there."""


def torture(call: Call) -> int:
    """Torture a hive of its own.  Raises `Failed` where that cannot even begin."""
    from hive.testing.torture import daemon, plan, run, words  # noqa: PLC0415 - the kit, and much behind it

    minutes, kills, seed = _asked(call)
    planned = plan.Plan(seed, seconds=60 * minutes, enough=_enough(kills))
    try:
        verdict = run.torture(planned, lambda base: _begins(seed, base), _renew)
    except daemon.DoesNotServe as silent:
        raise Failed(Status.REFUSED, f"the daemon that was to be killed never served: {silent}") from None
    finally:
        _renew("")
    if verdict is None:
        sys.stderr.write("hive: ended at once; nothing is left behind, and nothing is known.\n")
        return IMPATIENT
    call.out.show({**asdict(verdict), "ok": verdict.ok}, lambda _data, _width: words.said(verdict))
    return Status.OK if verdict.ok else Status.REFUSED


def _asked(call: Call) -> tuple[float, int | None, int]:
    """How many minutes, how many kills, which seed."""
    options = call.options
    if options.dir is not None:
        raise Failed(Status.USAGE, "it tortures a hive of its own in a temporary directory: leave --dir away")
    for name in ("minutes", "kills"):
        if getattr(options, name) == 0:
            raise Failed(Status.USAGE, f"--{name} 0 is no torture: give a number above 0")
    unlimited = options.kills is not None
    minutes = options.minutes or (float("inf") if unlimited else DEFAULT_MINUTES)
    seed = secrets.randbelow(SEEDS) if options.seed is None else options.seed
    return minutes, options.kills, seed


def _enough(number: int | None) -> Callable[[Sequence[object]], bool]:
    return lambda kills: number is not None and len(kills) >= number


def _begins(seed: int, base: Path) -> None:
    """Say what is going on before anything can go wrong."""
    sys.stderr.write(f"hive: tortures a hive of its own in {base}, seed {seed}; Ctrl-C ends it.\n")
    sys.stderr.flush()


def _renew(line: str) -> None:
    """Write a line over the last one, where somebody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(ERASE + plain(line))
        sys.stderr.flush()
