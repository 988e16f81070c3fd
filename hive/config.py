"""Settings of a hive: defaults, `hive.toml`, environment, in that order of increasing weight.

The rule kept here: every effective value knows where it comes from, and a wrong one is named by its path
together with what would be right.
"""

import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attrs import asdict, fields, frozen

from hive.protocol.errors import Malformed
from hive.protocol.limits import Limits

FILE = "hive.toml"

HIGHEST_PORT = 65_535


@frozen
class Listen:
    """Where one face of hive listens."""

    host: str = "127.0.0.1"
    port: int = 0


@frozen
class Person:
    """Who the operator is, as agents are told."""

    name: str = "the operator"
    pronouns: str = "they/them"


@frozen
class Config:
    """All settings of one hive."""

    operator: Person = Person()
    web: Listen = Listen(port=7700)
    mcp: Listen = Listen(port=7701)
    limits: Limits = Limits()


@frozen
class Setting:
    """One effective value."""

    path: str
    value: object
    source: str
    """`default`, the file's name, the environment variable, or the verb that chose it."""


SECTIONS: Mapping[str, type[Person] | type[Listen] | type[Limits]] = {
    "operator": Person,
    "web": Listen,
    "mcp": Listen,
    "limits": Limits,
}


def variable(section: str, name: str) -> str:
    """The environment variable that sets `section.name`."""
    return f"HIVE_{section}_{name}".upper()


def read_file(path: Path) -> Mapping[str, object]:
    """The tables of a settings file; empty where there is none."""
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{path}: not valid TOML: {error}"
        raise Malformed(message) from error


def _converted(path: str, value: object, default: object) -> object:
    """`value` as the type of `default`, or an error that says what is wanted at `path`."""
    wanted = type(default)
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is wanted:
        return value
    if isinstance(value, str) and wanted in (int, float):
        try:
            return wanted(value)
        except ValueError:
            pass
    message = f"{path}: expected {wanted.__name__}, got {value!r}"
    raise Malformed(message)


def _checked(path: str, value: object) -> object:
    """Refuse numbers that make no sense."""
    if isinstance(value, int | float) and value < 0:
        message = f"{path}: must not be negative, got {value!r}"
        raise Malformed(message)
    if path.endswith(".port") and isinstance(value, int) and value > HIGHEST_PORT:
        message = f"{path}: a port is at most 65535, got {value!r}"
        raise Malformed(message)
    return value


def _refuse_unknown(found: Mapping[str, object], known: Mapping[str, object], where: str) -> None:
    unknown = sorted(set(found) - set(known))
    if unknown:
        message = f"{where}{unknown[0]}: unknown setting; known here: {', '.join(sorted(known))}"
        raise Malformed(message)


def _section(name: str, table: object, environment: Mapping[str, str]) -> Iterator[Setting]:
    default = getattr(Config(), name)
    if not isinstance(table, dict):
        message = f"{name}: expected a table, as in [{name}]"
        raise Malformed(message)
    known = {field.name: getattr(default, field.name) for field in fields(SECTIONS[name])}
    _refuse_unknown(table, known, f"{name}.")
    for key, fallback in known.items():
        path = f"{name}.{key}"
        value, source = fallback, "default"
        if key in table:
            value, source = _converted(path, table[key], fallback), FILE
        if variable(name, key) in environment:
            source = variable(name, key)
            value = _converted(path, environment[source], fallback)
        yield Setting(path, _checked(path, value), source)


def effective(directory: Path, environment: Mapping[str, str] | None = None) -> tuple[Setting, ...]:
    """Every setting of the hive in `directory` with its source.  Raises `Malformed`."""
    environment = os.environ if environment is None else environment
    found = read_file(directory / FILE)
    _refuse_unknown(found, SECTIONS, "")
    return tuple(setting for name in SECTIONS for setting in _section(name, found.get(name, {}), environment))


def load(directory: Path, environment: Mapping[str, str] | None = None) -> Config:
    """The settings of the hive in `directory`.  Raises `Malformed`."""
    return of(effective(directory, environment))


def of(settings: Iterable[Setting]) -> Config:
    """The configuration that these settings are, each section whole."""
    tables: dict[str, dict[str, object]] = {name: {} for name in SECTIONS}
    for setting in settings:
        section, key = setting.path.split(".")
        tables[section][key] = setting.value
    return Config(**{name: SECTIONS[name](**values) for name, values in tables.items()})  # type: ignore[arg-type]


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


def template() -> str:
    """A `hive.toml` in which every setting stands, commented out, at its default."""
    lines = ["# Settings of this hive.  Uncomment what you want to change; `hive config` shows what holds."]
    for name, kind in SECTIONS.items():
        default = getattr(Config(), name)
        lines += ["", f"[{name}]"]
        for field in fields(kind):
            value = getattr(default, field.name)
            shown = f'"{value}"' if isinstance(value, str) else f"{value}"
            lines.append(f"# {field.name} = {shown}")
    return "\n".join(lines) + "\n"
