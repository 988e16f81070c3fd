"""The architecture, as far as a program can check it: who may know whom, how long things get, what is pure.

Each table below is a decision. A change that breaks a test here either is wrong or changes the decision, and
then says so by changing the table.
"""

import ast
import gc
import importlib
import importlib.metadata
import inspect
import io
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import attrs
import pytest

from hive.actors import Fact, Message
from hive.protocol.commands import Command

ROOT = Path(__file__).resolve().parent.parent

# Layers, lowest first. A module is in the first that matches; an import may point down or sideways.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("hive.actors._core*",),
    (
        "hive",
        "hive.actors",
        "hive.actors.protocol",
        "hive.config",
        "hive.directory",
        "hive.protocol*",
        "hive.retelling",
    ),
    ("hive.store*",),
    ("hive.actors.*", "hive.agents*", "hive.containers*"),
    ("hive.asgi", "hive.cli*", "hive.mcp*", "hive.sockets", "hive.web*"),
    ("hive.__main__", "hive.app*", "hive.pytest_plugin", "hive.testing*"),
)

# Three faces that share no code and no fate.
FACES = ("hive.web", "hive.mcp", "hive.cli")

# What may be imported upwards or across, and only inside a function: by a verb that starts the daemon, one
# that simulates, one that is a client of another face.
LAZILY = (("hive.cli", "hive.app"), ("hive.cli", "hive.mcp"), ("hive.cli", "hive.testing"))

# Functional core: it decides, and never waits. A module whose docstring says "Pure" is held to it too.
PURE = (
    "hive.actors._core.policy",
    "hive.actors.look",
    "hive.actors.protocol",
    "hive.agents.directives",
    "hive.agents.events",
    "hive.agents.judge",
    "hive.agents.prompt",
    "hive.agents.rules",
    "hive.agents.steps",
    "hive.agents.tokens",
    "hive.cli.tables",
    "hive.config",
    "hive.mcp.arguments",
    "hive.mcp.texts",
    "hive.protocol",
    "hive.web.wire",
)

# The store is synchronous; these few are its door to the world of tasks.
DOOR_OF_THE_STORE = ("hive.store.hints", "hive.store.sqlite", "hive.store.tickets", "hive.store.writer")

# The files in which tasks are born. Everybody else is handed a nursery, or does without.
OPENS_NURSERIES = {
    "hive.actors._core.actor",
    "hive.actors._core.hive",
    "hive.actors._core.supervisor",
    "hive.actors.turn",
    "hive.agents.beside",
    "hive.agents.cli.process",
    "hive.agents.shell",
    "hive.app.compose",
    "hive.app.daemon",
    "hive.app.demo",
    "hive.asgi",
    "hive.cli.client",
    "hive.mcp.app",
    "hive.mcp.inprocess",
    "hive.mcp.server",
    "hive.mcp.stdio",
    "hive.mcp.waiting",
    "hive.testing.endpoint",
    "hive.testing.backend_contract",
    "hive.testing.browser",
    "hive.testing.campaign",
    "hive.testing.driver_contract",
    "hive.testing.mailbox_contract",
    "hive.testing.model.server",
    "hive.testing.page_world",
    "hive.testing.simulate",
    "hive.testing.store_contract",
    "hive.testing.store_world",
    "hive.testing.telling",
    "hive.testing.torture.run",
    "hive.web.conversation",
}

# The files that may be deaf to cancellation without a deadline: something else bounds it.
SHIELDS_WITHOUT_DEADLINE = {
    "hive.actors._core.supervisor",
    "hive.agents.gated",
    "hive.asgi",
    "hive.containers.subprocess",
}

# Who may speak SQL: the store, and the kit that breaks it on purpose.
SPEAKS_SQL = ("hive.store", "hive.testing")

KERNEL_PACKAGES = {"attrs", "outcome", "trio"}

# Libraries whose types stand in the signatures of another that we ask for: it brings the version that fits.
COMPANIONS = {
    "anyio": "mcp",
    "httpx2": "mcp",
    "mcp_types": "mcp",
    "pydantic": "mcp",
    "quart": "quart-trio",
    "starlette": "mcp",
    "wsproto": "hypercorn",
}

KERNEL_BUDGET = 1500  # code lines, comments and docstrings free
MODULE_BUDGET = 400
FUNCTION_BUDGET = 50


@attrs.frozen
class Import:
    """One name of an import statement, made absolute."""

    name: str
    lazy: bool  # inside a function


