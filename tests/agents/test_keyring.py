"""Credentials on the disk: whole, for nobody else to read, and in no error."""

import stat
from pathlib import Path

import pytest

from hive.agents.keyring import VALUE_CHARACTERS, Keyring
from hive.protocol.errors import Malformed, Refused

KEY = "ANTHROPIC_API_KEY"


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """One that has kept nothing yet."""
    return Keyring(tmp_path / "credentials")


def test_what_is_put_in_comes_out_and_may_be_replaced(keyring: Keyring) -> None:
    """Several variables make one credential."""
    assert keyring.put("claude", KEY, "one") == (KEY,)
    assert keyring.put("claude", "ANTHROPIC_BASE_URL", "http://127.0.0.1") == (KEY, "ANTHROPIC_BASE_URL")
    assert keyring.put("claude", KEY, "two") == (KEY, "ANTHROPIC_BASE_URL")
    assert keyring.variables("claude") == {KEY: "two", "ANTHROPIC_BASE_URL": "http://127.0.0.1"}
    assert keyring.variables("codex") == {}


def test_nobody_else_can_read_it(keyring: Keyring, tmp_path: Path) -> None:
    """Neither the file nor the folder, nor a file that lies beside it for a moment."""
    keyring.put("claude", KEY, "one")
    keyring.put("claude", KEY, "two")
    folder = tmp_path / "credentials"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [(file.name, stat.S_IMODE(file.stat().st_mode)) for file in folder.iterdir()] == [
        ("claude.json", 0o600)
    ]


def test_a_list_tells_everything_but_the_values(keyring: Keyring) -> None:
    """In the order of their names."""
    assert keyring.credentials() == ()
    keyring.put("work", KEY, "sk-secret")
    keyring.put("claude", KEY, "sk-secret")
    found = keyring.credentials()
    assert [(one.name, one.variables) for one in found] == [("claude", (KEY,)), ("work", (KEY,))]
    assert "sk-secret" not in repr(found) + repr(keyring)


def test_what_is_removed_is_gone(keyring: Keyring) -> None:
    """And removing it again says that it was."""
    keyring.put("claude", KEY, "one")
    assert (keyring.remove("claude"), keyring.remove("claude")) == ((), ())
    assert keyring.variables("claude") == {}
    assert keyring.credentials() == ()


def test_one_variable_can_be_taken_away_alone(keyring: Keyring) -> None:
    """A key that was revoked must not stand before the one that took its place."""
    keyring.put("claude", KEY, "one")
    keyring.put("claude", "CLAUDE_CODE_OAUTH_TOKEN", "two")
    assert keyring.remove("claude", KEY) == ("CLAUDE_CODE_OAUTH_TOKEN",)
    assert keyring.variables("claude") == {"CLAUDE_CODE_OAUTH_TOKEN": "two"}
    assert keyring.remove("claude", "CLAUDE_CODE_OAUTH_TOKEN") == ()
    assert keyring.credentials() == ()


@pytest.mark.parametrize("text", ["sk-secret", "[]", '{"KEY": 1}', "\0"])
def test_a_file_that_cannot_be_used_says_so_without_what_stands_in_it(keyring: Keyring, text: str) -> None:
    """It is listed as one without variables, and set anew or taken away like any other."""
    keyring.put("claude", KEY, "one")
    (keyring.folder / "claude.json").write_text(text)
    with pytest.raises(Refused, match="Set it anew: hive secret set claude") as refused:
        keyring.variables("claude")
    assert "sk-secret" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    assert [(one.name, one.variables) for one in keyring.credentials()] == [("claude", ())]
    assert keyring.put("claude", KEY, "two") == (KEY,)


def test_what_is_none_of_hive_s_is_left_alone(keyring: Keyring) -> None:
    """And keeps nobody from seeing the others."""
    keyring.put("claude", KEY, "one")
    (keyring.folder / "My Key.json").write_text("{}")
    (keyring.folder / "codex.json").mkdir()
    assert [one.name for one in keyring.credentials()] == ["claude", "codex"]


def test_what_a_killed_daemon_was_about_to_write_is_gone_with_the_next_change(keyring: Keyring) -> None:
    """It holds the values as well."""
    keyring.put("claude", KEY, "one")
    (keyring.folder / ".claude.0123").write_text("left")
    keyring.remove("claude")
    assert list(keyring.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("api-key", "sk-secret", "is no variable for a key"),
        ("K" * 65, "sk-secret", "is no variable for a key"),
        ("PATH", "sk-secret", "would change how the CLI is run"),
        ("HIVE_STATE", "sk-secret", "would change how the CLI is run"),
        ("LD_PRELOAD", "sk-secret", "would change how the CLI is run"),
        (KEY, "", "is empty"),
        (KEY, "sk-secret\nsk-secret", "one line of printable ASCII"),
        (KEY, "sk-secr\u00e9t", "one line of printable ASCII"),
        (KEY, "sk-secret" * VALUE_CHARACTERS, f"{VALUE_CHARACTERS} is the most"),
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(
    keyring: Keyring, variable: str, value: str, why: str
) -> None:
    """It may be one, with something at its end; and what was kept is kept."""
    keyring.put("claude", KEY, "one")
    with pytest.raises(Malformed, match=why) as refused:
        keyring.put("claude", variable, value)
    assert "sk-secr" not in str(refused.value)
    assert keyring.variables("claude") == {KEY: "one"}


def test_a_credential_is_named_like_an_agent(keyring: Keyring) -> None:
    """Its name is that of a file."""
    for name in ("../claude", "", "Claude", "a/b"):
        with pytest.raises(Malformed):
            keyring.put(name, KEY, "one")


def test_a_disk_that_refuses_leaves_what_was_there(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing half-written beside it."""
    keyring.put("claude", KEY, "one")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        keyring.put("claude", KEY, "two")
    assert keyring.variables("claude") == {KEY: "one"}
    assert [file.name for file in keyring.folder.iterdir()] == ["claude.json"]
