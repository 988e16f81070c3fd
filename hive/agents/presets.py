"""The presets that hive brings along, and those of a hive with its owner's.

The rule kept here: a preset of the owner's replaces hive's own of the same name whole, so that what holds
stands in one place.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from hive.protocol.presets import Preset, Presets, read_presets

FILE: Final = "presets.toml"


@cache
def built_in() -> Presets:
    """Those that hive brings along."""
    text = files("hive.agents").joinpath(FILE).read_text(encoding="utf-8")
    found, problems = read_presets(tomllib.loads(text))
    assert not problems, problems
    return found


def all_presets(own: Mapping[str, Preset]) -> Presets:
    """Those of a hive whose owner has these."""
    return {**built_in(), **own}


__all__ = ["all_presets", "built_in"]