@attrs.frozen(eq=False)
class Module:
    """One file of ours, parsed."""

    name: str
    path: Path
    tree: ast.Module = attrs.field(repr=False)

    def __str__(self) -> str:
        """Its name: what a failing test is called."""
        return self.name

    @property
    def package(self) -> str:
        """What a relative import is relative to."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @property
    def imports(self) -> tuple[Import, ...]:
        """Everything it imports."""
        return imports_of(self)

    def read_imports(self) -> Iterator[Import]:
        """Read them from the tree."""
        return self._imports(self.tree, lazy=False)

    def _imports(self, node: ast.AST, *, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.Import(names=names):
                    yield from (Import(alias.name, lazy) for alias in names)
                case ast.ImportFrom(module=module, names=names, level=level):
                    base = self._absolute(module or "", level)
                    yield from (Import(f"{base}.{alias.name}", lazy) for alias in names)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    yield from self._imports(child, lazy=True)
                case _:
                    yield from self._imports(child, lazy=lazy)

    def _absolute(self, module: str, level: int) -> str:
        if not level:
            return module
        above = self.package.split(".")[: len(self.package.split(".")) - level + 1]
        return ".".join([*above, module] if module else above)


@cache
def imports_of(module: Module) -> tuple[Import, ...]:
    """Everything a module imports, read once."""
    return tuple(module.read_imports())


@cache
def modules(folder: str = "hive") -> tuple[Module, ...]:
    """Every module under a folder of the checkout."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found.append(Module(name, path, ast.parse(path.read_bytes())))
    return tuple(found)


def each_module() -> pytest.MarkDecorator:
    """Run a test for every module of hive."""
    return pytest.mark.parametrize("module", modules(), ids=str)


def within(name: str, package: str) -> bool:
    """Whether a dotted name is a package or lies in it."""
    return name == package or name.startswith(package + ".")


def listed(name: str, table: tuple[str, ...]) -> bool:
    """Whether a table names this module, by itself or by its package."""
    return any(within(name, entry) for entry in table)


def layer(name: str) -> int:
    """The height of a module."""
    for height, patterns in enumerate(LAYERS):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return height
    message = f"{name} belongs to no layer: give it one"
    raise AssertionError(message)


@cache
def module_part(name: str) -> str:
    """The module in which an imported name is found: `hive.actors.Actor` is in `hive.actors`."""
    known = {module.name for module in modules()}
    while name not in known:
        name = name.rpartition(".")[0]
        assert name, "not a name of ours"
    return name


def ours(module: Module) -> Iterator[tuple[str, Import]]:
    """The modules of hive that a module imports."""
    for imported in module.imports:
        if within(imported.name, "hive"):
            yield module_part(imported.name), imported


def lazily_allowed(module: Module, imported: Import) -> bool:
    """Whether this is one of the few imports that may point up, in the only place it may stand."""
    return imported.lazy and any(
        within(module.name, source) and within(imported.name, target) for source, target in LAZILY
    )


# Who knows whom.


@each_module()
def test_imports_point_down(module: Module) -> None:
    """Nothing knows about the layers above it."""
    height = layer(module.name)
    upwards = [
        name
        for name, imported in ours(module)
        if layer(name) > height and not lazily_allowed(module, imported)
    ]
    assert upwards == []


@each_module()
def test_no_two_modules_need_each_other(module: Module) -> None:
    """What is above can be read after what is below it, also where only a type is meant.

    The kernel is one thing in several files, and its cells and runtime know each other's types.
    """
    if not within(module.name, "hive.actors._core"):
        assert module.name not in needed_by(module.name)


@cache
def needs() -> Mapping[str, frozenset[str]]:
    """For each module what it imports, but for what a function imports when it is called."""
    return {
        module.name: frozenset(
            name for name, imported in ours(module) if not imported.lazy and name != module.name
        )
        for module in modules()
    }


def needed_by(name: str) -> set[str]:
    """All that a module needs, by however many steps."""
    found: set[str] = set()
    unseen = [*needs()[name]]
    while unseen:
        needed = unseen.pop()
        if needed not in found:
            found.add(needed)
            unseen += needs()[needed]
    return found


@each_module()
def test_the_faces_share_nothing(module: Module) -> None:
    """An operator's page cannot cut the agents off, and none of them holds an actor: they know names."""
    mine = next((face for face in FACES if within(module.name, face)), None)
    if mine is None:
        return
    others = [face for face in FACES if face != mine]
    wrong = [
        name
        for name, imported in ours(module)
        if (any(within(name, face) for face in others) or name in concrete_actors())
        and not lazily_allowed(module, imported)
    ]
    assert wrong == []


