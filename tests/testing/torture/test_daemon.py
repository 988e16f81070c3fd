"""A daemon's process as whoever tortures it sees it, told with programs that are none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hive.testing.torture import daemon as module
from hive.testing.torture.daemon import Daemon, DoesNotServe, daemon_on, environment
from tests.testing.torture.conftest import LIVES, OBEYS


async def test_it_is_gone_when_the_block_is_left(tmp_path: Path, plays: Callable[..., None]) -> None:
    """Stopped, killed, or neither."""
    plays(LIVES)
    root = tmp_path / "hive"
    root.mkdir()
    async with daemon_on(root) as daemon:
        await daemon.stop()
        await daemon.start()
        daemon.kill()
        with pytest.raises(DoesNotServe, match="ended by itself, with status -9"):
            daemon.kill()
        await daemon.start()
        process = daemon.process
    assert process is not None
    assert process.poll() == -9


async def test_what_an_earlier_one_said_is_not_taken_for_its_words(
    tmp_path: Path, plays: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though they share a log; and nobody waits for ever."""
    plays(LIVES, f"{OBEYS}; print('recovering', flush=True); signal.pause()")
    daemon = Daemon(tmp_path / "hive", tmp_path / "hive.log")
    await daemon.start()
    daemon.kill()
    monkeypatch.setattr(module, "SERVE_SECONDS", 0.1)
    with pytest.raises(DoesNotServe, match="does not serve after 0 s"):
        await daemon.start()
    daemon.kill()


def test_it_knows_nothing_of_the_persons_own_hive() -> None:
    """It takes free ports, and the package that tortures it."""
    made = environment({"HIVE_DIR": "/home/mine", "HIVE_WEB_PORT": "80", "HOME": "/home"})
    assert (made["HOME"], made["HIVE_WEB_PORT"], made["HIVE_MCP_PORT"]) == ("/home", "0", "0")
    assert "HIVE_DIR" not in made
    assert Path(made["PYTHONPATH"].partition(":")[0], "hive").is_dir()
