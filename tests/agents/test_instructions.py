"""What an agent is told once for all turns, whose words those are, and that no file keeps it from working."""

import os
import re
from pathlib import Path

import pytest

from hive.agents.instructions import LARGEST_BYTES, Prompts, Told, rendered
from hive.mcp.tools import TOOLS
from hive.protocol.commands import Settings

IRIS = Told("iris", Settings(purpose="keeps the garden"), "/agents/iris/state", "/shared")
BOSS = Told("boss", Settings(role="manager"), "/agents/boss/state", "/shared")

CHARACTERS_PER_TOKEN = 4
"""English prose has more; so a text of so many characters has fewer tokens than this says."""

TOKENS = 900


def test_an_agent_is_told_who_it_is_where_its_things_are_and_what_it_is_for() -> None:
    """Nothing is left to be filled in."""
    told = Prompts().instructions(IRIS)
    assert told.problems == ()
    assert told.text.startswith("You are iris, an agent in a hive")
    assert told.text.endswith("# Your purpose\nkeeps the garden")
    assert "/agents/iris/state" in told.text
    assert re.findall(r"\$\w+", told.text) == []


def test_a_manager_is_told_more() -> None:
    """All that an agent is, and how to be a gate."""
    told = Prompts().instructions(BOSS).text
    assert "Never wait, sleep or poll" in told
    assert "not a rubber stamp" in told
    assert "not a rubber stamp" not in Prompts().instructions(IRIS).text


def test_it_costs_little() -> None:
    """Of every turn's room."""
    assert len(Prompts().instructions(BOSS).text) / CHARACTERS_PER_TOKEN < TOKENS


def test_every_tool_of_an_agent_is_taught() -> None:
    """And none that is not there."""
    taught = set(re.findall(r"`(\w+)`", Prompts().instructions(BOSS).text))
    tools = {tool.name for tool in TOOLS if not tool.for_clients}
    assert tools <= taught
    assert taught - tools == {"hive", "manager", "operator", "in_reply_to"}


@pytest.mark.parametrize(
    ("told", "files", "text"),
    [
        (IRIS, {"agent.md": "I am $name $purpose"}, "I am iris \n# Your purpose\nkeeps the garden"),
        (BOSS, {"agent.md": "I am $name", "manager.md": ", the $role"}, "I am boss, the manager"),
        (
            IRIS,
            {"agent.md": "all", "agents/iris.md": "only $name $purpose"},
            "only iris \n# Your purpose\nkeeps the garden",
        ),
        (BOSS, {"agents/iris.md": "only iris", "agent.md": "all", "manager.md": ""}, "all"),
    ],
)
def test_a_person_may_say_it_otherwise(tmp_path: Path, told: Told, files: dict[str, str], text: str) -> None:
    """For all, for the manager, or for one agent."""
    (tmp_path / "agents").mkdir()
    for name, words in files.items():
        (tmp_path / name).write_text(words)
    assert Prompts(tmp_path).instructions(told).text == text


def test_words_of_one_s_own_do_not_take_an_agent_s_purpose_away(tmp_path: Path) -> None:
    """Where they leave no place for it, it stands at their end."""
    (tmp_path / "agent.md").write_text("Be a cat.")
    assert Prompts(tmp_path).instructions(IRIS).text == "Be a cat.\n\n# Your purpose\nkeeps the garden"


@pytest.mark.parametrize("bad", ["long", "bytes", "pipe", "folder"])
def test_a_file_that_cannot_be_used_is_told_of_and_does_no_harm(tmp_path: Path, bad: str) -> None:
    """The words of the package stand in for it."""
    path = tmp_path / "agent.md"
    match bad:
        case "long":
            path.write_text("x" * (LARGEST_BYTES + 1))
        case "bytes":
            path.write_bytes(b"\xff\xfe")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()
    told = Prompts(tmp_path).instructions(IRIS)
    assert told.text == Prompts().instructions(IRIS).text
    (problem,) = told.problems
    assert problem.startswith(f"{path} is not used: ")


def test_words_that_look_like_a_place_to_fill_in_stay_as_they_are() -> None:
    """A purpose is somebody's text, and so may be a price."""
    purpose = Told("iris", Settings(purpose="spend $5 or $name"), "/s", "/shared")
    assert rendered("$purpose costs $$5, $unknown", purpose).endswith(
        "spend $5 or $name\n costs $5, $unknown"
    )