@cache
def concrete_actors() -> frozenset[str]:
    """The modules above the kernel that define an actor."""
    return frozenset(
        module.name
        for module in modules()
        if within(module.name, "hive.actors") and not within(module.name, "hive.actors._core")
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Actor" for base in node.bases)
    )


@each_module()
@pytest.mark.parametrize("top", ["hive.app", "hive.testing"])
def test_nobody_imports_what_puts_it_together(module: Module, top: str) -> None:
    """Only the one that starts the daemon or a simulation, and only when it does."""
    if layer(module.name) == layer(top):
        return
    assert [
        name for name, imported in ours(module) if within(name, top) and not lazily_allowed(module, imported)
    ] == []


@pytest.mark.parametrize(
    "module", [module for module in modules() if within(module.name, "hive.actors._core")], ids=str
)
def test_the_kernel_stands_on_trio_and_little_else(module: Module) -> None:
    """It is a library of its own; nothing of hive's is needed to use it."""
    allowed = KERNEL_PACKAGES | sys.stdlib_module_names
    wrong = [
        imported.name
        for imported in module.imports
        if imported.name.partition(".")[0] not in allowed and not within(imported.name, "hive.actors._core")
    ]
    assert wrong == []


@each_module()
def test_names_with_an_underscore_stay_in_their_package(module: Module) -> None:
    """What a package does not show may change without asking. The simulation kit may look behind the face."""
    if within(module.name, "hive.testing"):
        return
    wrong = []
    for name, imported in ours(module):
        parts = imported.name.split(".")
        for index, part in enumerate(parts):
            if re.match(r"_(?!_)", part) and not within(module.name, ".".join(parts[:index])):
                wrong.append(name)
    assert wrong == []


