"""Plant one bug after the other into a copy of hive, and see which test finds it.

Run it with: python -m bench.mutants [--only NAME] [--list] [--json FILE] [--markdown]
The bugs are those of `bench.seeded_bugs`.  Each goes into a copy of what git tracks, in a temporary folder;
the suites it names run there, with this interpreter and the copy's hive, until the first failure.  The
checkout itself is only read.  A bug that no test finds has survived: it is listed, and the exit code is 1.
A test that never ends has found its bug too; a suite that cannot be collected proves nothing, and is an
error.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import asdict, frozen

from bench.seeded_bugs import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent
STUCK_SECONDS = 90.0
"""A test that takes so long has no end: the slowest takes two where nothing is wrong."""

SEEDS = "3"
"""Seeds of each test; CI runs more."""

ALL_PASSED, SOME_FAILED = 0, 1


class Broken(Exception):
    """A mutant that proves nothing: its text has moved, or the tests cannot run with it."""


@frozen
class Found:
    """What became of one mutant: the first test that failed, or None where it survived."""

    name: str
    test: str | None
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the mutants that were asked for; answers the exit code."""
    # Whoever ends us ends what we have started, and takes its folder away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options = _options(arguments)
    chosen = [one for one in MUTANTS if options.only is None or one.name in options.only]
    if unknown := set(options.only or ()) - {one.name for one in chosen}:
        raise SystemExit(f"no such mutant: {', '.join(sorted(unknown))}; see --list")
    if options.list:
        for one in chosen:
            print(f"{one.name:42} {one.file:34} {one.breaks}")
        return 0
    found = []
    for one in chosen:
        found.append(attempt(one))
        print(f"{found[-1].seconds:6.1f} s  {one.name}: {found[-1].test or 'SURVIVED'}", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")
    if options.markdown:
        print("\n".join(table(found)))
    survivors = [one.name for one in found if one.test is None]
    print(f"{len(found) - len(survivors)} of {len(found)} found", *survivors, sep="\nsurvived: ")
    return 1 if survivors else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description="Do the tests find bugs?")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--list", action="store_true", help="say what there is, and try nothing")
    parser.add_argument("--json", metavar="FILE", help="write what was found to a file too")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/proof.md")
    return parser.parse_args(arguments)


def attempt(mutant: Mutant) -> Found:
    """Run its tests against a copy with this bug in it.  Raises `Broken`."""
    with copied() as root:
        plant(mutant, root)
        begun = time.monotonic()
        # One after the other: what the first suite finds need not be looked for again.
        test = next((test for suite in mutant.tests if (test := first_failure(root, suite))), None)
        return Found(mutant.name, test, round(time.monotonic() - begun, 1))


@contextmanager
def copied() -> Iterator[Path]:
    """What git tracks, in a folder of its own, as it is in the checkout now."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others"]
    listed = subprocess.run(
        [*command, "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        root = Path(folder) / "hive"
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)
        _check_import(root)
        yield root


def plant(mutant: Mutant, root: Path) -> None:
    """Put the bug into its file.  Raises `Broken` where its text does not stand there exactly once."""
    file = root / mutant.file
    text = file.read_text(encoding="utf-8")
    if (count := text.count(mutant.before)) != 1:
        raise Broken(f"{mutant.name}: its text stands {count} times in {mutant.file}; correct the list")
    file.write_text(text.replace(mutant.before, mutant.after), encoding="utf-8")


def _check_import(root: Path) -> None:
    """Raise `Broken` unless it is the copy's hive that gets imported, and not that of the checkout."""
    code = "import hive, tests; print(hive.__file__)"
    imported = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=root,
        env=_environment(root),
        check=True,
        capture_output=True,
        text=True,
    )
    if not Path(imported.stdout.strip()).is_relative_to(root):
        raise Broken(f"the tests would import {imported.stdout.strip()}, not the copy in {root}")


def _environment(root: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HIVE_SEEDS": SEEDS,
        "HIVE_TEST_REQUIRE": "",
    }


def first_failure(root: Path, suite: str) -> str | None:
    """Name the first test of a suite that fails in this copy, or None where all pass.  Raises `Broken`."""
    options = ["-x", "-v", "-rfE", "--tb=no", "--no-header", "-p", "no:cacheprovider"]
    log = root.with_name("log")
    with log.open("w") as output:
        run = subprocess.Popen(
            [sys.executable, "-P", "-m", "pytest", *options, *shlex.split(suite)],
            cwd=root,
            env=_environment(root),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            ended = _ends(run, log)
        finally:
            _end(run)
    said = log.read_text(encoding="utf-8", errors="replace")
    if not ended:
        return f"{said.splitlines()[-1].strip()} (which did not end)"
    if run.returncode == ALL_PASSED:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", said, re.MULTILINE)
    if run.returncode != SOME_FAILED or failed is None:
        raise Broken(f"{suite} cannot run with it:\n{said[-2000:]}")
    return failed[1]


def _ends(run: "subprocess.Popen[bytes]", log: Path) -> bool:
    """Whether a run comes to its end: however slow the machine is, one test must follow the other."""
    size, since = 0, time.monotonic()
    while run.poll() is None:
        if (now := log.stat().st_size) != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > STUCK_SECONDS:
            return False
        time.sleep(0.1)
    return True


def _end(run: "subprocess.Popen[bytes]") -> None:
    """End the run and whatever it started: the group is the one that was made for it."""
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()


def table(found: Sequence[Found]) -> Iterator[str]:
    """The rows of the table in docs/proof.md."""
    mutants = {one.name: one for one in MUTANTS}
    yield "| Bug | File | What it breaks | Found by | Seconds |"
    yield "|---|---|---|---|---|"
    for one in found:
        mutant = mutants[one.name]
        file = mutant.file.removeprefix("hive/")
        test, _, how = (one.test or "").removeprefix("tests/").partition(" (")
        by = f"`{test}`{how and f' ({how}'}" if test else "nobody"
        yield f"| {one.name} | `{file}` | {mutant.breaks} | {by} | {one.seconds:.0f} |"


if __name__ == "__main__":
    sys.exit(main())
