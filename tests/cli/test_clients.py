"""Configuration for other people's clients, as values."""

import json
import tomllib

import pytest

from hive.cli.clients import CONFIGURATIONS, placeholder
from hive.cli.local import _endpoint_text
from hive.protocol.verbs import VERBS

URL, TOKEN = "http://127.0.0.1:7701/mcp/iris", "s3cret-token"


def test_every_client_that_can_be_named_has_a_configuration() -> None:
    """And no other."""
    (verb,) = [verb for verb in VERBS if verb.name == "endpoint"]
    (argument,) = [argument for argument in verb.arguments if argument.name == "for"]
    assert set(argument.choices) == set(CONFIGURATIONS)
    assert argument.default in CONFIGURATIONS


@pytest.mark.parametrize("client", CONFIGURATIONS)
def test_a_configuration_holds_the_address_and_the_header(client: str) -> None:
    """Whatever its syntax, it can be pasted as it is."""
    text = CONFIGURATIONS[client](URL, TOKEN)
    assert URL in text
    assert f"Bearer {TOKEN}" in text


@pytest.mark.parametrize("client", ["generic", "gemini", "opencode"])
def test_configurations_in_json_are_json(client: str) -> None:
    """After the comment that names the file."""
    text = CONFIGURATIONS[client](URL, TOKEN)
    found = json.loads(text[text.index("{") :])
    server = (found.get("mcpServers") or found["mcp"])["hive"]
    assert server["headers"] == {"Authorization": f"Bearer {TOKEN}"}


def test_the_configuration_in_toml_is_toml() -> None:
    """With the server under its own table."""
    server = tomllib.loads(CONFIGURATIONS["codex"](URL, TOKEN))["mcp_servers"]["hive"]
    assert server == {"url": URL, "http_headers": {"Authorization": f"Bearer {TOKEN}"}}


def test_a_token_that_was_shown_is_not_shown_again() -> None:
    """What stands in its place names the way to a new one."""
    text = _endpoint_text(URL, "/run/iris.sock", None, CONFIGURATIONS["generic"](URL, placeholder("iris")))
    assert "--rotate" in text
    assert "iris---rotate" in text
    assert "shown this once" not in text
    assert "shown this once" in _endpoint_text(URL, "/run/iris.sock", TOKEN, "")
