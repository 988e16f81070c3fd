"""What every test may rely on: how to say that it needs a program, and no surprises from Hypothesis.

A test that lacks something is skipped with a reason, and the reasons are listed again at the very end.
With HIVE_TEST_REQUIRE=all it fails instead: a run that is to prove everything must run everything.
"""

import gc
import os
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Never

import pytest
from hypothesis import settings

# Where hive is installed, pytest has found its plugin itself.
pytest_plugins = () if entry_points(group="pytest11", name="hive.pytest_plugin") else ("hive.pytest_plugin",)

PROGRAMS = {
    "bwrap": "apt install bubblewrap",
    "chromium": "apt install chromium",
    "curl": "apt install curl",
    "docker": "apt install docker.io",
    "git": "apt install git",
    "nix-shell": "apt install nix-bin",
    "npm": "apt install npm",
    "podman": "apt install podman",
    "systemd-nspawn": "apt install systemd-container",
    "uv": "pip install uv",
}
MARK = "needs "

# A failing example must fail again tomorrow and elsewhere; the sweeps bring the variety.
settings.register_profile("hive", derandomize=True, database=None, deadline=None)
settings.load_profile("hive")


def lacking(kind: str) -> str | None:
    """Return why a test that needs this cannot run here, or nothing."""
    if kind not in PROGRAMS:
        raise pytest.UsageError(f"unknown need {kind!r}; tests/conftest.py knows {', '.join(PROGRAMS)}")
    return None if shutil.which(kind) else f"{MARK}{kind}: {PROGRAMS[kind]}"


def give_up(reason: str) -> Never:
    """Skip the test, or fail it where nothing may be skipped."""
    if os.environ.get("HIVE_TEST_REQUIRE") == "all":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Heed `@pytest.mark.needs("chromium")`."""
    for mark in item.iter_markers("needs"):
        for kind in mark.args:
            if reason := lacking(kind):
                give_up(reason)


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every later collection of garbage: a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture
def need() -> Callable[[str], None]:
    """Let a test say what it lacks when only running it can tell: `need("a kernel with cgroups")`."""

    def need(what: str) -> None:
        give_up(MARK + what)

    return need


@pytest.fixture
def tracked() -> list[Path]:
    """The files that git tracks, as they are now. Fails outside a git checkout: there is nothing to check."""
    root = Path(__file__).resolve().parent.parent
    # The checkout may belong to somebody else; we only read the list.
    command = ["git", "-c", f"safe.directory={root}", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    files = [root / name for name in listed.split("\0") if name and (root / name).is_file()]
    assert files
    return files


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was not checked, by what it lacked."""
    lacked: dict[str, list[str]] = {}
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        if reason.startswith(MARK):
            lacked.setdefault(reason, []).append(report.nodeid)
    if lacked:
        terminalreporter.section("not checked here")
    for reason, tests in sorted(lacked.items()):
        terminalreporter.write_line(f"{reason}: {len(tests)} tests")
