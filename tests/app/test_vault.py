"""The credentials of a hive as its daemon reaches them."""

import os
from pathlib import Path

import pytest

from hive.agents.keyring import Keyring
from hive.app.vault import Vault
from hive.protocol.commands import NoteCredential, Settings
from hive.protocol.errors import Refused
from hive.protocol.parking import Parked, Reason
from hive.protocol.views import AgentView

KEY = "ANTHROPIC_API_KEY"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """One with a key for all claude agents."""
    keyring = Keyring(tmp_path / "credentials")
    keyring.put("claude", KEY, "sk-secret")
    os.utime(tmp_path / "credentials" / "claude.json", (1_000.0, 1_000.0))
    return Vault(keyring)


def parked(reason: Reason, since: float, credential: str = "") -> AgentView:
    """An agent of Claude Code that waits."""
    return AgentView(
        "iris", Settings(backend="claude", credential=credential), 0.0, parked=(Parked(reason, since),)
    )


@pytest.mark.parametrize(
    ("view", "found"),
    [
        (parked(Reason.LOGIN, 999.0), [NoteCredential("claude", (KEY,), by="system")]),
        (parked(Reason.LOGIN, 1_001.0), []),
        (parked(Reason.FAILING, 999.0), []),
        (parked(Reason.LOGIN, 999.0, credential="work"), []),
    ],
)
def test_a_key_that_came_while_nobody_could_be_told_is_noticed_at_the_next_start(
    vault: Vault, view: AgentView, found: list[NoteCredential]
) -> None:
    """A daemon may die between the file and the commit that wakes whoever waits for it."""
    assert list(vault.unnoticed([view])) == found


async def test_a_disk_that_refuses_is_told_without_the_key(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was kept is kept."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Refused, match="No space left on device; it is as it was") as refused:
        await vault.put("claude", KEY, "sk-other")
    assert "sk-" not in str(refused.value)


async def test_what_cannot_be_read_is_missing_and_can_be_set_anew(vault: Vault) -> None:
    """Its agents are told how."""
    (vault.keyring.folder / "claude.json").write_text("sk-secret")
    settings = Settings(backend="claude")
    assert (
        vault.missing(settings)
        == "The credential claude cannot be read. Set it anew: hive secret set claude."
    )
    assert await vault.put("claude", KEY, "sk-other") == (KEY,)
    assert vault.missing(settings) == ""
    assert await vault.remove("claude") == ()


def test_what_two_wait_for_is_noticed_once(vault: Vault) -> None:
    """The notice wakes both."""
    assert len(list(vault.unnoticed([parked(Reason.LOGIN, 999.0), parked(Reason.LOGIN, 998.0)]))) == 1
