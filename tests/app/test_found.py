"""What a start says it found, and what a demo says in the end, as values."""

import json
from pathlib import Path

import pytest
from attrs import evolve

from hive import config
from hive.agents.presets import built_in
from hive.app import DemoOptions, compose, found, launcher
from hive.app.demo import Summary, _percentile, _report
from hive.containers.subprocess import SubprocessDriver
from hive.protocol.errors import Refused


def test_each_known_cli_is_named_and_what_it_lacks() -> None:
    """A login of the person's own is none of hive's."""
    installed = {"claude": "/bin/claude", "goose": "/bin/goose"}
    assert list(found.command_lines((), built_in(), installed.get)) == [
        "found Claude Code: /bin/claude (--backend claude; no key yet: hive secret set claude)",
        "found Goose: /bin/goose (--backend goose)",
    ]
    first = next(found.command_lines(("claude",), {}, installed.get))
    assert first == "found Claude Code: /bin/claude (--backend claude)"


@pytest.mark.parametrize(
    ("installed", "backend"),
    [
        (("gemini", "codex", "claude"), "claude"),
        (("gemini", "opencode"), "gemini"),
        (("opencode",), ""),
        ((), ""),
    ],
)
def test_a_first_start_chooses_what_can_run_as_it_is(installed: tuple[str, ...], backend: str) -> None:
    """A CLI that needs a model's name cannot."""
    assert found.chosen(built_in(), {name: f"/bin/{name}" for name in installed}.get) == backend


def test_who_has_chosen_nothing_is_told_what_there_is_and_how_to_get_the_rest() -> None:
    """The built-in ones are always there."""
    text = found.choices(built_in(), {"opencode": "/bin/opencode"}.get)
    assert "--backend scripted, external, opencode; or set agents.default_backend in hive.toml." in text
    assert "Claude Code (install it with `npm install -g @anthropic-ai/claude-code`)" in text
    assert "OpenCode" not in text
    assert "Not installed" not in found.choices(built_in(), lambda name: f"/bin/{name}")


@pytest.mark.parametrize(
    ("manager", "agents", "words"),
    [(None, 0, "Next: hive spawn"), (None, 2, "no manager"), ("boss", 2, "the manager is boss")],
)
def test_a_start_says_whether_there_is_a_manager(
    tmp_path: Path, manager: str | None, agents: int, words: str
) -> None:
    """And what to type where nobody is there."""
    lines = list(found.report([tmp_path], SubprocessDriver(tmp_path), manager, agents))
    assert lines[0] == f"made {tmp_path}"
    assert any("no isolation" in line for line in lines)
    assert words in lines[-1]


@pytest.mark.parametrize("face", ["web", "mcp"])
def test_other_machines_are_not_served(face: str) -> None:
    """Neither face has TLS; the refusal names the setting and the way round."""
    exposed = evolve(config.Config(), **{face: config.Listen("0.0.0.0", 1)})  # type: ignore[arg-type]
    with pytest.raises(Refused, match=rf"{face}\.host = '0\.0\.0\.0'.*ssh -L"):
        compose.check_exposure(exposed)
    compose.check_exposure(config.Config())


def test_percentiles_are_milliseconds_of_the_sorted_waits() -> None:
    """None where nobody waited."""
    waits = [number / 1000 for number in range(100)]
    assert (_percentile(waits, 0.5), _percentile(waits, 0.99)) == (50.0, 99.0)
    assert _percentile([], 0.5) is None


@pytest.mark.parametrize(("violations", "status"), [([], 0), ([{"invariant": 1}], 1)])
def test_a_demo_is_well_only_where_no_invariant_was_violated(
    violations: list[object], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its summary is one JSON object, or three lines on what to type next at the end."""
    summary = Summary(3, 2, 3, 0, 0, 1.5, 2.5, violations)
    assert _report(summary, DemoOptions(Path(), json=True)) == status
    assert set(json.loads(capsys.readouterr().out)) == {
        *("sent", "turns", "done", "retried", "dead", "wake_ms_p50", "wake_ms_p99", "violations")
    }
    assert _report(summary, DemoOptions(Path())) == status
    last = capsys.readouterr().out.splitlines()[-3:]
    assert [
        word in line for word, line in zip(("hive up", "hive spawn", "hive send"), last, strict=True)
    ] == [True] * 3


def test_the_launcher_starts_this_very_hive(tmp_path: Path) -> None:
    """The same interpreter and package, in one small program."""
    program = launcher.write_launcher(tmp_path / "bin")
    assert program.stat().st_mode & 0o111
    assert " ".join(launcher.command()) in program.read_text()
    assert [path.name for path in program.parent.iterdir()] == ["hive"]
    assert launcher.package_path({"PYTHONPATH": "/x"}).endswith(":/x")
