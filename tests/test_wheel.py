"""What people install: a wheel, in an environment of its own, far from the checkout."""

import json
import os
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


@pytest.mark.slow
@pytest.mark.real
def test_the_installed_wheel_runs_the_demo_outside_the_checkout(tmp_path: Path) -> None:
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
    printed = run(
        [made / "bin/hive", "demo", "--seconds", "5", "--headless", "--json"], elsewhere, environment
    )
    summary = json.loads(printed)
    assert summary["sent"] > 0
    assert summary["done"] > 0
    assert summary["violations"] == []
