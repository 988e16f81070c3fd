"""What goes through a set in the order the set has is found in the source."""

import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from hive.testing.guard import NotDeterministic, guarded
from hive.testing.setorder import disorder, disorder_in, modules_of

HIVE = Path(__file__).resolve().parent.parent.parent / "hive"


@pytest.mark.parametrize(
    "line",
    [
        "for x in {1, 2}: pass",
        "for x in set(names): pass",
        "for x in frozenset(names) - {1}: pass",
        "for x in names.keys() - {1}: pass",
        "y = [x for x in {1, 2}]",
        "y = {x: 1 for x in {z for z in names}}",
        "y = list({1, 2})",
        "y = tuple(set(names))",
        "y = next(iter({1, 2}))",
        "y = {1, 2}.pop()",
        "y = ', '.join({'a', 'b'})",
        "names.extend({1, 2})",
        "y = dict.fromkeys({1, 2})",
        "a, b = {1, 2}",
        "y = [*{1, 2}]",
        "print(*{1, 2})",
        "y = enumerate({1}.union(names))",
        "kept = set()\nfor x in kept: pass",
        "kept: set[int] = make()\nfor x in kept: pass",
        "def f(kept: frozenset[str]):\n    return list(kept)",
        "def f():\n    kept = {1}\n    kept |= {2}\n    return [x for x in kept]",
        "def f():\n    yield from {1, 2}",
        "async def f():\n    if (kept := set(names)):\n        return kept.pop()",
        "class A:\n    kept: set[int]\n    def f(self):\n        for x in self.kept: pass",
        "y = sorted(names, key=id)",
        "y = min(names, key=hash)",
        "y = sorted([f(x) for x in [list({1, 2})]])",
        "y = kept if (kept := {1}) else 0\nfor x in {1} if y else {2}: pass",
    ],
)
def test_an_order_that_nobody_chose_is_found(line: str) -> None:
    """Where it can be seen that it is a set."""
    assert len(disorder_in(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "for x in sorted({1, 2}): pass",
        "y = len({1, 2}), min({1}), max({1}), sum({1}), any({1}), all({1})",
        "y = sum(x for x in {1, 2})",
        "y = sorted([x for x in {1, 2}])",
        "y = set(map(str, {1, 2}))",
        "y = {x + 1 for x in {1, 2}}",
        "y = {*{1, 2}}",
        "y = 1 in {1, 2} and {1} <= {2}",
        "for x in [1, 2]: pass",
        "for x in names: pass",
        "kept = {1}\nkept = [1]\nfor x in kept: pass",
        "def f(kept):\n    return list(kept)",
        "kept = {1}\ndef f(kept: list[int]):\n    return list(kept)",
        "def f(*kept: set[int]):\n    return list(kept)",
        "def f():\n    kept = {1}\n    for kept in names: pass\n    return list(kept)",
        "y = names.pop()",
        "y = {1: 2}.pop(1)",
        "for x in {1, 2}:  # any order: they are strangers\n    pass",
        "y = sorted(names, key=len)",
    ],
)
def test_what_has_an_order_or_needs_none_is_left_alone(line: str) -> None:
    """And so is what cannot be known."""
    assert disorder_in(line) == []


def test_a_place_is_told_with_its_line_and_function() -> None:
    """And what to do."""
    (found,) = disorder_in("names = {1}\ndef f():\n\n    for x in names:\n        pass\n", "shop.py")

    assert (found.what, found.file, found.line, found.function) == ("a loop over a set", "shop.py", 4, "f")
    assert "sorted()" in found.instead


@pytest.mark.parametrize("path", sorted(HIVE.rglob("*.py")), ids=lambda path: str(path.relative_to(HIVE)))
def test_hive_itself_goes_through_no_set_in_its_order(path: Path) -> None:
    """Or says why it may."""
    assert disorder_in(path.read_text(encoding="utf-8"), str(path)) == []


def a_module(directory: Path, name: str, source: str, **has: object) -> ModuleType:
    """A module of somebody's project."""
    module = ModuleType(name)
    (directory / f"{name}.py").write_text(source)
    module.__file__ = str(directory / f"{name}.py")
    vars(module).update(has)
    sys.modules[name] = module
    return module


def test_the_guard_reads_the_modules_of_a_story_and_what_they_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the same project, however far; not those beside it, not a library's, not hive's."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    prices = a_module(tmp_path, "shop_prices", "def cheapest():\n    return list({1, 2})\n")
    stock = a_module(tmp_path, "shop_stock", "x = 1\n", prices=prices, pytest=pytest, Path=Path, hive=guarded)
    a_module(tmp_path, "shop_beside", "y = list({1, 2})\n")
    story = a_module(tmp_path, "shop_story", "x = 1\n", stock=stock)

    def tell() -> None:
        """The story."""

    tell.__module__ = "shop_story"
    assert [module.__name__ for module in modules_of(partial(tell))] == [
        "shop_story",
        "shop_stock",
        "shop_prices",
    ]
    assert modules_of(story) == modules_of(tell)
    found = pytest.raises(NotDeterministic, match=r"list\(\) of a set at .*shop_prices\.py:2 in cheapest: ")
    with found, guarded(tell):
        raise ZeroDivisionError("the story does not begin")


def test_a_module_that_has_no_source_has_nothing_to_find() -> None:
    """As one that is built in."""
    assert disorder(ModuleType("made_up")) == ()
    assert modules_of("neither function nor module", 3) == []
