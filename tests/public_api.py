"""What hive promises to keep: the names, parameters and members of its public modules, as text.

`python tests/public_api.py` writes docs/api.md anew, below its marker; tests/test_public_api.py compares.
"""

import enum
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import attrs

MODULES = (
    "hive.actors",
    "hive.testing",
    "hive.testing.contracts",
    "hive.testing.model",
    "hive.agents.backend",
    "hive.agents.events",
    "hive.agents.tools",
    "hive.containers.port",
    "hive.mcp.tools",
)
PAGE = Path(__file__).resolve().parent.parent / "docs/api.md"
MARKER = "<!-- what follows is generated: python tests/public_api.py -->\n"


def listing() -> str:
    """The whole public API, a line for each name and member."""
    return "\n".join(f"## {name}\n\n```\n{chr(10).join(_module(name))}\n```\n" for name in MODULES)


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    for exported in sorted(module.__all__):
        yield from _described(exported, getattr(module, exported))


def _described(name: str, what: object) -> Iterator[str]:
    if not inspect.isclass(what):
        yield f"{name}{_signature(what)}" if inspect.isroutine(what) else name
        return
    bases = ", ".join(base.__name__ for base in what.__bases__ if base.__module__.startswith("hive"))
    yield f"class {name}({bases})" if bases else f"class {name}"
    if issubclass(what, enum.Enum):
        yield from (f"    {name}.{member.name} = {member.value!r}" for member in what)
        return
    if attrs.has(what):
        for one in attrs.fields(what):
            if one.init and not one.name.startswith("_"):
                yield f"    {name}.{one.name}{'' if one.default is attrs.NOTHING else ' (optional)'}"
    yield from _members(name, what)


def _members(name: str, what: type) -> Iterator[str]:
    fields = {one.name for one in attrs.fields(what)} if attrs.has(what) else set()
    for member in sorted(dir(what)):
        found = inspect.getattr_static(what, member)
        ours = any(member in base.__dict__ for base in what.__mro__ if base.__module__.startswith("hive"))
        if member.startswith("_") or member in fields or not ours:
            continue
        if isinstance(found, staticmethod | classmethod):
            yield f"    {name}.{member}{_signature(found.__func__)}"
        elif inspect.isfunction(found):
            yield f"    {name}.{member}{_signature(found)}"
        elif isinstance(found, property):
            yield f"    {name}.{member}"


def _signature(what: object) -> str:
    """Names and kinds of parameters.  Types are left out: each Python words them differently."""
    signature = inspect.signature(what)  # type: ignore[arg-type]
    bare = [
        one.replace(
            annotation=inspect.Parameter.empty, default=one.empty if one.default is one.empty else _Dots()
        )
        for one in signature.parameters.values()
    ]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


class _Dots:
    def __repr__(self) -> str:
        return "..."


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(MARKER)[0] + MARKER + "\n" + listing())
