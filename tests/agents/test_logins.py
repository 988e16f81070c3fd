"""What an agent needs to be logged in, and the one command that gives it."""

import pytest

from hive.agents.logins import missing, set_key, takes, variable_of
from hive.agents.presets import built_in
from hive.protocol.commands import Settings
from hive.protocol.errors import Malformed


@pytest.mark.parametrize(
    ("settings", "variables", "said"),
    [
        (Settings(), (), ""),
        (Settings(backend="external"), (), ""),
        (Settings(backend="claude"), ("ANTHROPIC_API_KEY",), ""),
        (
            Settings(backend="claude"),
            ("ANTHROPIC_BASE_URL",),
            "its CLI has no key yet: hive secret set claude",
        ),
        (
            Settings(backend="claude", credential="codex"),
            (),
            "its CLI has no key yet: hive secret set codex --variable ANTHROPIC_API_KEY",
        ),
        (Settings(backend="claude"), (), "its CLI has no key yet: hive secret set claude"),
        (
            Settings(backend="claude", credential="work"),
            (),
            "its CLI has no key yet: hive secret set work --variable ANTHROPIC_API_KEY",
        ),
    ],
)
def test_what_is_missing_is_one_command(settings: Settings, variables: tuple[str, ...], said: str) -> None:
    """Or nothing."""
    assert missing(settings, variables) == said


def test_a_credential_named_after_a_backend_has_its_key() -> None:
    """Any other has to say which variable is meant."""
    assert variable_of("claude") == "ANTHROPIC_API_KEY"
    with pytest.raises(Malformed, match="--variable ANTHROPIC_API_KEY"):
        variable_of("work")


def test_a_preset_that_takes_one_key_leaves_no_doubt() -> None:
    """One that takes several does; they are named."""
    known = takes(built_in())
    assert variable_of("gemini", known) == "GEMINI_API_KEY"
    with pytest.raises(Malformed, match="--variable CURSOR_API_KEY or CURSOR_AUTH_TOKEN"):
        variable_of("cursor", known)


def test_the_command_can_be_typed_as_it_stands() -> None:
    """Whatever the credential is called."""
    assert set_key(Settings(backend="claude", credential="claude")) == "hive secret set claude"
