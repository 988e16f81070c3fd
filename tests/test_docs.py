"""Every command in docs/ does what its page says, and every file under examples/ is run.

A block marked `sh` holds commands, one a line; `# fails: N` after one says with which status it ends.
"""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"(?<![\w/~.])(?:hive|tests|bench|examples|docs)/[\w/.-]+\.(?:py|md|toml|sh)\b")
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FAILS = re.compile(r"\s+# fails: (\d+)$")

ELSEWHERE = {"pip install 'hive[testing]'": "tests/test_wheel.py"}
"""Commands that a test of their own runs, and where it is."""


def commands() -> Iterator[tuple[str, str]]:
    """Every command of every page, with the page's name."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        for block in BLOCK.findall(page.read_text()):
            yield from ((page.name, line) for line in block.splitlines() if line.strip())


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where `hive` and `python` are those of this checkout."""
    python = f"exec {shlex.quote(sys.executable)}"
    for name, text in {"hive": f'{python} -P -m hive "$@"', "python": f'{python} "$@"'}.items():
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} {text}\n")
        script.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(("page", "line"), tuple(commands()))
def test_a_command_of_the_documentation_does_what_it_says(page: str, line: str, path: str) -> None:
    """In the checkout's root, as whoever reads the page would type it."""
    if line in ELSEWHERE:
        assert "hive[testing]" in (ROOT / ELSEWHERE[line]).read_text()
        return
    expected = FAILS.search(line)
    ran = subprocess.run(
        ["/bin/sh", "-c", FAILS.sub("", line)],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == int(expected[1] if expected else 0), f"{page}: {ran.stdout}{ran.stderr}"


def test_the_story_in_the_readme_is_true(tmp_path: Path) -> None:
    """It is the first thing that people copy."""
    (block,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    script = tmp_path / "copied.py"
    script.write_text(block)
    runpy.run_path(str(script))


def test_the_python_of_testing_md_runs_as_it_stands(tmp_path: Path) -> None:
    """All blocks in one file, with the example's account at hand; its tests are run by pytest."""
    shutil.copy(ROOT / "examples/own_actor/account.py", tmp_path)
    blocks = PYTHON.findall((ROOT / "docs/testing.md").read_text())
    (tmp_path / "test_page.py").write_text("from account import Move, account\n" + "\n".join(blocks))
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p hive.pytest_plugin\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert re.search(r"^[1-9] failed, \d\d passed", ran.stdout, re.MULTILINE), ran.stdout + ran.stderr
    assert set(re.findall(r"^FAILED test_page.py::(\w+)", ran.stdout, re.MULTILINE)) == {
        "test_every_vote_counts_once_whatever_breaks"
    }


def test_every_example_has_a_test_and_is_as_short_as_is_said() -> None:
    """Whoever begins reads them whole: under 40 lines each, and no test of more than 10."""
    examples = sorted((ROOT / "examples").glob("*/*.py"))
    for folder in {example.parent for example in examples}:
        assert list(folder.glob("test_*.py")), folder
    assert [one for one in examples if len(one.read_text().splitlines()) >= 40] == []


def test_the_pages_name_no_file_that_is_not_there() -> None:
    """A link or a path in a page leads somewhere."""
    missing = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = page.read_text()
        links = [page.parent / link for link in re.findall(r"\]\((?!http)([^)#]+)", text)]
        paths = [
            ROOT / found for found in re.findall(r"\b(?:hive|tests|bench|examples|docs)/[\w/.-]+\.\w+", text)
        ]
        missing += [f"{page.name}: {where}" for where in (*links, *paths) if not where.exists()]
    assert missing == []
