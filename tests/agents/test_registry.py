"""Which backends there are, and what each can do."""

from pathlib import Path

import pytest
import trio

from hive.agents.backend import Capabilities, SessionSpec
from hive.agents.cli.claude import ClaudeBackend
from hive.agents.cli.codex import CodexBackend
from hive.agents.external import ExternalBackend
from hive.agents.registry import BACKENDS, BackendParts, CliParts, check_settings, make_backend
from hive.agents.scripted import ScriptedBackend
from hive.agents.tokens import CliSession
from hive.containers.port import Box
from hive.protocol.commands import Settings
from hive.protocol.errors import Conflict, Malformed
from hive.testing.claude_world import ClaudeClis
from hive.testing.fake_tools import FakeShell, FakeTools


def parts() -> BackendParts:
    """Parts that do nothing."""
    clis = CliParts(ClaudeClis().start, str, lambda _agent: {}, str, str)
    return BackendParts(FakeTools().open, FakeShell(), trio.current_time, clis=clis)


@pytest.mark.parametrize(
    ("name", "kind", "capabilities"),
    [
        ("scripted", ScriptedBackend, Capabilities(fold_in=True)),
        ("claude", ClaudeBackend, Capabilities(fold_in=True)),
        ("codex", CodexBackend, Capabilities(fold_in=True)),
        ("external", ExternalBackend, Capabilities(external=True)),
    ],
)
def test_each_backend_is_made_by_its_name(name: str, kind: type, capabilities: Capabilities) -> None:
    """And says what it can do."""
    backend = make_backend(name, parts())
    assert isinstance(backend, kind)
    assert backend.capabilities == capabilities


def test_the_table_above_is_complete() -> None:
    """A new backend needs a row."""
    assert set(BACKENDS) == {"claude", "codex", "external", "scripted"}


def test_an_unknown_backend_lists_the_known_ones() -> None:
    """Wherever the name was typed."""
    with pytest.raises(
        Malformed, match=r"no backend 'claud'; choose one of claude, codex, external, scripted\."
    ):
        make_backend("claud", parts())
    with pytest.raises(Malformed, match="choose one of claude, codex, external, scripted"):
        check_settings(Settings(backend="claud"))


def test_a_hive_that_runs_no_clis_says_so() -> None:
    """As one that is simulated does."""
    without = BackendParts(FakeTools().open, FakeShell(), trio.current_time)
    with pytest.raises(Conflict, match=r"runs no agent's CLI"):
        make_backend("claude", without)


def test_settings_are_checked_before_an_agent_is_spawned() -> None:
    """Rules matter to scripts alone."""
    check_settings(Settings())
    check_settings(Settings(backend="external", rules="whatever"))
    with pytest.raises(Malformed, match="no rules 'whatever'"):
        check_settings(Settings(rules="whatever"))


@pytest.mark.parametrize("model", ["opus", "vendor/model-1.5:free", "claude-opus-5[1m]", "m" * 128])
def test_a_model_is_chosen_by_its_name(model: str) -> None:
    """Whatever vendors call theirs."""
    check_settings(Settings(backend="claude", model=model))


@pytest.mark.parametrize("model", ["--resume", " opus", "a b", "opus\n", "m" * 129, "-"])
def test_what_is_no_model_s_name_is_refused(model: str) -> None:
    """It becomes an argument of a program."""
    with pytest.raises(Malformed, match="is no model's name"):
        check_settings(Settings(backend="claude", model=model))


@pytest.mark.parametrize("backend", ["scripted", "external"])
def test_an_agent_without_a_cli_has_no_model(backend: str) -> None:
    """Else its owner would wait in vain for it to matter."""
    with pytest.raises(Malformed, match="hive chooses no model"):
        check_settings(Settings(backend=backend, model="opus"))


def test_no_turn_can_be_run_for_an_external_agent() -> None:
    """Whoever tries has not looked at the capabilities, and is told why it is wrong."""
    spec = SessionSpec(
        "iris", Settings(backend="external"), CliSession("iris", "t"), Box("iris", Path(), Path(), {})
    )
    with pytest.raises(Conflict, match="iris: it is driven by its own MCP client"):
        ExternalBackend().open(spec)
