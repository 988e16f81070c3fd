"""Settings of a hive: defaults, `hive.toml`, environment, in that order of increasing weight.

The rule kept here: every effective value knows where it comes from, and a wrong one is named by its path
together with the file it stands in and what would be right: all that are wrong at once.
"""

import json
import os
import reprlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attrs import Attribute, Factory, asdict, define, evolve, field as attribute, fields, frozen

from hive.protocol.agent_verbs import BACKENDS
from hive.protocol.errors import Malformed
from hive.protocol.limits import Limits, bounded, bounds
from hive.protocol.names import near
from hive.protocol.presets import Presets, read_presets

FILE = "hive.toml"

HIGHEST_PORT = 65_535


@frozen
class Listen:
    """Where one face of hive listens."""

    host: str = "127.0.0.1"
    port: int = bounded(0, 0, HIGHEST_PORT)


@frozen
class Person:
    """Who the operator is, as agents are told."""

    name: str = "the operator"
    pronouns: str = "they/them"


@frozen
class Agents:
    """How agents are run of which nobody says more."""

    default_backend: str = ""
    """Empty where nothing was chosen: then every spawn has to say."""


@frozen
class Config:
    """All settings of one hive."""

    operator: Person = Person()
    web: Listen = Listen(port=7700)
    mcp: Listen = Listen(port=7701)
    agents: Agents = Agents()
    limits: Limits = Limits()
    presets: Presets = attribute(factory=dict)
    """How agents that speak ACP are driven, beyond what hive knows."""


@frozen
class Setting:
    """One effective value."""

    path: str
    value: object
    source: str
    """`default`, the file's name, the environment variable, or the verb that chose it."""


SECTIONS: Mapping[str, type[Person] | type[Listen] | type[Agents] | type[Limits]] = {
    "operator": Person,
    "web": Listen,
    "mcp": Listen,
    "agents": Agents,
    "limits": Limits,
}


PRESETS = "presets"
"""The section whose tables have names of the owner's; no variable sets anything in it."""


def variable(section: str, name: str) -> str:
    """The environment variable that sets `section.name`."""
    return f"HIVE_{section}_{name}".upper()


def read_file(path: Path) -> Mapping[str, object]:
    """The tables of a settings file; empty where there is none."""
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        message = f"{path}: not valid TOML: {error}"
        raise Malformed(message) from error


def _allowed(field: "Attribute[object]", fallback: object) -> str:
    """What a setting may be, in words."""
    if (found := bounds(field.metadata)) is None:
        return "text"
    kind = "a whole number" if type(fallback) is int else "a number"
    return f"{kind} from {found[0]:.15g} to {found[1]:.15g}"


def _converted(field: "Attribute[object]", value: object, fallback: object) -> object:
    """A value as the type of its default, where it is within its bounds.  Raises `ValueError`."""
    wanted, found = type(fallback), bounds(field.metadata)
    if found is None:
        if not isinstance(value, str):
            raise TypeError
        return value
    if isinstance(value, bool) or not isinstance(value, wanted | int | str):
        raise TypeError
    number = wanted(value)  # type: ignore[call-arg]
    # Nothing that is not a number is between two of them.
    if not found[0] <= number <= found[1]:  # type: ignore[operator]
        raise ValueError
    return number


def _hint(name: str, known: Iterable[str]) -> str:
    similar = near(name, known)
    return f"did you mean {' or '.join(similar)}?" if similar else f"known here: {', '.join(sorted(known))}"


def _shown(value: object) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # so many digits are not even printed
        return "far more"


