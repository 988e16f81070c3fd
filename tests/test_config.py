"""Settings, as values: where each comes from, and what a wrong one is told."""

import json
import tomllib
from pathlib import Path

import pytest
from attrs import Attribute, fields

from hive import config
from hive.protocol.errors import Malformed
from hive.protocol.failures import ErrorClass
from hive.protocol.limits import Limits


def test_the_environment_outweighs_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    """And each value says where it is from."""
    (tmp_path / config.FILE).write_text("[web]\nport = 7001\n[mcp]\nport = 7002\n")
    found = {one.path: one for one in config.effective(tmp_path, {"HIVE_WEB_PORT": "7003"})}
    assert (found["web.port"].value, found["web.port"].source) == (7003, "HIVE_WEB_PORT")
    assert (found["mcp.port"].value, found["mcp.port"].source) == (7002, config.FILE)
    assert found["web.host"].source == "default"
    assert config.load(tmp_path, {"HIVE_WEB_PORT": "7003"}).web.port == 7003


def test_without_a_file_every_setting_is_its_default(tmp_path: Path) -> None:
    """A hive needs no settings."""
    assert config.load(tmp_path, {}) == config.Config()


def test_the_template_is_the_defaults_commented_out(tmp_path: Path) -> None:
    """As it is written, and with every line uncommented."""
    text = config.template()
    assert not any(tomllib.loads(text).values())
    lines = text.splitlines()[1:]
    (tmp_path / config.FILE).write_text("\n".join(line.removeprefix("# ") for line in lines))
    assert config.load(tmp_path, {}) == config.Config()
    assert {one.source for one in config.effective(tmp_path, {})} == {config.FILE}


