"""Pure: where source code goes through a set in the order the set has.

The order of a set of strings or of objects differs from one process to the next, so what is done in it
differs too. The rule kept here: a name counts as a set only if everything its function binds to it is one;
what cannot be known is passed over. A line that ends in `# any order` says that its order does not matter.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Final, TypeAlias

from attrs import define, field, frozen

from .guilt import is_library

PRAGMA: Final = "# any order"

SORT: Final = "wrap it in sorted(), or keep a dict or a list, whose order is that of insertion"

BUILDERS: Final = frozenset({"set", "frozenset"})
ANNOTATIONS: Final = frozenset({"set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"})
OPERATORS: Final = (ast.BitOr, ast.BitAnd, ast.BitXor, ast.Sub)
METHODS: Final = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})
ORDERLESS: Final = frozenset({"sorted", "len", "min", "max", "sum", "any", "all", *BUILDERS})
"""Functions whose answer is the same in whatever order they are given things."""

IN_ORDER: Final = frozenset(
    {"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "deque", "dict", "chain"}
)
"""Functions that hand on the order they are given."""

IN_ORDER_METHODS: Final = frozenset({"join", "extend", "extendleft", "fromkeys"})

BY_ADDRESS: Final = frozenset({"id", "hash"})

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@frozen
class Disorder:
    """A place that depends on the order of a set."""

    what: str
    file: str
    line: int
    function: str
    instead: str = SORT


@define
class _Names:
    """The names of one function, or of the module, that are bound to sets, and those that are not."""

    sets: set[str] = field(factory=set)
    others: set[str] = field(factory=set)
    above: "_Names | None" = None

    def is_set(self, name: str) -> bool:
        """Whether this name can only be a set."""
        if name in self.sets or name in self.others:
            return name in self.sets and name not in self.others
        return self.above is not None and self.above.is_set(name)


def disorder_in(source: str, file: str = "<source>") -> list[Disorder]:
    """Every place in this source that depends on the order of a set, by line."""
    lines = source.splitlines()
    finder = _Finder(file)
    tree = ast.parse(source)
    finder.look(tree, _attributes(tree, _names_of(tree, None)), "<module>")
    found = [one for one in finder.found if PRAGMA not in lines[one.line - 1]]
    return sorted(found, key=lambda one: (one.line, one.what))


@cache
def _disorder_of(file: str, _changed: int) -> tuple[Disorder, ...]:
    return tuple(disorder_in(Path(file).read_text(encoding="utf-8"), file))


def disorder(module: ModuleType) -> Sequence[Disorder]:
    """Every such place in a module's file. A module without one has none."""
    path = Path(getattr(module, "__file__", None) or "")
    return _disorder_of(str(path), path.stat().st_mtime_ns) if path.suffix == ".py" else ()


def modules_of(*stories: object) -> list[ModuleType]:
    """The modules of these functions, classes or modules, and those of the same project they import.

    Not hive's own (a test of hive's looks at them), nor any library's.
    """
    found: dict[str, ModuleType] = {}
    unseen = [name for story in stories if (name := _module_name(story))]
    while unseen:
        module = sys.modules.get(unseen.pop())
        if module is not None and module.__name__ not in found and _is_of_project(module):
            found[module.__name__] = module
            unseen += [name for one in list(vars(module).values()) if (name := _module_name(one))]
    return list(found.values())


def _module_name(one: object) -> str | None:
    if isinstance(one, partial):
        return _module_name(one.func)
    name = one.__name__ if isinstance(one, ModuleType) else getattr(one, "__module__", None)
    return name if isinstance(name, str) else None


def _is_of_project(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    ours = module.__name__ == "hive" or module.__name__.startswith("hive.")
    return isinstance(file, str) and not ours and not is_library(file)


# Which names are sets.


def _names_of(scope: ast.AST, above: _Names | None) -> _Names:
    """What one scope binds; seen twice, because a set may be made of one that is bound further down."""
    names = _Names(above=above)
    if isinstance(scope, _Function):
        _arguments(scope.args, names)
    for _ in range(2):
        names.sets.difference_update(names.others)
        for node in _within(scope):
            _bind(node, names)
    return names


def _attributes(tree: ast.Module, names: _Names) -> _Names:
    """Add what the classes of this file annotate, as `self.name`."""
    for owner in ast.walk(tree):
        for node in owner.body if isinstance(owner, ast.ClassDef) else ():
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                known = _annotates_set(node.annotation)
                (names.sets if known else names.others).add(f"self.{node.target.id}")
    return names


def _arguments(arguments: ast.arguments, names: _Names) -> None:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    for one in every:
        named = one not in (arguments.vararg, arguments.kwarg) and _annotates_set(one.annotation)
        (names.sets if named else names.others).add(one.arg)


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of the scopes in it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, _Function | ast.ClassDef):
            yield from _within(child)


