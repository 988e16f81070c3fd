"""Presets: that each says what it must, and that the page about them is true."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from attrs import fields

from hive.agents.presets import all_presets, built_in
from hive.protocol.agent_verbs import BACKENDS
from hive.protocol.presets import HOME, MODEL, NAME, ModelWay, Preset, read_presets

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
NAMES: Final = sorted(built_in())


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_what_its_owner_has_to_know(name: str) -> None:
    """What to install, what logs it in, and what it makes of commands in mail."""
    preset = built_in()[name]
    assert NAME.fullmatch(name)
    assert name not in BACKENDS
    assert preset.install.startswith("install it")
    assert preset.credentials
    assert preset.commands
    assert preset.errors


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_can_be_named_gets_through(name: str) -> None:
    """Where a start says it, the words have a place for it."""
    model = built_in()[name].model
    assert model.way is not ModelWay.NONE
    words = [*model.arguments, *model.environment.values()]
    assert any(MODEL in word for word in words) is (model.way is ModelWay.START)


def test_settings_are_looked_for_where_they_are_written() -> None:
    """In the agent's own directory."""
    preset = built_in()["gemini"]
    assert preset.settings is not None
    assert f"{HOME}/{preset.settings.name}" in preset.environment.values()


def test_only_what_was_driven_is_called_so() -> None:
    """The page's table is that of the presets."""
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", PAGE, re.MULTILINE))
    told = {}
    for name, preset in built_in().items():
        tried = f"the real one, {preset.driven}" if preset.driven else "a stand-in"
        model = "required" if preset.model.required else "optional"
        login = " or ".join(f"`{one}`" for one in preset.credentials)
        told[name] = f"`{preset.program}` | {tried} | {model} | {login}"
    assert {name: rows.get(name) for name in told} == told


def test_every_setting_is_on_the_page() -> None:
    """In the table of what each is."""
    table = "".join(re.findall(r"^\| (`[^|]*) \| ", PAGE, re.MULTILINE))
    assert {field.name for field in fields(Preset)} <= {*re.findall(r"`(\w+)`", table)}


def test_the_preset_of_the_page_is_one() -> None:
    """People copy it."""
    (block,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    found, problems = read_presets(tomllib.loads(block)["presets"])
    assert problems == []
    assert all_presets(found)["mine"].without_shell.arguments == ("--no-shell",)
    assert {*all_presets(found)} == {"mine", *NAMES}