@define
class _Reading:
    """Settings as they are read, and everything that is wrong with them."""

    file: Path
    environment: Mapping[str, str]
    problems: list[str] = Factory(list)

    def tables(self) -> Mapping[str, object]:
        """The sections of the file that are known."""
        found = read_file(self.file)
        self._note_unknown(found, (*SECTIONS, PRESETS), "")
        return found

    def section(self, name: str, table: object) -> Iterator[Setting]:
        """The settings of one section, without those that are wrong."""
        default = getattr(Config(), name)
        if not isinstance(table, dict):
            self.problems.append(f"{self.file}: {name}: expected a table, as in [{name}]")
            return
        known = {field.name: field for field in fields(SECTIONS[name])}
        self._note_unknown(table, known, f"{name}.")
        for key, field in known.items():
            fallback = getattr(default, key)
            found = Setting(f"{name}.{key}", fallback, "default")
            if key in table:
                found = self._taken(field, Setting(found.path, table[key], FILE), fallback)
            if (named := variable(name, key)) in self.environment:
                found = self._taken(field, Setting(found.path, self.environment[named], named), fallback)
            yield found

    def presets(self, tables: object) -> Iterator[Setting]:
        """The presets of the owner's, a setting each."""
        found, problems = read_presets(tables, taken=BACKENDS)
        self.problems += [f"{self.file}: {problem}" for problem in problems]
        if isinstance(tables, dict):
            yield from (Setting(f"{PRESETS}.{name}", tables[name], FILE) for name in found)

    def _taken(self, field: "Attribute[object]", given: Setting, fallback: object) -> Setting:
        """What was given, as the type it is to have; where it is wrong, that is noted."""
        try:
            return evolve(given, value=_converted(field, given.value, fallback))
        except (ValueError, TypeError, OverflowError):
            where = self.file if given.source == FILE else given.source
            allowed, got = _allowed(field, fallback), _shown(given.value)
            self.problems.append(f"{where}: {given.path}: expected {allowed}, got {got}")
            return given

    def _note_unknown(self, found: Iterable[str], known: Iterable[str], where: str) -> None:
        self.problems += [
            f"{self.file}: {where}{name}: unknown setting; {_hint(name, known)}"
            for name in sorted(set(found) - set(known))
        ]


def effective(directory: Path, environment: Mapping[str, str] | None = None) -> tuple[Setting, ...]:
    """Every setting of the hive in `directory` with its source.  Raises `Malformed`, which says all."""
    reading = _Reading(directory / FILE, os.environ if environment is None else environment)
    found = reading.tables()
    sections = tuple(one for name in SECTIONS for one in reading.section(name, found.get(name, {})))
    settings = (*sections, *reading.presets(found.get(PRESETS, {})))
    if reading.problems:
        raise Malformed("\n".join(reading.problems))
    return settings


def load(directory: Path, environment: Mapping[str, str] | None = None) -> Config:
    """The settings of the hive in `directory`.  Raises `Malformed`."""
    return of(effective(directory, environment))


def of(settings: Iterable[Setting]) -> Config:
    """The configuration that these settings are, each section whole."""
    tables: dict[str, dict[str, object]] = {name: {} for name in (*SECTIONS, PRESETS)}
    for setting in settings:
        section, key = setting.path.split(".")
        tables[section][key] = setting.value
    presets, _ = read_presets(tables.pop(PRESETS))
    sections = {name: SECTIONS[name](**values) for name, values in tables.items()}  # type: ignore[arg-type]
    return Config(**sections, presets=presets)  # type: ignore[arg-type]


def write_taken(file: Path, pid: int, settings: Iterable[Setting]) -> None:
    """Note what a daemon serves with, for its owner's eyes, at once and whole."""
    text = json.dumps({"pid": pid, "settings": [asdict(setting) for setting in settings]})
    written = file.with_name(f".{file.name}.new")
    written.touch(mode=0o600)
    written.write_text(text, encoding="utf-8")
    written.replace(file)


def read_taken(file: Path, pid: int) -> tuple[Setting, ...] | None:
    """What the daemon of that pid serves with; None where it has not said so, but an earlier one may have."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return tuple(Setting(**one) for one in found["settings"]) if found["pid"] == pid else None


def template(chosen: Mapping[str, str] | None = None) -> str:
    """A `hive.toml` in which every setting stands, commented out, at its default; but for those chosen."""
    lines = ["# Settings of this hive.  Uncomment what you want to change; `hive config` shows what holds."]
    for name, kind in SECTIONS.items():
        default = getattr(Config(), name)
        lines += ["", f"[{name}]"]
        for field in fields(kind):
            value = getattr(default, field.name)
            shown = f'"{value}"' if isinstance(value, str) else f"{value}"
            ours = (chosen or {}).get(f"{name}.{field.name}")
            lines.append(f"# {field.name} = {shown}" if ours is None else f'{field.name} = "{ours}"')
    return "\n".join(lines) + "\n"