def _bind(node: ast.AST, names: _Names) -> None:
    match node:
        case ast.Assign(targets=targets, value=value):
            known = is_set(value, names)
            for target in targets:
                _bind_target(target, names, known=known)
        case ast.AnnAssign(target=target, annotation=annotation):
            _bind_target(target, names, known=_annotates_set(annotation))
        case ast.NamedExpr(target=target, value=value):
            _bind_target(target, names, known=is_set(value, names))
        case ast.For(target=target) | ast.AsyncFor(target=target) | ast.comprehension(target=target):
            _bind_target(target, names, known=False)
        case ast.withitem(optional_vars=ast.expr() as target):
            _bind_target(target, names, known=False)
        case _:
            pass


def _bind_target(target: ast.AST, names: _Names, *, known: bool) -> None:
    if isinstance(target, ast.Name):
        (names.sets if known else names.others).add(target.id)
    elif isinstance(target, ast.Tuple | ast.List):
        for one in target.elts:
            _bind_target(one, names, known=False)


def _annotates_set(annotation: ast.expr | None) -> bool:
    match annotation:
        case ast.Subscript(value=value):
            return _annotates_set(value)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ANNOTATIONS
        case _:
            return False


def is_set(node: ast.expr, names: _Names) -> bool:  # noqa: PLR0911 - a table, one row a return
    """Whether an expression can only be a set."""
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Name(id=name):
            return names.is_set(name)
        case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
            return names.is_set(f"self.{attribute}")
        case ast.Call(func=ast.Name(id=name)):
            return name in BUILDERS
        case ast.Call(func=ast.Attribute(value=value, attr=method)):
            return method in METHODS and is_set(value, names)
        case ast.BinOp(left=left, op=operator, right=right) if isinstance(operator, OPERATORS):
            return is_set(left, names) or is_set(right, names)
        case ast.IfExp(body=one, orelse=other):
            return is_set(one, names) and is_set(other, names)
        case _:
            return False


# Where their order matters.


@define
class _Finder:
    """Walks one file."""

    file: str
    found: list[Disorder] = field(factory=list)
    excused: set[int] = field(factory=set)
    """What is handed to a function that does not mind the order."""

    def look(self, node: ast.AST, names: _Names, function: str) -> None:
        """Look at everything below this node."""
        if isinstance(node, ast.Call) and _called(node) in ORDERLESS:
            self.excused.update(id(one) for one in node.args)
        for child in ast.iter_child_nodes(node):
            inner, name = names, function
            if isinstance(child, _Function):
                inner, name = _names_of(child, names), getattr(child, "name", "<lambda>")
            if id(child) not in self.excused:
                self.found += [
                    Disorder(what, self.file, line, name, instead)
                    for what, line, instead in _faults(child, inner)
                ]
            self.look(child, inner, name)


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _faults(node: ast.AST, names: _Names) -> Iterator[tuple[str, int, str]]:
    for what, place in _uses_in_order(node):
        if is_set(place, names):
            yield what, place.lineno, SORT
    match node:
        case ast.Call(keywords=keywords):
            for keyword in keywords:
                if keyword.arg == "key" and getattr(keyword.value, "id", None) in BY_ADDRESS:
                    yield "an order by id() or hash()", node.lineno, "order by something that is written down"
        case _:
            pass


def _uses_in_order(  # noqa: C901, PLR0912 - a table, one row a case
    node: ast.AST,
) -> Iterator[tuple[str, ast.expr]]:
    """What this node goes through from first to last, if that shows in what it does."""
    match node:
        case ast.For(iter=iterated) | ast.AsyncFor(iter=iterated):
            yield "a loop over a set", iterated
        case ast.ListComp() | ast.DictComp() | ast.GeneratorExp():
            for generator in node.generators:
                yield "a comprehension over a set", generator.iter
        case ast.Call(func=ast.Name(id=name), args=given) if name in IN_ORDER:
            for one in given:
                yield f"{name}() of a set", one
        case ast.Call(func=ast.Attribute(value=value, attr="pop"), args=[]):
            yield "pop() from a set", value
        case ast.Call(func=ast.Attribute(attr=method), args=[one, *_]) if method in IN_ORDER_METHODS:
            yield f"{method}() of a set", one
        case ast.Assign(targets=[ast.Tuple() | ast.List()], value=value):
            yield "a set taken apart", value
        case ast.YieldFrom(value=value):
            yield "yield from a set", value
        case _:
            pass
    unpacks = node.elts if isinstance(node, ast.List | ast.Tuple) else ()
    if isinstance(node, ast.Call) and _called(node) not in ORDERLESS:
        unpacks = node.args
    for one in unpacks:
        if isinstance(one, ast.Starred):
            yield "a set unpacked", one.value
