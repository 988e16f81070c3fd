"""The Python of the pages runs, every file under examples/ is run, and links lead somewhere.

What the pages tell people to type is run by tests/test_documented_commands.py.
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, commands

PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


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


@pytest.mark.needs("git")
def test_every_file_of_the_examples_is_run_by_a_command_of_a_page(tracked: list[Path]) -> None:
    """Its tests by pytest, with the settings beside them; what it has besides by those tests or by itself."""
    typed = [one.text for one in commands() if one.marked]
    files = {str(file.relative_to(ROOT)): file for file in tracked if file.is_relative_to(ROOT / "examples")}
    del files["examples/pytest.ini"]
    for name, file in files.items():
        tests = [test.read_text() for test in file.parent.glob("test_*.py")]
        imported = any(f"from {file.stem} import" in test for test in tests)
        assert f"python -m pytest {Path(name).parent}" in typed, name
        assert file.match("test_*.py") or imported or any(f" {name}:" in text for text in typed), name


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
