"""Which backends there are, and what each can do."""

from pathlib import Path

import pytest
import trio
from attrs import evolve

from hive.agents.backend import Capabilities, Prompt, SessionSpec
from hive.agents.cli.acp import AcpBackend
from hive.agents.cli.claude import ClaudeBackend
from hive.agents.cli.codex import CodexBackend
from hive.agents.events import ErrorClass, Result
from hive.agents.external import ExternalBackend
from hive.agents.missing import MissingBackend
from hive.agents.presets import all_presets, built_in
from hive.agents.registry import (
    BACKENDS,
    BackendParts,
    CliParts,
    backend_of,
    check_settings,
    make_backend,
)
from hive.agents.scripted import ScriptedBackend
from hive.agents.tokens import CliSession
from hive.containers.port import Box
from hive.protocol.commands import Settings
from hive.protocol.errors import Conflict, Malformed
from hive.protocol.presets import Preset
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
        ("claude", ClaudeBackend, Capabilities(fold_in=True, instructions=True)),
        ("codex", CodexBackend, Capabilities(fold_in=True, instructions=True)),
        ("external", ExternalBackend, Capabilities(external=True)),
        *((name, AcpBackend, Capabilities()) for name in built_in()),
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
    """Wherever the name was typed, with what may have been meant."""
    names = ", ".join(sorted({*BACKENDS, *built_in()}))
    with pytest.raises(Malformed, match=rf"no backend 'claud'; did you mean claude.* one of {names}\."):
        make_backend("claud", parts())
    with pytest.raises(Malformed, match=r"no backend 'opencod'; did you mean opencode.*\? choose one of"):
        check_settings(Settings(backend="opencod"))
    with pytest.raises(Malformed, match=r"no backend 'xyzzy'; choose one of"):
        check_settings(Settings(backend="xyzzy"))


@pytest.mark.parametrize("name", ["claude", "opencode"])
def test_a_hive_that_runs_no_clis_says_so(name: str) -> None:
    """As one that is simulated does."""
    without = BackendParts(FakeTools().open, FakeShell(), trio.current_time)
    with pytest.raises(Conflict, match=r"runs no agent's CLI"):
        make_backend(name, without)


def test_a_preset_of_the_owner_s_is_a_backend_like_any() -> None:
    """Under its own name, or in the place of hive's."""
    mine = Preset("Mine", "mine", "ask me")
    presets = all_presets({"mine": mine, "gemini": mine})
    check_settings(Settings(backend="mine"), presets)
    for name in ("mine", "gemini"):
        backend = make_backend(name, evolve(parts(), presets=presets))
        assert isinstance(backend, AcpBackend)
        assert (backend.preset, backend.program) == (mine, ("mine",))
    with pytest.raises(Malformed, match="no backend 'mine'"):
        check_settings(Settings(backend="mine"))


async def test_an_agent_whose_preset_is_gone_says_so_with_every_turn() -> None:
    """Its harness must not crash over it, and its mail waits."""
    assert isinstance(backend_of(Settings(backend="claude"), parts()), ClaudeBackend)
    backend = backend_of(Settings(backend="gone"), parts())
    assert isinstance(backend, MissingBackend)
    assert backend.capabilities == Capabilities()
    box = Box("iris", Path(), Path(), {})
    spec = SessionSpec("iris", Settings(backend="gone"), CliSession("iris", "t"), box)
    async with backend.open(spec) as session, session.turn(Prompt("hello", (3,))) as run:
        await run.fold_in(Prompt("more", (4,)))
        await run.cancel()
        (result,) = [event async for event in run]
    assert isinstance(result, Result)
    assert result.error is ErrorClass.NO_START
    assert "there is no backend 'gone'" in result.detail


def test_an_agent_s_model_is_asked_for_where_its_cli_must_not_choose() -> None:
    """With the reason, and with what to name."""
    with pytest.raises(Malformed, match=r"^OpenCode needs a model: .* its vendor hosts: name one as"):
        check_settings(Settings(backend="opencode"))
    check_settings(Settings(backend="opencode", model="anthropic/claude-sonnet-4-5"))
    check_settings(Settings(backend="gemini"))
    with pytest.raises(Malformed, match="is no model's name"):
        check_settings(Settings(backend="gemini", model="--yolo"))


def test_a_model_that_nothing_could_set_is_refused() -> None:
    """Else its owner would wait in vain for it to matter."""
    with pytest.raises(Malformed, match="hive cannot choose the model of Mine"):
        check_settings(Settings(backend="mine", model="m"), {"mine": Preset("Mine", "mine", "ask me")})


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
