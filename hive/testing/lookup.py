"""Stories by name: hive's own, and those in people's files.

The rule kept here: whatever is wrong with a name or a file is one sentence.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import ModuleType

    from .simulate import Simulation

    Story = Callable[[Simulation], Awaitable[object]]

PACKAGE = "hive.testing.stories"


class NoStory(Exception):
    """There is no story of this name; the text says why."""


def own() -> Mapping[str, Story]:
    """The stories that come with hive, by name, in the order of their names."""
    if importlib.util.find_spec(PACKAGE) is None:
        return {}
    stories: Mapping[str, Story] = importlib.import_module(PACKAGE).STORIES
    return dict(sorted(stories.items()))


def find(name: str) -> Story:
    """One of hive's stories, or the function that `FILE.py:NAME` means.  Raises `NoStory`."""
    file, colon, function = name.rpartition(":")
    if not colon:
        if (story := own().get(name)) is not None:
            return story
        known = ", ".join(own()) or "none"
        raise NoStory(f"there is no story {name!r} (there are: {known}); one of your own is FILE.py:NAME")
    if not Path(file).is_file():
        raise NoStory(f"there is no file {file}")
    return _checked(getattr(_loaded(Path(file).resolve()), function, None), file, function)


def _checked(found: object, file: str, name: str) -> Story:
    if found is None:
        raise NoStory(f"{file} has no function {name}")
    if not inspect.iscoroutinefunction(found):
        raise NoStory(f"{file}: {name} is no story: a story is an async function of one parameter")
    try:
        inspect.signature(found).bind(None)
    except TypeError:
        raise NoStory(f"{file}: {name} takes not one parameter: a story is given the simulation") from None
    return found


def _loaded(path: Path) -> ModuleType:
    try:
        return _imported(path)
    except NoStory:
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        last = " ".join(traceback.format_exception_only(error)[-1].split())
        raise NoStory(f"{path} cannot be imported: {last}") from error


def _imported(path: Path) -> ModuleType:
    """A file as a module: with its package where it is part of one, else alone, its neighbours at hand."""
    parts = [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    sys.path.insert(0, str(folder))
    if len(parts) > 1:
        return importlib.import_module(".".join(parts))
    # Under a name that no other module has: a story may well stand in a file called queue.py.
    spec = importlib.util.spec_from_file_location(f"story_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise NoStory(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