@each_module()
def test_everything_imported_is_asked_for(module: Module) -> None:
    """pyproject.toml names what we use, not what happens to come along."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = data["project"]["dependencies"]
    if within(module.name, "hive.testing"):
        asked = asked + data["dependency-groups"]["test"]
    if module.name == "hive.pytest_plugin":
        asked = asked + data["project"]["optional-dependencies"]["testing"]
    distributions = {re.split(r"[<>=]", name)[0] for name in asked}
    foreign = (
        {imported.name.partition(".")[0] for imported in module.imports} - sys.stdlib_module_names - {"hive"}
    )
    wrong = {name for name in foreign if not distributions & {COMPANIONS.get(name, ""), *providers(name)}}
    assert wrong == set()


def providers(name: str) -> set[str]:
    """The distributions that bring a top-level module."""
    return {found.lower() for found in installed().get(name, [])}


@cache
def installed() -> Mapping[str, list[str]]:
    """Which distributions bring which top-level modules."""
    return importlib.metadata.packages_distributions()


# What is pure, and where tasks and shields may be.


@each_module()
def test_pure_modules_do_not_know_trio(module: Module) -> None:
    """What decides is a value to a test, and no clock is needed to try it."""
    if listed(module.name, PURE) or re.search(r"\bPure\b", ast.get_docstring(module.tree) or ""):
        names = {imported.name.partition(".")[0] for imported in module.imports}
        assert not names & {"trio", "anyio", "asyncio", "socket", "sqlite3"}
        assert not [node for node in ast.walk(module.tree) if isinstance(node, ast.Await)]


@each_module()
def test_the_store_is_synchronous_behind_its_door(module: Module) -> None:
    """What happens in a transaction happens at once; the same code runs in a thread and under simulation."""
    if within(module.name, "hive.store") and module.name not in DOOR_OF_THE_STORE:
        assert not [imported for imported in module.imports if within(imported.name, "trio")]


@each_module()
def test_only_the_store_speaks_sql(module: Module) -> None:
    """Postgres is to come; whoever opened SQLite for themselves would not notice."""
    names = {imported.name.partition(".")[0] for imported in module.imports}
    assert not names & {"sqlite3", "sqlite_utils"} or listed(module.name, SPEAKS_SQL)


def test_nurseries_open_where_they_are_expected() -> None:
    """Who looks for the tasks of this program finds them by reading one table, and no file in vain."""
    assert {
        module.name
        for module in modules()
        if any(name_of(node) == "open_nursery" for node in ast.walk(module.tree))
    } == OPENS_NURSERIES


def test_a_shield_has_a_deadline() -> None:
    """Who is deaf to cancellation says for how long, unless the table knows what else ends it."""
    assert {
        module.name for module in modules() if any(shields_for_ever(node) for node in ast.walk(module.tree))
    } == SHIELDS_WITHOUT_DEADLINE


def shields_for_ever(node: ast.AST) -> bool:
    """Whether a node makes a shield that no deadline ends."""
    match node:
        case ast.Call(func=function, keywords=keywords) if name_of(function) == "CancelScope":
            named = {keyword.arg for keyword in keywords}
            return "shield" in named and not named & {"deadline", "relative_deadline"}
        case ast.Assign(targets=[ast.Attribute(attr="shield")], value=value):
            return not (isinstance(value, ast.Constant) and value.value is False)
        case _:
            return False


def name_of(node: ast.AST) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


# Budgets.


def code_lines(module: Module) -> frozenset[int]:
    """The numbers of the lines that hold code: not blank, not comment, not docstring."""
    docstrings: set[int] = set()
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            docstrings.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    with io.StringIO(module.path.read_text(encoding="utf-8")) as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type not in skipped:
                lines.update(range(token.start[0], token.end[0] + 1))
    return frozenset(lines - docstrings)


@each_module()
def test_a_module_can_be_read_in_one_sitting(module: Module) -> None:
    """And a function seen at one glance."""
    lines = code_lines(module)
    assert len(lines) <= MODULE_BUDGET
    too_long = {
        f"{node.name}: {length}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := len(lines & set(range(node.lineno, (node.end_lineno or node.lineno) + 1))))
        > FUNCTION_BUDGET
    }
    assert too_long == set()


def test_the_kernel_stays_small() -> None:
    """Small enough that one person can know all of it."""
    kernel = [module for module in modules() if within(module.name, "hive.actors._core")]
    assert 0 < sum(len(code_lines(module)) for module in kernel) < KERNEL_BUDGET


# Shape.


@each_module()
def test_a_module_says_what_it_is_for(module: Module) -> None:
    """In its first lines."""
    assert ast.get_docstring(module.tree)


def test_what_travels_is_frozen() -> None:
    """A message, a fact and a command mean the same to everyone who holds them."""
    for module in modules():
        if within(module.name, "hive.actors") or within(module.name, "hive.protocol"):
            importlib.import_module(module.name)
    bases: tuple[type, ...] = (Message, Fact, Command)
    kinds = {kind for base in bases for kind in descendants(base)}
    assert len(kinds) > 20
    assert [kind for kind in kinds if not is_contract(kind) and not attrs.inspect(kind).is_frozen] == []


def is_contract(kind: type) -> bool:
    """Whether a class holds nothing and only says what others are."""
    return not attrs.has(kind) and not inspect.get_annotations(kind) and "__init__" not in vars(kind)


def descendants(base: type) -> Iterator[type]:
    """Every class of ours that derives from a class."""
    gc.collect()  # attrs makes a class with slots anew; the one it was made from may still be about
    yield from _descendants(base)


def _descendants(base: type) -> Iterator[type]:
    kind: type
    for kind in base.__subclasses__():
        if within(kind.__module__, "hive"):
            yield kind
        yield from _descendants(kind)


def test_asking_for_the_status_is_cheap(tmp_path: Path) -> None:
    """`hive status` loads neither the servers nor the MCP library, which take longer than the question."""
    code = (
        "import sys\n"
        "from hive.cli import main\n"
        "try:\n"
        "    main(['status', '--dir', sys.argv[1]])\n"
        "finally:\n"
        "    print('loaded', sorted({'mcp', 'quart', 'quart_trio', 'hypercorn'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HIVE_DIR": str(tmp_path)},
    )
    assert ran.stdout.splitlines()[-1:] == ["loaded []"], ran.stderr


# What no file says.

# Written so that this file does not contain what it looks for.
UNSAID = re.compile(
    "|".join([r"\bissues?\s#?\d", r"\b(?:the|your|my|this) brie" + "f\\b", r"\bhelper ses" + "sion"]),
    re.IGNORECASE,
)


@pytest.mark.needs("git")
def test_no_file_speaks_of_the_machine_or_the_making(tracked: list[Path]) -> None:
    """Files speak of hive: not of where they were written, nor of who asked for it."""
    places = [str(ROOT)] + ([sys.prefix] if sys.prefix != sys.base_prefix else [])
    found = []
    for path in tracked:
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path}: {place}" for place in places if place in text]
        found += [f"{path}: {match[0]}" for match in UNSAID.finditer(text)]
    assert found == []
