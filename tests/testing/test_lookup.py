"""A story is found by its name, and whatever is wrong with one is a sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hive.testing.lookup import NoStory, find, own

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = """
from beside import VALUE

async def story(sim):
    return VALUE

def plain(sim): ...

async def greedy(sim, more): ...

class Not: ...
"""


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test imports is forgotten."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of stories whose name is that of a module of Python's, and one beside it."""
    (tmp_path / "beside.py").write_text("VALUE = 7\n")
    path = tmp_path / "queue.py"
    path.write_text(FILE)
    return path


def test_a_function_is_found_in_a_file(file: Path) -> None:
    """The file's neighbours are at hand, and no module of its name is in its way."""
    assert find(f"{file}:story").__name__ == "story"


def test_a_file_in_a_package_is_imported_with_it(tmp_path: Path) -> None:
    """So relative imports work."""
    package = tmp_path / "outer_stories" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package.parent / "common.py").write_text("async def story(sim): ...\n")
    (package / "own.py").write_text("from ..common import story\n")
    assert find(f"{package / 'own.py'}:story").__module__ == "outer_stories.common"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing.py:story", "there is no file nothing.py"),
        ("{file}:other", "has no function other"),
        ("{file}:plain", "plain is no story: a story is an async function of one parameter"),
        ("{file}:Not", "Not is no story"),
        ("{file}:greedy", "greedy takes not one parameter"),
        ("{file}", "one of your own is FILE.py:NAME"),
        ("no-such-story", "there is no story 'no-such-story'"),
    ],
)
def test_what_is_no_story_says_why(file: Path, name: str, why: str) -> None:
    """One sentence."""
    with pytest.raises(NoStory) as caught:
        find(name.format(file=file))
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def (", "SyntaxError: "),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(tmp_path: Path, text: str, why: str) -> None:
    """By the last line of its error."""
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(NoStory, match=r"broken\.py cannot be imported: ") as caught:
        find(f"{path}:story")
    assert why in str(caught.value)


def test_stories_of_hives_own_are_found_by_name() -> None:
    """Each under the name it is listed by."""
    for name, story in own().items():
        assert find(name) is story