def test_what_was_chosen_stands_in_the_template_as_it_holds(tmp_path: Path) -> None:
    """And nothing else does."""
    (tmp_path / config.FILE).write_text(config.template({"agents.default_backend": "claude"}))
    assert config.load(tmp_path, {}) == config.Config(agents=config.Agents("claude"))
    chosen = [one.path for one in config.effective(tmp_path, {}) if one.source == config.FILE]
    assert chosen == ["agents.default_backend"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[web]\nport = 'x'", "web.port: expected a whole number from 0 to 65535, got 'x'"),
        ("[web]\nport = true", "web.port: expected a whole number"),
        ("[web]\nport = -1", "from 0 to 65535, got -1"),
        ("[web]\nport = 70000", "from 0 to 65535, got 70000"),
        (f"[web]\nport = 0x{'f' * 5_000}", "from 0 to 65535, got far more"),
        ("[web]\nprot = 1", r"web.prot: unknown setting; did you mean port"),
        ("[web]\nprincipality = 1", "web.principality: unknown setting; known here: host, port"),
        ("[wbe]", r"wbe: unknown setting; did you mean web\?"),
        ("web = 1", "expected a table"),
        ("[web", "not valid TOML"),
        (f"port = {'9' * 5_000}", "not valid TOML"),
        ("[operator]\nname = 3", "operator.name: expected text, got 3"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(tmp_path: Path, text: str, words: str) -> None:
    """By its path, never by a stack of frames."""
    (tmp_path / config.FILE).write_text(text)
    with pytest.raises(Malformed, match=rf"^{tmp_path / config.FILE}: .*{words}"):
        config.load(tmp_path, {})


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """A line each, with the file or the variable it stands in."""
    file = tmp_path / config.FILE
    file.write_text("[web]\nport = -1\n[mpc]\n[limits]\nhops = 0\nattempt = 1\n")
    with pytest.raises(Malformed) as refused:
        config.load(tmp_path, {"HIVE_MCP_PORT": "many", "HIVE_LIMITS_HOPS": "0"})
    assert refused.value.text.splitlines() == [
        f"{file}: mpc: unknown setting; did you mean mcp?",
        f"{file}: web.port: expected a whole number from 0 to 65535, got -1",
        "HIVE_MCP_PORT: mcp.port: expected a whole number from 0 to 65535, got 'many'",
        f"{file}: limits.attempt: unknown setting; did you mean attempts?",
        f"{file}: limits.hops: expected a whole number from 1 to 1000000, got 0",
        "HIVE_LIMITS_HOPS: limits.hops: expected a whole number from 1 to 1000000, got '0'",
    ]


EVERY_LIMIT = [pytest.param(one, id=one.name) for one in fields(Limits)]


@pytest.mark.parametrize("limit", EVERY_LIMIT)
def test_every_limit_is_refused_beyond_its_bounds(tmp_path: Path, limit: "Attribute[float]") -> None:
    """Below, above, without end, no number at all or of another type; in the file and in the environment."""
    least, most = limit.metadata["least"], limit.metadata["most"]
    wrong = [least - 1, most + 1, 2**63, 10**400, float("nan"), float("inf"), -float("inf"), True, "x", [1]]
    for value in [*wrong, *([1.5] if type(getattr(Limits(), limit.name)) is int else [])]:
        shown = json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")
        (tmp_path / config.FILE).write_text(f"[limits]\n{limit.name} = {shown}\n")
        with pytest.raises(
            Malformed, match=rf"{config.FILE}: limits\.{limit.name}: expected a .*number from"
        ):
            config.load(tmp_path, {})
        (tmp_path / config.FILE).unlink()
        named = config.variable("limits", limit.name)
        with pytest.raises(Malformed, match=rf"^{named}: limits\.{limit.name}: expected a .*number from"):
            config.load(tmp_path, {named: shown})


@pytest.mark.parametrize("limit", EVERY_LIMIT)
def test_every_limit_may_be_what_its_bounds_are(tmp_path: Path, limit: "Attribute[float]") -> None:
    """The default is between them."""
    least, most = limit.metadata["least"], limit.metadata["most"]
    assert least <= getattr(Limits(), limit.name) <= most
    for bound in (least, most):
        found = config.load(tmp_path, {config.variable("limits", limit.name): str(bound)})
        assert getattr(found.limits, limit.name) == bound


def test_what_a_daemon_took_is_read_as_it_was(tmp_path: Path) -> None:
    """By its owner alone, and only as long as it is that daemon's."""
    taken = config.effective(tmp_path, {"HIVE_WEB_PORT": "7003", "HIVE_LIMITS_PAIR_SECONDS": "1.5"})
    file = tmp_path / "taken"
    assert config.read_taken(file, 7) is None
    config.write_taken(file, 7, taken)
    assert config.read_taken(file, 7) == taken
    assert config.read_taken(file, 8) is None
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_wrong_variable_is_refused_too(tmp_path: Path) -> None:
    """Numbers come as text there."""
    with pytest.raises(Malformed, match=r"web\.port"):
        config.load(tmp_path, {"HIVE_WEB_PORT": "many"})


MINE = """
[presets.mine]
title = "Mine"
program = "mine"
install = "ask me"
arguments = ["acp"]
environment = { TELEMETRY = "off" }
errors = [{ pattern = "too much", error = "rate_limit" }]
"""


def test_a_preset_of_the_owner_s_is_read_from_its_own_table(tmp_path: Path) -> None:
    """And `hive config` says where it is from, as of any setting; a daemon's note of it reads the same."""
    (tmp_path / config.FILE).write_text(MINE)
    taken = config.effective(tmp_path, {})
    found = [one for one in taken if one.path.startswith("presets.")]
    assert [(one.path, one.source) for one in found] == [("presets.mine", config.FILE)]
    presets = config.of(taken).presets
    assert presets["mine"].errors[0].error is ErrorClass.RATE_LIMIT
    assert (presets["mine"].arguments, presets["mine"].environment) == (("acp",), {"TELEMETRY": "off"})
    file = tmp_path / "taken"
    config.write_taken(file, 7, taken)
    again = config.read_taken(file, 7)
    assert again is not None
    assert config.of(again).presets == presets


def test_all_that_is_wrong_with_presets_is_said_at_once(tmp_path: Path) -> None:
    """Each with its path, together with what is wrong elsewhere."""
    file = tmp_path / config.FILE
    broken = """
[web]
port = -1
[presets]
three = 3
[presets.claude]
title = "Mine"
program = "mine"
install = "ask me"
[presets."My own"]
title = "Mine"
program = "mine"
install = "ask me"
[presets.mine]
title = 3
program = "mine"
instal = "ask me"
arguments = "acp"
leaves = "never"
environment = { TELEMETRY = 0 }
errors = [{ pattern = "(", error = "auth" }, { pattern = "x", error = "boredom" }]
tools = ["send"]
settings = { name = "../.bashrc", text = "" }
model = { way = "guess" }
"""
    file.write_text(broken)
    with pytest.raises(Malformed) as refused:
        config.load(tmp_path, {})
    lines = refused.value.text.splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    kinds = ", ".join(sorted(ErrorClass))
    assert [line.removeprefix(f"{file}: ") for line in lines] == [
        "web.port: expected a whole number from 0 to 65535, got -1",
        "presets.three: expected a table, got 3",
        "presets.claude: claude is a backend of hive's own; choose another name",
        "presets.My own: a name has 1 to 32 of a-z, 0-9 and '-', and begins with a letter",
        "presets.mine.title: expected text, got 3",
        "presets.mine.install: is missing",
        "presets.mine.arguments: expected a list, as in [\"text\"], got 'acp'",
        "presets.mine.environment.TELEMETRY: expected text, got 0",
        "presets.mine.settings: a plain file name is expected, without a directory",
        "presets.mine.model.way: expected one of method, none, option, start, got 'guess'",
        "presets.mine.errors[0]: not a regular expression: missing ), unterminated subpattern at position 0",
        f"presets.mine.errors[1].error: expected one of {kinds}, got 'boredom'",
        "presets.mine.leaves: expected one of eof, kill, term, got 'never'",
        "presets.mine.instal: unknown setting; did you mean install?",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("presets = 3", r"presets: expected a table, as in \[presets.NAME\]"),
        (MINE + "tools = ['x']", r"presets.mine: tools: 'x' lacks the group"),
        (MINE + "hosts = [3]", r"presets.mine.hosts\[0\]: expected text, got 3"),
        (MINE + "driven = 2026-01-01", r"presets.mine.driven: expected text"),
    ],
)
def test_a_wrong_preset_is_named_with_what_would_be_right(tmp_path: Path, text: str, words: str) -> None:
    """As any setting is."""
    (tmp_path / config.FILE).write_text(text)
    with pytest.raises(Malformed, match=rf"^{tmp_path / config.FILE}: {words}"):
        config.load(tmp_path, {})
