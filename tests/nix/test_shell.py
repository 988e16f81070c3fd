"""The shell for NixOS, run by Nix itself over a stand-in for nixpkgs.

The rule kept here: what the shell promises is read from inside it; which programs nixpkgs then brings is not
tested, for nixpkgs is not here.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRINTED = (
    *("PACKAGES", "UV_PYTHON", "UV_PYTHON_DOWNLOADS", "LD_LIBRARY_PATH", "NIX_LD", "NIX_LD_LIBRARY_PATH"),
    *("DETERMINISTIC_BUILD", "PYTHONHASHSEED", "PYTHONPATH", "SOURCE_DATE_EPOCH"),
)

pytestmark = [pytest.mark.slow, pytest.mark.needs("nix-shell")]


def nix_shell(folder: Path, change: str = "{ }", *arguments: str) -> subprocess.CompletedProcess[str]:
    """Print the environment inside the shell; `change` is what nixpkgs has otherwise."""
    (folder / "nix-support").mkdir(exist_ok=True)
    (folder / "nix-support" / "dynamic-linker").write_text("/lib/the-linker")
    (folder / "setup").write_text('runHook() { eval "${!1-}"; }\n')
    packages = f'import {Path(__file__).parent} {{ folder = "{folder}"; }} // {change}'
    own = {f"NIX_{name}_DIR": str(folder / name.lower()) for name in ("STORE", "STATE", "LOG", "CONF")}
    theirs = {"DETERMINISTIC_BUILD": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": "/x", "SOURCE_DATE_EPOCH": "1"}
    printed = "; ".join(f'echo "{name}=${{{name}-}}"' for name in PRINTED)
    return subprocess.run(
        ["nix-shell", ROOT / "nix/shell.nix", "--arg", "pkgs", packages, *arguments, "--run", printed],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "NIX_BUILD_SHELL": shutil.which("bash") or "",
            **own,
            **theirs,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("tests", [False, True])
def test_it_brings_the_interpreter_the_programs_and_the_libraries(tmp_path: Path, *, tests: bool) -> None:
    """And takes away what a build of Nix's own wants; a browser is brought only where it is asked for."""
    ran = nix_shell(tmp_path, "{ }", "--arg", "withTests", "true" if tests else "false")
    assert ran.returncode == 0, ran.stderr
    found = dict(line.split("=", 1) for line in ran.stdout.splitlines())
    assert found == {
        "PACKAGES": " ".join(["/usr"] * (5 if tests else 4) + ["/the/browser"] * tests),
        "UV_PYTHON": "/usr/bin/python3",
        "UV_PYTHON_DOWNLOADS": "never",
        "LD_LIBRARY_PATH": "/usr/lib:/usr/lib",
        "NIX_LD": "/lib/the-linker",
        "NIX_LD_LIBRARY_PATH": "/usr/lib:/usr/lib",
        **dict.fromkeys(("DETERMINISTIC_BUILD", "PYTHONHASHSEED", "PYTHONPATH", "SOURCE_DATE_EPOCH"), ""),
    }


def test_an_old_release_is_refused_with_what_to_take(tmp_path: Path) -> None:
    """Before anything is installed."""
    old = '{ python3 = { version = "3.10.9"; interpreter = "/usr/bin/python3"; }; }'
    ran = nix_shell(tmp_path, old)
    assert ran.returncode != 0
    assert "take nixpkgs 23.11 or later" in ran.stderr
