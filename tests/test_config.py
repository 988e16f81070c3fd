"""Settings, as values: where each comes from, and what a wrong one is told."""

import tomllib
from pathlib import Path

import pytest

from hive import config
from hive.protocol.errors import Malformed


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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[web]\nport = 'x'", "web.port: expected int"),
        ("[web]\nport = true", "web.port: expected int"),
        ("[web]\nport = -1", "must not be negative"),
        ("[web]\nport = 70000", "at most 65535"),
        ("[web]\nprot = 1", "web.prot: unknown setting; known here: host, port"),
        ("[wbe]", "wbe: unknown setting"),
        ("web = 1", "expected a table"),
        ("[web", "not valid TOML"),
        ("[operator]\nname = 3", "operator.name: expected str"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(tmp_path: Path, text: str, words: str) -> None:
    """By its path, never by a stack of frames."""
    (tmp_path / config.FILE).write_text(text)
    with pytest.raises(Malformed, match=words):
        config.load(tmp_path, {})


def test_what_a_daemon_took_is_read_as_it_was(tmp_path: Path) -> None:
    """By its owner alone, and only as long as it is that daemon's."""
    taken = config.effective(tmp_path, {"HIVE_WEB_PORT": "7003", "HIVE_LIMITS_PAIR_SECONDS": "0.5"})
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
