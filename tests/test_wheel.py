"""What people install: a wheel, in an environment of its own, far from the checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]) -> str:
    """Run a program to its end; returns what it printed."""
    ran = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


WITH_PYTEST = ("iniconfig", "packaging", "pluggy", "pygments", "pytest")
"""What `hive[testing]` brings besides hive, with what that needs."""


def pinned(names: Sequence[str]) -> str:
    """The lines of the lock of the tests that pin these, with their hashes."""
    lock = (ROOT / "requirements-test.lock").read_text()
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    return "".join(block for block in blocks if block.partition("==")[0] in names)


@pytest.mark.slow
@pytest.mark.real
def test_the_installed_wheel_runs_the_demo_and_the_examples_outside_the_checkout(tmp_path: Path) -> None:
    """With its page's modules inside, and with nothing of the checkout on its path."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HIVE_", "PYTHON"))
    }
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    built, made = tmp_path / "built", tmp_path / "environment"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", built, ROOT], elsewhere, environment)
    (wheel,) = built.glob("hive-*.whl")
    run([sys.executable, "-m", "venv", "--without-pip", made], elsewhere, environment)
    into = [*pip, "--python", str(made / "bin/python"), "install", "--quiet"]
    run([*into, "--require-hashes", "--requirement", ROOT / "requirements.lock"], elsewhere, environment)
    run([*into, "--no-deps", wheel], elsewhere, environment)

    where = run([made / "bin/python", "-c", "import hive; print(hive.__file__)"], elsewhere, environment)
    assert Path(where.strip()).is_relative_to(made)
    listed = run([made / "bin/python", "-m", "zipfile", "--list", wheel], elsewhere, environment)
    assert "hive/web/static/vendor/preact.js" in listed
    assert "hive/agents/presets.toml" in listed
    printed = run(
        [made / "bin/hive", "demo", "--seconds", "5", "--headless", "--json"], elsewhere, environment
    )
    summary = json.loads(printed)
    assert summary["sent"] > 0
    assert summary["done"] > 0
    assert summary["violations"] == []
    printed = run([made / "bin/hive", "torture", "--kills", "1", "--json"], elsewhere, environment)
    assert json.loads(printed)["ok"]

    # As `pip install 'hive[testing]'` would, but pinned.
    pins = tmp_path / "pytest.lock"
    pins.write_text(pinned(WITH_PYTEST))
    run([*into, "--require-hashes", "--requirement", pins], elsewhere, environment)
    shutil.copytree(ROOT / "examples", elsewhere / "examples")
    ran = run([made / "bin/python", "-P", "-m", "pytest", "-q", "examples"], elsewhere, environment)
    assert re.search(r"^5\d passed", ran, re.MULTILINE), ran
    story = "examples/own_agent/election.py:honest"
    told = run(
        [made / "bin/hive", "sim", "--story", story, "--seeds", "1..3", "--json"], elsewhere, environment
    )
    assert json.loads(told)["failed"] == 0
